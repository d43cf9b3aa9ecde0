"""``campaign.json``: what is done of a campaign, with which values, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
from pydantic import AliasChoices, Field

from hmean.campaign.file import AnyPhase, CampaignFile, SweepPhase, present_phase
from hmean.campaign.recipe import RecipeReader
from hmean.errors import InputError
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval
from hmean.records import Record
from hmean.runs.comparison import Difference
from hmean.runs.folder import differences
from hmean.runs.manifest import config_hash

SKIPPED = "skipped"


class PhaseValues(Record):
    """Everything that the outcome of a phase follows from."""

    phase: AnyPhase = Field(description="its entry in the file")
    args: list[str] = Field(description="the campaign's args")
    sweep_file: str | None = Field(default=None, description="text of the sweep file of a sweep")
    depends_on: dict[str, str] = Field(description="stamp of each phase that it depends on")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _present_layout(cls, values: Any) -> Any:
        """In files of earlier versions, the entry's keys stand beside the others."""
        if not isinstance(values, Mapping) or "hangs_on" not in values:
            return values
        others = ("text", "campaign_args", "hangs_on")
        return {
            "phase": present_phase({key: value for key, value in values.items() if key not in others}),
            "args": values["campaign_args"],
            "sweep_file": values.get("text"),
            "depends_on": values["hangs_on"],
        }


class PhaseScore(Record):
    """A result that a phase adds to the report."""

    folder: str = Field(description="folder with its scores.json, from the campaign's folder")
    repeats: tuple[str, ...] = Field(
        default=(), description="folders of the scores of trainings that differ from it by their seed alone"
    )
    config: str = Field(description="its preset and overrides, as the report names them")

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders: the score is the mean over them."""
        return (self.folder, *self.repeats)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_list(cls, values: Any) -> Any:
        """Files of earlier versions hold a list."""
        if isinstance(values, list):
            return dict(zip(("folder", "config"), values, strict=True))
        return values


class RefitResult(Record):
    """A chosen recipe, trained on further labelled pages. This model itself was not scored."""

    model: str = Field(description="its checkpoint, from the campaign's folder")
    recipe: str = Field(description="the phase that has its recipe, its post-processing values and the score below")
    splits: tuple[str, ...] = Field(description="the pages that it was trained on")
    scores: str = Field(description="folder of the scores of the recipe, from the campaign's folder")
    h: float = Field(
        description="macro H of the recipe on pages that its models had not learned from: no score of this model"
    )
    interval95: Interval | None = Field(description="95 % interval of that H; null: too few groups of pages")
    pages: int = Field(description="number of those pages")
    scored_on: str | None = Field(description="the split of those pages: val, or out of fold")


class PhaseResult(Record):
    """What came of a phase."""

    values: PhaseValues = Field(
        validation_alias=AliasChoices("values", "asked"), description="everything that it follows from"
    )
    outcome: str = Field(description="done, skipped, the outcome of a gate, or the phase that was chosen")
    distinguishable: bool | None = Field(
        default=None, description="of a gate or a choice: whether the interval decided it"
    )
    h: float | None = Field(default=None, description="of a gate: the macro H that it looked at")
    interval95: Interval | None = Field(default=None, description="95 % interval of that H")
    of: str | None = Field(default=None, description="the phase whose H that is")
    trainings: int = Field(default=1, description="of a gate: number of trainings whose mean H that is")
    grouping: Grouping | None = Field(
        default=None, description="of a gate or a choice: how the pages lie in groups; null: of an earlier version"
    )
    against: dict[str, Difference] = Field(
        default={}, description="of a choice: the differences of the others to the first, in macro H"
    )
    seed_scores: list[list[float]] = Field(
        default=[],
        description="of a training or a sweep: macro H of the trainings that differ by their seed alone, for each of "
        "its recipes that has several",
    )
    refit: RefitResult | None = Field(default=None, description="of a refit: what it made, and what it stands on")
    commands: list[list[str]] = Field(default=[], description="the hmean commands that were run")
    scores: dict[str, PhaseScore] = Field(default={}, description="the results for the report, by name")
    stamp: str | None = Field(
        default=None, description="changes whenever the phase is done again with other values or another result"
    )


class CampaignState(Record):
    """A campaign: what is done, with which values, and what came of it."""

    file: CampaignFile = Field(description="the campaign file, as it was run last")
    phases: dict[str, PhaseResult] = Field(description="the phases that are done or skipped")
    begun: dict[str, PhaseValues] = Field(default={}, description="the values of phases whose folders are there")
    seconds: dict[str, float] = Field(description="time spent on each phase, and on probes for the plan")
    chosen: str | None = Field(default=None, description="the last phase that stands for a model")
    winner: str | None = Field(default=None, description="its model, from the campaign's folder; hmean predict uses it")


@dataclass
class Campaign:
    """A campaign at work.

    Attributes:
        file: its file.
        folder: its folder.
        read_recipe: composes the overrides of phases.
        done: what came of the phases.
        begun: values of the phases whose folders are there.
        seconds: time spent, by phase.
    """

    file: CampaignFile
    folder: Path
    read_recipe: RecipeReader
    done: dict[str, PhaseResult] = field(default_factory=dict)
    begun: dict[str, PhaseValues] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, file: CampaignFile, read_recipe: RecipeReader) -> Campaign:
        """A campaign as far as its folder says it is."""
        folder = Path(file.output_dir) / file.name
        campaign = cls(file, folder, read_recipe)
        if campaign.state_file.exists():
            state = CampaignState.read(campaign.state_file)
            campaign.done = dict(state.phases)
            campaign.begun = dict(state.begun)
            campaign.seconds = dict(state.seconds)
        return campaign

    @property
    def state_file(self) -> Path:
        """``campaign.json``."""
        return self.folder / "campaign.json"

    def of_kind(self, *kinds: str) -> list[str]:
        """The phases of some kinds, in order."""
        return [name for name, phase in self.file.phases.items() if phase.kind in kinds]

    def is_done(self, name: str) -> bool:
        """Whether a phase was gone through and not skipped."""
        return name in self.done and self.done[name].outcome != SKIPPED

    def done_of(self, name: str) -> list[str]:
        """The phases that a phase takes up, as far as they were not skipped."""
        return [of for of in self.file.phases[name].of if self.is_done(of)]

    def depends_on(self, name: str) -> list[str]:
        """The phases that another depends on: those that it names, and those that make the pages."""
        phase = self.file.phases[name]
        found = phase.follows_from()
        if phase.kind != "data":
            found += self.of_kind("data")
        return found

    def values_of(self, name: str) -> PhaseValues:
        """Everything that a phase follows from, as it is now."""
        phase = self.file.phases[name]
        text = None
        if isinstance(phase, SweepPhase):
            text = Path(phase.file).read_text(encoding="utf-8")
        stamps = {}
        for other in self.depends_on(name):
            stamps[other] = SKIPPED
            if other in self.done:
                stamps[other] = self.done[other].stamp or SKIPPED
        return PhaseValues(
            phase=phase.model_copy(update={"skip": False}), args=self.file.args, sweep_file=text, depends_on=stamps
        )

    def require_same_values(self, name: str) -> None:
        """Refuse a phase that was done, or begun, with other values than now.

        Raises:
            InputError: naming the values.
        """
        if name not in self.begun:
            return
        changed = differences(self.begun[name].to_json(), self.values_of(name).to_json())
        if changed:
            raise InputError.listing(
                f"phase {name} was done with other values, or before a phase that it depends on changed. reset={name} "
                "does it and all that depend on it again (their folders are kept as <phase>.old-<n>); or give the "
                "campaign another name=...",
                changed,
            )

    def stamp(self, result: PhaseResult, name: str) -> str:
        """Hash of a phase's values, outcome and scores."""
        outcome = config_hash({"values": result.values.to_json(), "outcome": result.outcome})
        digest = hashlib.sha256(outcome.encode())
        files = [f"{score.folder}/scores.json" for score in result.scores.values()]
        for file in [*files, f"{name}/ensemble.json"]:
            path = self.folder / file
            if path.exists():
                digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def state(self, chosen: str | None, winner: Path | None) -> CampaignState:
        """The content of ``campaign.json``."""
        relative = None
        if winner is not None:
            relative = str(winner.relative_to(self.folder))
        return CampaignState(
            file=self.file,
            phases=self.done,
            begun=self.begun,
            seconds=self.seconds,
            chosen=chosen,
            winner=relative,
        )
