"""The figures of a sweep's report: parallel coordinates, slices along each parameter, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hmean.reports.figures import ACCENT, STYLE, small_figure, svg_of
from hmean.reports.sweep_record import TrialEntry
from hmean.reports.words import Words

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SweepFigures:
    """The figures as SVG; the darker a line, the better the trial.

    Attributes:
        parallel: all parameters and the score, a line for each trial.
        slices: the score along each parameter.
        curves: the learning curves.
    """

    parallel: str
    slices: Sequence[str]
    curves: str


def draw_trials(parameters: Sequence[str], trials: Sequence[TrialEntry], metric: str, words: Words) -> SweepFigures:
    """Draw a sweep.

    Args:
        parameters: dotted keys of what was searched.
        trials: those that have a score.
        metric: name of the objective.
        words: the language.
    """
    scores = np.array([trial.value for trial in trials], float)
    opacities = 0.15 + 0.85 * (scores - scores.min()) / max(float(np.ptp(scores)), 1e-12)
    columns = {}
    for key in parameters:
        columns[key.rpartition(".")[2]] = [trial.params.get(key) for trial in trials]
    with mpl.rc_context(STYLE):
        parallel = svg_of(_parallel_coordinates(columns, scores, opacities, metric))
        slices = [svg_of(_slice(name, values, scores)) for name, values in columns.items()]
        curves = svg_of(_learning_curves(trials, opacities, metric, words))
    return SweepFigures(parallel, slices, curves)


def _parallel_coordinates(columns: dict[str, list[Any]], scores: Floats, opacities: Floats, metric: str) -> Figure:
    axes = [_scaled(values) for values in columns.values()]
    axes.append(_scaled(scores.tolist()))
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    panel = figure.subplots()
    for line, opacity in zip(np.stack(axes, axis=1), opacities, strict=True):
        panel.plot(line, color=ACCENT, alpha=float(opacity))
    panel.set_xticks(range(len(axes)), [*columns, metric])
    panel.set_yticks([])
    return figure


def _slice(name: str, values: list[Any], scores: Floats) -> Figure:
    figure = small_figure()
    panel = figure.subplots()
    if _are_numbers(values):
        panel.plot(values, scores, "o", markersize=4, color=ACCENT)
        if _is_wide(np.array(values)):
            panel.set_xscale("log")
    else:
        panel.plot([str(value) for value in values], scores, "o", markersize=4, color=ACCENT)
    panel.set_title(name)
    panel.tick_params(axis="x", rotation=30)
    return figure


def _learning_curves(trials: Sequence[TrialEntry], opacities: Floats, metric: str, words: Words) -> Figure:
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    panel = figure.subplots()
    for trial, opacity in zip(trials, opacities, strict=True):
        epochs = [point.epoch for point in trial.curve]
        values = [point.value for point in trial.curve]
        panel.plot(epochs, values, marker=".", color=ACCENT, alpha=float(opacity))
    panel.set(xlabel=words.say("run.epoch"), ylabel=metric)
    return figure


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _is_wide(values: Floats) -> bool:
    """Whether numbers are better shown by their logarithm."""
    return bool(values.min() > 0 and values.max() / values.min() > 3)


def _scaled(values: Sequence[Any]) -> Floats:
    """0 to 1 from the smallest to the largest; words count by their place in the alphabet."""
    if _are_numbers(values):
        numbers = np.array(values, float)
    else:
        words = [str(value) for value in values]
        alphabet = sorted(set(words))
        numbers = np.array([alphabet.index(word) for word in words], float)
    if _is_wide(numbers):
        numbers = np.log(numbers)
    scaled: Floats = (numbers - numbers.min()) / max(float(np.ptp(numbers)), 1e-12)
    return scaled
