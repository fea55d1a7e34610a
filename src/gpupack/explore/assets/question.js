// The question: every control with the flag and the request's field it stands for.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { live } from "./vendor/lit-html/directives/live.js";
import { swatch } from "./drawing.js";
import { get, key } from "./request.js";

const PREDICTED = [["", "as measured alone (plain)"], ["predicted", "as predicted together"]];

/** Controls of the whole request. Shares are told in percent. */
const MAIN = [
  { path: ["objective"], label: "What is best", flag: "--objective", kind: "select",
    options: [["", "fewest GPUs (min_gpus)"], ["min_cost", "lowest cost (min_cost)"], ["max_throughput", "most throughput (max_throughput)"]] },
  { path: ["headroom"], label: "Headroom: the share of a GPU that may be used", flag: "--headroom", kind: "share", fallback: 1, min: 10, max: 100 },
  { path: ["growth"], label: "Growth: every demand times", flag: "--growth", kind: "range", fallback: 1, min: 0.1, max: 5, step: 0.05 },
  { path: ["defaults", "min_retention"], label: "What every model keeps beside its neighbors", flag: "--min-retention", field: "defaults.min_retention", kind: "share", fallback: 0, min: 0, max: 100, none: "off" },
  { path: ["sharing"], label: "How models share a GPU", flag: "--sharing", kind: "select",
    options: [["", "time slicing, as by default"], ["time_slicing", "time_slicing"], ["mps", "mps"], ["streams", "streams"]] },
  { path: ["defaults", "latency_limit_ms"], label: "Latency limit of every model, ms", flag: "--latency-limit", field: "defaults.latency_limit_ms", kind: "number", min: 0 },
];
const MORE = [
  { path: ["latency_percentile"], label: "Percentile of the limits", flag: "--latency-percentile", kind: "select", isNumber: true, options: [["", "99"], ["95", "95"], ["90", "90"], ["50", "50"]] },
  { path: ["latency"], label: "What limits are about", flag: "--latency", kind: "select", options: [["", "the model alone"], ["predicted", "beside neighbors, at planned traffic (predicted)"]] },
  { path: ["arrivals"], label: "How requests arrive", flag: "--arrivals", kind: "text", placeholder: "poisson" },
  { path: ["demand_met"], label: "Whether demands are met", flag: "--demand-met", kind: "select", options: PREDICTED },
  { path: ["contention"], label: "How throughput counts", flag: "--contention", kind: "select", options: PREDICTED },
  { path: ["fairness"], label: "Where not all can be served", flag: "--fairness", kind: "select", options: [["", "most in all (sum)"], ["max_min", "the worst served first (max_min)"]] },
  { path: ["max_gpus"], label: "GPUs of all types, at most", flag: "--max-gpus", kind: "number", min: 1, isWhole: true },
  { path: ["max_price_per_hour"], label: "Price per hour, at most", flag: "--max-price", kind: "number", min: 0 },
  { path: ["currency"], label: "Currency of the prices", flag: "--currency", kind: "text", placeholder: "EUR" },
  { path: ["billing"], label: "Which price counts", flag: "--billing", kind: "select", options: [["", "on demand"], ["reserved", "reserved"]] },
  { path: ["defaults", "replicas"], label: "Replicas of every model", flag: "--replicas", field: "defaults.replicas", kind: "number", min: 1, isWhole: true },
  { path: ["defaults", "load_point"], label: "Load point of every model", flag: "--load-point", field: "defaults.load_point", kind: "text", placeholder: "every measured one" },
  { path: ["defaults", "one_load_point"], label: "All replicas of a model at one load point", flag: "--one-load-point", field: "defaults.one_load_point", kind: "check" },
  { path: ["carry_memory_over"], label: "Use GPU types without profiles, by memory", flag: "--carry-memory-over", kind: "check" },
  { path: ["estimate_unmeasured"], label: "Estimate GPU types without profiles", flag: "--estimate-unmeasured", kind: "check" },
  { path: ["allow_unstable"], label: "Use measurements that never settled", flag: "--allow-unstable", kind: "check" },
  { path: ["time_limit_s"], label: "Seconds to search, at most", flag: "--time-limit", kind: "number", min: 0, placeholder: "10" },
  { path: ["seed"], label: "Seed", flag: "--seed", kind: "number", min: 0, isWhole: true, placeholder: "0" },
  { path: ["workers"], label: "Threads of the search", flag: "--workers", kind: "number", min: 1, isWhole: true, placeholder: "all" },
];
const RESOURCES = [["memory", "memory"], ["gpu_utilization", "GPU utilization"], ["memory_utilization", "memory utilization"], ["sm_utilization", "SM utilization"]];
/** Wishes of one model beside its demand. */
const WISHES = [
  { wish: "latency_limit_ms", label: "Latency limit, ms", flag: "--latency-limit", kind: "number", min: 0 },
  { wish: "replicas", label: "Replicas", flag: "--replicas", kind: "number", min: 1, isWhole: true },
  { wish: "max_replicas", label: "Replicas at most", flag: "--max-replicas", kind: "number", min: 1, isWhole: true },
  { wish: "min_traffic", label: "Infer/sec per replica, at least", flag: "--min-traffic", kind: "number", min: 0 },
  { wish: "min_retention", label: "Keeps beside neighbors", flag: "--min-retention", kind: "share", fallback: 0, min: 0, max: 100, none: "as all" },
  { wish: "weight", label: "Weight in max_throughput", flag: "--weight", kind: "number", min: 0, placeholder: "1" },
  { wish: "load_point", label: "Load point", flag: "--load-point", kind: "point" },
  { wish: "optional", label: "May be left out", flag: "--optional", kind: "check" },
  { wish: "one_load_point", label: "One load point for all replicas", flag: "(request file)", kind: "check" },
];
const MOST_MODELS = 40;

/** Return the controls of one model's wishes. */
const wishesOf = (page) => [...WISHES, ...unknownTo(WISHES.map((one) => one.wish), page.state.fields.wishes).map((one) => ({ ...one, wish: one.name }))];
/** Return plain controls of the fields that the request has and this page has no control of its own for. */
const unknownTo = (known, fields) => fields.filter((one) => !known.includes(one.name)).map((one) => ({ ...one, isWhole: one.is_whole, min: 0 }));

const idOf = (path) => `c-${path.map((one) => encodeURIComponent(one).replaceAll("%", "_")).join("-")}`;
const round = (value) => Number(value.toPrecision(12));

/**
 * Return the controls.
 * @param page The page: `state`, and what to call when something changes.
 */
export function question(page) {
  const { state } = page;
  const off = state.isReadOnly;
  return html`<fieldset class="question" ?disabled=${off}>
    <legend class="hide">The question</legend>
    ${MAIN.map((one) => (one.path[0] === "headroom" ? headroom(page, one) : control(page, one)))}
    ${gpuTypes(page)} ${models(page)}
    <details ?open=${state.isMoreOpen} @toggle=${(event) => { state.isMoreOpen = event.target.open; }}>
      <summary>Everything else that can be asked</summary>
      ${MORE.map((one) => control(page, one))}
      ${unknownTo([...MAIN, ...MORE].map((one) => one.path[0]), state.fields.settings).map((one) => control(page, { ...one, path: [one.name] }))}
    </details>
  </fieldset>`;
}

function names(one) {
  const field = one.field ?? one.path.join(".");
  return html`<span class="names"><code>${one.flag}</code> <code>${field}</code></span>`;
}

/** Return what is wrong at a control, and what would do: nothing where all is well. */
function troubles(page, path, id) {
  const { state } = page;
  const draft = state.drafts.get(key(path));
  const isRefused = state.refused?.path?.length && key(state.refused.path) === key(path);
  const isClash = state.clash?.places.some((one) => key(one) === key(path));
  const ways = state.clash ? state.clash.ways.filter((one) => key(one.path) === key(path)) : [];
  if (!draft?.fault && !isRefused && !isClash) return nothing;
  return html`<span class="trouble" id=${`${id}-trouble`}>
    ${draft?.fault ?? (isRefused ? state.refused.message : "✕ clashes")}
    ${ways.map((way) => html`<button type="button" class="way" @click=${() => page.ask(way.request)}>${way.text}</button>`)}
  </span>`;
}

const isTroubled = (page, path) =>
  page.state.drafts.get(key(path))?.fault !== undefined ||
  (page.state.refused?.path?.length && key(page.state.refused.path) === key(path)) ||
  page.state.clash?.places.some((one) => key(one) === key(path));

function control(page, one, path = one.path) {
  const id = idOf(path);
  const shown = { ...one, path };
  if (one.kind === "check")
    return html`<div class="control check"><label for=${id}>${one.label}</label>
      ${field(page, shown, id)} ${names(shown)} ${troubles(page, path, id)}</div>`;
  return html`<div class=${isTroubled(page, path) ? "control troubled" : "control"}>
    <label for=${id}>${one.label}</label> ${names(shown)} ${field(page, shown, id)} ${troubles(page, path, id)}</div>`;
}

/** Return the input of a control. */
function field(page, one, id, label = nothing) {
  const value = get(page.state.request, one.path);
  const trouble = isTroubled(page, one.path);
  const invalid = trouble ? "true" : nothing;
  const described = trouble ? `${id}-trouble` : nothing;
  if (one.kind === "select")
    return html`<select id=${id} aria-invalid=${invalid} aria-describedby=${described}
        @change=${(event) => page.change(one.path, chosen(one, event.target.value))}>
      ${one.options.map(([option, text]) => html`<option value=${option} ?selected=${live(String(value ?? "") === option)}>${text}</option>`)}</select>`;
  if (one.kind === "point")
    return html`<select id=${id} aria-label=${label} @change=${(event) => page.change(one.path, event.target.value || undefined)}>
      <option value="" ?selected=${live(!value)}>every measured one</option>
      ${one.points.map((point) => html`<option value=${point} ?selected=${live(value === point)}>${point}</option>`)}</select>`;
  if (one.kind === "check")
    return html`<input type="checkbox" id=${id} .checked=${live(Boolean(value))} aria-invalid=${invalid} aria-describedby=${described}
        @change=${(event) => page.change(one.path, event.target.checked || undefined)}>`;
  if (one.kind === "text")
    return html`<input type="text" id=${id} aria-label=${label} .value=${live(typed(page, one.path, value))} placeholder=${one.placeholder ?? ""}
        aria-invalid=${invalid} aria-describedby=${described} autocomplete="off" spellcheck="false"
        @input=${(event) => page.type(one.path, event.target.value, event.target.value.trim() || undefined)} @blur=${() => page.settle(one.path)}>`;
  if (one.kind === "share" || one.kind === "range") {
    const factor = one.kind === "share" ? 100 : 1;
    const isNumber = typeof value === "number";
    const number = isNumber ? round(value * factor) : one.fallback * factor;
    const told = (text) => {
      const given = Number(text) / factor;
      return given === one.fallback ? undefined : round(given);
    };
    return html`<span class="slider">
      <input type="range" id=${id} aria-label=${label} aria-invalid=${invalid} aria-describedby=${described} min=${one.min} max=${one.max} step=${one.step ?? 1} .value=${live(String(number))}
        aria-valuetext=${factor === 100 ? `${number} %` : `${number}`}
        @input=${(event) => page.change(one.path, told(event.target.value), { isMoving: true })} @change=${() => page.settle(one.path)}>
      <input type="number" aria-label=${`${label === nothing ? one.label : label}${factor === 100 ? ", percent" : ""}`} min=${factor === 100 ? 0 : one.min} step="any"
        .value=${live(typed(page, one.path, number))} aria-invalid=${invalid}
        @input=${(event) => typedNumber(page, one, event.target, told)} @blur=${() => page.settle(one.path)}>
      <span class="unit">${factor === 100 ? "%" : "×"}${one.none && !isNumber ? html` <em>${one.none}</em>` : nothing}</span></span>`;
  }
  return html`<input type="number" id=${id} aria-label=${label} min=${one.min ?? nothing} step=${one.isWhole ? 1 : "any"} placeholder=${one.placeholder ?? ""}
      .value=${live(typed(page, one.path, value))} aria-invalid=${invalid} aria-describedby=${described}
      @input=${(event) => typedNumber(page, one, event.target, Number)} @blur=${() => page.settle(one.path)}>`;
}

const typed = (page, path, value) => page.state.drafts.get(key(path))?.text ?? String(value ?? "");

function typedNumber(page, one, input, told) {
  if (input.validity.badInput) page.type(one.path, input.value, undefined, "give a number");
  else page.type(one.path, input.value, input.value === "" ? undefined : told(input.value));
}

function chosen(one, text) {
  if (text === "") return undefined;
  return one.isNumber ? Number(text) : text;
}

/** The headroom: one share for whatever binds, or one for each resource that binds. */
function headroom(page, one) {
  const value = page.state.request.headroom;
  const isEach = value !== null && typeof value === "object";
  const toggle = (event) => {
    const share = isEach ? Math.min(...Object.values(value)) : (value ?? 1);
    const each = { memory: Math.min(1, share), gpu_utilization: share, memory_utilization: share };
    page.change(["headroom"], event.target.checked ? each : share === 1 ? undefined : share);
  };
  return html`${isEach
    ? html`<fieldset class="control each"><legend>${one.label}</legend>${names(one)} ${troubles(page, ["headroom"], "c-headroom")}
        ${RESOURCES.map(([name, text]) => {
          const path = ["headroom", name];
          return html`<div class="each-row"><label class="each-name"><input type="checkbox" .checked=${live(name in value)} @change=${(event) => page.change(path, event.target.checked ? 1 : undefined)}>${text}</label>
            ${name in value ? field(page, { kind: "share", path, fallback: NaN, min: 10, max: name === "memory" ? 100 : 150, label: text }, idOf(path), `headroom of ${text}`) : html`<em>does not bind</em>`}</div>`;
        })}</fieldset>`
    : control(page, one)}
    <label class="aside"><input type="checkbox" .checked=${live(isEach)} @change=${toggle}>a share for each resource</label>`;
}

/** GPU types: which there are, how many, and what they cost. */
function gpuTypes(page) {
  const { state } = page;
  const gpus = state.request.gpus;
  const known = state.source.gpu_types;
  const measured = known.filter((one) => one.is_measured);
  const named = gpus !== null && typeof gpus === "object" ? Object.keys(gpus) : [];
  const rows = [...new Set([...measured.map((one) => one.name), ...named])];
  const others = known.filter((one) => !rows.includes(one.name));
  const isImplied = !named.length && measured.length === 1;
  const isIn = (name) => named.includes(name) || (isImplied && name === measured[0].name);
  const shown = (name) => known.find((one) => one.name === name)?.shown ?? name;
  // With a count or a price, the type that was only implied is named.
  const rowPath = (name, what) => ["gpus", name, what];
  const change = (name, isOn) => {
    const all = isImplied ? { [measured[0].name]: {} } : Object.fromEntries(named.map((one) => [one, gpus[one]]));
    if (isOn) all[name] = all[name] ?? {};
    else delete all[name];
    page.change(["gpus"], Object.keys(all).length ? all : undefined);
  };
  const cell = (name, what, label, isWhole) =>
    isIn(name)
      ? html`<td>${field(page, { kind: "number", path: rowPath(name, what), min: isWhole ? 1 : 0, isWhole, placeholder: isWhole ? "any" : "" }, idOf(rowPath(name, what)), `${label} of ${shown(name)}`)} ${troubles(page, rowPath(name, what), idOf(rowPath(name, what)))}</td>`
      : html`<td></td>`;
  return html`<section class="control gpus" aria-labelledby="gpus-title"><h3 id="gpus-title">GPU types</h3>
    ${troubles(page, ["gpus"], "c-gpus")}
    ${typeof gpus === "number" ? html`<label>GPUs of the measured type <input type="number" min="1" .value=${live(String(gpus))} @input=${(event) => page.type(["gpus"], event.target.value, event.target.value ? Number(event.target.value) : undefined)}></label>` : nothing}
    <p class="names">type: <code>--gpus T</code> <code>gpus.T</code>; count: <code>--gpus T=N</code> <code>gpus.T.count</code>; price: <code>--price T=P</code> <code>gpus.T.price</code>; reserved: <code>--reserved-price T=P</code> <code>gpus.T.reserved_price</code></p>
    <div class="scroll" tabindex="0" role="region" aria-label="GPU types, table"><table class="rows"><thead><tr><th scope="col">Type</th><th scope="col">Count</th><th scope="col">Price/h</th><th scope="col">Reserved</th></tr></thead>
    <tbody>${rows.map((name) => html`<tr class=${isIn(name) ? "" : "out"}><th scope="row"><label><input type="checkbox" .checked=${live(isIn(name))} @change=${(event) => change(name, event.target.checked)}>${shown(name)}</label></th>
      ${cell(name, "count", "Count", true)} ${cell(name, "price", "Price per hour", false)} ${cell(name, "reserved_price", "Reserved price per hour", false)}</tr>`)}</tbody></table></div>
    ${hostShares(page, rows.filter(isIn), shown, rowPath)}
    ${others.length ? html`<label class="add">Add a GPU type <select @change=${(event) => { change(event.target.value, true); event.target.value = ""; }}><option value="">…</option>${others.map((one) => html`<option value=${one.name}>${one.shown}, ${one.memory}</option>`)}</select></label>` : nothing}
  </section>`;
}

/** What each GPU's models may use of their host; it binds only where it is said. */
function hostShares(page, names, shown, rowPath) {
  const { state } = page;
  const fields = [["host_cpus_per_gpu", "Cores", "number", ""], ["host_memory_per_gpu", "Memory", "text", "64GB"]];
  const isAsked = names.some((name) => fields.some(([what]) => get(state.request, rowPath(name, what)) !== undefined || isTroubled(page, rowPath(name, what))));
  const cell = (name, [what, label, kind, placeholder]) => {
    const path = rowPath(name, what);
    return html`<td>${field(page, { kind, path, min: 0, placeholder }, idOf(path), `${label} of the host for each ${shown(name)}`)} ${troubles(page, path, idOf(path))}</td>`;
  };
  return html`<details ?open=${isAsked}><summary>Cores and memory of the host, for each GPU</summary>
    <p class="names">cores: <code>--host-cpus-per-gpu T=N</code> <code>gpus.T.host_cpus_per_gpu</code>; memory: <code>--host-memory-per-gpu T=SIZE</code> <code>gpus.T.host_memory_per_gpu</code></p>
    <div class="scroll" tabindex="0" role="region" aria-label="Host of each GPU, table"><table class="rows"><thead><tr><th scope="col">Type</th>${fields.map(([, label]) => html`<th scope="col">${label}</th>`)}</tr></thead>
    <tbody>${names.map((name) => html`<tr><th scope="row">${shown(name)}</th>${fields.map((one) => cell(name, one))}</tr>`)}</tbody></table></div></details>`;
}

/** Models: on or off, their demands, and whatever else is asked of each. */
function models(page) {
  const { state } = page;
  const text = state.modelFilter.trim().toLowerCase();
  const found = state.source.models.filter((one) => !text || one.name.toLowerCase().includes(text));
  // Those in trouble are always in sight.
  const first = found.filter((one) => isModelTroubled(page, one.name));
  const rest = found.filter((one) => !first.includes(one));
  const shown = [...first, ...rest].slice(0, state.areAllModelsShown ? found.length : MOST_MODELS);
  return html`<section class="control models" aria-labelledby="models-title"><h3 id="models-title">Models</h3>
    ${state.source.models.length > 8 ? html`<label class="filter">Show those named <input type="search" .value=${live(state.modelFilter)} @input=${(event) => { state.modelFilter = event.target.value; page.draw(); }}></label>` : nothing}
    <p class="names">on: <code>--without M</code> <code>models.M.left_out</code>; demand: <code>--demand M=RATE</code> <code>models.M.demand</code></p>
    <ul class="model-list">${shown.map((one) => modelRow(page, one))}</ul>
    ${found.length > shown.length ? html`<button type="button" @click=${() => { state.areAllModelsShown = true; page.draw(); }}>Show all ${found.length}</button>` : nothing}
    ${text && !found.length ? html`<p>nothing found</p>` : nothing}
  </section>`;
}

const isModelTroubled = (page, name) =>
  page.state.clash?.places.some((one) => one[0] === "models" && one[1] === name) ||
  (page.state.refused?.path?.[0] === "models" && page.state.refused.path[1] === name);

/** Demands differ by powers of ten: the slider's steps are equal factors. */
const toSlider = (rate, most) => (rate > 0 ? Math.max(1, Math.round(1000 * (1 + Math.log10(rate / most) / 4))) : 0);
function fromSlider(place, most) {
  return place <= 0 ? 0 : Number((most * 10 ** (4 * (place / 1000 - 1))).toPrecision(2));
}

function modelRow(page, model) {
  const { state } = page;
  const path = (wish) => ["models", model.name, wish];
  const isOff = Boolean(get(state.request, path("left_out")));
  const demand = get(state.request, path("demand"));
  const id = idOf(path("demand"));
  const most = Math.max(10, 10 * (model.most_infer_per_sec ?? 100));
  const others = wishesOf(page).filter((one) => get(state.request, path(one.wish)) !== undefined).length;
  const isTroubledHere = isModelTroubled(page, model.name);
  const isOpen = state.openModels.has(model.name) || (isTroubledHere && wishesOf(page).some((one) => isTroubled(page, path(one.wish))));
  const toggle = (isNowOpen) => {
    if (isNowOpen === isOpen) return;
    state.openModels[isNowOpen ? "add" : "delete"](model.name);
    page.draw();
  };
  return html`<li class=${isTroubledHere ? "troubled" : isOff ? "off" : ""}>
    <label class="model-name"><input type="checkbox" .checked=${live(!isOff)} @change=${(event) => page.change(path("left_out"), event.target.checked ? undefined : true)}>${swatch(model)}<span>${model.shown}</span></label>
    ${troubles(page, path("left_out"), idOf(path("left_out")))}
    ${isOff ? nothing : html`<span class="slider demand">
      <input type="range" min="0" max="1000" .value=${live(String(toSlider(demand ?? 0, most)))} aria-label=${`Demand of ${model.shown}`} aria-valuetext=${demand === undefined ? "none" : `${demand} infer/sec`}
        @input=${(event) => page.change(path("demand"), fromSlider(Number(event.target.value), most), { isMoving: true })} @change=${() => page.settle(path("demand"))}>
      <input type="number" id=${id} min="0" step="any" placeholder="none" aria-label=${`Demand of ${model.shown}, infer/sec`} .value=${live(typed(page, path("demand"), demand))} aria-invalid=${isTroubled(page, path("demand")) ? "true" : nothing}
        @input=${(event) => typedNumber(page, { path: path("demand") }, event.target, Number)} @blur=${() => page.settle(path("demand"))}><span class="unit">infer/s</span></span>
      ${troubles(page, path("demand"), id)}
      <details ?open=${isOpen} @toggle=${(event) => toggle(event.target.open)}><summary>more${others ? ` (${others} asked)` : ""}<span class="hide"> of ${model.shown}</span></summary>
        ${isOpen ? wishesOf(page).map((one) => control(page, { ...one, field: `models.M.${one.wish}`, points: model.load_points }, path(one.wish))) : nothing}</details>`}
  </li>`;
}

