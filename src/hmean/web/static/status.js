// What is said below the page, and to screen readers.

import { byId, make } from "./dom.js";
import { state } from "./state.js";

let shown = "";

/** Show a text below the page, beside the times that the latest answers took. */
export function inform(text = "") {
  shown = text;
  const { page, set } = state.milliseconds;
  const times = [];
  if (page !== null) times.push(`page ${page.toFixed(0)} ms`);
  if (set !== null) times.push(`set ${set.toFixed(0)} ms`);
  byId("info").replaceChildren(
    make("span", { textContent: text }),
    make("small", { textContent: times.join(", ") }),
  );
}

/** Show new times, and leave the text. */
export const informTimes = () => inform(shown);

/** Tell screen readers. */
export function announce(text) {
  byId("live").textContent = text;
}

/** Show why a request has failed. */
export function informFailure(error) {
  if (error.name === "AbortError") return; // a newer request has taken its place
  if (error instanceof TypeError) inform("the studio has ended; start it again");
  else inform(error.message);
}
