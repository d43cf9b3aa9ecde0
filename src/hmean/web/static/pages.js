// The list of pages: filtered, sorted, with what each scores.

import { byId, make, percent, signedPoints } from "./dom.js";
import { about, comparesRuns, pageScore, state } from "./state.js";

const FAULT_NAMES = { missed: "missed", split: "split", false: "false", doubled: "found twice", merged: "merged" };
const LISTED_FAULTS = ["missed", "split", "false", "merged"];
const gainOfB = (page) => pageScore(page, 1).h - pageScore(page, 0).h;

/** What pages are sorted by, besides the number of characters with a fault. */
const SORTS = {
  "H, worst first": (page) => pageScore(page).h,
  "H, best first": (page) => -pageScore(page).h,
  name: (page) => about.pages[page].name,
  "small text first": (page) => about.pages[page].text_height ?? Infinity,
  "large text first": (page) => -(about.pages[page].text_height ?? 0),
  group: (page) => about.pages[page].group ?? "",
  "B worse than A": gainOfB,
  "B better than A": (page) => -gainOfB(page),
};

// --- building -------------------------------------------------------------------------------------------------------

/** Fill the filters and the heads of the columns. */
export function buildPageList() {
  const faults = about.faults.map((fault) => [fault, FAULT_NAMES[fault]]);
  addOptions("kind", [["all", "all pages"], ["any", "any fault"], ...faults]);
  addOptions("height", [["all", "any"], ...heightBins()]);
  const groups = [...new Set(about.pages.map((page) => page.group ?? ""))].sort();
  byId("group-label").hidden = groups.length < 2;
  addOptions("group", [["all", "all"], ...groups.map((group) => [group, group || "(none)"])]);
  const sorts = Object.keys(SORTS).filter((name) => comparesRuns() || !name.startsWith("B "));
  addOptions("sort", [...sorts.map((name) => [name, name]), ...faults.map(([fault, name]) => [fault, `most ${name}`])]);
  const heads = comparesRuns() ? ["page", "H of A", "H of B", "B − A"] : ["page", "H", ...LISTED_FAULTS];
  byId("heads").append(...heads.map((textContent) => make("span", { textContent })));
}

function addOptions(id, options) {
  byId(id).append(...options.map(([value, textContent]) => make("option", { value, textContent })));
}

/** The bins of text height: index and name. */
function heightBins() {
  const edges = about.height_edges;
  const names = [`under ${edges[0]} px`];
  for (let i = 1; i < edges.length; i += 1) names.push(`${edges[i - 1]} to ${edges[i]} px`);
  names.push(`${edges.at(-1)} px and more`);
  return names.map((name, index) => [index, name]);
}

// --- drawing --------------------------------------------------------------------------------------------------------

/**
 * List the pages that pass the filters.
 * @param {(page: number) => void} open called with the page that is clicked.
 */
export function drawPageList(open) {
  const passing = about.pages.map((_, page) => page).filter(passesFilters);
  state.shownPages = sorted(passing);
  byId("list").replaceChildren(...state.shownPages.map((page) => listItem(page, open)));
  const unit = comparesRuns() ? "" : "; faults in characters";
  byId("count").textContent = `${state.shownPages.length} of ${about.pages.length} pages${unit}`;
  markCurrentPage();
}

function passesFilters(page) {
  const kind = byId("kind").value;
  const height = byId("height").value;
  const group = byId("group").value;
  const { faults } = pageScore(page);
  const { height_bins, group: ownGroup } = about.pages[page];
  if (kind === "any" && !Object.values(faults).some(Boolean)) return false;
  if (kind in faults && faults[kind] === 0) return false;
  if (height !== "all" && !height_bins.includes(Number(height))) return false;
  return group === "all" || group === (ownGroup ?? "");
}

function sorted(pages) {
  const sort = byId("sort").value;
  const key = SORTS[sort] ?? ((page) => -pageScore(page).faults[sort]);
  const order = (a, b) => {
    if (typeof key(a) === "string") return key(a).localeCompare(key(b), undefined, { numeric: true });
    return key(a) - key(b);
  };
  return pages.sort((a, b) => order(a, b) || a - b);
}

function listItem(page, open) {
  const { name, group, text_height } = about.pages[page];
  const { h, faults } = pageScore(page);
  const item = make("li", { id: `page-${page}`, className: "row", onclick: () => open(page) });
  item.title = `${name}${group ? `, ${group}` : ""}: text ${text_height ?? "-"} px`;
  item.setAttribute("role", "option");
  const described = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`);
  item.setAttribute("aria-label", `${name}, H ${percent(h)}, ${described.join(", ")}`);
  item.append(make("span", { textContent: name }), ...(comparesRuns() ? comparedCells(page) : faultCells(h, faults)));
  return item;
}

function comparedCells(page) {
  const texts = [percent(pageScore(page, 0).h), percent(pageScore(page, 1).h), signedPoints(gainOfB(page))];
  return texts.map((textContent) => make("span", { textContent }));
}

function faultCells(h, faults) {
  const cells = [make("span", { textContent: percent(h) })];
  for (const fault of LISTED_FAULTS) {
    const cell = make("span", { textContent: faults[fault] || "·", className: faults[fault] ? "" : "none" });
    if (faults[fault]) cell.style.color = `var(--${fault})`;
    cells.push(cell);
  }
  return cells;
}

/** Mark the page shown in the list, and scroll to it where the list has a place of its own. */
export function markCurrentPage() {
  const list = byId("list");
  for (const item of list.querySelectorAll("[aria-selected=true]")) item.setAttribute("aria-selected", false);
  const item = byId(`page-${state.page}`);
  if (!item) {
    list.removeAttribute("aria-activedescendant");
    return;
  }
  item.setAttribute("aria-selected", true);
  list.setAttribute("aria-activedescendant", item.id);
  const isBesidePage = matchMedia("(min-width: 62rem)").matches;
  if (isBesidePage || document.activeElement === list) item.scrollIntoView({ block: "nearest" });
}
