"""A campaign's file as values that check themselves: phases, gates, expectations, budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from omegaconf import OmegaConf
from pydantic import Field

from hmean.errors import InputError
from hmean.execute.processes import HMEAN
from hmean.runs.folder import load_yaml
from hmean.settings.config import Config, Count, Name, Share, _Strict, _word, check_components, compose

# The pages that a phase's own scores are of; thresholds are cross-fitted on them.
OWN_PAGES = {"train": "val", "sweep": "val", "crossval": "out of fold"}
Outcome = Literal["pass", "sweep", "retry"]


class Phase(_Strict):
    """What every phase may say: overrides, the phases it takes up, the gates' outcomes that it needs."""

    job: str
    args: list[str] = Field(default_factory=list)
    of: list[str] = Field(default_factory=list)
    when: dict[str, list[Outcome]] = Field(default_factory=dict)
    skip: bool = False

    def names(self) -> list[str]:
        """The phases that it follows from."""
        return [*self.of, *self.when]


class Training(Phase):
    """One training and its tuning, or k folds; ``of``: with the values of that phase."""

    job: Literal["train", "crossval"]


class Data(Phase):
    """Pages to be made before all else: ``args`` of ``hmean data``."""

    job: Literal["data"]


class Sweep(Phase):
    """A search over the ranges of a sweep file."""

    job: Literal["sweep"]
    file: str
    n: Count


class Ensemble(Phase):
    """Ensembles of the folds of a crossval phase, and the verdict on them."""

    job: Literal["ensemble"]


class Scoring(Phase):
    """Models on the same pages, which are reported."""

    job: Literal["score"]
    part: Literal["val", "test"]


class Gate(Phase):
    """Where a phase's macro H lies: from ``pass_at`` pass, from ``sweep_at`` sweep, below retry.

    Where its 95 % interval lies in more than one, ``not_distinguishable`` says what then; mean: what its H says.
    """

    job: Literal["gate"]
    pass_at: Share
    sweep_at: Share
    not_distinguishable: Outcome | Literal["mean"]


class Choice(Phase):
    """The best of some phases, by scores of their own or of the scoring phase ``by``.

    Where none is better than the first by the paired interval, ``not_distinguishable`` says which is taken.
    """

    job: Literal["choose"]
    by: str | None = None
    not_distinguishable: Literal["first", "best"]

    def names(self) -> list[str]:
        """The phases that it follows from."""
        return [*super().names(), *([self.by] if self.by else [])]


class Expectations(_Strict):
    """Macro H that was hoped for."""

    conservative: Share
    neutral: Share
    optimistic: Share


class Campaign(_Strict):
    """A campaign file."""

    name: Name
    output_dir: str = "outputs"
    command: list[str] = Field(default_factory=lambda: list(HMEAN))
    args: list[str]
    budget_hours: Annotated[float, Field(gt=0)]
    expectations: Expectations
    phases: dict[
        Name, Annotated[Data | Training | Sweep | Ensemble | Scoring | Gate | Choice, Field(discriminator="job")]
    ]  # in this order

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Campaign:
        faults, before, pages = [], dict[str, Phase](), dict[str, set[str]]()
        for name, phase in self.phases.items():
            for other in phase.names():
                if other not in before:
                    faults.append(f"phases.{name}: no phase before it is named {other}")
                elif other in phase.when and not isinstance(before[other], Gate):
                    faults.append(f"phases.{name}.when: {other} is no gate")
            if not phase.of and not isinstance(phase, Data | Training | Sweep):
                faults.append(f"phases.{name}.of: say of which phases")
            faults += _page_faults(name, phase, before, pages)
            if isinstance(phase, Gate) and phase.sweep_at > phase.pass_at:
                faults.append(f"phases.{name}: sweep_at must not be above pass_at")
            before[name] = phase
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _page_faults(name: str, phase: Phase, before: dict[str, Phase], pages: dict[str, set[str]]) -> list[str]:
    """What is wrong with the pages that a phase takes scores of; adds those of its own scores to ``pages``."""
    own = set[str]().union(*(pages.get(of, set()) for of in phase.of))
    pages[name] = own if isinstance(phase, Choice) else {OWN_PAGES.get(phase.job, "no scores of its own")}
    if isinstance(phase, Scoring) and "out of fold" in own:
        return [f"phases.{name}.of: folds are several models; score an ensemble of them"]
    if isinstance(phase, Choice) and phase.by:
        judge = before.get(phase.by)
        if isinstance(judge, Scoring) and judge.part == "val" and set(phase.of) <= set(judge.of):
            return []
        return [f"phases.{name}.by: {phase.by} must be a score phase, on val, of all that is chosen from"]
    if isinstance(phase, Gate | Choice) and (len(own) > 1 or own - set(OWN_PAGES.values())):
        what = ", ".join(sorted(own))
        return [f"phases.{name}: its phases are scored on different pages ({what}); choose by a score phase (by: ...)"]
    return []


def read_campaign(path: Path, overrides: Sequence[str] = ()) -> Campaign:
    """A campaign file, checked whole, with ``key=value`` set in it; keys that it has not are added to ``args``.

    Raises:
        InputError: listing every fault, those of its phases' overrides too.
    """
    try:
        own = [o for o in overrides if re.split(r"[.=]", o)[0] in Campaign.model_fields]
        values: Any = OmegaConf.to_container(OmegaConf.merge(load_yaml(path), OmegaConf.from_dotlist(own)))
        values["args"] = [*values.get("args", []), *(o for o in overrides if o not in own)]
        campaign = Campaign.model_validate(values)
    except pydantic.ValidationError as error:
        raise InputError.listing(f"{path}: has faults:", [_word(detail) for detail in error.errors()]) from None
    faults = []
    for name, phase in campaign.phases.items():
        if isinstance(phase, Sweep) and not Path(phase.file).is_file():
            faults.append(f"phases.{name}.file: there is no {phase.file}")
        if isinstance(phase, Training | Sweep):
            try:
                check_components(composed(*campaign.args, *phase.args))
            except InputError as error:
                faults.append(f"phases.{name}.args: {error}")
    if faults:
        raise InputError.listing(f"{path}: has faults:", faults)
    return campaign


@cache
def composed(*overrides: str) -> Config:
    """As ``compose``, which takes its time, once for the same overrides."""
    return compose(overrides)


def decide(h: float, interval95: Sequence[float], gate: Gate) -> tuple[Outcome, bool]:
    """What a gate says of a macro H and its interval, and whether the interval could tell."""

    def where(value: float) -> Outcome:
        return "pass" if value >= gate.pass_at else "sweep" if value >= gate.sweep_at else "retry"

    told = len({where(end) for end in interval95}) == 1
    unsure = where(h) if gate.not_distinguishable == "mean" else gate.not_distinguishable
    return (where(h) if told else unsure), told
