// The dialog that saves the parameters into a run's checkpoint.

import { byId, make } from "./dom.js";
import { gainText } from "./scores.js";
import { ask } from "./server.js";
import { about, currentParams, currentRun, sameParams, state } from "./state.js";

/** Ask whether to save, and say what would change. */
export function openSaveDialog() {
  const run = currentRun();
  const params = currentParams();
  if (sameParams(params, run.saved)) return;
  byId("save-title").textContent = `Save into ${run.name}/checkpoints/best.ckpt?`;
  const changed = Object.keys(params).filter((name) => params[name] !== run.saved[name]);
  byId("changes").replaceChildren(...changed.map((name) => changeRow(name, run.saved[name], params[name])));
  byId("save-gain").textContent = "";
  if (state.scores) byId("save-gain").textContent = gainText(state.scores.runs[state.run].gain, "the saved values");
  byId("save-pages").textContent = `${about.pages.length} ${about.split} pages`;
  byId("save-error").textContent = "";
  byId("save").showModal();
}

function changeRow(name, before, after) {
  const head = make("th", { scope: "row", textContent: name });
  return make("tr", {}, head, make("td", { textContent: `${before} → ${after}` }));
}

/** Save. Why it failed, if it did, is shown in the dialog; `saved` is called when it is done. */
export async function save(saved) {
  const run = state.run;
  byId("do-save").disabled = true;
  try {
    about.runs[run] = await ask("save", { run, postprocess: state.params[run] });
    byId("save").close();
    saved();
  } catch (error) {
    byId("save-error").textContent = error.message;
  }
  byId("do-save").disabled = false;
}
