"""The score of one recipe from one training, or from several that differ by their seed alone."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Contributions, Interval, contributions, intervals, page_groups, within_0_and_1
from hmean.metrics.seeds import SeedSpread, widened
from hmean.runs.sides import Side, know_groups, require_comparable
from hmean.types import PRH


@dataclass(frozen=True)
class SideScore:
    """CLEval's macro score of a side.

    Attributes:
        prh: means over its trainings.
        interval95: of H, over groups of pages; of several trainings, it has the spread of their seeds in it.
        grouping: the groups of pages that it rests on.
        trainings: how many there are.
        seeds: the spread of H over seeds; None for a single training.
    """

    prh: PRH
    interval95: Interval | None
    grouping: Grouping
    trainings: int
    seeds: SeedSpread | None


def score_of_side(side: Side) -> SideScore:
    """The macro score of a side, from the pages of its results.

    Raises:
        InputError: if its results are not of the same pages, or not of trainings that differ by their seed alone.
    """
    require_comparable([side])
    scores = [result.score().macro for result in side.results]
    pages = [result.pages for result in side.results]
    groups = page_groups(pages[0], *pages[1:])
    mean = Contributions.mean_of([contributions(of, ["macro"], groups)["macro"] for of in pages])
    (interval,) = intervals(mean)
    p = fmean(score.p for score in scores)
    r = fmean(score.r for score in scores)
    h = fmean(score.h for score in scores)
    seeds = SeedSpread.of([score.h for score in scores])
    if seeds is not None:
        interval = widened(interval, h, seeds.half_width(len(scores)))
    return SideScore(
        prh=PRH(p, r, h),
        interval95=within_0_and_1(interval),
        grouping=groups.grouping(known=know_groups(side.results)),
        trainings=len(scores),
        seeds=seeds,
    )
