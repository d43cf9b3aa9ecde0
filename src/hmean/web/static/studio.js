"use strict";
// State, then drawing, then requests, then input. The server keeps nothing: every request says what it asks for.
const $ = (id) => document.getElementById(id);
const make = (tag, props = {}, ...children) => { const e = Object.assign(document.createElement(tag), props); e.append(...children); return e; };
const svg = (tag, attributes = {}, text) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  if (text !== undefined) e.textContent = text;
  return e;
};
const percent = (v) => (100 * v).toFixed(2);
const points = (v) => (v < 0 ? "−" : "+") + Math.abs(100 * v).toFixed(2);
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

// Keys that move a slider down and up. Parameters that share keys are read by different unclip modes: one is shown at a time.
const SLIDER_KEYS = { thresh: ["[", "]"], box_thresh: [";", "'"], unclip_ratio: [",", "."], inverse_r: [",", "."], min_size: ["<", ">"] };
const LAYERS = [["words", "w", true], ["regions", "p", true], ["faults", "x", true], ["map", "m", false]];
const LETTERS = ["A", "B"];
const state = { page: 0, run: 0, params: [], box: null, layers: {}, shown: [], truth: [], results: [], scores: null, fault: -1, ms: {} };
let about, panes, knobs; // knobs: the parameters as the server declares them, and their elements

const same = (a, b) => Object.keys(a).every((key) => a[key] === b[key]);
const row = (page, run = state.run) => state.scores && state.scores.runs[run].pages[page]; // p, r, h, then the faults
const say = (text) => { $("live").textContent = text; };

function inform(text) {
  const { page, set } = state.ms;
  const times = [page && `page ${page.toFixed(0)} ms`, set && `set ${set.toFixed(0)} ms`].filter(Boolean).join(", ");
  $("info").replaceChildren(make("span", { textContent: text || "" }), make("small", { textContent: times }));
}

// --- drawing -------------------------------------------------------------------------------------------------------

const outline = (p) => { let d = "M"; for (let i = 0; i < p.length; i += 2) d += `${p[i]} ${p[i + 1]} `; return d + "Z"; };

function drawPane(run) {
  const pane = panes[run], page = about.pages[state.page], result = state.results[run];
  pane.svg.setAttribute("viewBox", Object.values(state.box).join(" "));
  if (!result || state.truth.page !== state.page || result.of !== state.page) {
    for (const path of Object.values(pane.paths)) path.setAttribute("d", ""); // another page's outlines
    return;
  }
  const parts = Object.fromEntries(Object.keys(pane.paths).map((key) => [key, ""]));
  const { words, regions, faults } = state.layers;
  state.truth.forEach((word, i) => {
    const fault = faults && result.words[i];
    if (fault || words) parts[fault || (word.ignored ? "ignored" : "truth")] += outline(word.points);
  });
  for (const region of result.regions) {
    const fault = faults && region.fault;
    if (fault || regions) parts[fault || "found"] += outline(region.points);
  }
  const here = run === state.run && allFaults()[state.fault];
  parts.here = here ? outline(here.points) : "";
  for (const [key, d] of Object.entries(parts)) pane.paths[key].setAttribute("d", d);
  const [a, b, c] = result.to_page;
  pane.map.setAttribute("transform", `matrix(${a[0]} ${b[0]} ${a[1]} ${b[1]} ${a[2]} ${b[2]})`);
  const source = `map/${run}/${state.page}`;
  if (state.layers.map && pane.map.getAttribute("href") !== source) pane.map.setAttribute("href", source);
  pane.map.style.display = state.layers.map ? "" : "none";
  const count = (list, fault) => list.filter((f) => f === fault).length;
  const kinds = result.regions.map((r) => r.fault);
  const keys = [["missed", result.words], ["split", result.words], ["false", kinds], ["merged", kinds]].map(([kind, list]) => [kind, count(list, kind)]);
  pane.caption.replaceChildren(
    ...(about.runs.length > 1 ? [make("b", { textContent: `${LETTERS[run]} ${about.runs[run].name}` })] : []),
    ...["h", "p", "r"].map((key) => make("span", { textContent: `${key.toUpperCase()} ${percent(result.prh[key])}` })),
    make("small", { textContent: `IoU70 ${percent(result.iou70.h)}` }),
    ...keys.map(([kind, n]) => { const k = make("span", { className: "key", textContent: `${n} ${kind}` }); k.style.setProperty("--c", `var(--${kind})`); return k; }),
  );
  pane.svg.setAttribute("aria-label", `${page.name}: ${result.regions.length} regions, ${page.words} words, ${keys.map(([kind, n]) => `${n} ${kind}`).join(", ")}`);
}

function drawPage() {
  const page = about.pages[state.page];
  $("name").textContent = page.name;
  $("name").title = page.name;
  for (const pane of panes) {
    Object.entries({ href: `image/${state.page}`, width: page.width, height: page.height }).forEach(([k, v]) => pane.image.setAttribute(k, v));
    Object.values(pane.paths).forEach((path) => path.setAttribute("d", ""));
  }
  panes.forEach((_, run) => drawPane(run));
}

function drawKnobs() {
  const params = state.params[state.run], saved = about.runs[state.run].saved;
  for (const knob of knobs) {
    const value = params[knob.key];
    knob.row.hidden = !isRead(knob, params);
    knob.label.classList.toggle("changed", value !== saved[knob.key]);
    knob.label.title = `${knob.hint}; saved: ${saved[knob.key]}`;
    if (knob.choices) knob.select.value = String(value);
    else for (const input of knob.inputs) if (input !== document.activeElement || Number(input.value) !== value) input.value = value;
  }
  const changed = !same(params, saved);
  $("reset").disabled = $("open-save").disabled = !changed;
  [...$("turns").children].forEach((b, run) => { b.setAttribute("aria-checked", run === state.run); b.tabIndex = run === state.run ? 0 : -1; });
  panes.forEach((pane, run) => pane.figure.classList.toggle("active", run === state.run));
  $("history").replaceChildren(...about.runs[state.run].history.map((entry) => {
    const use = make("button", { textContent: "Use" });
    use.onclick = () => set({ ...entry.postprocess });
    const p = entry.postprocess;
    return make("li", {}, make("span", { textContent: `thresh ${p.thresh}, box_thresh ${p.box_thresh}, ${p.unclip} ${p.unclip === "ratio" ? p.unclip_ratio : p.inverse_r}${p.use_polygon ? ", polygons" : ""}` }),
      make("small", { textContent: `until ${entry.until.replace("T", " ")}: ${entry.why}` }), use);
  }));
  if (!about.runs[state.run].history.length) $("history").textContent = "none: the values are those of its training";
  const influences = [["trained", "trained on"], ["epoch_chosen", "the epoch was chosen on"], ["tuned", "thresholds were chosen on"]];
  const told = influences.map(([key, what]) => [about.runs[state.run].influenced_by[key], what]).filter(([n]) => n).map(([n, what]) => `${what} ${n} of these pages`);
  $("influence").textContent = told.length ? `Scores here are too good: ${told.join(", ")}.` : "";
}

function gainText(gain, what) {
  if (!gain) return `the same as ${what}`;
  const [low, high] = gain.interval95;
  return `macro H ${points(gain.gain)} [${points(low)}, ${points(high)}] against ${what}: ${low > 0 ? "better" : high < 0 ? "worse" : "not distinguishable"}`;
}

function drawScores() {
  if (!state.scores) return;
  const scored = state.scores.runs[state.run];
  const lines = [["macro", (s) => s.cleval.macro], ["pooled", (s) => s.cleval.pooled], ["IoU50", (s) => s.iou50], ["IoU70", (s) => s.iou70]];
  $("scores").tBodies[0].replaceChildren(...lines.map(([name, of]) => {
    const now = of(scored.now), change = now.h - of(scored.saved).h;
    const cells = ["p", "r", "h"].map((key) => make("td", { textContent: percent(now[key]) }));
    const flat = Math.abs(change) < 5e-5;
    return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells, make("td", { textContent: flat ? "·" : points(change), className: flat ? "" : change > 0 ? "up" : "down" }));
  }));
  $("gain").textContent = gainText(scored.gain, "the saved values");
  if (about.runs.length > 1) $("between").textContent = `B: ${gainText(state.scores.between, "A")}`;
  drawCurve();
  drawList();
}

function drawCurve() {
  const params = state.params[state.run], saved = about.runs[state.run].saved;
  // Where nearly all is dropped says little and would take most of the room.
  const curves = state.scores.runs.map((run) => run.curve.filter(([t, p, r]) => Math.min(p, r) > 0.5 * run.now.cleval.macro.h || t === params.box_thresh));
  const all = curves.flat();
  const low = [1, 2].map((k) => Math.max(0, Math.floor(20 * Math.min(0.99, ...all.map((q) => q[k]))) / 20)); // of p, of r
  const x = (r) => 34 + 276 * (r - low[1]) / (1 - low[1]), y = (p) => 176 - 156 * (p - low[0]) / (1 - low[0]);
  const nodes = [], step = (l) => (1 - l > 0.5 ? 0.2 : 1 - l > 0.2 ? 0.1 : 0.05);
  for (let v = 1; v > low[1] - 1e-9; v -= step(low[1])) nodes.push(svg("path", { class: "grid", d: `M${x(v)} 20V176` }), svg("text", { x: x(v), y: 189, "text-anchor": "middle" }, Math.round(100 * v)));
  for (let v = 1; v > low[0] - 1e-9; v -= step(low[0])) nodes.push(svg("path", { class: "grid", d: `M34 ${y(v)}H310` }), svg("text", { x: 30, y: y(v) + 3, "text-anchor": "end" }, Math.round(100 * v)));
  for (let h = 0.05; h < 0.999; h += step(Math.min(...low))) { // where 2PR / (P + R) is h
    let d = "";
    for (let r = 1; r >= low[1]; r -= (1 - low[1]) / 40) { const p = h * r / (2 * r - h); if (p >= low[0] && p <= 1) d += `${d ? "L" : "M"}${x(r)} ${y(p)}`; }
    if (d) nodes.push(svg("path", { class: "iso", d }));
  }
  nodes.push(svg("text", { x: 310, y: 199, "text-anchor": "end" }, "recall, macro"), svg("text", { x: 2, y: 9 }, "precision, macro"));
  curves.forEach((curve, run) => {
    const mine = run === state.run;
    nodes.push(svg("path", { class: mine ? "line" : "line other", d: curve.map(([, p, r], i) => `${i ? "L" : "M"}${x(r)} ${y(p)}`).join("") }));
    if (!mine) return;
    for (const [t, p, r] of curve) {
      const now = t === params.box_thresh, kept = t === saved.box_thresh;
      nodes.push(svg("circle", { class: now ? "now" : "dot", cx: x(r), cy: y(p), r: now ? 6 : 2 }));
      if (kept) nodes.push(svg("circle", { class: "saved", cx: x(r), cy: y(p), r: 8 }));
      const hit = svg("circle", { class: "hit", cx: x(r), cy: y(p), r: 7 });
      hit.append(svg("title", {}, `box_thresh ${t}: P ${percent(p)}, R ${percent(r)}`));
      hit.onclick = () => set({ ...params, box_thresh: t });
      nodes.push(hit);
    }
  });
  $("curve").replaceChildren(...nodes);
  const macro = state.scores.runs[state.run].now.cleval.macro;
  $("curve").setAttribute("aria-label", `precision over recall along box_thresh; at ${params.box_thresh} P is ${percent(macro.p)} and R ${percent(macro.r)}`);
}

const SORTS = {
  "H, worst first": (i) => row(i)[2], "H, best first": (i) => -row(i)[2],
  name: (i) => about.pages[i].name, "small text first": (i) => about.pages[i].text ?? Infinity, "large text first": (i) => -(about.pages[i].text ?? 0), group: (i) => about.pages[i].group ?? "",
  "B worse than A": (i) => row(i, 1)[2] - row(i, 0)[2], "B better than A": (i) => row(i, 0)[2] - row(i, 1)[2],
};

function drawList() {
  const kind = $("kind").value, bin = $("height").value, group = $("group").value, sort = $("sort").value;
  const of = (i, fault) => row(i)[3 + about.faults.indexOf(fault)];
  const wanted = (i) => {
    const page = about.pages[i];
    const faulty = kind === "all" || (kind === "any" ? row(i).slice(3).some(Boolean) : of(i, kind) > 0);
    return faulty && (bin === "all" || page.bins.includes(Number(bin))) && (group === "all" || (page.group ?? "") === group);
  };
  const key = SORTS[sort] ?? ((i) => -of(i, sort));
  const order = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  state.shown = about.pages.map((_, i) => i).filter(wanted).sort((i, j) => order(key(i), key(j)) || i - j);
  const two = about.runs.length > 1;
  const cells = (i) => two ? [percent(row(i, 0)[2]), percent(row(i, 1)[2]), points(row(i, 1)[2] - row(i, 0)[2])].map((textContent) => make("span", { textContent }))
    : [make("span", { textContent: percent(row(i)[2]) }), ...["missed", "split", "false", "merged"].map((fault) => { const n = of(i, fault), e = make("span", { textContent: n || "·", className: n ? "" : "none" }); if (n) e.style.color = `var(--${fault})`; return e; })];
  $("list").replaceChildren(...state.shown.map((i) => {
    const page = about.pages[i], item = make("li", { id: `page-${i}`, className: "row", title: `${page.name}${page.group ? `, ${page.group}` : ""}: text ${page.text ?? "-"} px` }, make("span", { textContent: page.name }), ...cells(i));
    item.setAttribute("role", "option");
    item.setAttribute("aria-label", `${page.name}, H ${percent(row(i)[2])}, ${about.faults.map((fault) => `${of(i, fault)} ${fault}`).join(", ")}`);
    item.onclick = () => go(i);
    return item;
  }));
  $("count").textContent = `${state.shown.length} of ${about.pages.length} pages${two ? "" : "; faults in characters"}`;
  mark();
}

function mark() {
  for (const item of $("list").querySelectorAll("[aria-selected=true]")) item.setAttribute("aria-selected", false);
  const item = $(`page-${state.page}`);
  if (!item) return $("list").removeAttribute("aria-activedescendant");
  item.setAttribute("aria-selected", true);
  $("list").setAttribute("aria-activedescendant", item.id);
  if (matchMedia("(min-width: 62rem)").matches || document.activeElement === $("list")) item.scrollIntoView({ block: "nearest" });
}

// --- requests ------------------------------------------------------------------------------------------------------

async function ask(path, body, signal) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
  const response = await fetch(path, options);
  const value = await response.json();
  if (!response.ok) throw new Error(value.error);
  return value;
}

const fail = (error) => { if (error.name !== "AbortError") inform(error instanceof TypeError ? "the studio has ended; start it again" : error.message); };

const busy = [];
async function fetchPage(run) { // one at a time; what came meanwhile is asked for once more
  if (busy[run]) { busy[run] = "again"; return; }
  busy[run] = "yes";
  const page = state.page, start = performance.now();
  try {
    const result = await ask("page", { run, page, postprocess: state.params[run] });
    state.ms.page = performance.now() - start;
    if (page === state.page) { // not one that was left meanwhile: what is shown now may be here already
      state.results[run] = { ...result, of: page };
      drawPane(run);
      inform($("info").firstChild?.textContent);
    }
  } catch (error) { fail(error); }
  const again = busy[run] === "again";
  busy[run] = null;
  if (again) fetchPage(run);
}

let timer, running;
function fetchScores(delay = 120) { // when the knob rests; a newer request ends the one under way
  clearTimeout(timer);
  running?.abort();
  timer = setTimeout(async () => {
    running = new AbortController();
    const start = performance.now();
    $("pages-scored").textContent = "scoring…";
    try {
      state.scores = await ask("score", { postprocess: state.params }, running.signal);
      state.ms.set = performance.now() - start;
      $("pages-scored").textContent = `${about.pages.length} ${about.part} pages`;
      drawScores();
      inform($("info").firstChild?.textContent);
    } catch (error) { fail(error); }
  }, delay);
}

// --- input ---------------------------------------------------------------------------------------------------------

async function go(page) {
  if (page === undefined) return;
  Object.assign(state, { page, fault: -1, box: fitted(page) });
  history.replaceState(null, "", `#${encodeURIComponent(about.pages[page].name)}`);
  drawPage();
  mark();
  inform();
  panes.forEach((_, run) => fetchPage(run));
  try {
    const truth = await ask(`truth/${page}`);
    if (page !== state.page) return;
    state.truth = Object.assign(truth, { page });
    drawPage();
    say(`${about.pages[page].name}${row(page) ? `, H ${percent(row(page)[2])}` : ""}`);
  } catch (error) { fail(error); }
}

function step(by) {
  const at = state.shown.indexOf(state.page);
  go(state.shown[at < 0 ? 0 : clamp(at + by, 0, state.shown.length - 1)]);
}

function set(params) {
  state.params[state.run] = params;
  state.fault = -1;
  drawKnobs();
  fetchPage(state.run);
  fetchScores();
}

function nudge(knob, by) {
  const value = clamp(state.params[state.run][knob.key] + by * knob.step, knob.min, knob.max);
  set({ ...state.params[state.run], [knob.key]: Number(value.toFixed(4)) });
  say(`${knob.key} ${state.params[state.run][knob.key]}`);
}

function take(run) {
  Object.assign(state, { run, fault: -1 });
  drawKnobs();
  drawScores();
  panes.forEach((_, r) => drawPane(r));
  say(`settings of ${about.runs[run].name}`);
}

function fitted(page) {
  const { width, height } = about.pages[page];
  return { x: -0.01 * width, y: -0.01 * height, w: 1.02 * width, h: 1.02 * height };
}

function zoom(factor, at) {
  const { x, y, w, h } = state.box, page = about.pages[state.page], centre = at ?? { x: x + w / 2, y: y + h / 2 };
  const f = clamp(factor, w / (2 * page.width), w / 40);
  state.box = { x: centre.x - (centre.x - x) / f, y: centre.y - (centre.y - y) / f, w: w / f, h: h / f };
  panes.forEach((_, run) => drawPane(run));
}

function pan(dx, dy) { // in page pixels; the middle stays on the page
  const { x, y, w, h } = state.box, page = about.pages[state.page];
  Object.assign(state.box, { x: clamp(x + dx, -w / 2, page.width - w / 2), y: clamp(y + dy, -h / 2, page.height - h / 2) });
  panes.forEach((_, run) => drawPane(run));
}

function allFaults() {
  const result = state.results[state.run];
  if (!result || state.truth.page !== state.page || result.of !== state.page) return [];
  const words = state.truth.map((word, i) => ({ points: word.points, what: `${result.words[i]}: ${word.text ? `“${word.text}”` : "a word"}`, fault: result.words[i] }));
  const regions = result.regions.map((r) => ({ points: r.points, what: `${r.fault}: a region of score ${r.score.toFixed(3)}`, fault: r.fault }));
  return [...words, ...regions].filter((f) => f.fault).sort((a, b) => a.points[1] - b.points[1]);
}

function nextFault(by) {
  const faults = allFaults();
  if (!faults.length) { inform("no fault on this page"); return say("no fault on this page"); }
  state.fault = (Math.max(state.fault, by < 0 ? 0 : -1) + by + faults.length) % faults.length;
  const { points, what } = faults[state.fault], page = about.pages[state.page];
  const xs = points.filter((_, i) => i % 2 === 0), ys = points.filter((_, i) => i % 2);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const view = panes[state.run].svg, aspect = view.clientHeight / view.clientWidth;
  const w = Math.max(2.2 * (x1 - x0), 3 * (y1 - y0) / aspect, page.width / 3), h = w * aspect;
  state.box = { x: (x0 + x1 - w) / 2, y: (y0 + y1 - h) / 2, w, h };
  panes.forEach((_, run) => drawPane(run));
  const text = `fault ${state.fault + 1} of ${faults.length}, ${what}`;
  inform(text);
  say(text);
}

function inside(p, x, y) { // even-odd
  let odd = false;
  for (let i = 0, j = p.length - 2; i < p.length; j = i, i += 2) if (p[i + 1] > y !== p[j + 1] > y && x < (p[j] - p[i]) * (y - p[i + 1]) / (p[j + 1] - p[i + 1]) + p[i]) odd = !odd;
  return odd;
}

function tell(run, at) {
  const result = state.results[run];
  if (!result || state.truth.page !== state.page || result.of !== state.page) return;
  const word = state.truth.findIndex((w) => inside(w.points, at.x, at.y)), region = result.regions.find((r) => inside(r.points, at.x, at.y));
  const parts = [];
  if (word >= 0) parts.push(`word ${state.truth[word].text ? `“${state.truth[word].text}”` : ""} ${state.truth[word].ignored ? "ignored" : result.words[word] || "found"}`);
  if (region) parts.push(`region ${region.score.toFixed(3)} ${region.fault}`);
  inform(parts.join("; "));
}

function handle(pane, run) {
  const view = pane.svg, fingers = new Map();
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(view.getScreenCTM().inverse());
  view.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), at(event)); }, { passive: false });
  view.onpointerdown = (event) => { view.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); if (about.runs.length > 1 && run !== state.run) take(run); };
  view.onpointerup = view.onpointercancel = (event) => fingers.delete(event.pointerId);
  view.onpointermove = (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return tell(run, at(event));
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1], a = at(before), b = at(event);
    if (other) { const o = at(other); zoom(Math.hypot(b.x - o.x, b.y - o.y) / Math.max(1, Math.hypot(a.x - o.x, a.y - o.y)), o); }
    else pan(a.x - b.x, a.y - b.y);
    fingers.set(event.pointerId, event);
  };
  view.onkeydown = (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    pan(by[0] * state.box.w / 8, by[1] * state.box.h / 8);
  };
}

const isRead = (knob, params) => !knob.unclip || knob.unclip === params.unclip;
const layer = (name) => { state.layers[name] = !state.layers[name]; $(`layer-${name}`).setAttribute("aria-pressed", state.layers[name]); panes.forEach((_, run) => drawPane(run)); };

const KEYS = [
  [["j"], "next page", () => step(1)], [["k"], "previous page", () => step(-1)],
  [["f"], "next fault of the page", () => nextFault(1)], [["F"], "previous fault", () => nextFault(-1)],
  [["+", "="], "zoom in", () => zoom(1.4)], [["-"], "zoom out", () => zoom(1 / 1.4)], [["0"], "whole page", () => $("fit").click()],
  ...LAYERS.map(([name, key]) => [[key], `show or hide ${name}`, () => layer(name)]),
  ...Object.entries(SLIDER_KEYS).filter(([name]) => name !== "inverse_r").flatMap(([name, keys]) => [0, 1].map((i) => [[keys[i]], `${name === "unclip_ratio" ? "unclip_ratio or inverse_r" : name} ${i ? "up" : "down"}`, () => nudge(knobs.find((knob) => SLIDER_KEYS[knob.key]?.[i] === keys[i] && isRead(knob, state.params[state.run])), i ? 1 : -1)])),
  [["r"], "back to the saved values", () => $("reset").click()], [["s"], "save…", () => $("open-save").click()],
  [["1"], "settings of run A", () => take(0)], [["2"], "settings of run B", () => about.runs.length > 1 && take(1)],
  [["/"], "to the filters", () => $("kind").focus()], [["?"], "these keys", () => $("help").showModal()],
];

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !$("single").checked || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input[type=number], select")) return;
  const found = KEYS.find(([keys]) => keys.includes(event.key));
  if (!found) return;
  event.preventDefault();
  found[2]();
});

$("list").onkeydown = (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key];
  if (by) { event.preventDefault(); step(by); }
};

$("open-save").onclick = () => {
  const run = about.runs[state.run], params = state.params[state.run], scored = state.scores?.runs[state.run];
  if (same(params, run.saved)) return;
  $("save-title").textContent = `Save into ${run.name}/checkpoints/best.ckpt?`;
  $("changes").replaceChildren(...Object.keys(params).filter((key) => params[key] !== run.saved[key]).map((key) => make("tr", {}, make("th", { scope: "row", textContent: key }), make("td", { textContent: `${run.saved[key]} → ${params[key]}` }))));
  $("save-gain").textContent = scored ? gainText(scored.gain, "the saved values") : "";
  $("save-pages").textContent = `${about.pages.length} ${about.part} pages`;
  $("save-error").textContent = "";
  $("save").showModal();
};

$("do-save").onclick = async (event) => {
  event.preventDefault();
  const run = state.run;
  $("do-save").disabled = true;
  try {
    about.runs[run] = await ask("save", { run, postprocess: state.params[run] });
    $("save").close();
    drawKnobs();
    fetchScores(0);
    inform("saved");
    say("saved");
  } catch (error) { $("save-error").textContent = error.message; }
  $("do-save").disabled = false;
};

function build() {
  $("what").textContent = `${about.runs.map((run, i) => (about.runs.length > 1 ? `${LETTERS[i]} ` : "") + run.name).join("  ·  ")}  ·  ${about.pages.length} ${about.part} pages, characters by ${about.characters}`;
  document.title = `${about.runs.map((run) => run.name).join(", ")}: hmean studio`;
  document.body.classList.toggle("two", about.runs.length > 1);
  panes = about.runs.map((_, run) => {
    const view = svg("svg", { tabindex: 0, role: "img" }), image = svg("image"), map = svg("image"), paths = {};
    view.append(image, map);
    for (const name of ["here", "ignored", "truth", "found", "split", "missed", "merged", "false"]) view.append(paths[name] = svg("path", { class: name }));
    const caption = make("figcaption"), figure = make("figure", {}, caption, view), pane = { svg: view, image, map, paths, caption, figure };
    handle(pane, run);
    $("panes").append(figure);
    return pane;
  });
  for (const [name, key, on] of LAYERS) {
    state.layers[name] = on;
    const button = make("button", { id: `layer-${name}`, textContent: name, title: `${name} (${key})`, onclick: () => layer(name) });
    button.setAttribute("aria-pressed", on);
    $("layers").append(button);
  }
  for (const knob of knobs) {
    const id = `knob-${knob.key}`, change = (value) => set({ ...state.params[state.run], [knob.key]: value });
    knob.label = make("label", { htmlFor: id, textContent: knob.key });
    if (knob.choices) {
      knob.select = make("select", { id, className: "wide" }, ...knob.choices.map(([value, text]) => make("option", { value: String(value), textContent: text })));
      knob.select.onchange = () => change(knob.choices.find(([value]) => String(value) === knob.select.value)[0]);
      knob.row = make("div", { className: "knob" }, knob.label, knob.select);
    } else {
      const slider = make("input", { type: "range", id, min: knob.min, max: knob.max, step: knob.step });
      const number = make("input", { type: "number", min: knob.min, step: knob.step === 1 ? 1 : "any" });
      number.setAttribute("aria-label", `${knob.key}, exactly`);
      slider.oninput = () => change(Number(slider.value));
      number.onchange = () => (number.value !== "" && number.checkValidity() ? change(Number(number.value)) : drawKnobs());
      knob.inputs = [slider, number];
      knob.row = make("div", { className: "knob" }, knob.label, slider, number);
    }
    $("knobs").append(knob.row);
  }
  if (about.runs.length > 1) {
    $("turns").hidden = false;
    $("turns").setAttribute("role", "radiogroup");
    about.runs.forEach((run, i) => {
      const button = make("button", { className: "turn", textContent: `${LETTERS[i]} ${run.name}`, title: `settings of ${run.name} (${i + 1})`, onclick: () => take(i) });
      button.setAttribute("role", "radio");
      button.onkeydown = (event) => { if (event.key.startsWith("Arrow")) { take(1 - state.run); $("turns").children[state.run].focus(); } };
      $("turns").append(button);
    });
  }
  const option = ([value, textContent]) => make("option", { value, textContent });
  const names = { missed: "missed", split: "split", false: "false", doubled: "found twice", merged: "merged" };
  $("kind").append(...[["all", "all pages"], ["any", "any fault"], ...about.faults.map((f) => [f, names[f]])].map(option));
  const e = about.edges, bins = [`under ${e[0]} px`, ...e.slice(1).map((edge, i) => `${e[i]} to ${edge} px`), `${e.at(-1)} px and more`];
  $("height").append(...[["all", "any"], ...bins.map((text, i) => [i, text])].map(option));
  const groups = [...new Set(about.pages.map((page) => page.group ?? ""))].sort();
  $("group-label").hidden = groups.length < 2;
  $("group").append(...[["all", "all"], ...groups.map((g) => [g, g || "(none)"])].map(option));
  const sorts = Object.keys(SORTS).filter((name) => about.runs.length > 1 || !name.startsWith("B "));
  $("sort").append(...sorts.map((name) => [name, name]).map(option), ...about.faults.map((f) => option([f, `most ${names[f]}`])));
  for (const id of ["kind", "height", "group", "sort"]) $(id).onchange = () => state.scores && drawList();
  const heads = about.runs.length > 1 ? ["page", "H of A", "H of B", "B − A"] : ["page", "H", "missed", "split", "false", "merged"];
  $("heads").append(...heads.map((textContent) => make("span", { textContent })));
  $("help").querySelector("dl").append(...KEYS.filter(([keys]) => about.runs.length > 1 || !"12".includes(keys[0])).flatMap(([keys, text]) => [make("dt", {}, make("kbd", { textContent: keys[0] })), make("dd", { textContent: text })]),
    make("dt", {}, make("kbd", { textContent: "arrows" })), make("dd", { textContent: "in the list: pages; on the page: move; on a slider: its value" }));
  const clicks = { previous: () => step(-1), next: () => step(1), fault: () => nextFault(1), in: () => zoom(1.4), out: () => zoom(1 / 1.4), "open-help": () => $("help").showModal(),
    fit: () => { state.box = fitted(state.page); panes.forEach((_, run) => drawPane(run)); }, reset: () => set({ ...about.runs[state.run].saved }) };
  for (const [id, click] of Object.entries(clicks)) $(id).onclick = click;
}

async function start() {
  about = await ask("about");
  knobs = about.parameters.map(({ name, help, unclip, choices, slider }) => ({ key: name, hint: help, unclip, choices, ...(slider && { min: slider.low, max: slider.high, step: slider.step }) }));
  state.params = about.runs.map((run) => ({ ...run.saved }));
  state.shown = about.pages.map((_, i) => i);
  build();
  drawKnobs();
  const named = about.pages.findIndex((page) => page.name === decodeURIComponent(location.hash.slice(1)));
  fetchScores(0);
  await go(Math.max(named, 0));
}

start().catch(fail);
