// What the server can be asked, and what it tells: events as they come.

const HERE = new URL(".", location.href).pathname;

/** The server cannot be reached, or no longer knows this page. */
export class LostError extends Error {
  /** @param {boolean} isElsewhere Whether a server answers, but knows another token. */
  constructor(isElsewhere) {
    super("lost");
    this.isElsewhere = isElsewhere;
  }
}

/** The server says why it does not do what was asked. */
export class RefusedError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(HERE + path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new LostError(false);
  }
  if (response.ok) return response;
  let message = `the server answered ${response.status}`;
  try {
    message = (await response.json()).message ?? message;
  } catch {
    // The status says enough.
  }
  if (response.status === 403 && /token/.test(message)) throw new LostError(true);
  throw new RefusedError(message, response.status);
}

function posted(value, signal) {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
    signal,
  };
}

export const start = async () => (await send("api/start")).json();
export const alive = async () => (await send("api/alive")).json();
export const cancel = (view, slot) => send("api/cancel", posted({ view, slot }));

/** Return what was understood of a file. */
export async function read(file) {
  const path = `api/read?name=${encodeURIComponent(file.name)}`;
  const headers = { "Content-Type": "application/octet-stream" };
  return (await send(path, { method: "POST", headers, body: file })).json();
}

/** Return a file of an answer, as a blob. */
export async function write(value) {
  return (await send("api/write", posted(value))).blob();
}

/**
 * Call `tell(name, value, id)` with every event until there are no more.
 * Throws LostError if they end in the middle.
 */
export async function events(path, value, signal, tell) {
  const response = await send(path, posted(value, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) throw error;
      throw new LostError(false);
    }
    if (part.done) return;
    rest += part.value;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const fields = { event: "", data: "", id: null };
      for (const line of rest.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      rest = rest.slice(end + 2);
      if (fields.event) tell(fields.event, JSON.parse(fields.data), fields.id);
    }
  }
}
