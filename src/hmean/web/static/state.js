// What the page shows now. The server remembers nothing of it: every request says what it asks for.

export const LETTERS = ["A", "B"]; // of two runs that are compared

/** What does not change while parameters do; see StudioAbout in studio_records.py. Filled in at the start. */
export const about = {};

export const state = {
  page: 0, // index of the page shown
  run: 0, // index of the run whose parameters the sliders show
  params: [], // of each run
  view: null, // the part of the page that is shown: x, y, width, height, in pixels of the page
  layers: {}, // whether each layer is shown, by its name
  shownPages: [], // indices of the pages that pass the filters, in order
  truth: { page: null, words: [] }, // words of a page
  results: [], // of each run: { page, answer }, what it finds on a page
  scores: null, // the latest ScoreAnswer
  fault: -1, // index of the fault that is marked, -1 for none
  milliseconds: { page: null, set: null }, // how long the latest answers took
};

export const currentPage = () => about.pages[state.page];
export const currentRun = () => about.runs[state.run];
export const currentParams = () => state.params[state.run];
export const comparesRuns = () => about.runs.length > 1;

/** What a run finds on the page shown; null until its answer, and that of the words, are there. */
export function currentResult(run) {
  const result = state.results[run];
  if (!result || result.page !== state.page || state.truth.page !== state.page) return null;
  return result.answer;
}

/** P, R, H and faults of a page at the latest scores; null before the first. */
export function pageScore(page, run = state.run) {
  if (!state.scores) return null;
  return state.scores.runs[run].pages[page];
}

export const sameParams = (a, b) => Object.keys(a).every((name) => a[name] === b[name]);
