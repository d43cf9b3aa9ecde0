// The post-processing parameters: a slider and a number, or a list of choices, for each that the server declares.

import { byId, clamp, make } from "./dom.js";
import { about, currentParams, currentRun, sameParams } from "./state.js";

/** Keys that lower and raise a parameter. The two that only one unclip mode reads share theirs. */
export const PARAMETER_KEYS = {
  thresh: ["[", "]"],
  box_thresh: [";", "'"],
  unclip_ratio: [",", "."],
  inverse_r: [",", "."],
  min_size: ["<", ">"],
};

const rows = []; // { parameter, row, label, show(value) }

/**
 * Make a row for each parameter.
 * @param {(name: string, value: any) => void} change called with a new value.
 */
export function buildParameters(change) {
  for (const parameter of about.parameters) {
    const id = `parameter-${parameter.name}`;
    const label = make("label", { htmlFor: id, textContent: parameter.name });
    const control = parameter.choices.length ? makeChoices(parameter, id, change) : makeNumber(parameter, id, change);
    const row = make("div", { className: "parameter" }, label, ...control.elements);
    rows.push({ parameter, row, label, show: control.show });
    byId("parameters").append(row);
  }
}

function makeChoices(parameter, id, change) {
  const options = parameter.choices.map(({ value, label }) => make("option", { value: String(value), textContent: label }));
  const select = make("select", { id, className: "wide" }, ...options);
  select.onchange = () => change(parameter.name, parameter.choices[select.selectedIndex].value);
  const show = (value) => {
    select.value = String(value);
  };
  return { elements: [select], show };
}

function makeNumber(parameter, id, change) {
  const { name, slider, minimum, maximum, is_whole } = parameter;
  const number = make("input", { type: "number", step: is_whole ? 1 : "any" });
  const inputs = [number];
  if (minimum !== null) number.min = minimum;
  if (maximum !== null) number.max = maximum;
  number.onchange = () => {
    if (number.value !== "" && number.checkValidity()) change(name, Number(number.value));
    else drawParameters();
  };
  if (slider) {
    const range = make("input", { type: "range", id, min: slider.low, max: slider.high, step: slider.step });
    range.oninput = () => change(name, Number(range.value));
    number.setAttribute("aria-label", `${name}, exactly`);
    inputs.unshift(range);
  } else {
    number.id = id;
    number.className = "wide";
  }
  const show = (value) => {
    for (const input of inputs) {
      const isBeingTyped = input === document.activeElement && Number(input.value) === value;
      if (!isBeingTyped) input.value = value;
    }
  };
  return { elements: inputs, show };
}

/** Show the values of the run that the sliders belong to, and which of them differ from the saved ones. */
export function drawParameters() {
  const params = currentParams();
  const { saved } = currentRun();
  for (const { parameter, row, label, show } of rows) {
    const { name } = parameter;
    row.hidden = !isRead(parameter, params);
    label.classList.toggle("changed", params[name] !== saved[name]);
    label.title = `${parameter.help} Saved: ${saved[name]}`;
    show(params[name]);
  }
  const unchanged = sameParams(params, saved);
  byId("reset").disabled = unchanged;
  byId("open-save").disabled = unchanged;
}

/** Whether the post-processing reads a parameter in its present unclip mode. */
const isRead = (parameter, params) => parameter.unclip === null || parameter.unclip === params.unclip;

/** The parameter that a key changes now, and its next value; null if the key changes none. */
export function nextValue(key) {
  for (const [name, keys] of Object.entries(PARAMETER_KEYS)) {
    const parameter = about.parameters.find((one) => one.name === name);
    if (!parameter?.slider || !keys.includes(key) || !isRead(parameter, currentParams())) continue;
    const direction = key === keys[1] ? 1 : -1;
    const { low, high, step } = parameter.slider;
    const value = clamp(currentParams()[name] + direction * step, low, high);
    return { name, value: Number(value.toFixed(4)) };
  }
  return null;
}

/** What the keys of parameters do, for the list of keys: [key, description]. */
export function parameterKeys() {
  const described = new Map();
  for (const [name, keys] of Object.entries(PARAMETER_KEYS)) {
    const parameter = about.parameters.find((one) => one.name === name);
    if (!parameter) continue;
    const what = parameter.unclip === null ? name : "unclip";
    described.set(keys[0], `${what} down`);
    described.set(keys[1], `${what} up`);
  }
  return [...described];
}

/** Earlier values of the run, each with a button that brings them back to the sliders. */
export function drawHistory(use) {
  const { history } = currentRun();
  if (!history.length) {
    byId("history").textContent = "none: the values are those of its training";
    return;
  }
  const items = history.map((entry) => {
    const button = make("button", { textContent: "Use", onclick: () => use(entry.postprocess) });
    const values = make("span", { textContent: summary(entry.postprocess) });
    const reason = make("small", { textContent: `until ${entry.until.replace("T", " ")}: ${entry.why}` });
    return make("li", {}, values, reason, button);
  });
  byId("history").replaceChildren(...items);
}

function summary(params) {
  const strength = params.unclip === "ratio" ? params.unclip_ratio : params.inverse_r;
  const sides = params.edge_level > 0 ? `, edge_level ${params.edge_level}` : "";
  const outlines = params.use_polygon ? ", polygons" : "";
  return `thresh ${params.thresh}, box_thresh ${params.box_thresh}, ${params.unclip} ${strength}${sides}${outlines}`;
}

const INFLUENCES = [
  ["trained", "trained on"],
  ["epoch_chosen", "the epoch was chosen on"],
  ["tuned", "thresholds were chosen on"],
];

/** Say which of these pages the run was trained or chosen on: its scores on them are optimistic. */
export function drawInfluence() {
  const { influenced_by } = currentRun();
  const parts = [];
  for (const [key, description] of INFLUENCES) {
    const count = influenced_by[key];
    if (count) parts.push(`${description} ${count} of these pages`);
  }
  byId("influence").textContent = parts.length ? `Scores here are optimistic: ${parts.join(", ")}.` : "";
}
