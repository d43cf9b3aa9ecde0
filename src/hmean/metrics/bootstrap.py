"""Bootstrap over pages: intervals of scores and of differences between two results, and what such an interval says.

A resample draws as many pages as there are, with replacement (Efron 1979); the 95 % interval runs from the 2.5th to
the 97.5th percentile of the statistic over the resamples. A paired interval draws the same pages for both results: what
is hard is hard for both, so the interval of the difference is far narrower than those of the two scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from typing import Literal, NamedTuple

import numpy as np

from hmean.metrics.kernels import Floats
from hmean.metrics.scorer import PageScore
from hmean.metrics.statistics import STATISTICS, Compared, Counted, from_sums, summands
from hmean.types import Statistic

DRAWS = 10_000
BLOCK = 4_000_000  # resampled page indices held at once: 32 MB
Verdict = Literal["better", "worse", "not distinguishable"]


class Interval(NamedTuple):
    """The two ends of a 95 % interval; in JSON a list of them."""

    low: float
    high: float


def verdict(interval: Interval) -> Verdict:
    """What the interval of a difference says: whether it excludes 0, and on which side."""
    if interval.low > 0:
        return "better"
    if interval.high < 0:
        return "worse"
    return "not distinguishable"


def bootstrap_interval(
    pages: Sequence[PageScore],
    statistic: Compared,
    *,
    minus: Sequence[PageScore] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """``bootstrap_intervals`` of one statistic."""
    return bootstrap_intervals(pages, [statistic], minus=minus, draws=draws, seed=seed)[statistic]


def bootstrap_intervals(
    pages: Sequence[PageScore],
    statistics: Iterable[Compared],
    *,
    minus: Sequence[PageScore] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[Compared, Interval]:
    """Intervals of statistics of a result, or, paired, of their differences to another result.

    Args:
        pages: the N scored pages of the result.
        statistics: which hmeans; also macro precision and recall.
        minus: another result on the same pages in the same order; each resample then gives the statistic of ``pages``
            minus that of ``minus``.
        draws: number of resamples.
        seed: of the random numbers.

    Raises:
        ValueError: if there is no page, or ``minus`` has other pages.
    """
    if not pages:
        raise ValueError("no page has been scored")
    if minus is not None and [page.name for page in minus] != [page.name for page in pages]:
        raise ValueError("a paired interval needs both results on the same pages in the same order")
    of_pages = _summands_of(pages, statistics)
    of_minus = {}
    if minus is not None:
        of_minus = _summands_of(minus, of_pages)
    drawn: dict[Compared, list[Floats]] = {statistic: [] for statistic in of_pages}
    for times in _blocks(len(pages), draws, seed):
        for statistic, values in of_pages.items():
            found = from_sums(times @ values)
            if minus is not None:
                found = found - from_sums(times @ of_minus[statistic])
            drawn[statistic].append(found)
    return {statistic: percentile_interval(np.concatenate(values)) for statistic, values in drawn.items()}


def _summands_of(pages: Sequence[PageScore], statistics: Iterable[Compared]) -> dict[Compared, Floats]:
    counts, matches = count_arrays(pages)
    return {statistic: summands(counts, matches, statistic) for statistic in statistics}


def hmean_intervals(pages: Sequence[PageScore]) -> dict[Statistic, Interval]:
    """The interval of each hmean of a result."""
    found = bootstrap_intervals(pages, STATISTICS)
    return {statistic: found[statistic] for statistic in STATISTICS}


def percentile_interval(values: Floats) -> Interval:
    """The interval that 95 % of the values of all resamples lie in."""
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    return Interval(low, high)


def resamples(pages: int, draws: int, seed: int | np.random.Generator) -> Floats:
    """How often each of N pages is drawn in each resample (draws, N)."""
    drawn = np.random.default_rng(seed).integers(pages, size=(draws, pages))
    drawn += pages * np.arange(draws)[:, None]
    counted = np.bincount(drawn.ravel(), minlength=draws * pages)
    return counted.reshape(draws, pages).astype(np.float64)


def count_arrays(pages: Sequence[PageScore]) -> tuple[Counted, Counted]:
    """CLEval's counts (N, 8) and IoU matches (N, 2, 3) of scored pages."""
    counts = [astuple(page.counts) for page in pages]
    matches = [(astuple(page.iou50), astuple(page.iou70)) for page in pages]
    return np.array(counts), np.array(matches)


def _blocks(pages: int, draws: int, seed: int) -> Iterator[Floats]:
    """``resamples`` in blocks that fit into memory; the draws do not depend on the size of a block."""
    generator = np.random.default_rng(seed)
    size = max(1, BLOCK // pages)
    for start in range(0, draws, size):
        yield resamples(pages, min(size, draws - start), generator)
