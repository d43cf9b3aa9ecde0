"""Of several trainings that differ by their seed, the one in the middle.

usage: python benchmarks/box_choice.py RUN RUN RUN

Each RUN has been tuned. Prints the folder of the training whose cross-fitted score on its validation pages is the median
(the lower one of the two in the middle, if their number is even). The best one would owe part of its score to luck.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sroie

from hmean.runs.scores import Scores


def objective(run: Path) -> float:
    """What a run scores, cross-fitted, in the terms in which its values were chosen."""
    scores = Scores.read(run / "cross_fitted" / "scores.json")
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
