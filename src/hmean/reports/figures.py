"""Figures as SVG. Each is one small panel, so that a page can set four side by side on a screen and one on a phone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from hmean.reports.words import Words
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
CURVES = (  # metric, and its title in the table of words
    ("train/loss", "run.training_loss"),
    ("val/hmean", "run.macro_curve"),
    ("val/iou50_hmean", "IoU50 H"),
)


def small_figure() -> Figure:
    """An empty figure of the size of one panel."""
    return Figure(figsize=(3.2, 2.5), layout="constrained")


def svg_of(figure: Figure) -> str:
    """A figure as an SVG element."""
    out = io.StringIO()
    with warnings.catch_warnings():
        # Text stays text, which the browser draws with its own fonts; matplotlib's has no Hangul to measure it by.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def draw_learning_curves(epochs: Sequence[EpochRow], words: Words) -> list[str]:
    """A panel for each metric, and for the learning rate, over the epochs."""
    panels = []
    for key, title in CURVES:
        points = {row.epoch: row.metrics[key] for row in epochs if key in row.metrics}
        panels.append(_curve(words.word(title), points, words))
    rates = {row.epoch: row.lr for row in epochs if row.lr is not None}
    panels.append(_curve(words.say("run.learning_rate"), rates, words))
    return panels


def _curve(title: str, points: Mapping[int, float], words: Words) -> str:
    """Values by the number of their epoch, from 0 on."""
    with mpl.rc_context(STYLE):
        figure = small_figure()
        panel = figure.subplots()
        marker = "."
        if len(points) >= 40:
            marker = ""
        panel.plot([epoch + 1 for epoch in points], list(points.values()), marker=marker, color=ACCENT)
        panel.set_title(title)
        panel.set_xlabel(words.say("run.epoch"))
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
