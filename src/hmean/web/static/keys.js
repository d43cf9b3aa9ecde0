// Single keys, and the dialog that lists them.

import { byId, make } from "./dom.js";

/**
 * Let single keys work.
 * @param {{keys: string[], description: string, act: (key: string) => void}[]} shortcuts the first key of each is listed.
 */
export function buildKeys(shortcuts) {
  listKeys(shortcuts);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!byId("single").checked || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input[type=number], select")) return; // they take keys themselves
    const found = shortcuts.find((shortcut) => shortcut.keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found.act(event.key);
  });
}

function listKeys(shortcuts) {
  const terms = [];
  for (const { keys, description } of shortcuts) terms.push(...term(keys[0], description));
  terms.push(...term("arrows", "in the list: pages; on the page: move; on a slider: its value"));
  byId("help").querySelector("dl").append(...terms);
}

function term(key, description) {
  return [make("dt", {}, make("kbd", { textContent: key })), make("dd", { textContent: description })];
}
