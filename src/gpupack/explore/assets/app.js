// The page: one question, its answer as it comes, and the way that was gone.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { live } from "./vendor/lit-html/directives/live.js";
import { answer, inShort, spoken } from "./answer.js";
import { sharedPatterns } from "./drawing.js";
import { into, out, understood } from "./files.js";
import { frontierMap } from "./map.js";
import { question } from "./question.js";
import { canonical, fromFragment, key, set, toFragment } from "./request.js";
import * as server from "./server.js";

const MOVING_MS = 40; // a slider asks at most so often while it moves
const TYPING_MS = 250;
const LOST_MS = 1000;
const WATCH_MS = 4000;
const MOST_HISTORY = 50;

class Page {
  constructor(start, root) {
    this.root = root;
    this.viewId = crypto.randomUUID();
    this.first = start;
    this.state = {
      source: start.source,
      request: start.request,
      fields: start.fields,
      isReadOnly: start.is_read_only,
      version: start.version,
      answer: null, answerId: null, command: null, clash: null, refused: null, failure: null,
      changes: [], reasons: null, recommendation: null, comparison: null, noComparison: null,
      isSolving: false, isExplaining: false, isWaiting: false,
      pinned: null, history: [], at: -1,
      drafts: new Map(), openModels: new Set(), areAllGroupsShown: false, modelFilter: "", areAllModelsShown: false, isMoreOpen: false,
      map: { by: "gpus", yield: "worst_served", state: "none", points: [], progress: null, message: "", numNotTried: 0, isOld: false },
      isReading: null, read: null, readFault: null,
      lost: null, said: "", note: null, theme: null,
    };
    this.files = new Map(); // dropped files by the id of their profiles, to bring back
    this.asked = 0;
  }

  // ---- asking ----

  /** Change one field, and ask. */
  change(path, value, { isMoving = false } = {}) {
    if (this.state.isReadOnly) return;
    performance.mark("gpupack-moved");
    this.movedAt ??= performance.now();
    this.state.request = set(this.state.request, path, value);
    this.state.drafts.delete(key(path));
    this.soon(isMoving ? MOVING_MS : 0);
  }

  /** Keep what is being typed, and ask if it is a value. */
  type(path, text, value, fault) {
    if (this.state.isReadOnly) return;
    this.state.drafts.set(key(path), { text, fault });
    if (fault === undefined) {
      this.movedAt ??= performance.now();
      this.state.request = set(this.state.request, path, value);
      this.soon(TYPING_MS);
    } else this.draw();
  }

  /** What was typed is the value now. */
  settle(path) {
    const draft = this.state.drafts.get(key(path));
    if (draft && draft.fault === undefined) this.state.drafts.delete(key(path));
    if (this.timer) this.soon(0);
    else this.draw();
  }

  /** Ask what a request asks. */
  ask(request) {
    if (this.state.isReadOnly) return;
    this.state.request = request;
    this.state.drafts.clear();
    this.soon(0);
  }

  askAgain() {
    this.soon(0);
  }

  soon(wait_ms) {
    clearTimeout(this.timer);
    const left_ms = Math.max(0, wait_ms - (performance.now() - (this.lastAsked ?? -Infinity)));
    const go = () => {
      this.timer = null;
      this.lastAsked = performance.now();
      this.run();
    };
    // The first move asks at once, the next ones wait for their turn.
    if (wait_ms === TYPING_MS) this.timer = setTimeout(go, wait_ms);
    else if (left_ms <= 0) go();
    else this.timer = setTimeout(go, left_ms);
    this.draw();
  }

  async run() {
    const { state } = this;
    const mine = (this.asked += 1);
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    const movedAt = this.movedAt ?? performance.now();
    this.movedAt = null;
    this.keepAddress(false);
    Object.assign(state, {
      isSolving: true, isExplaining: true, isWaiting: false, failure: null, isFresh: true,
      map: { ...state.map, isOld: state.map.points.length > 0 },
    });
    const data = state.source.data_id;
    const { pinned } = state;
    const told = { request: state.request, movedAt, isFirst: true };
    const asked = {
      view: this.viewId, data, request: state.request,
      pinned: pinned && { data: pinned.data, request: pinned.request, answer: pinned.answer ?? null },
    };
    try {
      await server.events("api/ask", asked, abort.signal, (name, value, id) => {
        if (mine === this.asked) this.hear(name, value, id, told);
      });
    } catch (error) {
      if (error.name === "AbortError" || mine !== this.asked) return;
      if (error instanceof server.LostError) return this.lose(error.isElsewhere);
      if (error.status === 410 && (await this.bringBack(data))) return this.run();
      state.failure = error.message;
    }
    if (mine !== this.asked) return;
    Object.assign(state, { isSolving: false, isExplaining: false });
    if (state.clash) state.clash.isLooking = false;
    this.draw();
  }

  /** Take in what the server tells of a question. */
  hear(name, value, id, told) {
    const { state } = this;
    const fresh = () => {
      // Until something is known of this question, the last answer stays in sight.
      if (!told.isFirst) return;
      told.isFirst = false;
      Object.assign(state, {
        clash: null, refused: null, changes: [], reasons: null, recommendation: null,
        comparison: null, noComparison: null, isWaiting: false,
      });
    };
    if (name === "waiting") state.isWaiting = true;
    else if (name === "command") state.command = value;
    else if (name === "answer") {
      fresh();
      state.answer = value;
      if (value.is_final) {
        Object.assign(state, { answerId: id, isSolving: false });
        this.remember(told.request, value.line, id);
        this.note(told);
      }
      this.measure(told, value);
    } else if (name === "clash") {
      fresh();
      Object.assign(state, { clash: { ...value, ways: [], isLooking: true }, isSolving: false, isExplaining: false });
      this.remember(told.request, value.is_proved ? "no placement can do this" : "none was found", null);
      this.note(told);
      this.measure(told, value);
    } else if (name === "way_out") state.clash?.ways.push(value);
    else if (name === "ways_out_end") state.clash.isLooking = false;
    else if (name === "refused") {
      fresh();
      Object.assign(state, { refused: value, isSolving: false, isExplaining: false });
      this.note(told);
    } else if (name === "change") state.changes.push(value);
    else if (name === "reasons") Object.assign(state, { reasons: value, isExplaining: false });
    else if (name === "recommendation") state.recommendation = value;
    else if (name === "comparison") state.comparison = value;
    else if (name === "no_comparison") state.noComparison = value.message;
    else if (name === "pinned" && state.pinned) Object.assign(state.pinned, { answer: id, line: value.line });
    else if (name === "failed") state.failure = value.message;
    this.draw();
  }

  /** Note that a question has its answer, once that is painted. */
  note(told) {
    requestAnimationFrame(() => setTimeout(() => {
      performance.measure("gpupack-settled", { start: told.movedAt, end: performance.now() });
    }));
  }

  /** Note how long it took from a move until its first answer was painted. */
  measure(told, value) {
    if (told.isMeasured) return;
    told.isMeasured = true;
    const detail = { line: value.line ?? value.message };
    requestAnimationFrame(() => setTimeout(() => {
      performance.measure("gpupack-first-answer", { start: told.movedAt, end: performance.now(), detail });
    }));
  }

  // ---- where one has been ----

  /** Keep the state in the address: a link shows the same view of the same data. */
  keepAddress(isStep) {
    const { state } = this;
    const kept = { data: state.source.data_id, request: state.request };
    if (state.pinned) kept.pinned = { data: state.pinned.data, request: state.pinned.request };
    const address = `#${toFragment(kept)}`;
    if (location.hash === address) return;
    history[isStep ? "pushState" : "replaceState"]({}, "", address);
  }

  /** Put an answered question on the way that was gone, unless it stands there. */
  remember(request, line, answerId) {
    const { state } = this;
    const same = canonical(request);
    const here = state.history[state.at];
    if (here && here.same === same && here.data === state.source.data_id) {
      Object.assign(here, { line, answerId });
      return;
    }
    const entry = { request, same, line, answerId, data: state.source.data_id, number: (this.count = (this.count ?? 0) + 1) };
    state.history = [...state.history.slice(0, state.at + 1), entry].slice(-MOST_HISTORY);
    state.at = state.history.length - 1;
    // The browser's own way back goes by answers as well.
    const address = location.hash;
    if (this.lastAddress !== undefined && this.lastAddress !== address) {
      history.replaceState({}, "", this.lastAddress || location.pathname);
      history.pushState({}, "", address);
    }
    this.lastAddress = address;
  }

  goTo(index) {
    const { state } = this;
    const entry = state.history[index];
    if (!entry) return;
    if (entry.data !== state.source.data_id) return this.say("that answer is about other profiles");
    state.at = index;
    state.request = entry.request;
    state.drafts.clear();
    this.soon(0);
  }

  /** Show what a fragment says, when a link or the browser's way back leads there. */
  async followAddress() {
    const kept = fromFragment(location.hash);
    if (!kept) return;
    const { state } = this;
    if (canonical(kept.request) === canonical(state.request) && kept.data === state.source.data_id) return;
    this.lastAddress = location.hash;
    this.adopt(kept);
    const same = canonical(state.request);
    const at = state.history.findIndex((one) => one.same === same && one.data === state.source.data_id);
    if (at >= 0) state.at = at;
    state.drafts.clear();
    this.soon(0);
  }

  /** Take a state from a fragment, as far as it is about these profiles. */
  adopt(kept) {
    const { state } = this;
    state.note = null;
    let { request } = kept;
    if (kept.data !== state.source.data_id) {
      const known = new Set(state.source.models.map((one) => one.name));
      const unknown = Object.keys(request.models ?? {}).filter((one) => !known.has(one));
      for (const name of unknown) {
        const models = Object.fromEntries(Object.entries(request.models).filter(([one]) => one !== name));
        request = { ...request, models };
      }
      state.note = `This link was made on other profiles${unknown.length ? `; what it asks of ${unknown.length} models that are not here is left out` : ""}. Drop their file on this page to see the same.`;
    }
    state.request = request;
    const isHere = kept.pinned && (kept.pinned.data === state.source.data_id || this.files.has(kept.pinned.data));
    state.pinned = isHere ? { ...kept.pinned, answer: null, line: null } : null;
  }

  isAsked(request) {
    return request !== null && canonical(request) === canonical(this.state.request);
  }

  pin() {
    const { state } = this;
    if (!state.answer?.is_final || state.clash || state.refused) return;
    state.pinned = { data: state.source.data_id, request: state.request, answer: state.answerId, line: state.answer.line };
    this.keepAddress(false);
    this.lastAddress = location.hash;
    this.soon(0);
  }

  unpin() {
    Object.assign(this.state, { pinned: null, comparison: null, noComparison: null });
    this.keepAddress(false);
    this.lastAddress = location.hash;
    this.draw();
  }

  // ---- the frontier ----

  async drawMap(given) {
    const { state } = this;
    this.mapAbort?.abort();
    const abort = (this.mapAbort = new AbortController());
    const map = (state.map = { ...state.map, ...given, state: "running", points: [], progress: null, message: "", numNotTried: 0, isOld: false });
    this.draw();
    try {
      await server.events("api/map", { view: this.viewId, data: state.source.data_id, request: state.request, by: map.by }, abort.signal, (name, value) => {
        if (state.map.state !== "running" || abort.signal.aborted) return;
        if (name === "point") state.map.points.push(value);
        else if (name === "progress") state.map.progress = value;
        else if (name === "refused" || name === "failed") state.map.message = value.message;
        else if (name === "end") state.map.numNotTried = value.num_not_tried;
        this.draw();
      });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error instanceof server.LostError) this.lose(error.isElsewhere);
      state.map.message = error instanceof server.LostError ? "the server went away meanwhile" : error.message;
    }
    state.map.state = "done";
    this.draw();
  }

  stopMap() {
    this.mapAbort?.abort();
    this.state.map.state = "done";
    this.draw();
  }

  take(point) {
    if (point.request && !this.state.isReadOnly) this.ask(point.request);
  }

  // ---- other profiles ----

  async read(file) {
    const { state } = this;
    if (state.isReadOnly) return;
    Object.assign(state, { isReading: file.name, readFault: null });
    this.draw();
    try {
      const found = await server.read(file);
      if (found.request) {
        this.say("the request was read, and is asked now");
        this.ask(found.request);
      } else {
        this.files.set(found.source.data_id, file);
        state.read = found;
      }
    } catch (error) {
      if (error instanceof server.LostError) this.lose(error.isElsewhere);
      else state.readFault = error.message;
    }
    state.isReading = null;
    this.draw();
    queueMicrotask(() => this.root.querySelector("#understood")?.showModal());
  }

  useRead(isUsed) {
    const { state } = this;
    this.root.querySelector("#understood")?.close();
    const found = state.read;
    state.read = null;
    if (isUsed) {
      // Another question: the one before stays in the history and in the address.
      Object.assign(state, { source: found.source, answer: null, answerId: null, pinned: null, areAllModelsShown: false, areAllGroupsShown: false, modelFilter: "" });
      state.openModels.clear();
      state.map = { ...state.map, state: "none", points: [], message: "" };
      state.note = null;
      state.drafts.clear();
      const threads = state.request.workers ?? 1;
      state.request = { ...(found.beside ?? {}), workers: threads };
      this.soon(0);
    } else this.draw();
    this.root.querySelector("#file")?.focus();
  }

  /** Bring profiles back that the server has forgotten; return whether that worked. */
  async bringBack(dataId) {
    const file = this.files.get(dataId);
    if (!file) return false;
    try {
      return (await server.read(file)).source?.data_id === dataId;
    } catch {
      return false;
    }
  }

  // ---- a server that went away ----

  lose(isElsewhere) {
    const { state } = this;
    state.lost = isElsewhere ? "elsewhere" : "away";
    Object.assign(state, { isSolving: false, isExplaining: false });
    this.draw();
    if (!isElsewhere) setTimeout(() => this.lookForServer(), LOST_MS);
  }

  async lookForServer() {
    if (this.state.lost !== "away") return;
    try {
      const start = await server.start();
      this.state.lost = null;
      const mine = this.state.source.data_id;
      if (start.source.data_id !== mine && !(await this.bringBack(mine))) {
        const kept = { data: mine, request: this.state.request };
        this.state.source = start.source;
        this.adopt(kept);
      }
      this.say("the server is back, and the question is asked again");
      this.soon(0);
    } catch (error) {
      this.lose(error instanceof server.LostError && error.isElsewhere);
    }
  }

  /** Notice that the server is gone before somebody asks. */
  watch() {
    setInterval(async () => {
      if (this.state.lost || this.state.isSolving || document.hidden) return;
      try {
        await server.alive();
      } catch (error) {
        if (error instanceof server.LostError) this.lose(error.isElsewhere);
      }
    }, WATCH_MS);
  }

  moveTo(text) {
    let url;
    try {
      url = new URL(text.trim());
    } catch {
      return this.say("this is no address");
    }
    if (!["127.0.0.1", "localhost", "[::1]"].includes(url.hostname) || url.protocol !== "http:") return this.say("give the address that gpupack explore printed");
    url.hash = location.hash;
    location.assign(url);
  }

  // ---- drawing ----

  say(text) {
    this.state.said = text;
    this.draw();
  }

  setTheme() {
    const isDark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark");
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
    this.draw();
  }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => {
      this.isDue = false;
      render(this.template(), this.root);
    });
  }

  template() {
    const { state } = this;
    const isDark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark");
    return html`<a class="skip" href="#answer-pane" @click=${(event) => { event.preventDefault(); this.root.querySelector("#answer-pane").focus(); }}>Skip to the answer</a>
      <header><p class="mark"><img src="assets/icon.svg" alt="" width="20" height="20"> gpupack explore <small class="words">${state.source.name}</small></p>
        <p class="tools"><button type="button" id="theme" @click=${() => this.setTheme()}>${isDark ? "Light" : "Dark"}</button></p></header>
      ${sharedPatterns()} ${this.lost()}
      ${state.note ? html`<div class="notice warn" role="status"><span class="words">${state.note}</span></div>` : nothing}
      <p class="hide" role="status" aria-live="polite" id="spoken">${state.isSolving ? "" : spoken(state)}</p>
      <p class="toast" role="status">${state.said}</p>
      <main class=${state.isReadOnly ? "shown" : ""}>
        ${state.isReadOnly ? nothing : html`<div class="left" id="question-pane" tabindex="-1" role="region" aria-label="The question">
          ${this.way()} ${question(this)} ${into(this)}</div>`}
        <div class="right" id="answer-pane" tabindex="-1" role="region" aria-label="The answer" aria-busy=${state.isSolving ? "true" : "false"}>
          ${state.isReadOnly ? this.whatWasAsked() : nothing}
          ${answer(this)} ${frontierMap(this)} ${out(this)}</div>
      </main>
      <footer><p>gpupack ${state.version}. Everything here stays on this machine.</p></footer>
      ${understood(this)} ${state.isReadOnly ? nothing : this.dock()}`;
  }

  /** Where question and answer stand below each other: the answer while one asks. */
  dock() {
    const go = (id) => () => {
      const pane = this.root.querySelector(id);
      pane.focus({ preventScroll: true });
      pane.scrollIntoView();
    };
    return html`<nav class="dock" aria-label="Question and answer"><span id="dock-answer">${inShort(this.state)}</span>
      <button type="button" @click=${go("#answer-pane")}>Answer</button> <button type="button" class="first" @click=${go("#question-pane")}>Question</button></nav>`;
  }

  /** Of a page that is only shown: what was asked. */
  whatWasAsked() {
    return html`<details><summary>What was asked</summary><pre class="words">${JSON.stringify(this.state.request, null, 2)}</pre></details>`;
  }

  way() {
    const { state } = this;
    return html`<section class="way-gone" aria-label="The way that was gone">
      <p class="tools"><button type="button" id="back" ?disabled=${state.at <= 0} @click=${() => this.goTo(state.at - 1)}>← Back</button>
        <button type="button" id="forward" ?disabled=${state.at >= state.history.length - 1} @click=${() => this.goTo(state.at + 1)}>Forward →</button>
        <button type="button" id="pin" ?disabled=${!state.answer?.is_final || Boolean(state.clash || state.refused)} @click=${() => this.pin()}>Pin answer</button>
        <button type="button" id="reset" @click=${() => this.ask(this.first.source.data_id === state.source.data_id ? this.first.request : { workers: 1 })}>Start over</button></p>
      ${state.history.length > 1 ? html`<label>Been here: <select id="history" .value=${live(String(state.at))} @change=${(event) => this.goTo(Number(event.target.value))}>
        ${state.history.map((one, index) => html`<option value=${index} ?selected=${live(index === state.at)}>${one.number}. ${one.line}</option>`)}</select></label>` : nothing}
    </section>`;
  }

  lost() {
    const { lost } = this.state;
    if (!lost) return nothing;
    if (lost === "away") return html`<div class="notice bad" role="alert"><strong>The server does not answer.</strong> Trying again every second; nothing on this page is lost. Was it ended? Start <code>gpupack explore</code> again.</div>`;
    return html`<div class="notice bad" role="alert"><p><strong>The server was started anew, at another address.</strong> Nothing is lost: give the address that it printed, and this view opens there. With <code>--token-file</code> pages find it by themselves.</p>
      <form class="tools" @submit=${(event) => { event.preventDefault(); this.moveTo(event.target.elements.address.value); }}><label>Its address <input name="address" type="url" placeholder="http://127.0.0.1:…" required></label> <button>Open it there</button></form></div>`;
  }
}

async function main() {
  const root = document.getElementById("app");
  let start;
  try {
    start = await server.start();
  } catch (error) {
    root.textContent = error instanceof server.LostError ? "The server does not answer: start gpupack explore again, and load this page again." : error.message;
    return;
  }
  root.textContent = "";
  const page = new Page(start, root);
  const kept = fromFragment(location.hash);
  if (kept) page.adopt(kept);
  document.title = `gpupack explore: ${start.source.name}`;
  window.addEventListener("popstate", () => page.followAddress());
  window.addEventListener("hashchange", () => page.followAddress());
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) page.read(file);
  });
  page.soon(0);
  page.watch();
}

main();
