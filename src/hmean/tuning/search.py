"""The search of a grid that is too large to be scored whole: a row of small grids, each finer than the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hmean.metrics.kernels import Flags
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.choose import Choice
from hmean.tuning.grid import Axes, grid_size, make_grid
from hmean.tuning.scores import ScoreCache, SettingScores

WHOLE_GRID = 5_000  # settings that are scored as one grid, at most; a larger space is searched, from a first grid of
FIRST_GRID = 1_000  # settings at most
MOVES = 4  # of the last grid, at most: on a flat top the search would wander


@dataclass(frozen=True, eq=False)
class Found:
    """The last grid of a search, on all pages, and the choice from it."""

    scores: SettingScores
    choice: Choice

    @property
    def setting(self) -> PostprocessParams:
        """The setting chosen."""
        return self.scores.settings[self.choice.chosen]


@dataclass(frozen=True, eq=False)
class GridSearch:
    """A row of grids, each twice as fine around the choice from the one before.

    The first grid takes every 2^n-th value of each list, so that it has at most ``first_grid`` settings; it settles the
    modes and flags. The last one takes the lists' own values, up to two steps to either side of the choice, and follows
    it. Where all settings together are at most ``first_grid``, they are one grid.

    To try a setting at a time instead would lose what the settings of a grid share: the components of a map, and
    detections that ``box_thresh`` only drops.

    Attributes:
        present: the values that are there now.
        axes: the values to try of each parameter.
        cache: the scores of settings.
        pick: chooses among scored settings.
        first_grid: number of settings of the first grid, at most.
    """

    present: PostprocessParams
    axes: Axes
    cache: ScoreCache
    pick: Callable[[SettingScores], Choice]
    first_grid: int

    def run(self, pages: Flags | None = None) -> Found:
        """Search, with choices that see only the pages of a mask (N,); by default all."""
        lists = {name: sorted(set(values)) for name, values in self.axes.items()}
        window, step = self._first_window(lists)
        moves = 0
        while True:
            scores = self.cache.score(make_grid(self.present, window))
            seen = scores
            if pages is not None:
                seen = scores.of_pages(pages)
            found = Found(scores, self.pick(seen))
            if window == lists:  # nothing is left to look at
                return found
            if step == 1:  # this was a grid of the lists' own values
                moves += 1
            step = max(step // 2, 1)
            narrowed = {}
            for name, values in lists.items():
                narrowed[name] = _around(values, getattr(found.setting, name), step)
            if window == narrowed or moves > MOVES:
                return found
            window = narrowed

    def _first_window(self, lists: Axes) -> tuple[Axes, int]:
        """The values of the first grid, and the step between them."""
        longest = max(len(values) for values in lists.values())
        window: Axes = lists
        step = 1
        while grid_size(window) > self.first_grid and step < longest:
            step *= 2
            window = {}
            for name, values in lists.items():
                window[name] = sorted({*values[::step], values[-1]})
        return window, step


def first_grid_of(axes: Axes) -> int:
    """How many settings the first grid may have: all, or a thousand where there are too many."""
    if grid_size(axes) <= WHOLE_GRID:
        return WHOLE_GRID
    return FIRST_GRID


def _around(values: Sequence[Any], centre: Any, step: int) -> list[Any]:
    """Values up to two steps from the one nearest to ``centre``; of names and flags that one alone."""
    if isinstance(centre, (str, bool)):
        return [centre]
    nearest = min(range(len(values)), key=lambda i: abs(values[i] - centre))
    places = range(nearest - 2 * step, nearest + 2 * step + 1, step)
    return [values[i] for i in places if 0 <= i < len(values)]
