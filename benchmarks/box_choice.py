"""Of several trainings that differ by their seed, the one in the middle.

usage: python benchmarks/box_choice.py RUN RUN RUN

Prints the folder of the training whose score on its validation pages, with the preset's post-processing values, is the
median (the lower one of the two in the middle, if their number is even). The best one would owe part of its score to luck.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sroie

from hmean.runs.scores import Scores


def objective(run: Path) -> float:
    """What a run scores, in the terms in which values are chosen on the pages of results."""
    scores = Scores.read(run / "scores.json")
    total = 0.0
    for statistic, weight in sroie.OBJECTIVE.items():
        total += weight * scores.hmean(statistic)
    return total


def middle(runs: list[Path]) -> Path:
    """The run of the median score."""
    ranked = sorted(runs, key=objective)
    return ranked[(len(ranked) - 1) // 2]


if __name__ == "__main__":
    print(middle([Path(argument) for argument in sys.argv[1:]]))
