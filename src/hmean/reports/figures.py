"""Figures as SVG. Each is one small panel, so that a page can set four side by side on a screen and one on a phone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from hmean.runs.metrics import EpochRow
from hmean.training.learning_rates import LearningRates

STYLE: Any = {  # Any: matplotlib types its keys one by one
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "hmean",  # the same figure has the same ids
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
}
ACCENT = "#1f6f8b"
GREY = "#bbbbbb"
CURVES = (
    ("train/loss", "training loss"),
    ("val/hmean", "CLEval macro H"),
    ("val/iou50_hmean", "IoU50 H"),
)


def small_figure() -> Figure:
    """An empty figure of the size of one panel."""
    return Figure(figsize=(3.2, 2.5), layout="constrained")


def svg_of(figure: Figure) -> str:
    """A figure as an SVG element."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def draw_learning_curves(epochs: Sequence[EpochRow]) -> list[str]:
    """A panel for each metric, and for the learning rate, over the epochs."""
    panels = []
    for key, title in CURVES:
        points = {row.epoch: row.metrics[key] for row in epochs if key in row.metrics}
        panels.append(_curve(title, points))
    rates = {row.epoch: row.lr for row in epochs if row.lr is not None}
    panels.append(_curve("learning rate", rates))
    return panels


def _curve(title: str, points: Mapping[int, float]) -> str:
    """Values by the number of their epoch, from 0 on."""
    with mpl.rc_context(STYLE):
        figure = small_figure()
        panel = figure.subplots()
        marker = "."
        if len(points) >= 40:
            marker = ""
        panel.plot([epoch + 1 for epoch in points], list(points.values()), marker=marker, color=ACCENT)
        panel.set_title(title)
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.25)
        return svg_of(figure)


def draw_learning_rates(found: LearningRates) -> str:
    """Training loss over the learning rate, with the suggested range shaded."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 3), layout="constrained")
        panel = figure.subplots()
        panel.semilogx(found.lr, found.loss, color=GREY)
        panel.semilogx(found.lr, found.smooth, color=ACCENT)
        panel.axvspan(*found.range, alpha=0.15)
        panel.set(xlabel="learning rate", ylabel="training loss")
        return svg_of(figure)
