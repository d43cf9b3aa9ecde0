"""The report's figures, each as one SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hmean.postprocess.parameters import READ_WITH
from hmean.training.learning_rates import LearningRates

# Any: matplotlib types its keys one by one
STYLE: Any = {"font.size": 9, "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
CURVES = (
    ("train/loss", "training loss"),
    ("val/hmean", "CLEval macro H"),
    ("val/iou50_hmean", "IoU50 H"),
    ("lr", "learning rate"),
)
LINES = (("macro", "#1f6f8b"), ("p", "#b0572f"), ("r", "#4b8b3b"), ("iou70", "#8a8a8a"))
SHOWN = 25  # points below the best: a value that finds nothing must not hide what the others differ in
RULES: dict[str, str] = {name: mode for mode, name in READ_WITH.items()}  # the unclip mode that reads a parameter
Rows = list[dict[str, Any]]


def curves(rows: Sequence[dict[str, Any]]) -> str:
    """Learning curves."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 2.6), layout="constrained")
        for axis, (key, title) in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
            points = [(row["epoch"] + 1, row[key]) for row in rows if key in row]
            axis.plot(
                *zip(*points, strict=True), marker="o" if len(points) < 40 else None, markersize=3, color="#1f6f8b"
            ) if points else None
            axis.set_title(title, fontsize=9)
            axis.set_xlabel("epoch")
            axis.grid(alpha=0.25)
        return svg_of(figure)


def held(tuned: dict[str, Any], *free: str) -> Rows:
    """The settings that differ from the chosen one in the knobs ``free`` only, in the order of their values.

    A parameter of the unclip mode that was not chosen is shown under its own mode.
    """
    chosen = dict(tuned["after"]["postprocess"])
    chosen["unclip"] = next((RULES[axis] for axis in free if axis in RULES), chosen["unclip"])
    unread = next(knob for knob, rule in RULES.items() if rule != chosen["unclip"])
    kept = {k: v for k, v in chosen.items() if k not in (*free, unread)}
    rows = [row for row in tuned["grid"] if kept.items() <= row["postprocess"].items()]
    return sorted(rows, key=lambda row: [row["postprocess"][axis] for axis in free])


def effects(tuned: dict[str, Any]) -> Rows:
    """What each knob does with the others held at the chosen values: objective at the chosen and at the worst value."""
    found = []
    for axis in tuned["axes"]:
        rows = held(tuned, axis)
        worst = min(rows, key=lambda row: row["objective"])
        before, chosen = (
            values[axis] if RULES.get(axis, values["unclip"]) == values["unclip"] else None
            for values in (tuned[part]["postprocess"] for part in ("before", "after"))
        )
        score = tuned["after"]["score"]["objective"]
        if len(rows) > 1:
            values = [row["postprocess"][axis] for row in rows]
            entry = {"axis": axis, "values": values, "before": before, "chosen": chosen}
            found.append({**entry, "worst": worst["postprocess"][axis], "lost": score - worst["objective"]})
    return found


def knobs(tuned: dict[str, Any]) -> list[str]:
    """What tuning found: scores along each knob; maps of two knobs at a time; P against R, and H against P - R."""
    numbers = {
        e["axis"]: e for e in effects(tuned) if len(e["values"]) > 2 and not isinstance(e["values"][0], (str, bool))
    }
    chosen = [axis for axis, e in numbers.items() if e["chosen"] is not None]
    with mpl.rc_context(STYLE):
        figures = [_panels([(_lines, axis) for axis in numbers], tuned)] if numbers else []
        if len(chosen) > 1:
            figures.append(_panels([(heat_map, pair) for pair in combinations(chosen[:3], 2)], tuned))
        curve = [(_precision_recall, "box_thresh")] if "box_thresh" in numbers else []
        return [*figures, _panels([*curve, (_balance, "")], tuned)]


def _panels(parts: Sequence[tuple[Any, Any]], tuned: dict[str, Any]) -> str:
    figure = Figure(figsize=(2.8 * max(len(parts), 3), 2.6), layout="constrained")
    panels = figure.subplots(1, max(len(parts), 3))
    for panel in panels[len(parts) :]:
        panel.set_axis_off()
    for panel, (draw, of) in zip(panels, parts, strict=False):
        draw(panel, tuned, of)
    return svg_of(figure)


def _lines(panel: Any, tuned: dict[str, Any], axis: str) -> None:
    rows = held(tuned, axis)
    for key, colour in LINES:
        x, y = [row["postprocess"][axis] for row in rows], [100 * row[key] for row in rows]
        panel.plot(x, y, marker=".", color=colour, label={"macro": "macro H", "iou70": "IoU70 H"}.get(key, key.upper()))
    panel.set_ylim(bottom=max(panel.get_ylim()[0], panel.get_ylim()[1] - SHOWN))
    values = tuned["after"]["postprocess"]
    if used := RULES.get(axis, values["unclip"]) == values["unclip"]:
        panel.axvline(values[axis], color="#bbbbbb", linewidth=1, zorder=0)
    panel.set_title(axis if used else f"{axis}, were unclip {RULES[axis]}", fontsize=9)
    panel.legend(fontsize=7, frameon=False)


def heat_map(panel: Any, tuned: dict[str, Any], axes: tuple[str, str]) -> None:
    """The objective over two knobs; a ring marks what cannot be told from the best."""
    rows = held(tuned, *axes)
    x, y = (sorted({row["postprocess"][axis] for row in rows}) for axis in axes)
    values = np.full((len(y), len(x)), np.nan)
    for row in rows:
        j, i = x.index(row["postprocess"][axes[0]]), y.index(row["postprocess"][axes[1]])
        values[i, j] = 100 * row["objective"]
        if row["plateau"]:
            panel.plot(j, i, "o", markerfacecolor="none", markeredgecolor="white", markersize=5)
    panel.imshow(
        values, origin="lower", aspect="auto", cmap="viridis", vmin=max(np.nanmin(values), np.nanmax(values) - SHOWN)
    )
    panel.set_xticks(range(len(x)), [f"{v:g}" for v in x], fontsize=7)
    panel.set_yticks(range(len(y)), [f"{v:g}" for v in y], fontsize=7)
    panel.set(xlabel=axes[0], ylabel=axes[1])
    panel.set_title(f"objective, {np.nanmin(values):.1f} to {np.nanmax(values):.1f}", fontsize=9)


def _marks(panel: Any, tuned: dict[str, Any], at: Any) -> None:
    for part, mark, label in (("before", "x", "before"), ("after", "o", "chosen")):
        macro = tuned[part]["score"]["cleval"]["macro"]
        panel.plot(*at(macro), mark, markerfacecolor="none", color="#c0392b", markersize=8, label=label)
    panel.legend(fontsize=7, frameon=False, loc="lower left")  # the best place takes seconds to find among thousands


def _precision_recall(panel: Any, tuned: dict[str, Any], axis: str) -> None:
    rows = held(tuned, axis)
    panel.plot([100 * row["r"] for row in rows], [100 * row["p"] for row in rows], marker=".", color=LINES[0][1])
    for row in (rows[0], rows[-1]):
        panel.annotate(f"{row['postprocess'][axis]:g}", (100 * row["r"], 100 * row["p"]), fontsize=7)
    _marks(panel, tuned, lambda macro: (100 * macro["r"], 100 * macro["p"]))
    for limits, set_limits in ((panel.get_xlim(), panel.set_xlim), (panel.get_ylim(), panel.set_ylim)):
        set_limits(max(limits[0], limits[1] - SHOWN))
    panel.set(xlabel="macro R", ylabel="macro P", title=f"P and R over {axis}")


def _balance(panel: Any, tuned: dict[str, Any], _: str) -> None:
    for plateau, colour in ((False, "#c8d3da"), (True, "#1f6f8b")):
        rows = [row for row in tuned["grid"] if row["plateau"] == plateau][:2000]
        gaps, h = [100 * (row["p"] - row["r"]) for row in rows], [100 * row["macro"] for row in rows]
        panel.plot(gaps, h, ".", markersize=3, color=colour, label="plateau" if plateau else None)
    panel.axvline(0, color="#bbbbbb", linewidth=1, zorder=0)
    _marks(panel, tuned, lambda macro: (100 * (macro["p"] - macro["r"]), 100 * macro["h"]))
    panel.set(xlabel="P - R", ylabel="macro H", title="balance of all settings")
    panel.set_ylim(bottom=max(panel.get_ylim()[0], panel.get_ylim()[1] - SHOWN))


def svg_of(figure: Figure) -> str:
    """A figure as SVG without the XML head."""
    out = io.StringIO()
    figure.savefig(out, format="svg")
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def draw_learning_rates(found: LearningRates) -> str:
    """Training loss over the learning rate, with the suggested range shaded."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 3), layout="constrained")
        panel = figure.subplots()
        panel.semilogx(found.lr, found.loss, color="#bbbbbb")
        panel.semilogx(found.lr, found.smooth, color="#1f6f8b")
        panel.axvspan(*found.range, alpha=0.15)
        panel.set(xlabel="learning rate", ylabel="training loss")
        return svg_of(figure)
