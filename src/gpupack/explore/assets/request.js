// A request as the page holds it: only what differs from the defaults.

export const key = (path) => JSON.stringify(path);

/** Return what a request says at a path, undefined where it says nothing. */
export function get(request, path) {
  return path.reduce((found, step) => {
    const own = found !== null && typeof found === "object" && Object.hasOwn(found, step);
    return own ? found[step] : undefined;
  }, request);
}

/**
 * Return a request that says something else at a path; undefined takes it away, and
 * with it what then holds nothing. A GPU type stays: it is named without any limit.
 */
export function set(request, path, value) {
  const [step, ...rest] = path;
  const whole = request !== null && typeof request === "object" ? request : {};
  const entries = new Map(Object.entries(whole));
  const inner = rest.length ? set(entries.get(step), rest, value) : value;
  const isGpuType = path.length === 2 && GPU_FIELDS.has(path[1]);
  const isEmpty = rest.length > 0 && Object.keys(inner).length === 0;
  if (inner === undefined || (isEmpty && !isGpuType)) entries.delete(step);
  else entries.set(step, inner);
  // No prototype: a model may be called __proto__.
  return Object.fromEntries(entries);
}

const GPU_FIELDS = new Set(["count", "price", "reserved_price", "memory_mib", "host_cpus_per_gpu", "host_memory_per_gpu"]);

/** Return equal text for requests that ask the same, whatever the order. */
export function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}

/** Return a state as text for the fragment of an address. */
export function toFragment(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  let text = "";
  for (const one of bytes) text += String.fromCharCode(one);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Return the state in a fragment, null where there is none that can be read. */
export function fromFragment(text) {
  try {
    const plain = atob(text.replace(/^#/, "").replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(plain, (one) => one.charCodeAt(0));
    const state = JSON.parse(new TextDecoder().decode(bytes));
    return state && typeof state === "object" && state.request ? state : null;
  } catch {
    return null;
  }
}
