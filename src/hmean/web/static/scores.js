// Scores of all pages: the table, and what the difference to the saved values, or between two runs, is worth.

import { byId, make, percent, signedPoints } from "./dom.js";
import { about, comparesRuns, state } from "./state.js";

const STATISTICS = [
  ["macro", (scores) => scores.cleval.macro],
  ["pooled", (scores) => scores.cleval.pooled],
  ["IoU50", (scores) => scores.iou50],
  ["IoU70", (scores) => scores.iou70],
];
const SMALLEST_SHOWN = 5e-5; // a smaller change rounds to 0.00 points

export function drawScoreTable() {
  const { now, saved, gain } = state.scores.runs[state.run];
  const rows = STATISTICS.map(([name, of]) => tableRow(name, of(now), of(saved)));
  byId("scores").tBodies[0].replaceChildren(...rows);
  byId("gain").textContent = gainText(gain, "the saved values");
  byId("grouping").textContent = groupingText();
  if (comparesRuns()) byId("between").textContent = `B: ${gainText(state.scores.between, "A")}`;
}

function tableRow(name, now, saved) {
  const cells = ["p", "r", "h"].map((key) => make("td", { textContent: percent(now[key]) }));
  const change = now.h - saved.h;
  let difference = make("td", { textContent: "·" });
  if (Math.abs(change) >= SMALLEST_SHOWN) {
    difference = make("td", { textContent: signedPoints(change), className: change > 0 ? "up" : "down" });
  }
  return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells, difference);
}

/** A difference of macro H with its interval, and a verdict, in words. */
export function gainText(gain, reference) {
  if (!gain) return `the same as ${reference}`;
  const change = `macro H ${signedPoints(gain.gain)}`;
  if (!gain.interval95) return `${change} against ${reference}: too few groups of pages for an interval`;
  const [low, high] = gain.interval95;
  let verdict = "not distinguishable";
  if (low > 0) verdict = "better";
  if (high < 0) verdict = "worse";
  const interval = `[${signedPoints(low)}, ${signedPoints(high)}]`;
  return `${change} ${interval} against ${reference}: ${verdict}`;
}

/** What the intervals rest on, in words. */
function groupingText() {
  if (!about.grouping_warning) return about.grouping;
  return `${about.grouping}. Careful: ${about.grouping_warning}`;
}
