// The frontier as a map: what more hardware buys, filled in while one looks.

import { html, nothing, svg } from "./vendor/lit-html/lit-html.js";

const YIELDS = [
  ["worst_served", "share of demand that the worst served model gets"],
  ["served", "share of demand served, on average"],
  ["worst_kept", "share of its throughput that a model keeps at least"],
];
const WIDTH = 640;
const HEIGHT = 320;
const LEFT = 56;
const BOTTOM = HEIGHT - 46;
const RIGHT = WIDTH - 24;
const TOP = 20;
const MOST_TICKS = 13;

/** Return the map's section. */
export function frontierMap(page) {
  const { map } = page.state;
  return html`<section class="map" aria-labelledby="map-title"><h2 id="map-title">The frontier</h2>
    <p class="soft">What every number of GPUs, or every budget, serves at best. A click takes the plan.</p>
    <div class="tools">
      <label>Against <select @change=${(event) => page.drawMap({ by: event.target.value })}><option value="gpus" ?selected=${map.by === "gpus"}>GPUs</option><option value="price" ?selected=${map.by === "price"}>price per hour</option></select></label>
      <label>Show <select @change=${(event) => { map.yield = event.target.value; page.draw(); }}>${YIELDS.map(([name, text]) => html`<option value=${name} ?selected=${map.yield === name}>${text}</option>`)}</select></label>
      <button type="button" id="draw-map" @click=${() => page.drawMap({})}>${map.state === "none" ? "Draw it" : "Draw it again"}</button>
      ${map.state === "running" ? html`<button type="button" @click=${() => page.stopMap()}>Stop</button>` : nothing}
    </div>
    <p class="soft" id="map-state">${stateOf(map)}</p>
    ${map.points.length ? html`${plot(page, map)} ${table(page, map)}` : nothing}
  </section>`;
}

function stateOf(map) {
  if (map.message) return map.message;
  if (map.state === "running") return map.progress ? `${map.progress.text} (${map.progress.done} of ${map.progress.total || "?"})` : "looking for the range…";
  if (map.state === "done") return `${map.points.length} steps${map.isOld ? ", of an earlier question: draw it again" : ""}${map.numNotTried ? `; ${map.numNotTried} ${map.numNotTried === 1 ? "budget was" : "budgets were"} not tried in the time there was` : ""}`;
  return "";
}

const xOf = (point, by) => (by === "price" ? point.price : point.gpus);

function plot(page, map) {
  const shown = map.points.filter((one) => xOf(one, map.by) !== null && one[map.yield] !== null);
  if (!shown.length) return html`<p>Nothing is known of that at these steps.</p>`;
  const all = shown.map((one) => xOf(one, map.by));
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const x = (value) => (high === low ? (LEFT + RIGHT) / 2 : LEFT + 12 + ((value - low) / (high - low)) * (RIGHT - LEFT - 24));
  const y = (share) => BOTTOM - share * (BOTTOM - TOP);
  const sorted = [...shown].sort((a, b) => xOf(a, map.by) - xOf(b, map.by));
  const path = sorted.map((one, index) => `${index ? "L" : "M"}${x(xOf(one, map.by))},${y(one[map.yield])}`).join("");
  const few = map.by === "gpus" && high - low < MOST_TICKS ? Array.from({ length: high - low + 1 }, (_, index) => low + index) : [low, (low + high) / 2, high];
  const ticks = [...new Set(few.map((one) => (map.by === "gpus" ? Math.round(one) : Number(one.toPrecision(4)))))];
  const title = YIELDS.find(([name]) => name === map.yield)[1];
  return html`<svg class="plot" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="group" aria-label=${`${title} against ${map.by === "gpus" ? "GPUs" : "price per hour"}; the table below says the same`}>
    ${[0, 0.25, 0.5, 0.75, 1].map((share) => svg`<path class="grid" d=${`M${LEFT},${y(share)}H${RIGHT}`}/><text class="tick" x=${LEFT - 8} y=${y(share) + 4} text-anchor="end">${100 * share} %</text>`)}
    ${ticks.map((one) => svg`<text class="tick" x=${x(one)} y=${BOTTOM + 18} text-anchor="middle">${one}</text>`)}
    <text class="tick" x=${(LEFT + RIGHT) / 2} y=${HEIGHT - 8} text-anchor="middle">${map.by === "gpus" ? "GPUs" : "price per hour"}</text>
    <path class="line" d=${path}/>
    ${sorted.map((one) => {
      const text = said(one, map);
      return svg`<g class=${page.isAsked(one.request) ? "point here" : "point"} role="button" tabindex=${page.state.isReadOnly ? -1 : 0} aria-label=${`Take the plan: ${text}`}
        @click=${() => page.take(one)} @keydown=${(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); page.take(one); } }}>
        <title>${text}</title><circle class="target" cx=${x(xOf(one, map.by))} cy=${y(one[map.yield])} r="14"/><circle class="dot" cx=${x(xOf(one, map.by))} cy=${y(one[map.yield])} r="6"/></g>`;
    })}
  </svg>`;
}

/** Rounded down: what is served but for a little is not all of it. */
function percent(share) {
  if (share === null) return "–";
  if (share >= 1 - 1e-5) return "100 %";
  return `${(Math.floor(1000 * share + 1e-9) / 10).toFixed(share === 0 ? 0 : 1)} %`;
}
const priceOf = (one) => (one.price === null ? "–" : one.price.toLocaleString("en", { maximumFractionDigits: 2 }));

function said(one, map) {
  const gpus = `${one.gpus} ${one.gpus === 1 ? "GPU" : "GPUs"}`;
  const price = one.price === null ? "" : `, ${priceOf(one)} per hour`;
  return `${gpus}${price}: ${percent(one[map.yield])}`;
}

function table(page, map) {
  const sorted = [...map.points].sort((a, b) => xOf(a, map.by) - xOf(b, map.by));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="steps of the frontier"><table class="data"><thead><tr><th scope="col" class="n">GPUs</th><th scope="col" class="n">Per hour</th><th scope="col" class="n">Worst served</th><th scope="col" class="n">Served</th><th scope="col" class="n">Keeps at least</th><th scope="col">Plan</th></tr></thead>
    <tbody>${sorted.map((one) => html`<tr><td class="n">${one.gpus}</td><td class="n">${priceOf(one)}</td><td class="n">${percent(one.worst_served)}</td><td class="n">${percent(one.served)}</td><td class="n">${percent(one.worst_kept)}</td><td><button type="button" ?disabled=${page.state.isReadOnly} @click=${() => page.take(one)}>Take it<span class="hide">: ${one.gpus} GPUs</span></button></td></tr>`)}</tbody></table></div>`;
}
