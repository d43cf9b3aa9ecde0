"""The rule of tuning as a whole: choose values, check the choice by cross-fitting, and adopt it or keep what was there.

The gain that the rule decides on is selected: values are adopted where it is high, by merit or by luck. So the rule is
cross-fitted itself. Without each fold of the pages it is followed from the beginning, its own check included, and the
fold is scored with whatever it leaves: the values chosen, or those before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hmean.metrics.groups import FEWEST_GROUPS
from hmean.metrics.kernels import Flags
from hmean.tuning.adoption import Verdict, decide, report_floors
from hmean.tuning.choose import Floors
from hmean.tuning.crossfit import LEFT_OUT, CrossFitted, FoldOfPage, crossfit
from hmean.tuning.result import Adopt, FloorsReport
from hmean.tuning.scores import Gain, Objective, SettingScores, paired_gain
from hmean.tuning.search import Found

FEWEST_FOLDS = 3  # of a rule that checks itself: two are left for its check where one is left out


@dataclass(frozen=True, eq=False)
class Check:
    """What the check of a choice found.

    Attributes:
        crossed: the choice, cross-fitted.
        gain: of it over the values before, on which the rule decides.
        floors: by how much floors are missed; None without any.
        verdict: whether the choice is adopted.
    """

    crossed: CrossFitted
    gain: Gain
    floors: FloorsReport | None
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Rule:
    """Choose, check, decide.

    Attributes:
        search: gives scores on all N pages, and a choice from them that sees only the pages of the mask (N,).
        before: the values before, scored on all pages.
        objective: what a setting is judged by.
        floors: which go before the objective.
        adopt: ``shown``: what is shown to gain; ``any``: whatever is chosen.
    """

    search: Callable[[Flags], Found]
    before: SettingScores
    objective: Objective
    floors: Floors
    adopt: Adopt
    _chosen: dict[bytes, SettingScores] = field(default_factory=dict, init=False)

    def choose_on(self, pages: Flags) -> SettingScores:
        """The setting that is chosen on the pages of a mask (N,), scored on all pages; searched once for each mask."""
        key = pages.tobytes()
        if key not in self._chosen:
            found = self.search(pages)
            self._chosen[key] = found.scores.of_settings(found.choice.chosen)
        return self._chosen[key]

    def check(self, fold: FoldOfPage) -> Check:
        """Cross-fit the choice on the pages that are not ``LEFT_OUT``, and decide."""
        crossed = crossfit(self.choose_on, fold)
        before = self.before.of_pages(fold != LEFT_OUT)
        gain = paired_gain(crossed.scores, before, self.objective)
        floors = report_floors(self.floors, before, crossed)
        return Check(crossed, gain, floors, decide(gain, floors, self.adopt))

    def crossfit(self, fold: FoldOfPage) -> CrossFitted | None:
        """The whole rule, cross-fitted: each page scored with the values that the rule leaves without its fold.

        Where one fold is left out, the others are the folds of the check, so that a search without two folds serves
        two checks.

        Returns:
            None if, without some fold, there are too few groups for the rule to show anything.
        """
        if self.adopt == "any":
            return crossfit(self.choose_on, fold)
        for number in np.unique(fold).tolist():
            if self.before.groups.of_pages(fold != number).count < FEWEST_GROUPS:
                return None

        def left_on(pages: Flags) -> SettingScores:
            rest = np.where(pages, fold, LEFT_OUT)
            if self.check(rest).verdict.decision == "adopted":
                return self.choose_on(pages)
            return self.before

        return crossfit(left_on, fold)
