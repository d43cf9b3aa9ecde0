"""The held-out pages that strategies are compared on, and what members score there, alone and combined.

A choice (of a member, of thresholds, of the rule of a vote) is made on some of the pages and scored on others:
``HeldOutPages.cross_fit``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hmean.data.folds import fold_of
from hmean.data.pages import LabelledImages
from hmean.ensemble.detect import detect_mean, detect_voted
from hmean.ensemble.members import MemberView
from hmean.ensemble.records import ViewRecord
from hmean.ensemble.voting import fixed_rule, voting_rules
from hmean.errors import InputError
from hmean.metrics.groups import PageGroups
from hmean.metrics.kernels import CLEVAL_COLUMNS, MATCH_COLUMNS, Flags
from hmean.metrics.scorer import choose_characters
from hmean.metrics.statistics import IOU_THRESHOLDS
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.runs.maps import MapStore
from hmean.tuning.choose import choose
from hmean.tuning.fit import TuneOptions
from hmean.tuning.grid import grid_axes, grid_size, make_grid
from hmean.tuning.scores import SettingScores, score_settings
from hmean.tuning.search import WHOLE_GRID
from hmean.types import Page

VOTING_IOUS = (0.4, 0.6)

Combining = Literal["mean", "votes", "fixed votes"]  # of maps; by every rule that is worth trying; by the fixed rule


@dataclass(frozen=True, eq=False)
class Option:
    """Members whose maps are combined, and what each setting of their post-processing scores on all held-out pages."""

    members: tuple[MemberView, ...]
    scores: SettingScores


@dataclass(frozen=True, eq=False)
class Chosen:
    """An option with one of its settings (an index)."""

    option: Option
    setting: int

    @property
    def params(self) -> PostprocessParams:
        """The setting."""
        return self.option.scores.settings[self.setting]


class HeldOutPages:
    """Pages that no member has seen.

    Args:
        pages: with labels.
        present: post-processing parameters to start the grid from.
        options: what is searched, what it is to raise and what it must hold, and the folds for cross-fitting.
        make_maps: the maps of a member on these pages; made once and kept.

    Raises:
        InputError: if the grid is too large.
    """

    def __init__(
        self,
        pages: LabelledImages,
        present: PostprocessParams,
        options: TuneOptions,
        make_maps: Callable[[MemberView], MapStore],
    ) -> None:
        axes = grid_axes(present, options.lists)
        size = grid_size(axes)
        if size > WHOLE_GRID:
            raise InputError(f"tune: its lists make {size:,} settings; an ensemble can try {WHOLE_GRID:,} at most")
        self.pages = pages
        self.objective = options.objective
        self.floors = options.floors
        self.make_maps = make_maps
        self.settings = make_grid(present, axes)
        self.labels: list[Page] = []
        names = []
        groups = []
        for position in range(len(pages)):
            page = pages.page(position)
            self.labels.append(page)
            names.append(page.name)
            groups.append(page.group)
        self.characters = choose_characters(self.labels)
        self.groups = PageGroups.of(names, groups)
        self.fold = fold_of(names, groups, min(options.folds, self.groups.count), seed=0)
        self._known: dict[tuple[Combining, tuple[ViewRecord, ...]], SettingScores] = {}

    def mean(self, *members: MemberView) -> Option:
        """The mean of the members' maps."""
        return self._option(members, "mean")

    def votes(self, *members: MemberView) -> Option:
        """The votes of the members; its settings are those of ``mean`` by every rule that is worth trying."""
        return self._option(members, "votes")

    def fixed_votes(self, *members: MemberView) -> Option:
        """The votes of the members; its settings are those of ``mean`` by the fixed rule."""
        return self._option(members, "fixed votes")

    def _option(self, members: tuple[MemberView, ...], combining: Combining) -> Option:
        key = (combining, tuple(member.record for member in members))
        if key not in self._known:
            self._known[key] = self._score(members, combining)
        return Option(members, self._known[key])

    def _score(self, members: Sequence[MemberView], combining: Combining) -> SettingScores:
        stores = [self.make_maps(member) for member in members]
        settings = self._settings(len(members), combining)
        find: Callable[..., Any] = detect_voted
        if combining == "mean":
            find = detect_mean

        def read_maps(page: Page) -> list[PageMap]:
            return [store.read(page.name) for store in stores]

        with track("scoring", len(self.labels)) as advance:

            def on_pages(count: int) -> None:
                for _ in range(count):
                    advance()

            return score_settings(
                self.labels,
                read_maps,
                settings,
                self.characters,
                find=find,
                threads=os.cpu_count() or 1,
                on_pages=on_pages,
            )

    def _settings(self, members: int, combining: Combining) -> list[Any]:
        """Every setting, by every rule of a vote. A member's polygons vote from the lowest box threshold on."""
        if combining == "mean":
            return list(self.settings)
        floor = min(setting.box_thresh for setting in self.settings)
        rules = []
        for setting in self.settings:
            if combining == "fixed votes":
                rules.append(fixed_rule(setting, floor))
            else:
                rules += voting_rules(members, VOTING_IOUS, setting, floor)
        return rules

    def best(self, options: Sequence[Option], which: Flags) -> Chosen:
        """The best option, each at its best setting, on some of the pages; of equal ones the first."""
        best: Chosen | None = None
        best_value = -np.inf
        for option in options:
            scores = option.scores.of_pages(which)
            setting = choose(scores, self.objective, floors=self.floors).chosen
            value = float(scores.score(self.objective)[setting])
            if value > best_value:
                best = Chosen(option, setting)
                best_value = value
        assert best is not None  # noqa: S101 - there is always an option
        return best

    def all(self) -> Flags:
        """The flags of all pages."""
        return np.ones(len(self.labels), dtype=np.bool_)

    def cross_fit(self, choose_on: Callable[[Flags], Chosen]) -> SettingScores:
        """Every page scored with what is chosen without its fold, as the scores of one setting."""
        one_setting = (1, len(self.labels))
        counts = np.zeros((*one_setting, CLEVAL_COLUMNS), dtype=np.int32)
        matches = np.zeros((*one_setting, len(IOU_THRESHOLDS), MATCH_COLUMNS), dtype=np.int32)
        for fold in range(int(self.fold.max()) + 1):
            in_fold = self.fold == fold
            chosen = choose_on(~in_fold)
            scores = chosen.option.scores.of_settings(chosen.setting).of_pages(in_fold)
            counts[:, in_fold] = scores.counts
            matches[:, in_fold] = scores.matches
        return SettingScores([], counts, matches, self.groups)
