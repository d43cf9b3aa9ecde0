"""What a tuning found: the effect of each parameter, and figures of the grid."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hmean.postprocess.parameters import PARAMETERS, PostprocessParams, is_read
from hmean.reports.figures import ACCENT, GREY, STYLE, small_figure, svg_of
from hmean.reports.words import Words
from hmean.tuning.result import GridRow, ScoredSetting, TuneResult
from hmean.types import PRH

SHOWN = 25  # points below the best: a value that finds nothing must not hide the differences between the others
MOST_DOTS = 2000  # in the figure of all settings
CHANGED = "#c0392b"
RING: Any = {"markerfacecolor": "none", "markeredgecolor": "white", "markersize": 5}  # Any: keyword arguments
LINES = (
    ("macro", "macro H", ACCENT),
    ("p", "P", "#b0572f"),
    ("r", "R", "#4b8b3b"),
    ("iou70", "IoU70 H", "#8a8a8a"),
)


@dataclass(frozen=True)
class Effect:
    """What one parameter does while the others have the values chosen.

    Attributes:
        parameter: its name.
        values: the values tried, in order.
        before: the value before the tuning; None if its unclip mode was not used.
        chosen: the value chosen; likewise.
        worst: the value with the lowest objective.
        lost: by how much the objective is lower there than with the values chosen.
    """

    parameter: str
    values: Sequence[Any]
    before: Any
    chosen: Any
    worst: Any
    lost: float

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers."""
        return PARAMETERS[self.parameter].type in (int, float)


def grid_along(tuned: TuneResult, *parameters: str) -> list[GridRow]:
    """The settings that differ from the one chosen in these parameters only, in the order of their values.

    A parameter of the unclip mode that was not chosen is shown under its own mode.
    """
    unclip = tuned.after.postprocess.unclip
    for name in parameters:
        unclip = PARAMETERS[name].unclip or unclip
    fixed = {**tuned.after.postprocess.to_dict(), "unclip": unclip}
    for name in fixed.copy():
        if name in parameters or not is_read(name, unclip):
            del fixed[name]
    rows = []
    for row in tuned.grid:
        values = row.postprocess.to_dict()
        if all(values[name] == value for name, value in fixed.items()):
            rows.append(row)
    rows.sort(key=operator.attrgetter(*[f"postprocess.{name}" for name in parameters]))
    return rows


def effects(tuned: TuneResult) -> list[Effect]:
    """The effect of each parameter that has several values in the grid."""
    found = []
    for name in tuned.axes:
        rows = grid_along(tuned, name)
        if len(rows) < 2:
            continue
        worst = min(rows, key=lambda row: row.objective)
        effect = Effect(
            parameter=name,
            values=_values(rows, name),
            before=_used(tuned.before.postprocess, name),
            chosen=_used(tuned.after.postprocess, name),
            worst=getattr(worst.postprocess, name),
            lost=tuned.after.score.objective - worst.objective,
        )
        found.append(effect)
    return found


def _used(params: PostprocessParams, name: str) -> Any:
    """The value of a parameter; None if the unclip mode does not read it."""
    if not is_read(name, params.unclip):
        return None
    return getattr(params, name)


def draw_tuning(tuned: TuneResult, words: Words) -> list[str]:
    """A panel for each parameter, for each pair of the first three, for P against R, and for the balance of both."""
    numeric = [effect for effect in effects(tuned) if effect.is_numeric and len(effect.values) > 2]
    used = [effect.parameter for effect in numeric if effect.chosen is not None]
    panels = []
    with mpl.rc_context(STYLE):
        for effect in numeric:
            panels.append(_draw_lines(tuned, effect.parameter, words))
        for x, y in combinations(used[:3], 2):
            panels.append(_draw_heat_map(tuned, x, y, words))
        if "box_thresh" in [effect.parameter for effect in numeric]:
            panels.append(_draw_precision_recall(tuned, "box_thresh", words))
        panels.append(_draw_balance(tuned, words))
    return panels


def _draw_lines(tuned: TuneResult, name: str, words: Words) -> str:
    """Scores along one parameter."""
    rows = grid_along(tuned, name)
    values = _values(rows, name)
    figure = small_figure()
    panel = figure.subplots()
    for key, label, colour in LINES:
        panel.plot(values, _percents(rows, key), marker=".", color=colour, label=words.word(label))
    _limit_height(panel)
    chosen = _used(tuned.after.postprocess, name)
    if chosen is None:
        panel.set_title(words.say("tuning.if_unclip", name=name, unclip=str(PARAMETERS[name].unclip)))
    else:
        panel.axvline(chosen, color=GREY, linewidth=1, zorder=0)
        panel.set_title(name)
    panel.legend(fontsize=7, frameon=False)
    return svg_of(figure)


def _draw_heat_map(tuned: TuneResult, x: str, y: str, words: Words) -> str:
    """The objective over two parameters; a ring marks what cannot be distinguished from the best."""
    rows = grid_along(tuned, x, y)
    x_values = sorted(set(_values(rows, x)))
    y_values = sorted(set(_values(rows, y)))
    objective = np.full((len(y_values), len(x_values)), np.nan)
    figure = small_figure()
    panel = figure.subplots()
    for row in rows:
        column = x_values.index(getattr(row.postprocess, x))
        line = y_values.index(getattr(row.postprocess, y))
        objective[line, column] = 100 * row.objective
        if row.plateau:
            panel.plot(column, line, "o", **RING)
    lowest = float(np.nanmin(objective))
    highest = float(np.nanmax(objective))
    darkest = max(lowest, highest - SHOWN)
    panel.imshow(objective, origin="lower", aspect="auto", cmap="viridis", vmin=darkest)
    panel.set_xticks(range(len(x_values)), _labels(x_values), fontsize=7)
    panel.set_yticks(range(len(y_values)), _labels(y_values), fontsize=7)
    title = words.say("tuning.heat", low=f"{lowest:.1f}", high=f"{highest:.1f}")
    panel.set(xlabel=x, ylabel=y, title=title)
    return svg_of(figure)


def _draw_precision_recall(tuned: TuneResult, name: str, words: Words) -> str:
    """P against R along one parameter."""
    rows = grid_along(tuned, name)
    figure = small_figure()
    panel = figure.subplots()
    panel.plot(_percents(rows, "r"), _percents(rows, "p"), marker=".", color=ACCENT)
    for row in (rows[0], rows[-1]):
        value = getattr(row.postprocess, name)
        panel.annotate(f"{value:g}", (100 * row.r, 100 * row.p), fontsize=7)
    for setting, marker, label in _before_and_after(tuned, words):
        macro = _macro(setting)
        _mark(panel, 100 * macro.r, 100 * macro.p, marker, label)
    _limit_height(panel)
    _limit_width(panel)
    panel.legend(fontsize=7, frameon=False, loc="lower left")
    title = words.say("tuning.p_and_r", name=name)
    panel.set(xlabel=words.word("macro R"), ylabel=words.word("macro P"), title=title)
    return svg_of(figure)


def _draw_balance(tuned: TuneResult, words: Words) -> str:
    """H of all settings against the difference of P and R."""
    figure = small_figure()
    panel = figure.subplots()
    others = [row for row in tuned.grid if not row.plateau][:MOST_DOTS]
    plateau = [row for row in tuned.grid if row.plateau][:MOST_DOTS]
    _dots(panel, others, "#c8d3da", None)
    _dots(panel, plateau, ACCENT, words.say("tuning.plateau"))
    panel.axvline(0, color=GREY, linewidth=1, zorder=0)
    for setting, marker, label in _before_and_after(tuned, words):
        macro = _macro(setting)
        _mark(panel, 100 * (macro.p - macro.r), 100 * macro.h, marker, label)
    _limit_height(panel)
    # matplotlib takes seconds to find the best place among thousands of dots
    panel.legend(fontsize=7, frameon=False, loc="lower left")
    panel.set(xlabel="P - R", ylabel=words.word("macro H"), title=words.say("tuning.balance"))
    return svg_of(figure)


def _dots(panel: Axes, rows: Sequence[GridRow], colour: str, label: str | None) -> None:
    gaps = _percents(rows, "p") - _percents(rows, "r")
    panel.plot(gaps, _percents(rows, "macro"), ".", markersize=3, color=colour, label=label)


def _before_and_after(tuned: TuneResult, words: Words) -> list[tuple[ScoredSetting, str, str]]:
    """The two settings to mark, each with its marker and label."""
    return [
        (tuned.before, "x", words.say("tuning.value_before")),
        (tuned.after, "o", words.say("tuning.value_chosen")),
    ]


def _macro(setting: ScoredSetting) -> PRH:
    return setting.score.cleval.macro


def _mark(panel: Axes, x: float, y: float, marker: str, label: str) -> None:
    panel.plot(x, y, marker, markerfacecolor="none", color=CHANGED, markersize=8, label=label)


def _values(rows: Sequence[GridRow], parameter: str) -> list[Any]:
    """The value of a parameter in each setting."""
    return [getattr(row.postprocess, parameter) for row in rows]


def _percents(rows: Sequence[GridRow], score: str) -> NDArray[np.float64]:
    """A score of each setting, in percent."""
    return 100 * np.array([getattr(row, score) for row in rows], dtype=np.float64)


def _labels(values: Sequence[float]) -> list[str]:
    return [f"{value:g}" for value in values]


def _limit_height(panel: Axes) -> None:
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, high - SHOWN), high)


def _limit_width(panel: Axes) -> None:
    low, high = panel.get_xlim()
    panel.set_xlim(max(low, high - SHOWN), high)
