"""The choice among scored settings: not the best, which is partly lucky, but the middle of all that may be the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmean.metrics.groups import FEWEST_GROUPS
from hmean.metrics.intervals import Contributions, below_zero
from hmean.metrics.kernels import Flags, Floats
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.grid import FLAGS, MODES, read_parameters
from hmean.tuning.scores import Objective, SettingScores

PLATEAU_FLIPS = 2_000
OFF_THE_GRID = -2  # a position that is nobody's neighbour


@dataclass(frozen=True)
class Floors:
    """Lowest macro precision and recall that a setting should have; they go before the objective."""

    precision: float = 0.0
    recall: float = 0.0

    @property
    def are_set(self) -> bool:
        """Whether there is any floor."""
        return self.precision > 0 or self.recall > 0

    def shortfall(self, scores: SettingScores) -> Floats:
        """By how much each setting (S,) misses them: the sum over precision and recall."""
        precision, recall = scores.macro_pr()
        return np.maximum(self.precision - precision, 0.0) + np.maximum(self.recall - recall, 0.0)

    def raised(self, before: SettingScores, after: SettingScores) -> Contributions:
        """By how much one setting raises what another has below its floor: the sum over precision and recall."""
        p, r = before.macro_pr()
        parts = []
        if p[0] < self.precision:
            parts.append(after.contributions_to("macro_p").minus(before.contributions_to("macro_p")))
        if r[0] < self.recall:
            parts.append(after.contributions_to("macro_r").minus(before.contributions_to("macro_r")))
        if not parts:
            same = before.contributions_to("macro_p")
            return same.minus(same)
        mean = Contributions.mean_of(parts)
        return Contributions(mean.value * len(parts), mean.influence * len(parts), mean.share)


NO_FLOORS = Floors()


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen among S settings.

    Attributes:
        chosen: index of the chosen setting.
        best: index of the one with the highest objective.
        plateau: settings (S,) that cannot be distinguished from the best one; None where there are too few groups of
            pages to tell.
    """

    chosen: int
    best: int
    plateau: Flags | None


def choose(
    scores: SettingScores,
    objective: Objective,
    *,
    floors: Floors = NO_FLOORS,
) -> Choice:
    """Choose the setting in the middle of the plateau.

    The best of thousands is lucky and may stand on an edge. The plateau is made of all settings whose 95 % paired
    interval to the best one, over groups of pages, holds 0. Of these, the one is chosen that is highest together with
    its surroundings: its own objective and the mean over it and its neighbours on the grid count alike. (The mean alone
    leads away from a peak where the steps of a list are coarse.)

    With too few groups for an interval nobody knows the plateau, and only the best setting and its neighbours can be
    chosen.

    Args:
        scores: on the pages to choose on.
        objective: weights of the hmeans.
        floors: of what may be chosen; where no setting reaches them, those that come nearest.
    """
    contributions = scores.contributions(objective)
    value = contributions.value
    allowed = np.ones(len(value), dtype=np.bool_)
    if floors.are_set:
        shortfall = floors.shortfall(scores)
        allowed = shortfall <= shortfall.min() + 1e-12
    best = int(np.flatnonzero(allowed)[np.argmax(value[allowed])])
    surroundings = _Surroundings(scores.settings)
    plateau = None
    if scores.groups.count < FEWEST_GROUPS:
        may_be_chosen = allowed & surroundings.of(best)
    else:
        plateau = allowed & ~below_zero(contributions.minus(contributions.of(best)), flips=PLATEAU_FLIPS)
        may_be_chosen = plateau
    if (may_be_chosen & surroundings.on_grid).any():
        may_be_chosen = may_be_chosen & surroundings.on_grid
    candidates = np.flatnonzero(may_be_chosen)
    around = np.empty(len(candidates))
    for i, candidate in enumerate(candidates.tolist()):
        around[i] = value[surroundings.of(candidate) & allowed].mean()
    chosen = int(candidates[np.argmax(value[candidates] + around)])
    return Choice(chosen, best, plateau)


class _Surroundings:
    """Which of S settings are neighbours on the grid: those of one kind that are at most one step apart on every axis.

    Args:
        settings: the first of them, the present one, may lie between the listed values: then it is off the grid, so
            that it makes no gap between neighbours.

    Attributes:
        on_grid: settings that are on the grid (S,).
    """

    def __init__(self, settings: Sequence[PostprocessParams]) -> None:
        self._position, self._kind = _positions(settings)
        self.on_grid: Flags = self._position[:, 0] >= 0

    def of(self, setting: int) -> Flags:
        """The setting of this index and its neighbours (S,)."""
        close = (np.abs(self._position - self._position[setting]) <= 1).all(axis=1)
        neighbours: Flags = close & (self._kind == self._kind[setting])
        return neighbours


def _positions(settings: Sequence[PostprocessParams]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each setting stands on the grid.

    The first setting, the present one, may lie between the listed values: then it is off the grid, so that it makes no
    gap between neighbours.

    Returns:
        Steps along each numeric parameter (S, A), ``OFF_THE_GRID`` for a setting off the grid; and a number (S,) for
        each combination of modes and flags: only settings of one kind are neighbours.
    """
    rows = np.array([_read_values(setting) for setting in settings])
    kinds = _kinds(settings)
    on_grid = np.ones(len(rows), dtype=np.bool_)
    position = np.zeros(rows.shape, dtype=np.int64)
    for kind in np.unique(kinds):
        of_kind = np.flatnonzero(kinds == kind)
        listed_settings = of_kind
        if len(settings) > 1:
            listed_settings = of_kind[of_kind > 0]
        for axis in range(rows.shape[1]):
            listed = np.unique(rows[listed_settings, axis])
            on_grid[of_kind] &= np.isin(rows[of_kind, axis], listed)
            position[of_kind, axis] = np.searchsorted(listed, rows[of_kind, axis])
    position[~on_grid] = OFF_THE_GRID
    return position, kinds


def _read_values(setting: PostprocessParams) -> list[float]:
    return [getattr(setting, name) for name in read_parameters(setting)]


def _kinds(settings: Sequence[PostprocessParams]) -> NDArray[np.int64]:
    numbers: dict[tuple[object, ...], int] = {}
    kinds = np.empty(len(settings), dtype=np.int64)
    for i, setting in enumerate(settings):
        modes = tuple(getattr(setting, name) for name in (*FLAGS, *MODES))
        kinds[i] = numbers.setdefault(modes, len(numbers))
    return kinds
