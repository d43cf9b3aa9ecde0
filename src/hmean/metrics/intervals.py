"""Intervals of scores and of differences between results on the same pages, and what such an interval says.

The unit is the group of pages (``metrics.groups``). Legend of shapes: N pages, G groups, K estimates, B flips.

An estimate (a mean over pages, a score from pooled counts, a difference of two of these) is written as a sum of one
contribution a group. If its true value were v, group g would contribute ``influence_g + share_g * (estimate - v)``:
these sum to ``estimate - v``, and what a group contributes would as well have the other sign. So signs are flipped: v
is rejected if the sum is further from 0 than the sums under 95 % of all flips. The interval has all v that are not
rejected. With ``a = sum of sign * influence`` and ``b = sum of sign * share``, a flip is less extreme than the
estimate if ``|a + b d| < |d|`` for ``d = estimate - v``. For ``d > 0`` that means
``d > max(a / (1 - b), -a / (1 + b))``, and for ``d < 0`` that ``-d > max(a / (1 + b), -a / (1 - b))``. So the lower
end is the estimate minus the 95 % quantile of the first maximum over all flips, and the upper end is the estimate plus
that of the second.

This is the wild cluster bootstrap with the null hypothesis imposed (Cameron, Gelbach and Miller 2008), turned into an
interval. As a test by flipped signs it holds its level for any number and any sizes of groups, and any correlation in
them, if contributions are as likely above the truth as below it by as much (Canay, Santos and Shaikh 2021); with few
groups and skewed scores it is a little optimistic. ``docs/concepts/intervals.md`` shows how it does in simulations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Literal, NamedTuple, Self

import numpy as np

from hmean.metrics.cleval import Counts
from hmean.metrics.groups import FEWEST_GROUPS, PageGroups
from hmean.metrics.iou import MatchCounts
from hmean.metrics.kernels import Flags, Floats
from hmean.metrics.scorer import PageScore
from hmean.metrics.statistics import STATISTICS, Compared, Counted, summands
from hmean.types import Statistic

LEVEL = 0.95
FLIPS = 10_000
FEWEST_FLIPS = 2_000  # for very many groups: the quantile is then 95 % within a percent
MOST_SIGNS = 20_000_000  # flips times groups, beyond which there are fewer flips
ALL_FLIPS_GROUPS = 13  # up to so many groups, every flip is tried
BLOCK = 4_000_000  # signs held at once, as numbers of 8 bytes
TINY = 1e-12

# All fields as a tuple; dataclasses.astuple copies each number, and takes 20 times as long.
_counts_of = attrgetter(*[field.name for field in fields(Counts)])
_matches_of = attrgetter(*[field.name for field in fields(MatchCounts)])

Verdict = Literal["better", "worse", "not distinguishable", "too few groups"]


class Interval(NamedTuple):
    """The two ends of a 95 % interval; in JSON a list of them."""

    low: float
    high: float


def verdict(interval: Interval | None) -> Verdict:
    """What the interval of a difference says: whether it excludes 0, and on which side."""
    if interval is None:
        return "too few groups"
    if interval.low > 0:
        return "better"
    if interval.high < 0:
        return "worse"
    return "not distinguishable"


@dataclass(frozen=True, eq=False)
class Contributions:
    """K estimates, and what each of G groups contributes to them.

    Attributes:
        value: the estimates (K,).
        influence: of each group on each estimate (K, G), in sum 0 over groups. For a mean over pages: the sum over the
            group's pages of what they lie above the mean, over the number of all pages.
        share: weight of each group in each estimate (K, G), in sum 1 over groups.
    """

    value: Floats
    influence: Floats
    share: Floats

    @classmethod
    def of_sums(cls, sums: Floats) -> Self:
        """Of statistics, from sums of their ``summands`` over the pages of each group (K, G, 2 or 4)."""
        if sums.shape[-1] == 2:
            return cls(*_ratio(sums[..., 0], sums[..., 1]))
        p, p_influence, p_share = _ratio(sums[..., 0], sums[..., 1])
        r, r_influence, r_share = _ratio(sums[..., 2], sums[..., 3])
        both = np.maximum(p + r, TINY)
        value = 2 * p * r / both
        # H = 2PR / (P + R) has the derivatives 2 R^2 / (P + R)^2 and 2 P^2 / (P + R)^2.
        by_p = 2 * r**2 / both**2
        by_r = 2 * p**2 / both**2
        influence = by_p[:, None] * p_influence + by_r[:, None] * r_influence
        # Weighted so that, for counts of matches, a group's share is its share of labelled and detected words.
        p_weight = np.where(p + r > TINY, r / both, 0.5)
        share = p_weight[:, None] * p_share + (1 - p_weight)[:, None] * r_share
        return cls(value, influence, share)

    @classmethod
    def mean_of(cls, parts: Sequence[Contributions], weights: Sequence[float] | None = None) -> Self:
        """The weighted mean of estimates on the same groups: of several runs, or of the hmeans of an objective."""
        if weights is None:
            weights = [1.0] * len(parts)
        total = sum(weights)
        value = np.zeros_like(parts[0].value)
        influence = np.zeros_like(parts[0].influence)
        share = np.zeros_like(parts[0].share)
        for part, weight in zip(parts, weights, strict=True):
            value = value + weight / total * part.value
            influence = influence + weight / total * part.influence
            share = share + weight / total * part.share
        return cls(value, influence, share)

    @classmethod
    def stacked(cls, parts: Sequence[Contributions]) -> Self:
        """All estimates of several on the same groups, one after the other."""
        return cls(
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.influence for part in parts]),
            np.concatenate([part.share for part in parts]),
        )

    def of(self, index: int) -> Contributions:
        """One of the estimates."""
        one = [index]
        return Contributions(self.value[one], self.influence[one], self.share[one])

    def minus(self, other: Contributions) -> Contributions:
        """The differences to other estimates (K or 1) on the same groups."""
        return Contributions(
            self.value - other.value,
            self.influence - other.influence,
            (self.share + other.share) / 2,
        )


def _ratio(part: Floats, whole: Floats) -> tuple[Floats, Floats, Floats]:
    """Value (K,), influence (K, G) and share (K, G) of the ratio of two sums over groups (K, G); 0 where 0 / 0."""
    total = whole.sum(axis=-1, keepdims=True)
    is_defined = total > 0
    safe = np.where(is_defined, total, 1.0)
    sums = np.maximum(part.sum(axis=-1, keepdims=True), 0)
    value = np.where(is_defined, sums / safe, 0.0)
    influence = np.where(is_defined, (part - value * whole) / safe, 0.0)
    share = np.where(is_defined, whole / safe, 1 / whole.shape[-1])
    # A sum below 0 counts as 0: then the parts do not sum to it, and the rest is shared out.
    influence = influence - influence.sum(axis=-1, keepdims=True) * share
    return value[..., 0], influence, share


class Reach(NamedTuple):
    """How far the ends of intervals lie from their estimates: below (K,) and above (K,); infinite: no interval."""

    below: Floats
    above: Floats


class Flipped(NamedTuple):
    """How far a true value can lie from an estimate until a flip is less extreme, in each of B flips (B, K).

    Attributes:
        below: for true values below the estimate.
        above: for true values above it.
        at_most: for any true values of all estimates that lie no further away than this.
    """

    below: Floats
    above: Floats
    at_most: Floats


@dataclass(frozen=True, eq=False)
class IntervalPair:
    """The intervals of K estimates: each for itself, and such that all of them together hold with 95 %.

    Attributes:
        single: K intervals; None where there are too few groups.
        family: likewise; each as wide as its single one or wider.
    """

    single: Sequence[Interval | None]
    family: Sequence[Interval | None]


def intervals(of: Contributions, *, flips: int = FLIPS) -> list[Interval | None]:
    """The 95 % interval of each estimate for itself; None where there are too few groups."""
    return _around(of.value, _reach(of, flips))


def interval_pairs(of: Contributions, *, flips: int = FLIPS) -> IntervalPair:
    """The intervals of several estimates, such as the differences of several candidates to one base.

    With many candidates, some single interval excludes 0 by luck. The family intervals exclude any true value in at
    most 5 % of cases in all: they are single intervals times a factor, such that the largest over the estimates of a
    flip's reach (``|a| / (1 - |b|)``, which holds whatever the other true values are) over that of the interval stays
    below the factor in 95 % of the flips (max-T: Westfall and Young 1993). The flips are the same for all estimates, so
    that candidates which resemble each other cost little.
    """
    reach = _reach(of, flips)
    single = _around(of.value, reach)
    if len(single) == 1:
        return IntervalPair(single, single)
    factor = _family_factor(of, reach, flips)
    wider = Reach(_times(reach.below, factor), _times(reach.above, factor))
    return IntervalPair(single, _around(of.value, wider))


def below_zero(of: Contributions, *, flips: int = FLIPS) -> Flags:
    """Whether the interval of each estimate lies below 0 (K,); nowhere so if there are too few groups.

    That the true value is 0 is tested directly, which for very many estimates takes a fifth of the time.
    """
    if_zero = of.influence + of.share * of.value[:, None]
    limit = np.abs(of.value) * (1 - TINY)
    less_extreme = np.zeros(len(of.value), dtype=np.int64)
    count = 0
    for signs in _signs(of.influence.shape[1], flips):
        less_extreme += (np.abs(signs @ if_zero.T) < limit).sum(axis=0)
        count += len(signs)
    found: Flags = (of.value < 0) & (less_extreme >= LEVEL * count)
    return found


def _around(value: Floats, reach: Reach) -> list[Interval | None]:
    low = value - reach.below
    high = value + reach.above
    found: list[Interval | None] = []
    for ends in zip(low.tolist(), high.tolist(), strict=True):
        if np.isfinite(ends).all():
            found.append(Interval(*ends))
        else:
            found.append(None)
    return found


def _reach(of: Contributions, flips: int) -> Reach:
    """The 95 % quantiles over flips."""
    below = []
    above = []
    for flipped in _flipped(of, flips):
        below.append(flipped.below)
        above.append(flipped.above)
    return Reach(_quantile(np.concatenate(below)), _quantile(np.concatenate(above)))


def _family_factor(of: Contributions, single: Reach, flips: int) -> float:
    """By how much family intervals are wider than single ones."""
    width = (single.below + single.above) / 2
    counts = (width > 0) & np.isfinite(width)
    if not counts.any():
        return 1.0
    largest = []
    for flipped in _flipped(of, flips):
        in_widths = flipped.at_most[:, counts] / width[counts]
        largest.append(in_widths.max(axis=1))
    return max(float(_quantile(np.concatenate(largest))), 1.0)


def _times(reach: Floats, factor: float) -> Floats:
    """The reach (K,) times a factor; 0 stays 0 also where the factor is infinite."""
    found = np.zeros_like(reach)
    np.multiply(reach, factor, out=found, where=reach > 0)
    return found


def _quantile(values: Floats) -> Floats:
    """The smallest of the values (B, ...) that at least 95 % of them do not exceed."""
    rank = int(np.ceil(LEVEL * len(values))) - 1
    found: Floats = np.partition(values, rank, axis=0)[rank]
    return found


def _flipped(of: Contributions, flips: int) -> Iterator[Flipped]:
    """The reach of every flip, in blocks of flips."""
    # Where all groups say the same, so do all flips; a few groups that do show nothing even so.
    varies = np.any(of.influence != 0, axis=1) | (of.influence.shape[1] < FEWEST_GROUPS)
    for signs in _signs(of.influence.shape[1], flips):
        a = signs @ of.influence.T
        b = signs @ of.share.T
        # All signs alike: the flip is as extreme as the estimate, whatever the true value is.
        is_bounded = np.abs(b) < 1 - TINY
        towards = np.where(is_bounded, 1 - b, 1.0)
        away = np.where(is_bounded, 1 + b, 1.0)
        below = np.maximum(a / towards, -a / away)
        above = np.maximum(a / away, -a / towards)
        at_most = np.maximum(below, above)
        is_unbounded = ~is_bounded & varies
        for reach in (below, above, at_most):
            np.maximum(reach, 0, out=reach)
            reach[is_unbounded] = np.inf
        yield Flipped(below, above, at_most)


def _signs(groups: int, flips: int) -> Iterator[Floats]:
    """Signs of G groups in each flip, in blocks (B, G).

    All flips for few groups (only those with the first sign positive: the opposite flip says the same), else random
    ones, the first of which is the flip of nothing.
    """
    if groups <= ALL_FLIPS_GROUPS:
        numbers = np.arange(2 ** max(groups - 1, 0))
        is_flipped = (numbers[:, None] >> np.arange(groups)) & 1 == 1
        all_signs: Floats = np.where(is_flipped, -1.0, 1.0)
        yield all_signs
        return
    count = min(flips, max(FEWEST_FLIPS, MOST_SIGNS // groups))
    generator = np.random.default_rng(0)
    size = max(1, BLOCK // groups)
    for start in range(0, count, size):
        uniform = generator.random((min(size, count - start), groups))
        signs: Floats = np.where(uniform < 0.5, -1.0, 1.0)
        if start == 0:
            signs[0] = 1.0
        yield signs


# --- of scored pages --------------------------------------------------------------------------------------------------


def page_groups(pages: Sequence[PageScore], *others: Sequence[PageScore]) -> PageGroups:
    """The groups of scored pages.

    Args:
        pages: of one result.
        others: of further results on the same pages, which say the group of a page where the first does not.

    Raises:
        ValueError: if there is no page.
    """
    if not pages:
        raise ValueError("no page has been scored")
    groups = [page.group for page in pages]
    for other in others:
        for i, page in enumerate(other):
            if groups[i] is None:
                groups[i] = page.group
    return PageGroups.of([page.name for page in pages], groups)


def contributions(
    pages: Sequence[PageScore], statistics: Iterable[Compared], groups: PageGroups | None = None
) -> dict[Compared, Contributions]:
    """What each group contributes to each statistic of a result (K = 1).

    Args:
        pages: the scored pages.
        statistics: which hmeans; also macro precision and recall.
        groups: of the pages, where they are not those that the pages name.

    Raises:
        ValueError: if there is no page.
    """
    if groups is None:
        groups = page_groups(pages)
    counts, matches = count_arrays(pages)
    found = {}
    for statistic in statistics:
        sums = groups.sums(summands(counts, matches, statistic))
        found[statistic] = Contributions.of_sums(sums[None])
    return found


def score_interval(pages: Sequence[PageScore], statistic: Compared) -> Interval | None:
    """The interval of one statistic of a result, within [0, 1]."""
    return score_intervals(pages, [statistic])[statistic]


def score_intervals(pages: Sequence[PageScore], statistics: Iterable[Compared]) -> dict[Compared, Interval | None]:
    """The interval of each statistic of a result, within [0, 1]."""
    of_statistics = contributions(pages, statistics)
    found = intervals(Contributions.stacked(list(of_statistics.values())))
    return {statistic: within_0_and_1(interval) for statistic, interval in zip(of_statistics, found, strict=True)}


def within_0_and_1(interval: Interval | None) -> Interval | None:
    """The part of an interval that a score can have."""
    if interval is None:
        return None
    return Interval(max(interval.low, 0.0), min(interval.high, 1.0))


def hmean_intervals(pages: Sequence[PageScore]) -> dict[Statistic, Interval | None]:
    """The interval of each hmean of a result."""
    found = score_intervals(pages, STATISTICS)
    return {statistic: found[statistic] for statistic in STATISTICS}


def difference_intervals(
    candidates: Sequence[Sequence[PageScore]], base: Sequence[PageScore], statistics: Iterable[Compared]
) -> dict[Compared, IntervalPair]:
    """Paired intervals of the differences of K candidates to one base, for each statistic.

    A page that is hard is hard for both, so the interval of a difference is far narrower than those of the scores.

    Raises:
        ValueError: if there is no page, or a candidate has other pages, or the same ones in another order.
    """
    statistics = list(statistics)
    names = [page.name for page in base]
    for candidate in candidates:
        if [page.name for page in candidate] != names:
            raise ValueError("a paired interval needs all results on the same pages in the same order")
    groups = page_groups(base, *candidates)
    of_base = contributions(base, statistics, groups)
    of_candidates = [contributions(candidate, statistics, groups) for candidate in candidates]
    found = {}
    for statistic in statistics:
        stacked = Contributions.stacked([of[statistic] for of in of_candidates])
        found[statistic] = interval_pairs(stacked.minus(of_base[statistic]))
    return found


def difference_interval(pages: Sequence[PageScore], minus: Sequence[PageScore], statistic: Compared) -> Interval | None:
    """The paired interval of one statistic of a result minus that of another on the same pages."""
    (interval,) = difference_intervals([pages], minus, [statistic])[statistic].single
    return interval


def count_arrays(pages: Sequence[PageScore]) -> tuple[Counted, Counted]:
    """CLEval's counts (N, 8) and IoU matches (N, 2, 3) of scored pages."""
    counts = [_counts_of(page.counts) for page in pages]
    matches = [(_matches_of(page.iou50), _matches_of(page.iou70)) for page in pages]
    return np.array(counts), np.array(matches)


def of_objective(of_statistics: Mapping[Statistic, Contributions], weights: Mapping[Statistic, float]) -> Contributions:
    """The contributions to a weighted mean of hmeans."""
    parts = [of_statistics[statistic] for statistic in weights]
    return Contributions.mean_of(parts, list(weights.values()))
