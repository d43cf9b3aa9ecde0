"""Which trial of a sweep is the best: by the mean of its trainings, where the best were repeated with other seeds.

The first of many by one training each is also the luckiest. So the trials that were repeated come before all others,
and among themselves their means decide.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from hmean.execute.queue import TaskState
from hmean.metrics.seeds import SeedSpread
from hmean.records import Record
from hmean.search.records import Trial, trial_folder

RANKING = "ranking.json"


@dataclass(frozen=True)
class Candidate:
    """A trial of the search that has a score.

    Attributes:
        trial: the trial.
        repeats: the trials that repeat it with other seeds, as far as they have a score.
    """

    trial: Trial
    repeats: Sequence[Trial] = ()

    @property
    def number(self) -> int:
        """The number of the trial."""
        return self.trial.number

    @property
    def trainings(self) -> list[Trial]:
        """The trial and its repeats."""
        return [self.trial, *self.repeats]

    @property
    def scores(self) -> list[float]:
        """The score of each of its trainings."""
        return [training.result.score for training in self.trainings]

    @property
    def mean(self) -> float:
        """The mean of its scores."""
        return statistics.fmean(self.scores)


def by_own_score(trials: Sequence[Trial], sign: int) -> list[Trial]:
    """The trials of the search that have a score, the best training first; ``sign`` is -1 if less is better."""
    scored = [trial for trial in trials if trial.state == TaskState.DONE and trial.stage == 0]
    return sorted(scored, key=lambda trial: -sign * trial.result.score)


def ranked(trials: Sequence[Trial], sign: int) -> list[Candidate]:
    """The trials of the search that have a score, best first.

    Those that were repeated come first, by their means, then the others.

    Args:
        trials: all trials of a sweep.
        sign: -1 if less is better.
    """
    candidates = []
    for rank, trial in enumerate(by_own_score(trials, sign)):
        repeats = []
        for other in trials:
            if other.payload.confirms == rank and other.state == TaskState.DONE:
                repeats.append(other)
        candidates.append(Candidate(trial, repeats))
    return sorted(candidates, key=lambda candidate: (not candidate.repeats, -sign * candidate.mean))


def seed_spread(candidates: Sequence[Candidate]) -> SeedSpread | None:
    """The spread of a score over seeds, from the repeats; None without any.

    What is repeated was the best by its first training, which was lucky more often than not, while its repeat is not:
    so the spread is told rather too large than too small.
    """
    return SeedSpread.of(*(candidate.scores for candidate in candidates))


class RankedTrial(Record):
    """A trial of the search that has a score."""

    trial: int = Field(description="its number")
    folder: str = Field(description="its run folder, from the sweep's folder")
    scores: list[float] = Field(description="its score, then those of its repeats with other seeds")
    mean: float = Field(description="mean of these scores")


class Ranking(Record):
    """The trials of a sweep that have a score, best first."""

    metric: str = Field(description="name of the objective")
    trials: list[RankedTrial] = Field(
        min_length=1, description="best first: those that were repeated, by the mean, then the others"
    )
    spread: SeedSpread | None = Field(description="spread of a score over seeds; null: nothing was repeated")

    @classmethod
    def of(cls, candidates: Sequence[Candidate], metric: str, folder: Path) -> Self:
        """The record of ranked candidates of a sweep in ``folder``."""
        rows = []
        for candidate in candidates:
            name = trial_folder(folder, candidate.number).name
            rows.append(RankedTrial(trial=candidate.number, folder=name, scores=candidate.scores, mean=candidate.mean))
        return cls(metric=metric, trials=rows, spread=seed_spread(candidates))
