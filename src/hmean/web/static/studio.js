// The studio: what happens when a page is opened, a parameter changes, a key is pressed. The other files draw.

import { drawCurve } from "./curve.js";
import { byId, clamp, make, percent } from "./dom.js";
import { pageFaults } from "./faults.js";
import { buildKeys } from "./keys.js";
import { buildPageList, drawPageList, markCurrentPage } from "./pages.js";
import {
  buildLayers,
  buildPanes,
  drawPage,
  drawPane,
  drawPanes,
  LAYERS,
  markActivePane,
  showOutline,
  showWholePage,
  toggleLayer,
  zoom,
} from "./panes.js";
import { buildParameters, drawHistory, drawInfluence, drawParameters, nextValue, parameterKeys } from "./parameters.js";
import { openSaveDialog, save } from "./save.js";
import { drawScoreTable } from "./scores.js";
import { ask } from "./server.js";
import { about, comparesRuns, currentPage, currentParams, currentRun, LETTERS, pageScore, state } from "./state.js";
import { announce, inform, informFailure, informTimes } from "./status.js";

const REST_MS = 120; // after the last change of a parameter, until all pages are scored
const ZOOM_STEP = 1.4;

// --- answers of the server ------------------------------------------------------------------------------------------

const pageRequests = []; // of each run: "running", "repeat" (something changed meanwhile), or null

/** Ask what a run finds on the page shown: one request at a time, and once more if something changed meanwhile. */
async function updatePage(run) {
  if (pageRequests[run]) {
    pageRequests[run] = "repeat";
    return;
  }
  pageRequests[run] = "running";
  const page = state.page;
  const started = performance.now();
  try {
    const answer = await ask("page", { run, page, postprocess: state.params[run] });
    state.milliseconds.page = performance.now() - started;
    if (page === state.page) {
      state.results[run] = { page, answer };
      drawPane(run);
      informTimes();
    }
  } catch (error) {
    informFailure(error);
  }
  const repeat = pageRequests[run] === "repeat";
  pageRequests[run] = null;
  if (repeat) updatePage(run);
}

let restTimer = null;
let scoreRequest = null;

/** Ask what all pages score, once the parameters rest; a newer request ends the one under way. */
function updateScores(delay = REST_MS) {
  clearTimeout(restTimer);
  scoreRequest?.abort();
  restTimer = setTimeout(requestScores, delay);
}

async function requestScores() {
  scoreRequest = new AbortController();
  const started = performance.now();
  byId("pages-scored").textContent = "scoring…";
  try {
    state.scores = await ask("score", { postprocess: state.params }, scoreRequest.signal);
    state.milliseconds.set = performance.now() - started;
    byId("pages-scored").textContent = `${about.pages.length} ${about.split} pages`;
    drawScores();
    informTimes();
  } catch (error) {
    informFailure(error);
  }
}

function drawScores() {
  if (!state.scores) return;
  drawScoreTable();
  drawCurve((threshold) => setParameter("box_thresh", threshold));
  drawPageList(openPage);
}

function drawSettings() {
  drawParameters();
  drawHistory(setParameters);
  drawInfluence();
  markActivePane();
  for (const [run, button] of [...byId("run-choice").children].entries()) {
    button.setAttribute("aria-checked", run === state.run);
    button.tabIndex = run === state.run ? 0 : -1;
  }
}

// --- what a person does ---------------------------------------------------------------------------------------------

async function openPage(page) {
  state.page = page;
  state.fault = -1;
  showWholePage();
  history.replaceState(null, "", `#${encodeURIComponent(currentPage().name)}`);
  drawPage();
  markCurrentPage();
  inform();
  about.runs.forEach((_, run) => updatePage(run));
  try {
    const words = await ask(`truth/${page}`);
    if (page !== state.page) return; // another page was opened meanwhile
    state.truth = { page, words };
    drawPage();
    const score = pageScore(page);
    announce(score ? `${currentPage().name}, H ${percent(score.h)}` : currentPage().name);
  } catch (error) {
    informFailure(error);
  }
}

/** Open the page so many places further down the list. */
function stepPage(by) {
  const place = state.shownPages.indexOf(state.page);
  const next = place < 0 ? 0 : clamp(place + by, 0, state.shownPages.length - 1);
  if (next in state.shownPages) openPage(state.shownPages[next]);
}

function setParameters(params) {
  state.params[state.run] = { ...params };
  state.fault = -1;
  drawSettings();
  updatePage(state.run);
  updateScores();
}

function setParameter(name, value) {
  setParameters({ ...currentParams(), [name]: value });
}

/** Lower or raise a parameter by a key. */
function stepParameter(key) {
  const next = nextValue(key);
  if (!next) return;
  setParameter(next.name, next.value);
  announce(`${next.name} ${next.value}`);
}

/** Let the sliders show the parameters of a run. */
function chooseRun(run) {
  if (run >= about.runs.length) return;
  state.run = run;
  state.fault = -1;
  drawSettings();
  drawScores();
  drawPanes();
  announce(`parameters of ${currentRun().name}`);
}

/** Mark the next fault of the page (the previous one where `by` is -1), and show it. */
function stepFault(by) {
  const faults = pageFaults();
  if (!faults.length) {
    inform("no fault on this page");
    announce("no fault on this page");
    return;
  }
  const from = state.fault < 0 && by < 0 ? 0 : state.fault;
  state.fault = (from + by + faults.length) % faults.length;
  showOutline(faults[state.fault].points);
  const text = `fault ${state.fault + 1} of ${faults.length}, ${faults[state.fault].description}`;
  inform(text);
  announce(text);
}

function fitPage() {
  showWholePage();
  drawPanes();
}

function resetParameters() {
  setParameters(currentRun().saved);
}

function showSaved() {
  drawSettings();
  updateScores(0);
  inform("saved");
  announce("saved");
}

// --- building -------------------------------------------------------------------------------------------------------

function build() {
  buildHeader();
  buildPanes(chooseRun);
  buildLayers();
  buildParameters(setParameter);
  if (comparesRuns()) buildRunChoice();
  buildPageList();
  connectControls();
  buildKeys(shortcuts());
}

function buildHeader() {
  const names = about.runs.map((run, i) => (comparesRuns() ? `${LETTERS[i]} ${run.name}` : run.name));
  const pages = `${about.pages.length} ${about.split} pages, characters by ${about.characters}`;
  byId("what").textContent = [...names, pages].join("  ·  ");
  document.title = `${about.runs.map((run) => run.name).join(", ")}: hmean studio`;
  document.body.classList.toggle("two", comparesRuns());
}

function buildRunChoice() {
  const choice = byId("run-choice");
  choice.hidden = false;
  choice.setAttribute("role", "radiogroup");
  about.runs.forEach((run, i) => {
    const button = make("button", { className: "run", textContent: `${LETTERS[i]} ${run.name}` });
    button.title = `parameters of ${run.name} (${i + 1})`;
    button.setAttribute("role", "radio");
    button.onclick = () => chooseRun(i);
    button.onkeydown = (event) => {
      if (!event.key.startsWith("Arrow")) return;
      chooseRun(1 - state.run);
      choice.children[state.run].focus();
    };
    choice.append(button);
  });
}

const LIST_STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

function connectControls() {
  byId("previous").onclick = () => stepPage(-1);
  byId("next").onclick = () => stepPage(1);
  byId("fault").onclick = () => stepFault(1);
  byId("in").onclick = () => zoom(ZOOM_STEP);
  byId("out").onclick = () => zoom(1 / ZOOM_STEP);
  byId("fit").onclick = fitPage;
  byId("reset").onclick = resetParameters;
  byId("open-help").onclick = () => byId("help").showModal();
  byId("open-save").onclick = openSaveDialog;
  byId("do-save").onclick = (event) => {
    event.preventDefault(); // the dialog closes once it is done
    save(showSaved);
  };
  for (const id of ["kind", "height", "group", "sort"]) byId(id).onchange = drawScores;
  byId("list").onkeydown = (event) => {
    const by = LIST_STEPS[event.key];
    if (!by) return;
    event.preventDefault();
    stepPage(by);
  };
}

function shortcuts() {
  const found = [
    { keys: ["j"], description: "next page", act: () => stepPage(1) },
    { keys: ["k"], description: "previous page", act: () => stepPage(-1) },
    { keys: ["f"], description: "next fault of the page", act: () => stepFault(1) },
    { keys: ["F"], description: "previous fault", act: () => stepFault(-1) },
    { keys: ["+", "="], description: "zoom in", act: () => zoom(ZOOM_STEP) },
    { keys: ["-"], description: "zoom out", act: () => zoom(1 / ZOOM_STEP) },
    { keys: ["0"], description: "whole page", act: fitPage },
  ];
  for (const [name, key] of LAYERS) {
    found.push({ keys: [key], description: `show or hide ${name}`, act: () => toggleLayer(name) });
  }
  for (const [key, description] of parameterKeys()) found.push({ keys: [key], description, act: stepParameter });
  found.push({ keys: ["r"], description: "back to the saved values", act: resetParameters });
  found.push({ keys: ["s"], description: "save…", act: openSaveDialog });
  if (comparesRuns()) {
    found.push({ keys: ["1"], description: "parameters of run A", act: () => chooseRun(0) });
    found.push({ keys: ["2"], description: "parameters of run B", act: () => chooseRun(1) });
  }
  found.push({ keys: ["/"], description: "to the filters", act: () => byId("kind").focus() });
  found.push({ keys: ["?"], description: "these keys", act: () => byId("help").showModal() });
  return found;
}

async function start() {
  Object.assign(about, await ask("about"));
  state.params = about.runs.map((run) => ({ ...run.saved }));
  state.shownPages = about.pages.map((_, page) => page);
  build();
  drawSettings();
  updateScores(0);
  const named = decodeURIComponent(location.hash.slice(1));
  const page = about.pages.findIndex(({ name }) => name === named);
  await openPage(Math.max(page, 0));
}

start().catch(informFailure);
