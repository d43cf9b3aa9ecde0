"""Figures of a data set: how its pages and words are distributed, a line for each split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hmean.data.survey import SurveyedPage, SurveyedPages
from hmean.data.views import letterbox
from hmean.reports.data_record import SMALL, DataStatistics, WordValues, readable
from hmean.reports.figures import ACCENT, GREY, STYLE, small_figure, svg_of
from hmean.reports.words import Words
from hmean.types import View

Floats = NDArray[np.float64]

COLORS = (ACCENT, "#b0572f", "#4b8b3b", "#7a5ea8")  # of the splits
FEWEST_BINS = 8
MOST_BINS = 30
LEAST_SPAN = 0.1  # of the values' axis, as a share of the largest: pages of one size are a bar, not a wall
MOST_GROUPS = 60
MOST_SCRIPTS = 8


@dataclass(frozen=True, eq=False)
class _Quantity:
    """What a histogram is of.

    Attributes:
        title: key in the table of words.
        values: of one split, (N,).
        is_log: whether the values span magnitudes.
    """

    title: str
    values: Callable[[Sequence[SurveyedPage]], Floats]
    is_log: bool = False


def draw_data(splits: Sequence[SurveyedPages], statistics: DataStatistics, view: View, words: Words) -> list[str]:
    """All panels, as SVG elements."""

    def seen(pages: Sequence[SurveyedPage]) -> Floats:
        heights = [np.zeros(0)]
        for page in pages:
            scale = letterbox(page.width, page.height, view.long_side, view.pad).scale
            heights.append(page.words.heights[~page.words.ignored] * scale)
        return np.concatenate(heights)

    quantities = (
        _Quantity("data.figure.height", lambda pages: WordValues.of(pages).heights, is_log=True),
        _Quantity("data.figure.words", lambda pages: _of_labelled(pages, _word_count)),
        _Quantity("data.figure.aspect", lambda pages: WordValues.of(pages).aspects, is_log=True),
        _Quantity("data.figure.slope", lambda pages: WordValues.of(pages).slopes),
        _Quantity("data.figure.long_side", lambda pages: np.array([float(page.long_side) for page in pages])),
        _Quantity("data.figure.density", lambda pages: _of_labelled(pages, _density)),
    )
    with mpl.rc_context(STYLE):
        panels = [
            _draw_seen_heights(splits, seen, view, words),
            _draw_small(statistics, words),
        ]
        for quantity in quantities:
            panels.append(_draw_histogram(splits, quantity, words))
        whole = statistics.splits[-1]
        if whole.groups:
            panels.append(_draw_groups(whole.groups, words))
        if whole.scripts:
            panels.append(_draw_scripts(whole.scripts, words))
    return panels


def _of_labelled(pages: Sequence[SurveyedPage], value: Callable[[SurveyedPage], float]) -> Floats:
    return np.array([value(page) for page in pages if page.is_labelled])


def _word_count(page: SurveyedPage) -> float:
    return float((~page.words.ignored).sum())


def _density(page: SurveyedPage) -> float:
    return _word_count(page) / (page.width * page.height / 1e6)


def _draw_histogram(splits: Sequence[SurveyedPages], quantity: _Quantity, words: Words) -> str:
    figure = small_figure()
    panel = figure.subplots()
    _draw_lines(panel, splits, quantity.values, words, is_log=quantity.is_log)
    panel.set_title(words.say(quantity.title))
    return svg_of(figure)


def _draw_seen_heights(
    splits: Sequence[SurveyedPages], seen: Callable[[Sequence[SurveyedPage]], Floats], view: View, words: Words
) -> str:
    figure = small_figure()
    panel = figure.subplots()
    _draw_lines(panel, splits, seen, words, is_log=True)
    panel.axvline(SMALL, color=GREY, linestyle="--")
    panel.set_title(words.say("data.figure.seen", side=view.long_side))
    return svg_of(figure)


def _draw_lines(
    panel: Axes,
    splits: Sequence[SurveyedPages],
    values: Callable[[Sequence[SurveyedPage]], Floats],
    words: Words,
    *,
    is_log: bool,
) -> None:
    """The share of each split's values in bins that all splits have in common, in percent."""
    found = [values(readable(split)) for split in splits]
    together = np.concatenate(found)
    if len(together) == 0:
        return
    edges = _edges(together, is_log=is_log)
    for of_split, split, color in zip(found, splits, _colors(len(splits)), strict=True):
        counts, _ = np.histogram(of_split, edges)
        shares = 100 * counts / max(len(of_split), 1)
        panel.stairs(shares, edges, color=color, fill=len(splits) == 1, alpha=0.9, label=words.word(split.name))
    if is_log:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter("")
        _tick_at_numbers(panel, edges)
    else:
        panel.ticklabel_format(axis="x", useOffset=False)
    panel.set_ylabel("%")
    if len(splits) > 1:
        panel.legend(frameon=False, fontsize=7)


def _edges(values: Floats, *, is_log: bool) -> Floats:
    """Edges of bins from nearly the smallest to nearly the largest value; what is beyond is in no bin.

    There are more bins for more values (N): twice the cube root of N, by Rice's rule.
    """
    low, high = np.quantile(values, [0.001, 0.999]).tolist()
    bins = int(np.clip(2 * len(values) ** (1 / 3), FEWEST_BINS, MOST_BINS))
    if is_log:
        low = max(low, 1e-3)
        edges = np.geomspace(low / 1.02, max(high, low) * 1.02, bins + 1)
    else:
        margin = max(0.5, 0.01 * (high - low), (LEAST_SPAN * high - (high - low)) / 2)
        edges = np.linspace(max(low - margin, 0.0), high + margin, bins + 1)
    return np.asarray(edges, dtype=np.float64)


def _tick_at_numbers(panel: Axes, edges: Floats) -> None:
    """Ticks at 1, 2, 5, 10, 20, ...: a span of less than a magnitude has none otherwise."""
    ticks = []
    for power in range(-3, 7):
        for digit in (1, 2, 5):
            value = digit * 10.0**power
            if edges[0] <= value <= edges[-1]:
                ticks.append(value)
    panel.set_xticks(ticks)


def _colors(count: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(count)]


def _draw_small(statistics: DataStatistics, words: Words) -> str:
    """The share of words that are small, over the length of a page's longest side."""
    figure = small_figure()
    panel = figure.subplots()
    splits = statistics.splits
    if len(splits) > 1:
        splits = splits[:-1]
    for split, color in zip(splits, _colors(len(splits)), strict=True):
        shares = [100 * share for share in split.small_at.values()]
        panel.plot(list(split.small_at), shares, color=color, marker=".", label=words.word(split.name))
    panel.axvline(statistics.long_side, color=GREY, linestyle="--")
    panel.set_ylim(bottom=0)
    panel.set_ylabel("%")
    panel.grid(alpha=0.25)
    panel.set_title(words.say("data.figure.small", pixels=f"{SMALL:g}"))
    if len(splits) > 1:
        panel.legend(frameon=False, fontsize=7)
    return svg_of(figure)


def _draw_groups(groups: Mapping[str, int], words: Words) -> str:
    """Pages of the largest groups, a bar each."""
    figure = small_figure()
    panel = figure.subplots()
    sizes = list(groups.values())[:MOST_GROUPS]
    panel.bar(range(1, len(sizes) + 1), sizes, width=0.9, color=ACCENT)
    panel.set_title(words.say("data.figure.groups", shown=len(sizes), groups=len(groups)))
    return svg_of(figure)


def _draw_scripts(scripts: Mapping[str, int], words: Words) -> str:
    """The share of characters of each script, in percent, the most frequent on top."""
    figure = small_figure()
    panel = figure.subplots()
    names = list(scripts)[:MOST_SCRIPTS]
    total = sum(scripts.values())
    shares = [100 * scripts[name] / total for name in names]
    panel.barh([words.word(name) for name in names], shares, color=ACCENT)
    panel.invert_yaxis()
    panel.set_xlabel("%")
    panel.set_title(words.say("data.figure.scripts"))
    return svg_of(figure)
