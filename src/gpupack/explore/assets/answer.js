// The answer: what is needed, how sure that is, what binds, and what would help.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { barOnPage, swatch } from "./drawing.js";

const MOST_GROUPS = 24; // drawn before somebody asks for all

/** Return the answer's pane. */
export function answer(page) {
  const { state } = page;
  return html`<div class="answer">
    ${notices(page)} ${state.clash ? clash(page) : nothing}
    ${state.answer ? found(page, state.answer) : state.clash || state.refused ? nothing : html`<p class="loading">${state.isWaiting ? "Waiting for a process to solve in…" : "Looking for a first answer…"}</p>`}
  </div>`;
}

/** One sentence for who cannot see the page, told when an answer settles. */
export function spoken(state) {
  if (state.refused) return state.refused.message;
  if (state.clash) return state.clash.message;
  if (!state.answer) return "";
  const sure = state.answer.is_proved ? "proved" : state.isSolving ? "still searching" : "not proved";
  return `${state.answer.line} ${state.answer.demand} ${sure}`;
}

/** The answer in a few words. */
export function inShort(state) {
  if (state.failure) return "not answered";
  if (state.refused) return "cannot be asked";
  if (state.clash) return state.clash.is_proved ? "no placement can do this" : "no placement was found";
  if (!state.answer) return "searching…";
  const { gpus, cost, is_met: isMet } = state.answer;
  return [gpus || "no GPU", cost, isMet === false ? "demand not met" : "", state.isSolving ? "searching…" : ""].filter(Boolean).join(", ");
}

function notices(page) {
  const { refused, failure } = page.state;
  return html`${refused ? html`<div class="notice bad" role="alert"><strong>This cannot be asked.</strong> <span class="words">${refused.message}</span></div>` : nothing}
    ${failure ? html`<div class="notice bad" role="alert"><span class="words">${failure}</span> <button type="button" @click=${() => page.askAgain()}>Ask again</button></div>` : nothing}`;
}

function clash(page) {
  const { clash: one } = page.state;
  return html`<div class="notice bad clash-box" role="alert"><h2>${one.is_proved ? "No placement can do this" : "No placement was found"}</h2>
    <p class="words">${one.message}</p>
    <h3>What would do, by itself</h3>
    ${one.ways.length ? html`<ul class="plain">${one.ways.map((way) => html`<li><button type="button" class="way" @click=${() => page.ask(way.request)} ?disabled=${page.state.isReadOnly}>${way.text}</button></li>`)}</ul>` : nothing}
    ${one.isLooking ? html`<p class="soft">looking for the smallest changes…</p>` : one.ways.length ? nothing : html`<p>No single change of those that were tried.</p>`}
  </div>`;
}

function found(page, one) {
  const { state } = page;
  const isOld = Boolean(state.clash || state.refused);
  const shown = state.areAllGroupsShown ? one.groups : one.groups.slice(0, MOST_GROUPS);
  return html`<div class=${isOld ? "old" : ""}>
    ${isOld ? html`<p class="soft">The last answer, to another question:</p>` : nothing}
    <h1 id="line">${one.line}</h1>
    ${gap(one, state)}
    <dl class="facts">
      <div><dt>GPUs</dt><dd><strong id="num-gpus">${one.num_gpus}</strong><span>${one.gpus}</span></dd></div>
      ${one.cost ? html`<div><dt>Cost</dt><dd><strong>${one.cost}</strong><span>${one.cost_details}</span></dd></div>` : html`<div><dt>Cost</dt><dd><strong>–</strong><span>give prices at the GPU types</span></dd></div>`}
      ${one.demand ? html`<div class=${one.is_met ? "" : "short"}><dt>Demand</dt><dd><strong>${one.is_met ? "met" : "not met"}</strong><span class="words">${one.demand_details}</span></dd></div>` : nothing}
    </dl>
    ${state.recommendation ? recommendation(page) : nothing}
    ${one.cautions.length ? html`<div class="notice warn"><h2>Know first</h2><ul>${one.cautions.map((text) => html`<li class="words">${text}</li>`)}</ul></div>` : nothing}
    ${state.pinned ? comparison(page) : nothing}
    <section aria-labelledby="binds-title"><h2 id="binds-title">What binds</h2>
      <ul>${one.binding.map((text) => html`<li>${text}</li>`)}${(state.reasons?.needs ?? []).map((text) => html`<li>${text}</li>`)}</ul>
      ${state.reasons ? html`<p class="soft words">${state.reasons.proof}</p>` : nothing}</section>
    ${isOld ? nothing : html`<section aria-labelledby="helps-title"><h2 id="helps-title">What would save one</h2>
      ${state.changes.length ? html`<ul class="plain">${state.changes.map((change) => html`<li>${change.request ? html`<button type="button" class="way" ?disabled=${state.isReadOnly} @click=${() => page.ask(change.request)}>${change.text}</button>` : change.text}</li>`)}</ul>` : nothing}
      ${state.isExplaining ? html`<p class="soft">trying changes…</p>` : state.changes.length ? nothing : html`<p>No single change of those that were tried.</p>`}
      ${(state.reasons?.notes ?? []).map((text) => html`<p class="soft words">${text}</p>`)}</section>`}
    <section aria-labelledby="gpus-drawn"><h2 id="gpus-drawn">GPUs</h2>
      <p class="key"><span class="key-limit"></span>what the headroom allows <span class="key-capacity"></span>all there is</p>
      ${shown.map((group) => drawn(group, state.source.models))}
      ${one.groups.length > shown.length ? html`<button type="button" @click=${() => { state.areAllGroupsShown = true; page.draw(); }}>Show all ${one.groups.length} groups of equal GPUs</button>` : nothing}
      ${one.num_groups > one.groups.length && shown.length === one.groups.length ? html`<p>and ${one.num_groups - one.groups.length} more groups, which the report shows</p>` : nothing}</section>
    ${modelTable(one, state.source.models)}
    ${one.warnings.length ? html`<details class="warnings"><summary>${one.warnings.length} ${one.warnings.length === 1 ? "note" : "notes"} on what was assumed</summary><ul>${one.warnings.map((text) => html`<li class="words">${text}</li>`)}</ul></details>` : nothing}
  </div>`;
}

/** How far value and bound are apart, as a bar that closes and in words. */
function gap(one, state) {
  const closed = Math.max(0, 1 - one.gap);
  const words = one.is_proved
    ? "proved: no placement does better"
    : `${one.value} found, at best ${one.bound} possible: gap ${(100 * one.gap).toFixed(1)} %`;
  return html`<p class="gap"><progress max="1" value=${closed} aria-label=${`gap ${(100 * one.gap).toFixed(1)} percent`}></progress>
    <span id="gap-text">${words}</span><span class="soft">${state.isSolving ? "searching…" : `${one.proof}; ${one.seconds.toPrecision(2)} s`}</span></p>`;
}

function drawn(group, models) {
  return html`<article class="gpu">
    <h3>${group.count > 1 ? html`${group.count.toLocaleString("en")} × ` : nothing}${group.type} <small>GPU ${group.numbers}</small></h3>
    ${group.bars.map((one) => barOnPage(one, models))}
    <ul class="chips">${group.models.map((held) => html`<li>${swatch(models[held.model])}<span class="words">${models[held.model].shown}</span> <small>${held.text}</small></li>`)}</ul>
  </article>`;
}

function modelTable(one, models) {
  const hasDemand = one.models.some((row) => row.demand);
  const hasKept = one.models.some((row) => row.kept);
  const hasCost = one.models.some((row) => row.cost);
  return html`<section aria-labelledby="per-model"><h2 id="per-model">Per model</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Per model, table"><table class="data"><thead><tr><th scope="col">Model</th>${hasDemand ? html`<th scope="col" class="n">Demand,<br>infer/s</th>` : nothing}<th scope="col" class="n">${hasDemand ? "Served" : "Alone"},<br>infer/s</th>${hasDemand ? html`<th scope="col" class="n">Of it</th>` : nothing}<th scope="col" class="n">Replicas</th><th scope="col">Load points</th>${hasKept ? html`<th scope="col" class="n">Keeps</th>` : nothing}${hasCost ? html`<th scope="col" class="n">Per hour</th>` : nothing}</tr></thead>
    <tbody>${one.models.map((row) => html`<tr class=${row.is_short ? "short" : ""}><th scope="row">${swatch(models[row.model])}<span class="words">${breakable(models[row.model].shown)}</span></th>${hasDemand ? html`<td class="n">${row.demand || "–"}</td>` : nothing}<td class="n">${row.served}</td>${hasDemand ? html`<td class="n">${row.is_short ? "✕ " : ""}${row.share_text || "–"}</td>` : nothing}<td class="n">${row.replicas}</td><td>${row.load_points}</td>${hasKept ? html`<td class="n">${row.kept || "–"}</td>` : nothing}${hasCost ? html`<td class="n">${row.cost || "–"}</td>` : nothing}</tr>`)}</tbody></table></div></section>`;
}

/** A name that breaks where its words do. */
const breakable = (name) => name.split(/(?<=[_\-./:])/).map((part) => html`${part}<wbr>`);

function recommendation(page) {
  const one = page.state.recommendation;
  if (!one.lines.length) return one.without ? html`<p class="soft words">No recommendation: ${one.without}</p>` : nothing;
  return html`<section class="recommendation" aria-labelledby="recommended"><h2 id="recommended"><span class="soft">Recommended:</span> ${one.lines[0]}</h2>
    <p class="words">${one.lines[1]}</p>
    <details><summary>Less, and what that rests on</summary>${one.lines.slice(2).map((text) => html`<p class="words">${text}</p>`)}
      <ul>${one.assumptions.map((text) => html`<li class="words">${text}</li>`)}</ul></details>
    <button type="button" ?disabled=${page.state.isReadOnly} @click=${() => page.ask(one.request)}>Look at that plan</button></section>`;
}

function comparison(page) {
  const { comparison: one, pinned } = page.state;
  return html`<section class="comparison" aria-labelledby="compared"><h2 id="compared">Before and after</h2>
    <p class="soft words">Pinned: ${pinned.line ?? "being asked again"}</p>
    ${one ? html`<div class="scroll" tabindex="0" role="region" aria-label="Before and after, table"><table class="data"><thead><tr><th scope="col">Figure</th><th scope="col" class="n">Pinned</th><th scope="col" class="n">Now</th><th scope="col">Change</th></tr></thead>
        <tbody>${one.figures.map((row) => html`<tr><th scope="row">${row.name}</th><td class="n">${row.before}</td><td class="n">${row.after}</td><td>${row.change || "the same"}</td></tr>`)}</tbody></table></div>
        ${one.models.length ? html`<details><summary>${one.models.length} ${one.models.length === 1 ? "model changes" : "models change"}</summary><div class="scroll" tabindex="0" role="region" aria-label="models that change"><table class="data"><thead><tr><th scope="col">Model</th><th scope="col">What</th><th scope="col">Pinned</th><th scope="col">Now</th></tr></thead><tbody>${one.models.map((row) => html`<tr><th scope="row" class="words">${row.name}</th><td>${row.what}</td><td>${row.before}</td><td>${row.after}</td></tr>`)}</tbody></table></div></details>` : html`<p>No model changes.</p>`}`
      : html`<p class="soft">${page.state.noComparison ?? (page.state.clash || page.state.refused ? "There is no answer to compare with." : "comparing once the answer is there…")}</p>`}
    <p><button type="button" @click=${() => page.ask(pinned.request)} ?disabled=${page.state.isReadOnly}>Back to the pinned question</button> <button type="button" @click=${() => page.unpin()}>Unpin</button></p></section>`;
}
