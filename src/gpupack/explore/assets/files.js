// In and out: files dropped on the page, and files of an answer.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { asPng, asSvg, picture } from "./drawing.js";
import * as server from "./server.js";

/** Hand a blob to the reader as a file. */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function copy(page, text, what) {
  try {
    await navigator.clipboard.writeText(text);
    page.say(`${what} copied`);
  } catch {
    page.say(`${what} could not be copied: mark it and copy it`);
  }
}

/** Return what can be taken from here. */
export function out(page) {
  const { state } = page;
  const isThere = Boolean(state.answer?.is_final && state.answerId && !state.clash && !state.refused);
  const written = (what, name) => async () => {
    try {
      const pinned = what === "report" ? (state.pinned?.answer ?? null) : null;
      save(await server.write({ view: page.viewId, what, answer: state.answerId, pinned }), name);
      page.say(`${name} written`);
    } catch (error) {
      page.say(error.message);
    }
  };
  const drawn = async (asFile, name) => {
    try {
      const isDark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark");
      const element = picture(state.answer, state.source.models, isDark);
      const blob = asFile === "svg" ? new Blob([asSvg(element)], { type: "image/svg+xml" }) : await asPng(element);
      save(blob, name);
      page.say(`${name} written`);
    } catch (error) {
      page.say(`no picture could be made: ${error.message}`);
    }
  };
  return html`<section class="out" aria-labelledby="out-title"><h2 id="out-title">Take it with you</h2>
    <label for="command">The same in the shell</label>
    <div class="command"><textarea id="command" readonly rows="3" spellcheck="false" .value=${state.command?.text ?? ""}></textarea>
      <button type="button" @click=${() => copy(page, state.command?.text ?? "", "The command line")}>Copy</button></div>
    ${state.command?.needs_file ? html`<p class="soft">No option says all of it: save the request file beside it.</p>` : nothing}
    <p class="tools">
      <button type="button" @click=${() => save(new Blob([`${JSON.stringify({ kind: "request", schema_version: 1, ...state.request }, null, 2)}\n`], { type: "application/json" }), "request.json")}>Request file</button>
      <button type="button" ?disabled=${!isThere} @click=${written("placement", "placement.json")}>Placement, JSON</button>
      <button type="button" ?disabled=${!isThere} @click=${written("report", "report.html")}>Report</button>
      <button type="button" ?disabled=${!isThere} @click=${() => drawn("svg", "answer.svg")}>SVG</button>
      <button type="button" ?disabled=${!isThere} @click=${() => drawn("png", "answer.png")}>PNG</button>
      <button type="button" @click=${() => copy(page, location.href, "The link")}>Copy link</button>
    </p></section>`;
}

/** Return where files are dropped, and what was understood of the last one. */
export function into(page) {
  const { state } = page;
  if (state.isReadOnly) return nothing;
  return html`<section class="into" aria-labelledby="into-title"><h2 id="into-title">Other numbers</h2>
    <p>Now: <strong class="words">${state.source.name}</strong>, ${state.source.models.length} models, ${state.source.num_records} load points.</p>
    <label class="drop" for="file">Drop a file anywhere on this page, or choose one: a CSV table, JSON Lines, an export, or a request.
      <input type="file" id="file" @change=${(event) => { const [file] = event.target.files; if (file) page.read(file); event.target.value = ""; }}></label>
    ${state.isReading ? html`<p role="status">Reading ${state.isReading}…</p>` : nothing}
    ${state.readFault ? html`<div class="notice bad" role="alert"><span class="words">${state.readFault}</span></div>` : nothing}
  </section>`;
}

/** Return how a dropped file was understood, before it is used. */
export function understood(page) {
  const { read } = page.state;
  if (!read) return nothing;
  const { source } = read;
  return html`<dialog id="understood" aria-labelledby="understood-title" @cancel=${(event) => { event.preventDefault(); page.useRead(false); }}>
    <h2 id="understood-title" class="words">${source.name}: how it was understood</h2>
    <div class="dialog-body" tabindex="0" role="region" aria-label="what was understood">
    ${source.sources.map((one) => html`<h3 class="words">${one.where}</h3><p>${one.what}, ${one.num_rows} rows</p>
      ${one.columns.length ? html`<table class="data"><thead><tr><th scope="col">Column</th><th scope="col">Read as</th><th scope="col">Unit</th><th scope="col">Note</th></tr></thead><tbody>${one.columns.map((row) => html`<tr><th scope="row" class="words">${row.title}</th><td>${row.meaning}</td><td>${row.unit}</td><td class="words">${row.note}</td></tr>`)}</tbody></table>` : nothing}`)}
    <p>${source.models.length} models, ${source.num_records} load points, on ${source.gpu_types.filter((one) => one.is_measured).map((one) => one.shown).join(", ") || "no GPU type"}.</p>
    ${Object.entries(source.lacking).map(([goal, lacking]) => html`<p><strong>${goal}</strong> lacks: <span class="words">${lacking.join("; ")}</span></p>`)}
    ${source.notes.length ? html`<ul>${source.notes.map((text) => html`<li class="words">${text}</li>`)}</ul>` : nothing}</div>
    <p class="tools"><button type="button" class="first" @click=${() => page.useRead(true)}>Plan with it</button> <button type="button" @click=${() => page.useRead(false)}>Keep what there is</button></p>
  </dialog>`;
}
