// The page, once for each run: its picture, the map, the outlines of words and text polygons, and the caption above them.

import { byId, clamp, make, makeSvg, percent } from "./dom.js";
import { markedFault } from "./faults.js";
import { about, comparesRuns, currentPage, currentResult, LETTERS, state } from "./state.js";
import { inform } from "./status.js";

/** Layers: name, key, and whether it is shown at first. */
export const LAYERS = [
  ["words", "w", true],
  ["polygons", "p", true],
  ["faults", "x", true],
  ["map", "m", false],
];
// Outlines of one kind are one path. The later ones lie on top.
const PATHS = ["here", "ignored", "truth", "found", "split", "missed", "merged", "false"];
const CAPTION_FAULTS = ["missed", "split", "false", "merged"];
const MOST_ZOOM = 40; // pixels of the page across the pane
const MOST_WIDTH = 2; // times the page's width across the pane

const panes = [];

// --- building -------------------------------------------------------------------------------------------------------

/**
 * Make a pane for each run.
 * @param {(run: number) => void} chooseRun called when somebody points at the pane of a run.
 */
export function buildPanes(chooseRun) {
  about.runs.forEach((_, run) => {
    const svg = makeSvg("svg", { tabindex: 0, role: "img" });
    const image = makeSvg("image");
    const map = makeSvg("image");
    const paths = {};
    svg.append(image, map);
    for (const name of PATHS) {
      paths[name] = makeSvg("path", { class: name });
      svg.append(paths[name]);
    }
    const caption = make("figcaption");
    const figure = make("figure", {}, caption, svg);
    panes.push({ svg, image, map, paths, caption, figure });
    followPointer(svg, run, chooseRun);
    followArrows(svg);
    byId("panes").append(figure);
  });
}

/** Make a button for each layer. */
export function buildLayers() {
  for (const [name, key, shown] of LAYERS) {
    state.layers[name] = shown;
    const button = make("button", { id: `layer-${name}`, textContent: name, title: `${name} (${key})` });
    button.onclick = () => toggleLayer(name);
    button.setAttribute("aria-pressed", shown);
    byId("layers").append(button);
  }
}

export function toggleLayer(name) {
  state.layers[name] = !state.layers[name];
  byId(`layer-${name}`).setAttribute("aria-pressed", state.layers[name]);
  drawPanes();
}

// --- drawing --------------------------------------------------------------------------------------------------------

/** Show another page: its name and picture; outlines follow when their answers are there. */
export function drawPage() {
  const page = currentPage();
  byId("name").textContent = page.name;
  byId("name").title = page.name;
  for (const pane of panes) {
    pane.image.setAttribute("href", `image/${state.page}`);
    pane.image.setAttribute("width", page.width);
    pane.image.setAttribute("height", page.height);
    clearOutlines(pane);
  }
  drawPanes();
}

export function drawPanes() {
  panes.forEach((_, run) => drawPane(run));
}

export function drawPane(run) {
  const pane = panes[run];
  const { x, y, width, height } = state.view;
  pane.svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
  const result = currentResult(run);
  if (!result) {
    clearOutlines(pane); // they are of another page
    return;
  }
  drawOutlines(pane, run, result);
  drawMap(pane, run, result);
  drawCaption(pane, run, result);
}

/** Mark the pane of the run whose parameters the sliders show. */
export function markActivePane() {
  panes.forEach((pane, run) => pane.figure.classList.toggle("active", run === state.run));
}

function clearOutlines(pane) {
  for (const path of Object.values(pane.paths)) path.setAttribute("d", "");
}

function drawOutlines(pane, run, result) {
  const outlines = Object.fromEntries(PATHS.map((name) => [name, ""]));
  const { words, polygons, faults } = state.layers;
  state.truth.words.forEach((word, index) => {
    const fault = result.word_faults[index];
    if (faults && fault) outlines[fault] += pathOf(word.points);
    else if (words) outlines[word.ignored ? "ignored" : "truth"] += pathOf(word.points);
  });
  for (const polygon of result.found) {
    if (faults && polygon.fault) outlines[polygon.fault] += pathOf(polygon.points);
    else if (polygons) outlines.found += pathOf(polygon.points);
  }
  const marked = run === state.run ? markedFault() : null;
  if (marked) outlines.here = pathOf(marked.points);
  for (const name of PATHS) pane.paths[name].setAttribute("d", outlines[name]);
}

/** SVG path of an outline x y x y ... */
function pathOf(points) {
  let path = "M";
  for (let i = 0; i < points.length; i += 2) path += `${points[i]} ${points[i + 1]} `;
  return path + "Z";
}

function drawMap(pane, run, result) {
  const [[a, c, e], [b, d, f]] = result.to_page;
  pane.map.setAttribute("transform", `matrix(${a} ${b} ${c} ${d} ${e} ${f})`);
  const source = `map/${run}/${state.page}`;
  if (state.layers.map && pane.map.getAttribute("href") !== source) pane.map.setAttribute("href", source);
  pane.map.style.display = state.layers.map ? "" : "none";
}

function drawCaption(pane, run, result) {
  const all = [...result.word_faults, ...result.found.map((polygon) => polygon.fault)];
  const counts = CAPTION_FAULTS.map((fault) => [fault, all.filter((one) => one === fault).length]);
  const parts = [];
  if (comparesRuns()) parts.push(make("b", { textContent: `${LETTERS[run]} ${about.runs[run].name}` }));
  for (const name of ["h", "p", "r"]) {
    parts.push(make("span", { textContent: `${name.toUpperCase()} ${percent(result.prh[name])}` }));
  }
  parts.push(make("small", { textContent: `IoU70 ${percent(result.iou70.h)}` }));
  for (const [fault, count] of counts) {
    const key = make("span", { className: "key", textContent: `${count} ${fault}` });
    key.style.setProperty("--color", `var(--${fault})`);
    parts.push(key);
  }
  pane.caption.replaceChildren(...parts);
  const page = currentPage();
  const faults = counts.map(([fault, count]) => `${count} ${fault}`).join(", ");
  const label = `${page.name}: ${result.found.length} text polygons, ${page.words} words, ${faults}`;
  pane.svg.setAttribute("aria-label", label);
}

// --- the part of the page that is shown -----------------------------------------------------------------------------

export function showWholePage() {
  const { width, height } = currentPage();
  state.view = { x: -0.01 * width, y: -0.01 * height, width: 1.02 * width, height: 1.02 * height };
}

/** Zoom in by a factor (out where it is below 1), so that a point stays where it is: by default the middle. */
export function zoom(factor, at = null) {
  const { x, y, width, height } = state.view;
  const centre = at ?? { x: x + width / 2, y: y + height / 2 };
  const by = clamp(factor, width / (MOST_WIDTH * currentPage().width), width / MOST_ZOOM);
  state.view = {
    x: centre.x - (centre.x - x) / by,
    y: centre.y - (centre.y - y) / by,
    width: width / by,
    height: height / by,
  };
  drawPanes();
}

/** Move by pixels of the page; the middle stays on the page. */
function pan(dx, dy) {
  const view = state.view;
  const page = currentPage();
  view.x = clamp(view.x + dx, -view.width / 2, page.width - view.width / 2);
  view.y = clamp(view.y + dy, -view.height / 2, page.height - view.height / 2);
  drawPanes();
}

/** Show an outline x y x y ..., with some room around it. */
export function showOutline(points) {
  const xs = points.filter((_, i) => i % 2 === 0);
  const ys = points.filter((_, i) => i % 2 === 1);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const svg = panes[state.run].svg;
  const aspect = svg.clientHeight / svg.clientWidth;
  const width = Math.max(2.2 * (right - left), (3 * (bottom - top)) / aspect, currentPage().width / 3);
  const height = width * aspect;
  state.view = { x: (left + right - width) / 2, y: (top + bottom - height) / 2, width, height };
  drawPanes();
}

// --- pointers and arrow keys ----------------------------------------------------------------------------------------

function followPointer(svg, run, chooseRun) {
  const pressed = new Map(); // latest event of each finger, or of the mouse
  const pagePoint = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());

  const onWheel = (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), pagePoint(event));
  };
  svg.addEventListener("wheel", onWheel, { passive: false });

  svg.onpointerdown = (event) => {
    svg.setPointerCapture(event.pointerId);
    pressed.set(event.pointerId, event);
    if (run !== state.run) chooseRun(run);
  };

  const release = (event) => pressed.delete(event.pointerId);
  svg.onpointerup = release;
  svg.onpointercancel = release;

  svg.onpointermove = (event) => {
    const before = pressed.get(event.pointerId);
    if (!before) {
      describePoint(run, pagePoint(event));
      return;
    }
    const from = pagePoint(before);
    const to = pagePoint(event);
    const otherFinger = [...pressed.values()].find((other) => other.pointerId !== event.pointerId);
    if (otherFinger) pinch(from, to, pagePoint(otherFinger));
    else pan(from.x - to.x, from.y - to.y);
    pressed.set(event.pointerId, event);
  };
}

function pinch(from, to, still) {
  const before = Math.hypot(from.x - still.x, from.y - still.y);
  const after = Math.hypot(to.x - still.x, to.y - still.y);
  zoom(after / Math.max(1, before), still);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function followArrows(svg) {
  svg.onkeydown = (event) => {
    const direction = ARROWS[event.key];
    if (!direction || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [dx, dy] = direction;
    pan((dx * state.view.width) / 8, (dy * state.view.height) / 8);
  };
}

/** Say below the page which word and which text polygon lie under the pointer. */
function describePoint(run, point) {
  const result = currentResult(run);
  if (!result) return;
  const parts = [];
  const index = state.truth.words.findIndex((word) => isInside(word.points, point));
  if (index >= 0) {
    const word = state.truth.words[index];
    const fate = word.ignored ? "ignored" : result.word_faults[index] || "found";
    parts.push(word.text ? `word “${word.text}” ${fate}` : `word ${fate}`);
  }
  const polygon = result.found.find((one) => isInside(one.points, point));
  if (polygon) parts.push(`text polygon ${polygon.score.toFixed(3)} ${polygon.fault}`);
  inform(parts.join("; "));
}

/** Whether a point lies inside an outline x y x y ..., by the even-odd rule. */
function isInside(points, { x, y }) {
  let inside = false;
  for (let i = 0; i < points.length; i += 2) {
    const j = (i + 2) % points.length;
    const [x1, y1, x2, y2] = [points[i], points[i + 1], points[j], points[j + 1]];
    if (y1 > y === y2 > y) continue;
    const crossing = x1 + ((x2 - x1) * (y - y1)) / (y2 - y1);
    if (x < crossing) inside = !inside;
  }
  return inside;
}
