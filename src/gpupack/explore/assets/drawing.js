// GPUs as bars, on the page and as a picture of their own.

import { html, nothing, render, svg } from "./vendor/lit-html/lit-html.js";

export const COLORS = [
  "#4477aa", "#ddcc77", "#44aa99", "#cc6677", "#88ccee", "#aa4499", "#999933", "#117733", "#882255",
];
const SERVER = "#9aa0a8";

/** Patterns that tell models apart whose colors are the same, and the server. */
const patterns = (prefix) => svg`<defs>
  <pattern id=${`${prefix}h1`} width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3" height="8" fill="#ffffff" fill-opacity="0.65"/></pattern>
  <pattern id=${`${prefix}h2`} width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.5" fill="#ffffff" fill-opacity="0.8"/></pattern>
  <pattern id=${`${prefix}h3`} width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect width="3" height="8" fill="#000000" fill-opacity="0.5"/></pattern>
  <pattern id=${`${prefix}h4`} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2.5" height="5" fill="#ffffff" fill-opacity="0.7"/></pattern>
</defs>`;

function segment(one, models, x, y, width, height, prefix) {
  const model = one.model === null ? null : models[one.model];
  const left = x + one.start * width;
  const long = Math.max(1, one.length * width);
  const color = model ? COLORS[model.color] : SERVER;
  const hatch = model ? model.hatch : 4;
  const name = model ? model.shown : "server alone";
  return svg`<g><title>${name}: ${one.amount}</title>
    <rect x=${left} y=${y} width=${long} height=${height} fill=${color} stroke="#000000" stroke-opacity="0.35" stroke-width="1"/>
    ${hatch ? svg`<rect x=${left} y=${y} width=${long} height=${height} fill=${`url(#${prefix}h${hatch})`}/>` : nothing}</g>`;
}

/** Return a bar: what models take, what may be used, what there is. */
function bar(one, models, x, y, width, height, prefix) {
  const at = (share) => x + Math.min(1, share) * width;
  return svg`<rect x=${x} y=${y} width=${width} height=${height} rx="3" class="track" fill="#8b93a133"/>
    ${one.segments.map((part) => segment(part, models, x, y, width, height, prefix))}
    ${one.capacity === null ? nothing : svg`<path d=${`M${at(one.capacity)},${y - 3}v${height + 6}`} stroke="currentColor" stroke-width="2" stroke-dasharray="2 2"/>`}
    ${one.limit === null ? nothing : svg`<path d=${`M${at(one.limit)},${y - 4}v${height + 8}`} stroke="#d0342c" stroke-width="2"/>`}`;
}

/** Patterns that every drawing on the page refers to; to be drawn once. */
export const sharedPatterns = () => html`<svg class="hide" aria-hidden="true" width="0" height="0">${patterns("p")}</svg>`;

/** Return a bar for the page, with its numbers in words beside it. */
export function barOnPage(one, models) {
  return html`<div class="bar-row">
    <span class="bar-name">${one.name}</span>
    <svg class="bar" viewBox="0 0 400 28" preserveAspectRatio="none" role="img" aria-label=${one.description}>
      ${bar(one, models, 0, 5, 400, 18, "p")}</svg>
    <span class=${one.is_over ? "bar-text over" : "bar-text"}>${one.text}</span>
  </div>`;
}

/** Return a small sample of how a model is drawn. */
export function swatch(model) {
  return html`<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">
    <rect x="0.5" y="0.5" width="13" height="13" rx="3" fill=${COLORS[model.color]} stroke="#000000" stroke-opacity="0.35"/>
    ${model.hatch ? svg`<rect x="0.5" y="0.5" width="13" height="13" rx="3" fill=${`url(#ph${model.hatch})`}/>` : nothing}</svg>`;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Return the whole answer as one SVG element that needs nothing else. */
export function picture(answer, models, isDark) {
  const width = 900;
  const ink = isDark ? "#e9eaee" : "#1a1c21";
  const paper = isDark ? "#181b21" : "#ffffff";
  const soft = isDark ? "#a7adb8" : "#565b65";
  let y = 40;
  const parts = [];
  const line = (text, size, color, weight = 400) => {
    parts.push(
      svg`<text x="24" y=${y} font-size=${size} font-weight=${weight} fill=${color}>${cut(text, Math.floor(1580 / size))}</text>`,
    );
    y += size * 1.6;
  };
  line(answer.line, 20, ink, 650);
  for (const text of [answer.demand, answer.cost && `${answer.cost}; ${answer.cost_details}`, answer.proof])
    if (text) line(text, 14, soft);
  y += 8;
  for (const group of answer.groups) {
    line(`${group.count > 1 ? `${group.count} × ` : ""}${group.type} (GPU ${group.numbers})`, 15, ink, 600);
    for (const one of group.bars) {
      parts.push(svg`<text x="24" y=${y + 5} font-size="12" fill=${soft}>${one.name}</text>
        ${bar(one, models, 170, y - 8, 480, 18, "x")}
        <text x="664" y=${y + 5} font-size="12" fill=${soft}>${one.text}</text>`);
      y += 28;
    }
    for (const held of group.models) {
      const model = models[held.model];
      parts.push(svg`<rect x="24" y=${y - 10} width="11" height="11" rx="2" fill=${COLORS[model.color]} stroke="#000000" stroke-opacity="0.35"/>
        ${model.hatch ? svg`<rect x="24" y=${y - 10} width="11" height="11" rx="2" fill=${`url(#xh${model.hatch})`}/>` : nothing}
        <text x="42" y=${y} font-size="12" fill=${ink}>${cut(`${model.shown} (${held.text})`, 125)}</text>`);
      y += 18;
    }
    y += 16;
  }
  if (answer.num_groups > answer.groups.length)
    line(`and ${answer.num_groups - answer.groups.length} more groups`, 13, soft);
  const holder = document.createElement("div");
  render(
    html`<svg xmlns="http://www.w3.org/2000/svg" width=${width} height=${Math.ceil(y)} viewBox=${`0 0 ${width} ${Math.ceil(y)}`} color=${ink} font-family="Inter, system-ui, sans-serif">
      ${patterns("x")}<rect width=${width} height=${Math.ceil(y)} fill=${paper}/>${parts}</svg>`,
    holder,
  );
  const found = holder.querySelector("svg");
  // What a template leaves in comments is no part of a picture.
  const walker = document.createTreeWalker(found, NodeFilter.SHOW_COMMENT);
  const comments = [];
  while (walker.nextNode()) comments.push(walker.currentNode);
  for (const one of comments) one.remove();
  return found;
}

/** Return a picture as the text of an SVG file. */
export const asSvg = (element) => new XMLSerializer().serializeToString(element);

/** Return a picture as a PNG blob, twice as fine as it is large. */
export async function asPng(element) {
  const url = URL.createObjectURL(new Blob([asSvg(element)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * Number(element.getAttribute("width"));
    canvas.height = 2 * Number(element.getAttribute("height"));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("too large a picture"))), "image/png"),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}
