"""Scores of many post-processing settings on the same labelled pages, from their probability maps.

Legend of shapes: S settings, N pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.metrics.groups import PageGroups
from hmean.metrics.intervals import FLIPS, Contributions, Interval, intervals
from hmean.metrics.kernels import CLEVAL_COLUMNS, MATCH_COLUMNS, Floats
from hmean.metrics.scorer import Scorer, over_pages, page_score, score_arrays
from hmean.metrics.statistics import IOU_THRESHOLDS, Compared, Counted, from_sums, page_prh, summands
from hmean.postprocess.decoding import detect_each
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.types import Characters, Detections, Page, Statistic

Objective = Mapping[Statistic, float]  # hmeans and their weights: what is maximised is the weighted mean


@dataclass(frozen=True, eq=False)
class SettingScores:
    """What S settings scored on N pages.

    Attributes:
        settings: the settings; empty where every page was scored with a setting of its own (cross-fitted).
        counts: CLEval's counts (S, N, 8).
        matches: IoU matches at ``IOU_THRESHOLDS`` (S, N, 2, 3).
        groups: of the pages.
    """

    settings: Sequence[PostprocessParams]
    counts: Counted
    matches: Counted
    groups: PageGroups

    @property
    def page_count(self) -> int:
        """N."""
        return int(self.counts.shape[1])

    def of_pages(self, which: NDArray[Any]) -> SettingScores:
        """The same settings on some of the pages, given by a mask (N,) or by indices."""
        counts = self.counts[:, which]
        matches = self.matches[:, which]
        return SettingScores(self.settings, counts, matches, self.groups.of_pages(which))

    def of_settings(self, *index: int) -> SettingScores:
        """Some of the settings on the same pages."""
        chosen = list(index)
        settings = [self.settings[i] for i in chosen]
        return SettingScores(settings, self.counts[chosen], self.matches[chosen], self.groups)

    def scorer(self, names: Sequence[str], groups: Sequence[str | None], characters: Characters) -> Scorer:
        """The scored pages (N) of the first setting."""
        scorer = Scorer(characters)
        counts = self.counts[0].tolist()
        matches = self.matches[0].tolist()
        for i, name in enumerate(names):
            scorer.pages.append(page_score(name, counts[i], matches[i], group=groups[i]))
        return scorer

    def contributions(self, objective: Objective) -> Contributions:
        """What each group of pages contributes to the objective of each setting."""
        parts = [self.contributions_to(statistic) for statistic in objective]
        return Contributions.mean_of(parts, list(objective.values()))

    def contributions_to(self, statistic: Compared) -> Contributions:
        """What each group of pages contributes to one statistic of each setting."""
        return Contributions.of_sums(self.groups.sums(summands(self.counts, self.matches, statistic)))

    def score(self, objective: Objective) -> Floats:
        """The objective (S,) on all pages."""
        total = np.zeros(len(self.counts))
        for statistic, weight in objective.items():
            sums = summands(self.counts, self.matches, statistic).sum(axis=1)
            total += weight * from_sums(sums)
        value: Floats = total / sum(objective.values())
        return value

    def macro_pr(self) -> tuple[Floats, Floats]:
        """Macro precision and recall (S,) on all pages."""
        precision, recall, _ = page_prh(self.counts).mean(axis=1).T
        return precision, recall


class Gain(Record):
    """The difference of the objective between two settings on the same pages."""

    gain: float = Field(description="difference of the objective")
    interval95: Interval | None = Field(
        description="95 % interval of it, paired, over groups of pages; null: too few groups"
    )


def paired_gain(of: SettingScores, over: SettingScores, objective: Objective, *, flips: int = FLIPS) -> Gain:
    """By how much the one setting of ``of`` is better than the one of ``over``; negative if it is worse."""
    difference = of.contributions(objective).minus(over.contributions(objective))
    (interval,) = intervals(difference, flips=flips)
    return Gain(gain=float(difference.value[0]), interval95=interval)


def _count_nothing(_pages: int) -> None:
    pass


def score_settings(
    pages: Sequence[Page],
    read_map: Callable[[Page], Any],
    settings: Sequence[PostprocessParams],
    characters: Characters,
    *,
    find: Callable[[Any, Sequence[Any]], list[Detections]] = detect_each,
    threads: int = 1,
    on_pages: Callable[[int], object] = _count_nothing,
) -> SettingScores:
    """Score S settings on N pages.

    A map is read once. Settings that differ in ``box_thresh`` alone share their detections, of which it only drops
    some.

    Args:
        pages: with labels.
        read_map: gives the probability map of a page, or whatever else ``find`` takes.
        settings: to be scored.
        characters: how characters are counted: see ``count_array``.
        find: (what was read, settings) -> the detections at each setting.
        threads: that share the pages.
        on_pages: called with a number of pages once they are done, for a progress bar.
    """
    families = _families(settings)
    loosest = [family.loosest for family in families]
    shape = (len(settings), len(pages))
    counts = np.zeros((*shape, CLEVAL_COLUMNS), dtype=np.int32)
    matches = np.zeros((*shape, len(IOU_THRESHOLDS), MATCH_COLUMNS), dtype=np.int32)

    def score(some: slice) -> None:
        found = [find(read_map(page), loosest) for page in pages[some]]
        for number, family in enumerate(families):
            detections = [of_page[number] for of_page in found]
            counted, matched = score_arrays(pages[some], detections, characters, family.box_thresholds)
            for index in family.members:
                at = family.box_thresholds.index(settings[index].box_thresh)
                counts[index, some] = counted[:, at]
                matches[index, some] = matched[:, at]
        on_pages(len(found))

    over_pages(score, len(pages), threads)
    groups = PageGroups.of([page.name for page in pages], [page.group for page in pages])
    return SettingScores(settings, counts, matches, groups)


@dataclass(frozen=True)
class _Family:
    """Settings that differ in ``box_thresh`` alone.

    Attributes:
        members: where they stand among all settings.
        box_thresholds: their values, in rising order.
        loosest: the one with the lowest value: it finds whatever the others find.
    """

    members: list[int]
    box_thresholds: list[float]
    loosest: PostprocessParams


def _families(settings: Sequence[PostprocessParams]) -> list[_Family]:
    members: dict[PostprocessParams, list[int]] = {}
    for index, setting in enumerate(settings):
        key = replace(setting, box_thresh=0.0)
        members.setdefault(key, []).append(index)
    families = []
    for key, indices in members.items():
        box_thresholds = sorted({settings[index].box_thresh for index in indices})
        families.append(_Family(indices, box_thresholds, replace(key, box_thresh=box_thresholds[0])))
    return families


class ScoreCache:
    """Scores of settings on the same pages, each computed once: what the searches of several folds share.

    Args:
        score: computes the scores of settings.
    """

    def __init__(self, score: Callable[[Sequence[PostprocessParams]], SettingScores]) -> None:
        self._score = score
        self._counts: dict[PostprocessParams, Counted] = {}
        self._matches: dict[PostprocessParams, Counted] = {}
        self._groups: PageGroups | None = None

    def __len__(self) -> int:
        """Number of settings scored so far."""
        return len(self._counts)

    def score(self, settings: Sequence[PostprocessParams]) -> SettingScores:
        """Scores of these settings."""
        new = [setting for setting in settings if setting not in self._counts]
        if new:
            found = self._score(new)
            self._groups = found.groups
            for index, setting in enumerate(new):
                self._counts[setting] = found.counts[index]
                self._matches[setting] = found.matches[index]
        counts = np.stack([self._counts[setting] for setting in settings])
        matches = np.stack([self._matches[setting] for setting in settings])
        assert self._groups is not None  # noqa: S101 - scores were computed
        return SettingScores(settings, counts, matches, self._groups)
