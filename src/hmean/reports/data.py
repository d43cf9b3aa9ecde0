"""``hmean data stats``: a data set in numbers, as a table of the terminal and as one HTML page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hmean.data.survey import SurveyedPages
from hmean.files import write_text
from hmean.reports.data_figures import draw_data
from hmean.reports.data_record import SMALL, DataStatistics, SeenText, SplitStatistics, Spread
from hmean.reports.page import render
from hmean.reports.words import DEFAULT_LANGUAGE, Language, Words
from hmean.types import View

MOST_SCRIPTS = 8  # a row each
TEXT_WIDTH = 100  # characters of a line of the terminal
MANY_SMALL = 0.05  # share of words that are small in their view: from here on it is said what to do
MOST_LINES = 30  # of what splits share


@dataclass(frozen=True)
class Cell:
    """A value of one split.

    Attributes:
        value: as text.
        detail: what is said of it in brackets, or nothing.
    """

    value: str
    detail: str = ""

    def text(self) -> str:
        """Both in one line."""
        if not self.detail:
            return self.value
        return f"{self.value} ({self.detail})"


UNKNOWN = Cell("-")


@dataclass(frozen=True)
class Row:
    """One quantity.

    Attributes:
        title: what it is.
        cells: its values, one for each split.
    """

    title: str
    cells: list[Cell]


@dataclass(frozen=True)
class Part:
    """Quantities of one kind.

    Attributes:
        title: of the kind.
        rows: the quantities.
    """

    title: str
    rows: list[Row]


def data_table(statistics: DataStatistics, words: Words) -> list[Part]:
    """The numbers of all splits side by side, kind by kind."""
    splits = statistics.splits
    say = words.say

    pages = Part(
        say("data.pages"),
        [
            Row(say("data.row.pages"), [_count(split.pages) for split in splits]),
            Row(say("data.row.faults"), [_count(split.faults) for split in splits]),
            Row(say("data.row.unlabelled"), [_count(split.unlabelled) for split in splits]),
            Row(say("data.row.empty"), [_count(split.empty) for split in splits]),
            Row(say("data.row.long_side"), [_spread(split.long_side, 0) for split in splits]),
            Row(say("data.row.page_aspect"), [_spread(split.page_aspect, 2) for split in splits]),
            Row(say("data.row.words_of_page"), [_spread(split.words_of_page, 0) for split in splits]),
            Row(say("data.row.density"), [_spread(split.density, 0) for split in splits]),
            Row(say("data.row.covered"), [_spread(split.covered, 1, percent=True) for split in splits]),
        ],
    )
    word_rows = Part(
        say("data.words"),
        [
            Row(say("data.row.words"), [_count(split.words) for split in splits]),
            Row(say("data.row.ignored"), [_count(split.ignored) for split in splits]),
            Row(say("data.row.texts"), [_count(split.texts) for split in splits]),
            Row(say("data.row.height"), [_spread(split.height, 1) for split in splits]),
            Row(say("data.row.aspect"), [_spread(split.aspect, 1) for split in splits]),
            Row(say("data.row.slope"), [_spread(split.slope, 1) for split in splits]),
            Row(say("data.row.upright"), [_percent(split.upright) for split in splits]),
        ],
    )
    groups = Part(
        say("data.groups"),
        [
            Row(say("data.row.groups"), [_count(len(split.groups)) for split in splits]),
            Row(say("data.row.ungrouped"), [_count(split.ungrouped) for split in splits]),
            Row(say("data.row.largest"), [_largest(split) for split in splits]),
            Row(say("data.row.effective"), [_effective(split) for split in splits]),
        ],
    )
    seen = [
        _seen(say("data.page_view", side=statistics.long_side), [split.page_view for split in splits], words),
        _seen(
            say("data.text_view", height=f"{statistics.text_height:g}", side=statistics.long_side),
            [split.text_view for split in splits],
            words,
        ),
    ]
    parts = [pages, word_rows, groups, *seen]
    if splits[-1].scripts:
        parts.append(_scripts(splits, words))
    return parts


def _seen(title: str, views: Sequence[SeenText | None], words: Words) -> Part:
    heights = []
    small = []
    pixels = []
    for view in views:
        if view is None:
            heights.append(UNKNOWN)
            small.append(UNKNOWN)
            pixels.append(UNKNOWN)
            continue
        heights.append(_spread(view.height, 1))
        small.append(_percent(view.small))
        pixels.append(Cell(f"{view.pixels:.2f}"))
    return Part(
        title,
        [
            Row(words.say("data.row.height"), heights),
            Row(words.say("data.row.small", pixels=f"{SMALL:g}"), small),
            Row(words.say("data.row.pixels"), pixels),
        ],
    )


def _count(number: int) -> Cell:
    return Cell(f"{number:,}")


def _spread(spread: Spread | None, digits: int, *, percent: bool = False) -> Cell:
    """The median, and what 90 % of the values lie between: ``21.0 (11.7 – 43.5)``."""  # noqa: RUF002 - a range
    if spread is None:
        return UNKNOWN
    factor = 1
    if percent:
        factor = 100
    median, low, high = (f"{factor * value:,.{digits}f}" for value in (spread.median, spread.p5, spread.p95))
    return Cell(median, f"{low} – {high}")  # noqa: RUF001 - a range


def _percent(share: float | None) -> Cell:
    if share is None:
        return UNKNOWN
    return Cell(f"{100 * share:.1f} %")


def _scripts(splits: Sequence[SplitStatistics], words: Words) -> Part:
    """The share of each script, a row each; the scripts in the order of the last split, which is all of them."""
    rows = []
    for script in list(splits[-1].scripts)[:MOST_SCRIPTS]:
        cells = []
        for split in splits:
            total = sum(split.scripts.values())
            cells.append(_percent(split.scripts.get(script, 0) / max(total, 1)))
        rows.append(Row(words.word(script), cells))
    return Part(words.say("data.row.scripts"), rows)


def _largest(split: SplitStatistics) -> Cell:
    if split.grouping is None or not split.groups:
        return UNKNOWN
    return Cell(f"{100 * split.grouping.largest_share:.0f} %", next(iter(split.groups)))


def _effective(split: SplitStatistics) -> Cell:
    if split.grouping is None:
        return UNKNOWN
    return Cell(f"{split.grouping.effective:.1f}")


def data_remarks(statistics: DataStatistics, words: Words) -> list[str]:
    """What to be careful about, a sentence each: faults, shared pages and groups, small text."""
    found = []
    whole = statistics.splits[-1]
    if whole.faults:
        found.append(words.say("data.remark.faults", faults=whole.faults))
    leaks = statistics.leaks
    if leaks.pages:
        found.append(words.say("data.remark.pages", count=len(leaks.pages)))
    if leaks.groups:
        found.append(words.say("data.remark.groups", count=len(leaks.groups)))
    if leaks.copies:
        found.append(words.say("data.remark.copies", count=len(leaks.copies)))
    seen = whole.page_view
    if statistics.view == "text":
        seen = whole.text_view
    if seen is not None and seen.small is not None and seen.small > MANY_SMALL:
        found.append(words.say("data.remark.small", share=f"{100 * seen.small:.0f}", pixels=f"{SMALL:g}"))
    return found


# --- terminal ---------------------------------------------------------------------------------------------------------


def render_table(statistics: DataStatistics) -> str:
    """The numbers as text, a column for each split; above it that there are faults, below it what splits share."""
    words = Words()
    parts = data_table(statistics, words)
    remarks = data_remarks(statistics, words)
    fault_lines = []
    if statistics.splits[-1].faults:
        fault_lines = [*textwrap.wrap(remarks.pop(0), TEXT_WIDTH), ""]
    names = [split.name for split in statistics.splits]
    rows = [row for part in parts for row in part.rows]
    title_width = max(len(row.title) for row in rows) + 2
    widths = []
    for column, name in enumerate(names):
        widths.append(max(len(name), *(len(row.cells[column].text()) for row in rows)))
    lines = [*fault_lines, _line("", names, title_width, widths)]
    for part in parts:
        lines.append(part.title)
        for row in part.rows:
            lines.append(_line(f"  {row.title}", [cell.text() for cell in row.cells], title_width, widths))
    lines.append("")
    for text in (words.say("data.how"), *remarks):
        lines += textwrap.wrap(text, TEXT_WIDTH)
    return "\n".join(lines)


def _line(title: str, cells: Sequence[str], title_width: int, widths: Sequence[int]) -> str:
    line = title.ljust(title_width)
    for cell, width in zip(cells, widths, strict=True):
        line += "  " + cell.rjust(width)
    return line


# --- HTML -------------------------------------------------------------------------------------------------------------


def write_data_report(
    path: Path,
    title: str,
    splits: Sequence[SurveyedPages],
    statistics: DataStatistics,
    view: View,
    lang: Language = DEFAULT_LANGUAGE,
) -> None:
    """Write the page of a data set: the numbers, and figures of how they are distributed.

    Args:
        path: the HTML file.
        title: what the data set is called.
        splits: what was surveyed.
        statistics: the numbers of these.
        view: how the model is shown pages.
        lang: language of the page.
    """
    words = Words(lang)
    leaks = statistics.leaks
    shared = [same.text() for same in leaks.pages]
    shared += [group.text() for group in leaks.groups]
    shared += [same.text() for same in leaks.copies]
    html = render(
        "data.html.j2",
        lang=lang,
        say=words.say,
        word=words.word,
        title=title,
        names=[words.word(split.name) for split in statistics.splits],
        table=data_table(statistics, words),
        remarks=data_remarks(statistics, words),
        shared=shared[:MOST_LINES],
        more=max(len(shared) - MOST_LINES, 0),
        figures=draw_data(splits, statistics, view, words),
    )
    write_text(path, html)
