"""Scores of a set of pages as a row of a table: one run or the mean of several seeds, intervals over shops, differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from hmean.metrics.groups import Grouping, PageGroups
from hmean.metrics.intervals import (
    Contributions,
    Interval,
    Verdict,
    contributions,
    count_arrays,
    interval_pairs,
    intervals,
    page_groups,
    verdict,
    within_0_and_1,
)
from hmean.metrics.scorer import PageScore
from hmean.metrics.seeds import SeedSpread, widened
from hmean.metrics.statistics import summands
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record

Shown = Literal["macro", "shops", "pooled", "iou50", "iou70", "single"]
SHOWN: dict[Shown, str] = {
    "macro": "macro H",
    "shops": "macro H over shops",
    "pooled": "pooled H",
    "iou50": "IoU50 H",
    "iou70": "IoU70 H",
    "single": "single characters R",
}
DEFAULT_SHOWN: tuple[Shown, ...] = ("macro", "shops", "pooled", "iou50", "iou70")
WITH_SINGLE: tuple[Shown, ...] = ("macro", "pooled", "iou50", "iou70", "single")
WITHOUT_SHOPS: tuple[Shown, ...] = ("macro", "pooled", "iou50", "iou70")
Runs = Sequence[Sequence[PageScore]]  # the same pages in the same order, as each of several trainings scored


class Cell(Record):
    """One number of a row, in [0, 1]."""

    value: float = Field(description="mean over the runs")
    interval95: Interval | None = Field(description="over groups of pages, and over seeds where there are several runs")
    runs: tuple[float, ...] = Field(description="of each run")


class Row(Record):
    """What a set of pages scored."""

    model: str = Field(description="what found the text")
    pages: str = Field(description="name of the set")
    values: str = Field(description="how the post-processing values came about")
    long_side: int | None = Field(default=None, description="of the page as the network sees it, pixels")
    postprocess: tuple[PostprocessParams, ...] = Field(default=(), description="these values, each set of them once")
    grouping: Grouping = Field(description="of the pages")
    scores: dict[Shown, Cell] = Field(description="hmeans; of words of one character the recall")


class DifferenceCell(Record):
    """The difference of one number."""

    difference: float = Field(description="mean over the runs")
    interval95: Interval | None = Field(description="by itself")
    family95: Interval | None = Field(description="for all differences of the table together")
    verdict: Verdict = Field(description="what the family's interval says")


class DifferenceRow(Record):
    """The differences of one result to another on the same pages."""

    name: str = Field(description="the result")
    minus: str = Field(description="the other")
    scores: dict[Shown, DifferenceCell] = Field(description="of each number")


class Side(NamedTuple):
    """One result of a comparison: a name, and the pages as each of its runs scored them."""

    name: str
    runs: Runs


def score_row(runs: Runs, *, model: str, pages: str, values: str, long_side: int | None = None,
              postprocess: Sequence[PostprocessParams] = (), shown: Sequence[Shown] = DEFAULT_SHOWN) -> Row:  # fmt: skip
    """The row of one result."""
    groups = page_groups(runs[0])
    cells = {}
    for name in _counted(runs[0], shown):
        parts = [_contributions(run, name, groups) for run in runs]
        mean = Contributions.mean_of(parts)
        values_of_runs = [float(part.value[0]) for part in parts]
        (interval,) = intervals(mean)
        value = float(mean.value[0])
        spread = SeedSpread.of(values_of_runs)
        if spread is not None:
            interval = widened(interval, value, spread.half_width(len(runs)))
        cells[name] = Cell(value=value, interval95=within_0_and_1(interval), runs=tuple(values_of_runs))
    return Row(
        model=model,
        pages=pages,
        values=values,
        long_side=long_side,
        postprocess=tuple(dict.fromkeys(postprocess)),
        grouping=groups.grouping(),
        scores=cells,
    )


def difference_rows(
    pairs: Sequence[tuple[Side, Side]], *, same_trainings: bool, shown: Sequence[Shown] = DEFAULT_SHOWN
) -> list[DifferenceRow]:
    """The differences of the first of each pair to the second; all pairs are one family.

    Args:
        pairs: on the same pages.
        same_trainings: whether run i of both sides is one training (with other values of the post-processing): then the
            spread over seeds is that of the differences. Else each side with several runs adds its own.
        shown: which numbers.
    """
    groups = page_groups(pairs[0][0].runs[0])
    cells: list[dict[Shown, DifferenceCell]] = [{} for _ in pairs]
    for name in _counted(pairs[0][0].runs[0], shown):
        differences = []
        half_widths = []
        for first, second in pairs:
            ours = [_contributions(run, name, groups) for run in first.runs]
            theirs = [_contributions(run, name, groups) for run in second.runs]
            differences.append(Contributions.mean_of(ours).minus(Contributions.mean_of(theirs)))
            half_widths.append(_seed_half_width(_values(ours), _values(theirs), same_trainings=same_trainings))
        stacked = Contributions.stacked(differences)
        found = interval_pairs(stacked)
        for i, half_width in enumerate(half_widths):
            value = float(stacked.value[i])
            family = widened(found.family[i], value, half_width)
            cells[i][name] = DifferenceCell(
                difference=value,
                interval95=widened(found.single[i], value, half_width),
                family95=family,
                verdict=verdict(family),
            )
    rows = []
    for (first, second), scores in zip(pairs, cells, strict=True):
        rows.append(DifferenceRow(name=first.name, minus=second.name, scores=scores))
    return rows


def _counted(pages: Sequence[PageScore], shown: Sequence[Shown]) -> list[Shown]:
    """The numbers that these pages can have: those without words of one character have no recall of them."""
    has_single = any(page.single.gt > 0 for page in pages)
    return [name for name in shown if name != "single" or has_single]


def _values(parts: Sequence[Contributions]) -> list[float]:
    return [float(part.value[0]) for part in parts]


def _seed_half_width(ours: Sequence[float], theirs: Sequence[float], *, same_trainings: bool) -> float:
    """Half of the interval that seeds add to a difference; 0 where no side has several trainings."""
    if same_trainings:
        spread = SeedSpread.of([a - b for a, b in zip(ours, theirs, strict=True)])
        sides = [len(ours)]
    else:
        spread = SeedSpread.of(ours, theirs)
        sides = [len(side) for side in (ours, theirs) if len(side) > 1]
    if spread is None:
        return 0.0
    return spread.half_width(*sides)


def _contributions(pages: Sequence[PageScore], name: Shown, groups: PageGroups) -> Contributions:
    """What each group contributes to one number."""
    if name == "single":
        found_of_all = np.array([[page.single.tp, page.single.gt] for page in pages], dtype=np.float64)
        return Contributions.of_sums(groups.sums(found_of_all)[None])
    if name != "shops":
        return contributions(pages, [name], groups)[name]
    counts, matches = count_arrays(pages)
    of_groups = groups.sums(summands(counts, matches, "macro"))  # sum of H, and number of pages
    mean_of_group = of_groups[:, 0] / of_groups[:, 1]
    each_once = np.stack([mean_of_group, np.ones_like(mean_of_group)], axis=-1)
    return Contributions.of_sums(each_once[None])


# --- tables -----------------------------------------------------------------------------------------------------------


def score_table(rows: Sequence[Row], shown: Sequence[Shown]) -> str:
    """Scores in percent with their 95 % intervals."""
    lines = [
        f"| pages | model | values | {' | '.join(SHOWN[name] for name in shown)} |",
        "|---|---|---|" + "--:|" * len(shown),
    ]
    for row in rows:
        cells = [cell_text(row, name) for name in shown]
        model = row.model
        if row.long_side is not None:
            model += f", {row.long_side} px"
        lines.append(f"| {row.pages} ({row.grouping.pages}) | {model} | {row.values} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell_text(row: Row, name: Shown) -> str:
    """One number of a row with its interval; nothing where the row has no such number."""
    cell = row.scores.get(name)
    if cell is None:
        return ""
    return percent(cell.value, cell.interval95)


def difference_table(rows: Sequence[DifferenceRow], shown: Sequence[Shown]) -> str:
    """Differences in points, with the interval by itself, that of the family, and what that says."""
    lines = [
        "| | | difference, points | 95 % | 95 %, family | verdict |",
        "|---|---|--:|---|---|---|",
    ]
    for row in rows:
        for name in shown:
            if name not in row.scores:
                continue
            cell = row.scores[name]
            lines.append(
                f"| {row.name} - {row.minus} | {SHOWN[name]} | {100 * cell.difference:+.2f} | {points(cell.interval95)} | "
                f"{points(cell.family95)} | {cell.verdict} |"
            )
    return "\n".join(lines)


def percent(value: float, interval: Interval | None) -> str:
    """A score with its interval."""
    if interval is None:
        return f"{100 * value:.2f} [too few groups]"
    return f"{100 * value:.2f} [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]"


def points(interval: Interval | None) -> str:
    """The interval of a difference."""
    if interval is None:
        return "too few groups"
    return f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def describe_values(params: Sequence[PostprocessParams]) -> str:
    """Threshold, box threshold and unclip of one or several sets of values, each once."""
    found: dict[str, None] = {}
    for one in params:
        unclip = f"ratio {one.unclip_ratio}"
        if one.unclip == "inverse":
            unclip = f"inverse {one.inverse_r}"
        if one.edge_level > 0:
            unclip += f", sides at {one.edge_level}"
        found[f"{one.thresh} / {one.box_thresh} / {unclip}"] = None
    return "; ".join(found)


def describe_groups(rows: Sequence[Row]) -> str:
    """Pages and shops of each set of pages, and what to be careful about."""
    lines: dict[str, None] = {}
    for row in rows:
        line = f"- {row.pages}: {row.grouping.text()}."
        warning = row.grouping.warning()
        if warning is not None:
            line += f" Careful: {warning}."
        lines[line] = None
    return "\n".join(lines)


INTERVALS = (
    "In brackets the 95 % interval over shops, not over pages ([what it means](../concepts/intervals.md)); where a row is the "
    "mean of several seeds, their spread is added."
)
