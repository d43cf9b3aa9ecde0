"""The page of the learning curve: its record, its tables and its picture."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
import matplotlib as mpl
import score_rows
import sroie
from matplotlib.figure import Figure
from pydantic import Field
from score_rows import DEFAULT_SHOWN, SHOWN, DifferenceRow, Row, Shown

from hmean.files import write_text
from hmean.records import Record

LINE = 120
NO_BREAK = "\0"
PICTURE: tuple[Shown, ...] = ("macro", "iou50", "iou70")
COLOURS = ("#b8860b", "#7a7a7a", "#1f6f8b", "#8b1f4f")
STYLE: Any = {  # Any: matplotlib types its keys one by one
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "hmean",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
}


class Point(Record):
    """The detectors of one start that were trained on so many pages, one for each seed."""

    start: str = Field(description="what their trainings started from")
    size: int = Field(description="labelled pages that each was trained on; 0: the start itself")
    seeds: tuple[int, ...] = Field(
        description="of the trainings, and of the choice of pages; empty: nothing was trained"
    )
    minutes: float = Field(description="of one training, mean; without the making of the start")
    row: Row = Field(description="what they score on the held-out pages")


class LearningPage(Record):
    """The content of ``learning_curve.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    fold: int = Field(description="of five folds by shop, the one whose pages judge")
    samples: int = Field(description="samples of pages that each training sees, at least")
    pretraining_minutes: float | None = Field(description="of the training on drawn pages; null: not used")
    points: tuple[Point, ...] = Field(description="every start at every size")
    differences: tuple[DifferenceRow, ...] = Field(description="starts compared at each size, one family")

    @property
    def starts(self) -> list[str]:
        """All starts, each once."""
        return list(dict.fromkeys(point.start for point in self.points))

    def of_start(self, start: str) -> list[Point]:
        """The points of a start, fewest pages first."""
        return sorted((point for point in self.points if point.start == start), key=lambda point: point.size)


def write_page(record: LearningPage, target: Path) -> None:
    """Write page, numbers and picture."""
    record.write(target.with_suffix(".json"))
    write_text(target.with_suffix(".svg"), picture(record))
    write_text(target, page(record))


def page(record: LearningPage) -> str:
    """The page."""
    about = f"""Detectors trained on 10 to 396 receipts and scored on the shops of one held-out fold that none of them has
        seen, by what the training starts from: an encoder with ImageNet weights, the same network trained on drawn pages,
        or a whole published detector. Every training sees at least {record.samples} samples of pages, so few pages are
        seen more often; its last epoch is scored. Percent. {score_rows.INTERVALS}"""
    seeds = f"""A seed also chooses the pages of a training: 10 pages are the first 10 of a random order, 25 the first 25 of
        the same. 0 pages (dashed): the start itself, before any training. {pretraining(record)}"""
    part = f"""**Which pages had a part in what.** Weights: the pages named, and what the start was trained on; what PP-OCRv6
        was trained on is not published as a whole and may include receipts of this set. Epoch: none. Values of the
        post-processing: {sroie.CROSS_FITTED} The recipes (learning rates, crops, length) were developed on SROIE's
        development pages, these ones too."""
    differences = """Differences, paired by page, intervals over shops and seeds; the verdict is that of the family of all
        differences of one kind:"""
    parts = [
        "# How many labelled pages a detector needs",
        wrapped(about),
        "![Scores over the number of labelled pages, by start](learning_curve.svg)",
        table(record, DEFAULT_SHOWN),
        score_rows.describe_groups([point.row for point in record.points]),
        wrapped(seeds),
        wrapped(differences),
        score_rows.difference_table(record.differences, PICTURE),
        wrapped(part),
        record.environment.footer(),
    ]
    return "\n\n".join(parts) + "\n"


def wrapped(paragraph: str) -> str:
    """A paragraph in lines of at most 120 characters."""
    words = " ".join(paragraph.split())
    kept_whole = re.sub(r"\[[^]]*\]", lambda link: link[0].replace(" ", NO_BREAK), words)
    lines = textwrap.fill(kept_whole, LINE, break_long_words=False, break_on_hyphens=False)
    return lines.replace(NO_BREAK, " ")


def pretraining(record: LearningPage) -> str:
    """What the start on drawn pages cost."""
    if record.pretraining_minutes is None:
        return ""
    return f"The training on drawn pages took {record.pretraining_minutes:.0f} minutes, once."


def table(record: LearningPage, shown: Sequence[Shown]) -> str:
    """A row for each start and size."""
    lines = [
        f"| start | pages | minutes | {' | '.join(SHOWN[name] for name in shown)} |",
        "|---|--:|--:|" + "--:|" * len(shown),
    ]
    for start in record.starts:
        for point in record.of_start(start):
            minutes = ""
            if point.seeds:
                minutes = f"{point.minutes:.1f}"
            cells = [
                score_rows.percent(point.row.scores[name].value, point.row.scores[name].interval95) for name in shown
            ]
            lines.append(f"| {start} | {point.size} | {minutes} | {' | '.join(cells)} |")
    return "\n".join(lines)


# --- the picture ------------------------------------------------------------------------------------------------------


def picture(record: LearningPage) -> str:
    """Each score over the number of pages, a line for each start, as SVG; a start before any training is a dashed line."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        panels = figure.subplots(1, len(PICTURE))
        for panel, name in zip(panels, PICTURE, strict=True):
            for start, colour in zip(record.starts, COLOURS, strict=False):
                _draw_start(panel, record.of_start(start), name, colour)
            _label(panel, record, name)
        lines, labels = panels[0].get_legend_handles_labels()
        figure.legend(lines, labels, frameon=False, loc="outside lower center", ncols=len(labels))
        return _svg(figure)


def _draw_start(panel: Any, points: Sequence[Point], name: Shown, colour: str) -> None:
    trained = [point for point in points if point.size > 0]
    sizes = [point.size for point in trained]
    values = [100 * point.row.scores[name].value for point in trained]
    label = points[0].start
    panel.plot(sizes, values, marker="o", markersize=3, color=colour, label=label)
    banded = [point for point in trained if point.row.scores[name].interval95 is not None]
    lows = []
    highs = []
    for point in banded:
        low, high = point.row.scores[name].interval95 or (0.0, 0.0)
        lows.append(100 * low)
        highs.append(100 * high)
    panel.fill_between([point.size for point in banded], lows, highs, color=colour, alpha=0.12, linewidth=0)
    for point in points:
        if point.size == 0:
            value = 100 * point.row.scores[name].value
            panel.axhline(value, color=colour, linestyle="--", linewidth=0.8)


def _label(panel: Any, record: LearningPage, name: Shown) -> None:
    sizes = sorted({point.size for point in record.points if point.size > 0})
    panel.set_xscale("log")
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.minorticks_off()
    panel.set_title(SHOWN[name])
    panel.set_xlabel("labelled pages")
    panel.grid(alpha=0.25)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    lines = [line.rstrip() for line in svg[svg.index("<svg") :].splitlines()]
    return "\n".join(lines) + "\n"
