"""The trials of a sweep compared with one of them: a family, since many are tried and the best is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from hmean.metrics.groups import Grouping, PageGroups
from hmean.metrics.intervals import (
    FLIPS,
    Contributions,
    Interval,
    contributions,
    interval_pairs,
    page_groups,
    verdict,
)
from hmean.metrics.scorer import PageScore
from hmean.metrics.seeds import SeedSpread, widened
from hmean.records import Record
from hmean.runs.comparison import ONE_TRAINING
from hmean.search.ranking import Candidate, seed_spread
from hmean.search.records import OBJECTIVES, Trial
from hmean.search.sweepfile import SweepFile
from hmean.types import Statistic

PRESET = "the preset's own values"
BEST = "the best"
NO_PAGES = "no pages to compare"
MOST_IN_PAIRS = 50  # trials of which each is compared with each
TOO_MANY = f"not compared: only the {MOST_IN_PAIRS} best are"
MOST_REACHES = 5_000_000  # flips times comparisons, beyond which there are fewer flips
FEWEST_FLIPS = 1_000

_INTERVAL = "paired, over groups of pages, widened by the spread of seeds where that is known; null: there is none"


class TrialComparison(Record):
    """A trial compared with the base."""

    trial: int = Field(validation_alias=AliasChoices("trial", "best"), description="the trial")
    base: int = Field(validation_alias=AliasChoices("base", "other"), description="the trial that is the base")
    what: str = Field(description="what the base is: the preset's own values, or the best")
    difference: float = Field(description="score of the trial minus that of the base; means, where they were repeated")
    interval95: Interval | None = Field(description=f"95 % interval of this difference alone, {_INTERVAL}")
    family95: Interval | None = Field(
        default=None, description=f"95 % interval that holds together with those of all other trials, {_INTERVAL}"
    )
    verdict: str = Field(
        validation_alias=AliasChoices("verdict", "says"),
        description="better or worse if the family interval excludes 0, else not distinguishable, or why nothing can "
        "be said; and whether the seeds are not known",
    )


@dataclass(frozen=True)
class ComparedTrials:
    """What came of comparing the trials of a sweep.

    Attributes:
        comparisons: of every trial with a score but the base, best first.
        spread: of the scores over seeds; None if nothing was repeated.
        grouping: of the pages that intervals rest on; None without intervals.
    """

    comparisons: Sequence[TrialComparison] = ()
    spread: SeedSpread | None = None
    grouping: Grouping | None = None


def compare_trials(candidates: Sequence[Candidate], file: SweepFile) -> ComparedTrials:
    """Compare all trials with the one that has the preset's own values, or with the best if that was not tried.

    The verdict is that of the family: of sweeps whose trials are all alike, at most 5 % have any that is called
    different. Where the base is the best, it was chosen by the scores, so the family is that of all pairs.

    Args:
        candidates: the trials with a score, best first.
        file: the sweep file.
    """
    if not candidates:
        return ComparedTrials()
    base = _base_of(candidates, is_grid=file.method == "grid")
    others = [candidate for candidate in candidates if candidate is not base.candidate]
    spread = seed_spread(candidates)
    family = _Family.of(base, others, OBJECTIVES[file.metric], spread)
    comparisons = [_without_pages(other, base) for other in others]
    if base.is_chosen:
        comparisons = [*comparisons[: MOST_IN_PAIRS - 1], *map(_left_out, comparisons[MOST_IN_PAIRS - 1 :])]
    if family is None:
        return ComparedTrials(comparisons, spread)
    found = {comparison.trial: comparison for comparison in family.comparisons()}
    comparisons = [found.get(comparison.trial, comparison) for comparison in comparisons]
    return ComparedTrials(comparisons, spread, family.groups.grouping())


def page_scores(trial: Trial) -> list[PageScore]:
    """The pages behind a trial's score; none if its training left none."""
    if trial.result.scored is None:
        return []
    return trial.result.scored.page_scores()


class _Base(NamedTuple):
    candidate: Candidate
    what: str

    @property
    def is_chosen(self) -> bool:
        """Whether it is the base because it was the best: then each trial might have been."""
        return self.what == BEST


def _base_of(candidates: Sequence[Candidate], *, is_grid: bool) -> _Base:
    """A grid has no trial of the preset's own values."""
    for candidate in candidates:
        if candidate.number == 0 and candidate.trial.payload.params and not is_grid:
            return _Base(candidate, PRESET)
    return _Base(candidates[0], BEST)


def _without_pages(other: Candidate, base: _Base) -> TrialComparison:
    return TrialComparison(
        trial=other.number,
        base=base.candidate.number,
        what=base.what,
        difference=other.mean - base.candidate.mean,
        interval95=None,
        verdict=NO_PAGES,
    )


def _left_out(comparison: TrialComparison) -> TrialComparison:
    return comparison.model_copy(update={"verdict": TOO_MANY})


class Pairs(NamedTuple):
    """The positions of the two sides of each difference; those with the first side come first."""

    earlier: NDArray[np.intp]
    later: NDArray[np.intp]

    @classmethod
    def of(cls, sides: int, *, all_pairs: bool) -> Pairs:
        """Of all sides with the first one, or with each other."""
        if all_pairs:
            return cls(*np.triu_indices(sides, k=1))
        return cls(np.zeros(sides - 1, np.intp), np.arange(1, sides, dtype=np.intp))

    def flips(self) -> int:
        """As many as the memory allows."""
        return min(FLIPS, max(FEWEST_FLIPS, MOST_REACHES // len(self.later)))


@dataclass(frozen=True, eq=False)
class _Family:
    """The base, and the trials that were scored on the same pages.

    Attributes:
        base: the base.
        others: the trials that are compared with it.
        pairs: what the family holds: all of them and the base, or all pairs.
        statistic: the objective.
        groups: of the pages.
        spread: of the scores over seeds, if known.
    """

    base: _Base
    others: Sequence[Candidate]
    pairs: Pairs
    statistic: Statistic
    groups: PageGroups
    spread: SeedSpread | None

    @classmethod
    def of(
        cls, base: _Base, others: Sequence[Candidate], statistic: Statistic | None, spread: SeedSpread | None
    ) -> _Family | None:
        """None if there is nothing to compare by pages."""
        names = _page_names(base.candidate)
        compared = [other for other in others if _page_names(other) == names]
        if base.is_chosen:
            compared = compared[: MOST_IN_PAIRS - 1]
        if statistic is None or not names or not compared:
            return None
        everyone = [base.candidate, *compared]
        groups = page_groups(*(page_scores(training) for candidate in everyone for training in candidate.trainings))
        pairs = Pairs.of(len(everyone), all_pairs=base.is_chosen)
        return cls(base, compared, pairs, statistic, groups, spread)

    def comparisons(self) -> list[TrialComparison]:
        """Of the other trials, in their order."""
        candidates = [self.base.candidate, *self.others]
        scores = Contributions.stacked([self._contributions(candidate) for candidate in candidates])
        differences = _rows(scores, self.pairs.later).minus(_rows(scores, self.pairs.earlier))
        intervals = interval_pairs(differences, flips=self.pairs.flips())
        found = []
        for place, other in enumerate(self.others):  # their pairs with the base come first
            difference = float(differences.value[place])
            found.append(self._comparison(other, difference, intervals.single[place], intervals.family[place]))
        return found

    def _comparison(
        self, other: Candidate, difference: float, single: Interval | None, family: Interval | None
    ) -> TrialComparison:
        if self.spread is not None:
            trainings = (len(other.trainings), len(self.base.candidate.trainings))
            single = widened(single, difference, self.spread.half_width(*trainings))
            family = widened(family, difference, self.spread.half_width(*trainings, family=len(self.pairs.later)))
        conclusion: str = verdict(family)
        if self.spread is None and conclusion in ("better", "worse"):
            conclusion = f"{conclusion} ({ONE_TRAINING})"
        return TrialComparison(
            trial=other.number,
            base=self.base.candidate.number,
            what=self.base.what,
            difference=difference,
            interval95=single,
            family95=family,
            verdict=conclusion,
        )

    def _contributions(self, candidate: Candidate) -> Contributions:
        """What each group contributes to the mean score of a candidate's trainings."""
        parts = []
        for training in candidate.trainings:
            of_statistics = contributions(page_scores(training), [self.statistic], self.groups)
            parts.append(of_statistics[self.statistic])
        return Contributions.mean_of(parts)


def _page_names(candidate: Candidate) -> list[str]:
    """The pages of a candidate; none if its trainings were not all scored on the same ones."""
    names = [[page.name for page in page_scores(training)] for training in candidate.trainings]
    if any(other != names[0] for other in names):
        return []
    return names[0]


def _rows(of: Contributions, which: NDArray[np.intp]) -> Contributions:
    return Contributions(of.value[which], of.influence[which], of.share[which])
