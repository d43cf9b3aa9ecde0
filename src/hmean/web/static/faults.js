// The faults of the page shown, from top to bottom.

import { currentResult, state } from "./state.js";

/** Each fault of the run whose sliders are shown: the outline of a word or a text polygon, and what is wrong, in words. */
export function pageFaults() {
  const result = currentResult(state.run);
  if (!result) return [];
  const faults = [];
  state.truth.words.forEach((word, index) => {
    const fault = result.word_faults[index];
    const name = word.text ? `“${word.text}”` : "a word";
    if (fault) faults.push({ points: word.points, description: `${fault}: ${name}` });
  });
  for (const polygon of result.found) {
    const description = `${polygon.fault}: a text polygon with score ${polygon.score.toFixed(3)}`;
    if (polygon.fault) faults.push({ points: polygon.points, description });
  }
  return faults.sort((a, b) => a.points[1] - b.points[1]);
}

/** The fault that is marked, if any. */
export const markedFault = () => pageFaults()[state.fault];
