"""Which post-processing settings are best, and how much of that is luck: scores of many settings, chosen and checked.

What is chosen on pages is a little too good on them. So the choice is made again without each fold of pages (grouped,
so that a shop is never on both sides) and scored on that fold: the cross-fitted score is what the choice is worth on
pages that it has not seen, the difference to the score on its own pages its optimism.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.data.folds import fold_of, group_keys
from hmean.metrics.bootstrap import resamples
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer, over_pages, score_arrays
from hmean.metrics.statistics import from_sums, page_prh, summands
from hmean.postprocess.decoding import detect_each
from hmean.postprocess.parameters import READ_WITH, PostprocessParams, is_read
from hmean.types import Characters, Detections, Page, Statistic

Floats = NDArray[np.float64]
MOVES = 4  # of the last grid of a search, at most: on a flat top it would wander


@dataclass(frozen=True, eq=False)
class SettingScores:
    """What S settings scored on N pages.

    Attributes:
        settings: the settings (S).
        counts: fields of CLEval's ``Counts`` (S, N, 8).
        ious: fields of ``MatchCounts`` at 0.5 and 0.7 (S, N, 2, 3).
    """

    settings: Sequence[PostprocessParams]
    counts: NDArray[np.integer[Any]]
    ious: NDArray[np.integer[Any]]

    def pages(self, which: NDArray[Any]) -> SettingScores:
        """The same settings on some of the pages."""
        return SettingScores(self.settings, self.counts[:, which], self.ious[:, which])

    def setting(self, *index: int) -> SettingScores:
        """One, or some, of the settings on the same pages."""
        return SettingScores([self.settings[i] for i in index], self.counts[list(index)], self.ious[list(index)])

    def scorer(self, names: Sequence[str], characters: Characters) -> Scorer:
        """The first setting's pages, as a ``Scorer`` keeps them."""
        scorer = Scorer(characters)
        for name, counts, (at50, at70) in zip(names, self.counts[0].tolist(), self.ious[0].tolist(), strict=True):
            scorer.pages.append(PageScore(name, Counts(*counts), MatchCounts(*at50), MatchCounts(*at70)))
        return scorer

    def values(self, objective: Mapping[Statistic, float], times: Floats) -> Floats:
        """Weighted mean of hmeans (B, S), each page counted so many times (B, N)."""
        total = np.zeros((len(times), len(self.counts)))
        for statistic, weight in objective.items():
            total += weight * from_sums(np.tensordot(times, summands(self.counts, self.ious, statistic), (1, 1)))
        return total / sum(objective.values())

    def score(self, objective: Mapping[Statistic, float]) -> Floats:
        """Weighted mean of hmeans (S,) on all pages."""
        found: Floats = self.values(objective, np.ones((1, self.counts.shape[1])))[0]
        return found

    def lack(self, precision: float, recall: float) -> Floats:
        """By how much macro P and R (S,) fall short of floors."""
        p, r = self.macro_pr()
        return np.maximum(precision - p, 0.0) + np.maximum(recall - r, 0.0)

    def macro_pr(self) -> tuple[Floats, Floats]:
        """Macro precision and recall (S,) on all pages."""
        p, r, _ = page_prh(self.counts).mean(axis=1).T
        return p, r


@dataclass(frozen=True, eq=False)
class Choice:
    """The setting chosen, the best one, and the plateau (S,): all that cannot be told from the best."""

    chosen: int
    best: int
    plateau: NDArray[np.bool_]


def score_settings(
    pages: Sequence[Page],
    read_map: Callable[[Page], Any],
    settings: Sequence[PostprocessParams],
    characters: Characters,
    *,
    find: Callable[[Any, Sequence[Any]], list[Detections]] = detect_each,
    threads: int = 1,
    on_pages: Callable[[int], object] = lambda _: None,
) -> SettingScores:
    """Score S settings on N pages: a map is read once, ``box_thresh`` only drops regions.

    Args:
        pages: with labels.
        read_map: the probability map of a page, or what else ``find`` takes.
        settings: to be scored.
        characters: see ``count_array``.
        find: (what was read, settings) -> regions at each setting.
        threads: that share the pages.
        on_pages: called with a number of pages when they are done, for a progress bar.
    """
    groups: dict[PostprocessParams, list[int]] = {}
    for i, setting in enumerate(settings):
        groups.setdefault(replace(setting, box_thresh=0.0), []).append(i)
    limits = [sorted({settings[i].box_thresh for i in members}) for members in groups.values()]
    loosest = [replace(key, box_thresh=least[0]) for key, least in zip(groups, limits, strict=True)]
    counts = np.zeros((len(settings), len(pages), 8), dtype=np.int32)
    ious = np.zeros((len(settings), len(pages), 2, 3), dtype=np.int32)

    def score(part: slice) -> None:
        some = pages[part]
        found = [find(read_map(page), loosest) for page in some]
        for g, (members, least) in enumerate(zip(groups.values(), limits, strict=True)):
            regions = [each[g] for each in found]
            counted, matched = score_arrays(some, regions, characters, least)
            for i in members:
                t = least.index(settings[i].box_thresh)
                counts[i, part], ious[i, part] = counted[:, t], matched[:, t]
        on_pages(len(some))

    over_pages(score, len(pages), threads)
    return SettingScores(settings, counts, ious)


def gain_of(
    of: SettingScores, over: SettingScores, objective: Mapping[Statistic, float], draws: int = 10_000
) -> dict[str, Any]:
    """Difference of the objective, with its 95 % paired-bootstrap interval."""
    times = resamples(of.counts.shape[1], draws, seed=0)
    drawn = of.values(objective, times) - over.values(objective, times)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return {"gain": float(of.score(objective)[0] - over.score(objective)[0]), "interval95": [low, high]}


def grid(present: PostprocessParams, axes: Mapping[str, Sequence[Any]]) -> list[PostprocessParams]:
    """Every combination of the axes, the present values first; an axis that is not read multiplies nothing."""
    points = [replace(present, **dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]
    kept = {name: getattr(present, name) for name in READ_WITH.values()}
    points = [replace(p, **{k: v for k, v in kept.items() if not is_read(k, p.unclip)}) for p in points]
    return list(dict.fromkeys([present, *points]))


def choose(
    scores: SettingScores,
    objective: Mapping[Statistic, float],
    *,
    precision: float = 0.0,
    recall: float = 0.0,
    draws: int = 1000,
    seed: int = 0,
) -> Choice:
    """The setting in the middle of the plateau.

    The best of thousands is lucky and may stand on an edge. Of all settings whose 95 % paired interval to the best
    holds 0, the one is chosen that is highest together with its surroundings: its own objective and the mean over it
    and the grid's neighbours count alike. (The mean alone leads away from a peak, where a knob's steps are coarse.)

    Args:
        scores: of the pages to choose on.
        objective: weights of the hmeans.
        precision: least macro precision of what may be chosen; where nothing reaches it, the nearest counts.
        recall: likewise.
        draws: bootstrap resamples.
        seed: of these.
    """
    value = scores.score(objective)
    lack = scores.lack(precision, recall)
    allowed = lack <= lack.min() + 1e-12
    best = int(np.flatnonzero(allowed)[np.argmax(value[allowed])])
    drawn = scores.values(objective, resamples(scores.counts.shape[1], draws, seed))
    plateau = allowed & (np.quantile(drawn - drawn[:, [best]], 0.975, axis=0) >= 0)
    at, kind = _places(scores.settings)
    on_grid = plateau & (at[:, 0] >= 0)
    members = np.flatnonzero(on_grid if on_grid.any() else plateau)
    near = [(np.abs(at - at[i]) <= 1).all(axis=1) & (kind == kind[i]) & allowed for i in members]
    around = np.array([value[neighbours].mean() for neighbours in near])
    return Choice(int(members[np.argmax(value[members] + around)]), best, plateau)


def _places(settings: Sequence[PostprocessParams]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each setting stands on the grid: steps along the ordered knobs (S, A), and outline and unclip mode (S,).

    The first, the present one, may lie off the grid, at -2: then it is nobody's neighbour.
    """

    def row(setting: PostprocessParams) -> list[float]:
        distance = getattr(setting, READ_WITH[setting.unclip])
        return [setting.thresh, setting.box_thresh, distance, setting.min_size, setting.max_candidates]

    rows, kinds = (
        np.array([row(s) for s in settings]),
        np.array([2 * s.use_polygon + (s.unclip == "ratio") for s in settings]),
    )
    on_grid, place = np.ones(len(rows), dtype=np.bool_), np.zeros(rows.shape, dtype=np.int64)
    for axis, kind in itertools.product(range(rows.shape[1]), np.unique(kinds)):
        same = np.flatnonzero(kinds == kind)
        listed = np.unique(rows[same[same > 0], axis] if len(settings) > 1 else rows[same, axis])
        on_grid[same] &= np.isin(rows[same, axis], listed)
        place[same, axis] = np.searchsorted(listed, rows[same, axis])
    place[~on_grid] = -2
    return place, kinds


def grid_size(axes: Mapping[str, Sequence[Any]]) -> int:
    """Settings of a grid: each unclip mode reads one of ``unclip_ratio`` and ``inverse_r``."""
    size = sum(len(axes[READ_WITH[mode]]) for mode in axes["unclip"])
    others = [values for axis, values in axes.items() if axis not in ("unclip", *READ_WITH.values())]
    return size * math.prod(len(values) for values in others)


class Scored:
    """Scores of settings on N pages, each found once: what the searches of several folds share."""

    def __init__(self, score: Callable[[Sequence[PostprocessParams]], SettingScores]) -> None:
        self._score = score
        self.known: dict[PostprocessParams, tuple[NDArray[Any], NDArray[Any]]] = {}

    def __call__(self, settings: Sequence[PostprocessParams]) -> SettingScores:
        """Scores of these settings."""
        new = [setting for setting in settings if setting not in self.known]
        if new:
            found = self._score(new)
            self.known.update(zip(new, zip(found.counts, found.ious, strict=True), strict=True))
        counts, ious = zip(*(self.known[setting] for setting in settings), strict=True)
        return SettingScores(settings, np.stack(counts), np.stack(ious))


def search(
    present: PostprocessParams,
    axes: Mapping[str, Sequence[Any]],
    scored: Scored,
    choose_on: Callable[[SettingScores], Choice],
    most: int,
) -> tuple[SettingScores, Choice]:
    """The last of a row of grids, each twice as fine around what the one before chose, and the choice from it.

    The first takes every 2^n-th value of each list so that it has at most ``most`` settings (all, if so many) and
    settles mode and unclip mode; the last takes the lists' own values, two steps to either side, following its choice.
    A point at a time would lose what a grid shares: components of a map, regions that ``box_thresh`` only drops.
    """
    ordered = {axis: sorted(set(values)) for axis, values in axes.items()}
    step, window = 1, ordered
    while grid_size(window) > most and step < max(map(len, ordered.values())):
        step *= 2
        window = {axis: sorted({*values[::step], values[-1]}) for axis, values in ordered.items()}
    moves = 0
    while True:
        scores = scored(grid(present, window))
        choice = choose_on(scores)
        chosen = scores.settings[choice.chosen]
        step, moves = max(step // 2, 1), moves + (step == 1)
        narrowed = {axis: _around(values, getattr(chosen, axis), step) for axis, values in ordered.items()}
        if window in (ordered, narrowed) or moves > MOVES:
            return scores, choice
        window = narrowed


def _around(values: Sequence[Any], centre: Any, step: int) -> list[Any]:
    """Values up to two steps from the one at or nearest to ``centre``; of names and flags that one."""
    if isinstance(centre, (str, bool)):
        return [centre]
    at = min(range(len(values)), key=lambda i: abs(values[i] - centre))
    return [values[i] for i in range(at - 2 * step, at + 2 * step + 1, step) if 0 <= i < len(values)]


def crossfit(
    scores: SettingScores,
    names: Sequence[str],
    groups: Sequence[str | None],
    folds: int,
    choose_on: Callable[[SettingScores], Choice],
) -> tuple[SettingScores, list[int]] | None:
    """``crossfit_search`` among given settings; the setting of each fold is its index."""
    crossed = crossfit_search(lambda rest: (scores, choose_on(scores.pages(rest))), names, groups, folds)
    return crossed and (crossed[0], [choice.chosen for _, choice in crossed[1]])


def crossfit_search(
    search_on: Callable[[NDArray[np.bool_]], tuple[SettingScores, Choice]],
    names: Sequence[str],
    groups: Sequence[str | None],
    folds: int,
) -> tuple[SettingScores, list[tuple[SettingScores, Choice]]] | None:
    """Each page scored with the setting found without its fold, as one setting; and what each fold's search found.

    None where there are fewer than two groups.

    Args:
        search_on: scores on all N pages, and a choice that has seen only those of the mask (N,).
        names: of the pages.
        groups: of the pages.
        folds: number of them, at most as many as groups.
    """
    k = min(folds, len(set(group_keys(names, groups))))
    if k < 2:
        return None
    fold = fold_of(names, groups, k, seed=0)
    found = [search_on(fold != f) for f in range(k)]
    held = found[0][0].setting(0)
    for f, (scores, choice) in enumerate(found):
        held.counts[:, fold == f], held.ious[:, fold == f] = (
            array[[choice.chosen]][:, fold == f] for array in (scores.counts, scores.ious)
        )
    return SettingScores([], held.counts, held.ious), found
