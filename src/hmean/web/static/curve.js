// Macro precision over recall along the box threshold, with lines of equal H behind it.

import { byId, makeSvg, percent } from "./dom.js";
import { currentParams, currentRun, state } from "./state.js";

const FRAME = { left: 34, right: 310, top: 20, bottom: 176 }; // in units of the SVG's viewBox

/**
 * Draw the curves.
 * @param {(threshold: number) => void} choose called with the box threshold of a point that is clicked.
 */
export function drawCurve(choose) {
  const current = currentParams().box_thresh;
  const saved = currentRun().saved.box_thresh;
  const curves = state.scores.runs.map((run) => legiblePoints(run, current));
  const scale = makeScale(curves.flat());
  const nodes = [...drawGrid(scale), ...drawEqualH(scale)];
  curves.forEach((curve, run) => {
    const path = curve.map((point, i) => `${i ? "L" : "M"}${scale.x(point.r)} ${scale.y(point.p)}`).join("");
    nodes.push(makeSvg("path", { class: run === state.run ? "line" : "line other", d: path }));
  });
  for (const point of curves[state.run]) nodes.push(...drawPoint(point, scale, current, saved, choose));
  byId("curve").replaceChildren(...nodes);
  const { p, r } = state.scores.runs[state.run].now.cleval.macro;
  const label = `precision over recall along box_thresh; at ${current} P is ${percent(p)} and R ${percent(r)}`;
  byId("curve").setAttribute("aria-label", label);
}

/** The points of a run's curve, but those where nearly all is dropped: they say little and would take most of the room. */
function legiblePoints(run, current) {
  const least = 0.5 * run.now.cleval.macro.h;
  return run.curve.filter(({ box_thresh, p, r }) => Math.min(p, r) > least || box_thresh === current);
}

/** From P and R to coordinates of the SVG. Both axes end at 1, and begin at a multiple of 0.05 below all points. */
function makeScale(points) {
  const begin = (values) => Math.max(0, Math.floor(20 * Math.min(0.99, ...values)) / 20);
  const lowP = begin(points.map((point) => point.p));
  const lowR = begin(points.map((point) => point.r));
  const width = FRAME.right - FRAME.left;
  const height = FRAME.bottom - FRAME.top;
  return {
    lowP,
    lowR,
    x: (r) => FRAME.left + (width * (r - lowR)) / (1 - lowR),
    y: (p) => FRAME.bottom - (height * (p - lowP)) / (1 - lowP),
  };
}

/** Distance of the lines of a grid from `low` to 1. */
function gridStep(low) {
  if (1 - low > 0.5) return 0.2;
  if (1 - low > 0.2) return 0.1;
  return 0.05;
}

function drawGrid({ lowP, lowR, x, y }) {
  const nodes = [];
  for (let r = 1; r > lowR - 1e-9; r -= gridStep(lowR)) {
    nodes.push(makeSvg("path", { class: "grid", d: `M${x(r)} ${FRAME.top}V${FRAME.bottom}` }));
    nodes.push(makeSvg("text", { x: x(r), y: 189, "text-anchor": "middle" }, Math.round(100 * r)));
  }
  for (let p = 1; p > lowP - 1e-9; p -= gridStep(lowP)) {
    nodes.push(makeSvg("path", { class: "grid", d: `M${FRAME.left} ${y(p)}H${FRAME.right}` }));
    nodes.push(makeSvg("text", { x: 30, y: y(p) + 3, "text-anchor": "end" }, Math.round(100 * p)));
  }
  nodes.push(makeSvg("text", { x: FRAME.right, y: 199, "text-anchor": "end" }, "recall, macro"));
  nodes.push(makeSvg("text", { x: 2, y: 9 }, "precision, macro"));
  return nodes;
}

/** Lines on which H = 2PR / (P + R) is the same. */
function drawEqualH({ lowP, lowR, x, y }) {
  const nodes = [];
  for (let h = 0.05; h < 0.999; h += gridStep(Math.min(lowP, lowR))) {
    let path = "";
    for (let r = 1; r >= lowR; r -= (1 - lowR) / 40) {
      const p = (h * r) / (2 * r - h);
      if (p >= lowP && p <= 1) path += `${path ? "L" : "M"}${x(r)} ${y(p)}`;
    }
    if (path) nodes.push(makeSvg("path", { class: "iso", d: path }));
  }
  return nodes;
}

function drawPoint({ box_thresh, p, r }, scale, current, saved, choose) {
  const centre = { cx: scale.x(r), cy: scale.y(p) };
  const isCurrent = box_thresh === current;
  const nodes = [makeSvg("circle", { class: isCurrent ? "now" : "dot", ...centre, r: isCurrent ? 6 : 2 })];
  if (box_thresh === saved) nodes.push(makeSvg("circle", { class: "saved", ...centre, r: 8 }));
  const target = makeSvg("circle", { class: "hit", ...centre, r: 7 });
  target.append(makeSvg("title", {}, `box_thresh ${box_thresh}: P ${percent(p)}, R ${percent(r)}`));
  target.onclick = () => choose(box_thresh);
  nodes.push(target);
  return nodes;
}
