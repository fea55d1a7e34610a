"use strict";
(() => {
  const names = JSON.parse(document.getElementById("names").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const [tip, said, picked, clear, filter, theme] =
    ["tip", "said", "picked", "clear", "filter", "theme"].map(byId);
  const root = document.documentElement;

  // ---- light and dark -----------------------------------------------------------
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.hidden = false;
  nameTheme();
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  byId("tools").hidden = names.length === 0;
  all(".hint").forEach((hint) => { hint.hidden = false; });

  // ---- pick a model: one style rule dims all others, however many there are -----
  const sheet = document.head.appendChild(document.createElement("style")).sheet;
  const bodies = all(".gpus tbody").map((body) => ({
    body, models: body.dataset.ms.trim().split(" ").filter(Boolean).map(Number),
    gpus: body.querySelector("th").dataset,  // a row stands for all GPUs that hold the same
  }));
  const count = (rows) => rows.reduce((sum, one) => sum + Number(one.gpus.n), 0);
  const articles = all("article[data-m]");
  const buttons = new Map();
  for (const button of all("button.pick")) {
    const model = Number(button.dataset.m);
    buttons.set(model, [...(buttons.get(model) || []), button]);
  }
  let pick = null;
  const press = (model, pressed) => {
    for (const button of buttons.get(model) || []) {
      button.setAttribute("aria-pressed", String(pressed));
    }
  };

  const describePick = () => {
    if (pick === null) { return ""; }
    const rows = bodies.filter((one) => one.models.includes(pick));
    const shown = rows.slice(0, 20);
    const left = count(rows) - count(shown);
    const where = shown.map((one) => one.gpus.g).join(", ") + (left ? ` and ${left} more` : "");
    const on = count(rows);
    return `${names[pick]}: on ${on} GPU${on === 1 ? "" : "s"}` + (on ? ` (${where})` : "");
  };
  const choose = (model) => {
    press(pick, false);
    pick = model === pick ? null : model;
    press(pick, true);
    while (sheet.cssRules.length) { sheet.deleteRule(0); }
    if (pick !== null) {
      const other = `[data-m]:not([data-m="${pick}"])`;
      sheet.insertRule(`.bar i${other},.bar .server{opacity:.18}`);
      sheet.insertRule(`.chip${other},article${other}{opacity:.4}`);
      sheet.insertRule(`tr[data-m="${pick}"]>*{background:color-mix(in srgb,var(--accent) 14%,transparent)}`);
      sheet.insertRule(`.bar i[data-m="${pick}"]{box-shadow:inset 0 0 0 2px var(--ink)}`);
      sheet.insertRule(`.chip[data-m="${pick}"]{font-weight:700}`);
    }
    picked.textContent = describePick();
    clear.hidden = pick === null && !filter.value;
  };
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-m]");
    if (target && target.matches("i,.chip,button")) { choose(Number(target.dataset.m)); }
  });

  // ---- show only models whose name holds the text ---------------------------------
  // Long tables show their first rows until asked: thousands of them are slow to lay out.
  const FIRST_ROWS = 200;
  const tables = all("table.data").map((table) => ({ table, limit: FIRST_ROWS, more: null }));
  for (const one of tables) {
    const count = one.table.tBodies[0].rows.length;
    if (count <= FIRST_ROWS) { one.limit = Infinity; continue; }
    one.more = document.createElement("button");
    one.more.type = "button";
    one.more.className = "more";
    one.more.addEventListener("click", () => { one.limit = Infinity; showRows(one); });
    one.table.parentElement.after(one.more);
  }
  let wanted = null;
  const showRows = (one) => {
    let fitting = 0;
    for (const row of one.table.tBodies[0].rows) {
      const fits = wanted === null || row.dataset.m === undefined ||
        wanted.has(Number(row.dataset.m));
      fitting += fits;
      row.hidden = !fits || fitting > one.limit;
    }
    if (one.more) {
      one.more.hidden = fitting <= one.limit;
      one.more.textContent = `Show all ${fitting.toLocaleString("en")} rows`;
    }
  };
  tables.forEach(showRows);

  const lowered = names.map((name) => name.toLowerCase());
  const applyFilter = () => {
    const text = filter.value.trim().toLowerCase();
    wanted = text === "" ? null
      : new Set(lowered.flatMap((name, index) => name.includes(text) ? [index] : []));
    for (const { body, models } of bodies) {
      body.hidden = wanted !== null && !models.some((model) => wanted.has(model));
    }
    for (const article of articles) {
      article.hidden = wanted !== null && !wanted.has(Number(article.dataset.m));
    }
    tables.forEach(showRows);
    picked.textContent = wanted === null ? describePick()
      : wanted.size === 0 ? `nothing found: no model is named like “${filter.value.trim()}”`
      : `${wanted.size} of ${names.length} models on ` +
        `${count(bodies.filter((one) => !one.body.hidden))} of ${count(bodies)} GPUs`;
    clear.hidden = pick === null && text === "";
    startBars();
  };
  filter.addEventListener("input", applyFilter);
  const reset = () => {
    filter.value = "";
    applyFilter();
    if (pick !== null) { choose(pick); }
  };
  clear.addEventListener("click", () => { reset(); filter.focus(); });

  // ---- sort -----------------------------------------------------------------------
  const valueOf = (cell) => {
    const text = cell.dataset.s !== undefined ? cell.dataset.s : cell.textContent.trim();
    if (text === "" || text === "–") { return null; }
    const number = Number(text.replace(/,/g, "").replace(/ ?%$/, ""));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const order = (a, b) => {
    if (a === null || b === null) { return (a === null) - (b === null); }
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const sortBy = (head) => {
    const table = head.closest("table");
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    const groups = "groups" in table.dataset;
    const parent = groups ? table : table.tBodies[0];
    const items = groups ? [...table.tBodies] : [...parent.rows];
    const keyed = items.map((item) => [
      valueOf((groups ? item.rows[0] : item).cells[column]), item]);
    keyed.sort((a, b) => a[0] === null || b[0] === null ? order(a[0], b[0])
      : down ? order(b[0], a[0]) : order(a[0], b[0]));
    for (const one of table.tHead.rows[0].cells) { one.removeAttribute("aria-sort"); }
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    parent.append(...keyed.map((pair) => pair[1]));
    tables.filter((one) => one.table === table).forEach(showRows);
    startBars();
  };
  for (const button of all("button.sort")) {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }

  addEventListener("beforeprint", () => all("details").forEach((one) => { one.open = true; }));

  // ---- tooltips -------------------------------------------------------------------
  const resourceOf = (bar) => bar.closest("table").tHead.rows[0]
    .cells[Number(bar.dataset.r) + 1].textContent;
  const wordsOf = (part) => {
    const name = part.dataset.m === undefined ? "server alone" : names[part.dataset.m];
    if (part.classList.contains("chip")) {
      const said = ["infer/s alone", "infer/s predicted beside its neighbours", "infer/s asked for"];
      const figures = (part.dataset.t || "").split("|");
      return [name, ...said.flatMap((what, index) =>
        figures[index] && figures[index] !== "–" ? [`${figures[index]} ${what}`] : [])].join("\n");
    }
    const bar = part.closest(".bar");
    const gpu = bar.closest("tbody").querySelector("th").dataset.g;
    return `${name}\n${resourceOf(bar)} on GPU ${gpu}: ${part.dataset.v}`;
  };
  const showTip = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(x + 14, innerWidth - box.width - 8);
    const top = y + 20 + box.height > innerHeight ? y - box.height - 10 : y + 20;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  };
  const hideTip = () => { tip.hidden = true; };
  document.addEventListener("pointermove", (event) => {
    const part = event.target.closest(".bar i, .chip");
    if (part) { showTip(wordsOf(part), event.clientX, event.clientY); } else { hideTip(); }
  });
  document.addEventListener("scroll", hideTip, { passive: true });

  // ---- the bars are one tab stop; arrow keys walk through them -----------------------
  let current = null;
  const mark = (part) => {
    if (current) { current.classList.remove("on"); }
    current = part;
    if (!part) { return; }
    part.classList.add("on");
    const box = part.getBoundingClientRect();
    const words = wordsOf(part);
    showTip(words, box.left, box.bottom - 12);
    said.textContent = words;
  };
  function startBars() {
    for (const table of all(".gpus")) {
      for (const bar of all('.bar[tabindex="0"]', table)) { bar.tabIndex = -1; }
      const first = table.querySelector("tbody:not([hidden]) .bar");
      if (first) { first.tabIndex = 0; }
    }
  }
  startBars();
  const step = (bar, key) => {
    const parts = all("i", bar);
    const at = parts.indexOf(current);
    if (key === "ArrowRight" && at + 1 < parts.length) { return parts[at + 1]; }
    if (key === "ArrowLeft" && at > 0) { return parts[at - 1]; }
    const down = key === "ArrowDown" || key === "ArrowUp" ? Number(bar.dataset.r) : null;
    const bars = all(down === null ? ".bar" : `.bar[data-r="${down}"]`, bar.closest("table"))
      .filter((one) => !one.closest("tbody").hidden);
    const ahead = key === "ArrowDown" || key === "ArrowRight";
    const next = bars[bars.indexOf(bar) + (ahead ? 1 : -1)];
    if (!next) { return null; }
    const inside = all("i", next);
    return inside[key === "ArrowLeft" ? inside.length - 1 : 0];
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { reset(); hideTip(); return; }
    const bar = event.target.closest(".bar");
    if (!bar) { return; }
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (current && current.dataset.m !== undefined) { choose(Number(current.dataset.m)); }
    } else if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const part = step(bar, event.key);
      if (!part) { return; }
      const home = part.closest(".bar");
      if (home !== bar) {
        bar.tabIndex = -1;
        home.tabIndex = 0;
        home.focus();
      }
      mark(part);
    }
  });
  document.addEventListener("focusin", (event) => {
    const bar = event.target.closest(".bar");
    if (!bar) { mark(null); hideTip(); } else if (!current || current.closest(".bar") !== bar) {
      mark(bar.querySelector("i"));
    }
  });
})();
