"""The strategies of combining members. To add one, write a class here and name it in ``STRATEGIES``.

A strategy says which options there are, given the pages that may be looked at. The best option, at its best setting on
these pages, is what the strategy chooses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hmean.ensemble.members import MemberView
from hmean.ensemble.scoring import Chosen, HeldOutPages, Option
from hmean.ensemble.voting import FIXED_VOTES, VotingParams
from hmean.errors import InputError
from hmean.inference.trained import TrainedModel
from hmean.metrics.kernels import Flags

SCALES = (1.0, 0.8, 1.25)  # sizes of the page, times the member's own


class NotPossible(Exception):  # noqa: N818 - the outcome of a strategy, not a fault
    """A strategy that these members do not allow, and why."""


class Strategy(ABC):
    """One way of combining members.

    Args:
        held_out: the pages that it is judged on.
        members: two or more models.
        average_path: where the model of averaged weights goes, if it is kept.
    """

    name: ClassVar[str]

    def __init__(self, held_out: HeldOutPages, members: Sequence[MemberView], average_path: Path) -> None:
        self.held_out = held_out
        self.members = tuple(members)
        self.average_path = average_path

    @abstractmethod
    def options(self, which: Flags) -> list[Option]:
        """What the strategy chooses from.

        Args:
            which: the pages that a choice may look at.

        Raises:
            NotPossible: if these members do not allow it.
        """

    def choose(self, which: Flags) -> Chosen:
        """The best option on some of the pages, at its best setting there."""
        return self.held_out.best(self.options(which), which)

    def trained(self, chosen: Chosen) -> list[TrainedModel]:
        """The models whose trainings lead to what was chosen."""
        return list(dict.fromkeys(member.model for member in chosen.option.members))


class Single(Strategy):
    """One member: what every other strategy has to beat."""

    name = "single"

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002 - all members, whatever the pages
        """Each member alone."""
        return [self.held_out.mean(member) for member in self.members]


class AllPages(Strategy):
    """One model of all pages that the members have seen, trained for as long as they are together: the other base."""

    name = "all pages"

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002
        """Each such model alone."""
        return [self.held_out.mean(model) for model in self.members]


class Scales(Strategy):
    """The mean of the maps of the best member at several sizes of the page."""

    name = "scales"

    def options(self, which: Flags) -> list[Option]:
        """The best single member on these pages, at all sizes."""
        single = Single(self.held_out, self.members, self.average_path)
        best = single.choose(which).option.members[0]
        sizes = [best.scaled(scale) for scale in SCALES]
        return [self.held_out.mean(*sizes)]


class MapMean(Strategy):
    """The mean of the maps of all members."""

    name = "map mean"

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002
        """All members."""
        return [self.held_out.mean(*self.members)]


class FixedVotes(Strategy):
    """Text that three members have found: a rule that nothing is chosen of, but for the members' post-processing."""

    name = f"vote >= {FIXED_VOTES}"

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002
        """All members."""
        if len(self.members) < FIXED_VOTES:
            raise NotPossible(f"needs {FIXED_VOTES} members or more; there are {len(self.members)}")
        return [self.held_out.fixed_votes(*self.members)]


class Voting(Strategy):
    """The votes of all members on text polygons, by the rule that is best."""

    name = "voting"

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002
        """All members by each rule, so that thresholds are chosen for each rule by itself."""
        every = self.held_out.votes(*self.members)
        settings_of: dict[tuple[object, ...], list[int]] = {}
        for index, params in enumerate(every.scores.settings):
            assert isinstance(params, VotingParams)  # noqa: S101 - the settings of votes
            rule = (params.votes, params.iou, params.geometry, params.soft)
            settings_of.setdefault(rule, []).append(index)
        options = []
        for settings in settings_of.values():
            options.append(Option(every.members, every.scores.of_settings(*settings)))
        return options


class WeightAverage(Strategy):
    """One network whose weights are the mean of all members' weights (Wortsman et al. 2022)."""

    name = "weight average"
    _average: TrainedModel | None = None

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002
        """The averaged network."""
        if self._average is None:
            self._average = self._averaged()
        return [self.held_out.mean(MemberView(self._average, self.members[0].view))]

    def trained(self, chosen: Chosen) -> list[TrainedModel]:  # noqa: ARG002
        """All members."""
        return [member.model for member in self.members]

    def _averaged(self) -> TrainedModel:
        models = [member.model for member in self.members]
        try:
            for model in models:
                _ = model.weights  # an exported model has none, and then torch is not needed
            from hmean.ensemble.weights import average_weights  # noqa: PLC0415 - torch

            return average_weights(models, self.average_path)
        except InputError as error:
            raise NotPossible(str(error)) from error


class Student(Strategy):
    """One network that learned from the mean of all members' maps; its members are students."""

    name = "student"

    def __init__(
        self,
        held_out: HeldOutPages,
        members: Sequence[MemberView],
        average_path: Path,
        teachers: Sequence[MemberView] = (),
    ) -> None:
        super().__init__(held_out, members, average_path)
        self.teachers = tuple(teachers)

    def options(self, which: Flags) -> list[Option]:  # noqa: ARG002
        """Each student alone."""
        return [self.held_out.mean(student) for student in self.members]

    def trained(self, chosen: Chosen) -> list[TrainedModel]:
        """The student, and the members that taught it."""
        return [*super().trained(chosen), *(teacher.model for teacher in self.teachers)]


# In the order of the report; the first is the base of all comparisons.
STRATEGIES: tuple[type[Strategy], ...] = (Single, Scales, MapMean, FixedVotes, Voting, WeightAverage)


def all_strategies(
    held_out: HeldOutPages,
    members: Sequence[MemberView],
    average_path: Path,
    *,
    bases: Sequence[MemberView] = (),
    students: Sequence[MemberView] = (),
) -> list[Strategy]:
    """All strategies for these members; those of models of all pages, and of students, if there are any."""
    strategies = [strategy(held_out, members, average_path) for strategy in STRATEGIES]
    if bases:
        strategies.insert(1, AllPages(held_out, bases, average_path))
    if students:
        strategies.append(Student(held_out, students, average_path, members))
    return strategies
