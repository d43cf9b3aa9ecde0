"""A campaign's file as values that check themselves: phases, gates, expectations, budget."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, Field
from yaml import YAMLError

from hmean.errors import InputError
from hmean.execute.processes import HMEAN
from hmean.metrics.intervals import Interval
from hmean.metrics.seeds import SeedSpread
from hmean.records import describe_fault
from hmean.runs.folder import load_yaml

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
Outcome = Literal["pass", "sweep", "retry"]

# The split that the scores of a phase's own runs are of; thresholds are cross-fitted on it.
SPLIT_OF_KIND = {"train": "val", "sweep": "val", "crossval": "out of fold"}
NO_SCORES = "no scores of its own"
LAST = "last"  # in expectations: the winner on the pages that were scored last
# Keys of phases in files of earlier versions.
_OLD_KEYS = {"job": "kind", "part": "split"}


class FileSection(pydantic.BaseModel):
    """A part of the file; keys that it does not have are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Phase(FileSection):
    """What every phase may say."""

    kind: str
    args: list[str] = Field(default_factory=list, description="overrides of its commands, after the campaign's")
    of: list[str] = Field(default_factory=list, description="the phases that it takes up")
    when: dict[str, list[Outcome]] = Field(
        default_factory=dict, description="outcomes of gates, one of which each gate must have"
    )
    skip: bool = Field(default=False, description="leave it out")

    def follows_from(self) -> list[str]:
        """The phases that its outcome depends on."""
        return [*self.of, *self.when]


class DataPhase(Phase):
    """``hmean data`` with ``args``: pages that are made before everything else."""

    kind: Literal["data"]


class TrainPhase(Phase):
    """One training and its tuning; with ``of``, with the values of that phase.

    With ``seeds``, one for each of them: the first is the model, and the score is the mean of all.
    """

    kind: Literal["train"]
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=list, description="train once with each of these seeds; empty: once, with that of the args"
    )

    @pydantic.field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"give each seed once, got {seeds}")
        return seeds


class CrossvalPhase(Phase):
    """k folds; with ``of``, with the values of that phase."""

    kind: Literal["crossval"]


class SweepPhase(Phase):
    """A search over the ranges of a sweep file; it stands for its best trial."""

    kind: Literal["sweep"]
    file: str = Field(description="sweep file")
    n: Count = Field(description="number of trials")
    confirm: Annotated[int, Field(ge=0)] = Field(
        default=3, description="how many of the best are repeated with another seed; the best by the mean is taken"
    )


class EnsemblePhase(Phase):
    """Ensembles of the folds of a crossval phase, judged on the pages that all folds left out."""

    kind: Literal["ensemble"]


class RefitPhase(Phase):
    """What a phase has found, trained on all labelled pages: this last model is not scored."""

    kind: Literal["refit"]
    splits: list[Literal["val", "test"]] = Field(
        default=["val"], min_length=1, description="pages that are trained on beside the train pages"
    )


class ScorePhase(Phase):
    """The models of several phases on the same pages; these scores are reported."""

    kind: Literal["score"]
    split: Literal["val", "test"] = Field(description="the pages")


class GatePhase(Phase):
    """Where the macro H of a phase lies: from ``pass_at`` on pass, from ``sweep_at`` on sweep, below that retry."""

    kind: Literal["gate"]
    pass_at: Share
    sweep_at: Share
    not_distinguishable: Outcome | Literal["mean"] = Field(
        description="the outcome if the 95 % interval lies in more than one range; mean: that of H itself"
    )


class ChoicePhase(Phase):
    """The best of several phases, by their own scores or those of a score phase."""

    kind: Literal["choose"]
    by: str | None = Field(default=None, description="the score phase")
    not_distinguishable: Literal["first", "best"] = Field(
        description="which is taken if none is better than the first by the paired family interval"
    )

    def follows_from(self) -> list[str]:
        """The phases that its outcome depends on."""
        if self.by is None:
            return super().follows_from()
        return [*super().follows_from(), self.by]


AnyPhase = Annotated[
    DataPhase
    | TrainPhase
    | CrossvalPhase
    | SweepPhase
    | EnsemblePhase
    | RefitPhase
    | ScorePhase
    | GatePhase
    | ChoicePhase,
    Field(discriminator="kind"),
]


class Expectations(FileSection):
    """The macro H that is hoped for."""

    conservative: Share
    neutral: Share
    optimistic: Share

    @pydantic.model_validator(mode="after")
    def _rise(self) -> Expectations:
        if not self.conservative <= self.neutral <= self.optimistic:
            raise ValueError("must rise from conservative over neutral to optimistic")
        return self


class CampaignFile(FileSection):
    """A campaign file."""

    name: Name = Field(description="name of the campaign and its folder")
    output_dir: str = Field(default="outputs", description="folder of the campaign's folder")
    command: list[str] = Field(default_factory=lambda: list(HMEAN), description="the program that the phases run")
    args: list[str] = Field(description="overrides of every command")
    budget_hours: Annotated[float, Field(gt=0)] = Field(description="the campaign ends when so many hours are spent")
    expectations: dict[str, Expectations] = Field(
        min_length=1, description="by name or kind of a phase; last: of the winner, on the pages that were scored last"
    )
    phases: dict[Name, AnyPhase] = Field(description="gone through in this order")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _present_keys(cls, values: Any) -> Any:
        return with_present_keys(values)

    @pydantic.model_validator(mode="after")
    def _is_in_order(self) -> CampaignFile:
        faults = []
        before: dict[str, Phase] = {}
        splits: dict[str, set[str]] = {}  # that the scores of each phase are of
        for name in self.expectations:
            kinds = [phase.kind for phase in self.phases.values()]
            if name not in (LAST, *self.phases, *kinds):
                faults.append(f"expectations.{name}: is neither a phase, nor the kind of one, nor {LAST}")
        for name, phase in self.phases.items():
            faults += _order_faults(name, phase, before)
            if isinstance(phase, GatePhase) and phase.sweep_at > phase.pass_at:
                faults.append(f"phases.{name}: sweep_at must not be above pass_at")
            fault = _split_fault(name, phase, before, splits)
            if fault is not None:
                faults.append(fault)
            before[name] = phase
            splits[name] = _splits_of(phase, splits)
        if faults:
            raise ValueError("; ".join(faults))
        return self


def with_present_keys(values: Any) -> Any:
    """The values of a file under the keys of this version."""
    if not isinstance(values, Mapping):
        return values
    present = dict(values)
    phases = values.get("phases")
    if isinstance(phases, Mapping):
        present["phases"] = {name: present_phase(phase) for name, phase in phases.items()}
    expectations = values.get("expectations")
    if isinstance(expectations, Mapping) and set(expectations) & set(Expectations.model_fields):
        present["expectations"] = {LAST: expectations}
    return present


def present_phase(phase: Any) -> Any:
    """The values of a phase under the keys of this version."""
    if not isinstance(phase, Mapping):
        return phase
    return {_OLD_KEYS.get(str(key), key): value for key, value in phase.items()}


def _order_faults(name: str, phase: Phase, before: Mapping[str, Phase]) -> list[str]:
    """A phase may take up only phases before it."""
    faults = []
    for other in phase.follows_from():
        if other not in before:
            faults.append(f"phases.{name}: no phase before it is named {other}")
        elif other in phase.when and not isinstance(before[other], GatePhase):
            faults.append(f"phases.{name}.when: {other} is not a gate")
    stands_alone = isinstance(phase, DataPhase | TrainPhase | CrossvalPhase | SweepPhase)
    if not phase.of and not stands_alone:
        faults.append(f"phases.{name}.of: is required; name the phases that it takes up")
    return faults


def _splits_of(phase: Phase, splits: Mapping[str, set[str]]) -> set[str]:
    """The splits that a phase's own scores are of; a choice has those of what it chooses from."""
    if isinstance(phase, ChoicePhase):
        return _splits_of_all(phase.of, splits)
    return {SPLIT_OF_KIND.get(phase.kind, NO_SCORES)}


def _splits_of_all(names: Sequence[str], splits: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    for name in names:
        found |= splits.get(name, set())
    return found


def _split_fault(name: str, phase: Phase, before: Mapping[str, Phase], splits: Mapping[str, set[str]]) -> str | None:
    """Scores of different pages, and models that cannot be scored on a split, are not compared."""
    compared = _splits_of_all(phase.of, splits)
    refits = [other for other in phase.of if other in before and before[other].kind == "refit"]
    if refits:
        return f"phases.{name}.of: {refits[0]} is a refit, which has no score and comes last"
    if isinstance(phase, ScorePhase) and "out of fold" in compared:
        return f"phases.{name}.of: folds are several models; score an ensemble of them"
    if isinstance(phase, ChoicePhase) and phase.by is not None:
        judge = before.get(phase.by)
        if isinstance(judge, ScorePhase) and judge.split == "val" and set(phase.of) <= set(judge.of):
            return None
        return f"phases.{name}.by: {phase.by} must be a score phase, on val, of all that is chosen from"
    if isinstance(phase, GatePhase | ChoicePhase) and (len(compared) > 1 or NO_SCORES in compared):
        listed = ", ".join(sorted(compared))
        return f"phases.{name}: its phases are scored on different pages ({listed}); choose by a score phase (by: ...)"
    return None


def read_campaign(path: Path, overrides: Sequence[str] = ()) -> CampaignFile:
    """Read a campaign file.

    Args:
        path: the file.
        overrides: ``key=value`` of values in it; keys that the file does not have are added to its ``args``.

    Raises:
        InputError: listing every fault.
    """
    own = []
    others = []
    for override in overrides:
        first_part = re.split(r"[.=]", override)[0]
        if first_part in CampaignFile.model_fields:
            own.append(override)
        else:
            others.append(override)
    in_file = load_yaml(path)
    if not isinstance(in_file, Mapping):
        raise InputError(f"{path}: must hold key: value pairs")
    try:
        given = with_present_keys(OmegaConf.to_container(OmegaConf.from_dotlist(own)))
    except (YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{' '.join(own)}: cannot be read ({error})") from error
    values: Any = OmegaConf.to_container(OmegaConf.merge(with_present_keys(in_file), given))
    if isinstance(values.get("args"), list):  # else it is a fault of the file
        values["args"] += others
    try:
        campaign = CampaignFile.model_validate(values)
    except pydantic.ValidationError as error:
        faults = [describe_fault(detail) for detail in error.errors()]
        raise InputError.listing(f"{path}: is not a valid campaign:", faults) from None
    missing = []
    for name, phase in campaign.phases.items():
        if isinstance(phase, SweepPhase) and not Path(phase.file).is_file():
            missing.append(f"phases.{name}.file: {phase.file} was not found")
    if missing:
        raise InputError.listing(f"{path}: is not a valid campaign:", missing)
    return campaign


class GateDecision(NamedTuple):
    """The outcome of a gate, and whether the interval lies in one range."""

    outcome: Outcome
    is_distinguishable: bool


def decide(h: float, interval95: Sequence[float] | None, gate: GatePhase) -> GateDecision:
    """The outcome of a gate for a macro H and its interval; without an interval, nothing is distinguishable."""
    ranges: set[Outcome] = set()
    if interval95 is not None:
        ranges = {_range_of(end, gate) for end in interval95}
    if len(ranges) == 1:
        return GateDecision(_range_of(h, gate), True)
    if gate.not_distinguishable == "mean":
        return GateDecision(_range_of(h, gate), False)
    return GateDecision(gate.not_distinguishable, False)


def chance_of_another_outcome(
    h: float, interval95: Interval | None, gate: GatePhase, *, seeds: SeedSpread, trainings: int
) -> float:
    """How often the gate would have had another outcome, had its trainings had other seeds.

    Other trainings have another H, and an interval around it that is as wide. Both means are off that of all seeds by
    the same spread, so that their difference has twice the variance. The spread is taken as known and normal.

    Args:
        h: the macro H that it looked at.
        interval95: of that H; None: too few groups of pages.
        gate: the gate.
        seeds: spread of one training.
        trainings: number of trainings whose mean H is.
    """
    if seeds.sd == 0:
        return 0.0
    change = NormalDist(0.0, seeds.sd * math.sqrt(2 / trainings))
    own = decide(h, interval95, gate).outcome
    # Changes of H at which an end of the interval, or H itself, comes to a limit: between two of them, all stays.
    steps = []
    for limit in (gate.pass_at, gate.sweep_at):
        for value in (h, *(interval95 or ())):
            steps.append(limit - value)
    ends = [-math.inf, *sorted(steps), math.inf]
    found = 0.0
    for low, high in pairwise(ends):
        middle = (max(low, min(steps) - 1) + min(high, max(steps) + 1)) / 2
        moved = None
        if interval95 is not None:
            moved = Interval(interval95.low + middle, interval95.high + middle)
        if decide(h + middle, moved, gate).outcome != own:
            found += change.cdf(high) - change.cdf(low)
    return found


def _range_of(value: float, gate: GatePhase) -> Outcome:
    if value >= gate.pass_at:
        return "pass"
    if value >= gate.sweep_at:
        return "sweep"
    return "retry"
