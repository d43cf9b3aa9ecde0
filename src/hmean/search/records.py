"""What is kept of a sweep and its trials: the records in its database, and where the folders of its trials are."""

from __future__ import annotations

from pathlib import Path

import pydantic
from pydantic import AliasChoices, Field, JsonValue

from hmean.execute.queue import Queue, Task, TaskResult
from hmean.records import Record
from hmean.runs.metrics import EpochRow
from hmean.runs.scores import ScoredPages
from hmean.search.stopping import StopReason
from hmean.types import Statistic

# What a sweep can optimize, as named in metrics.jsonl, and the statistic of the pages behind it (None: not of pages).
OBJECTIVES: dict[str, Statistic | None] = {
    "val/hmean": "macro",
    "val/pooled_hmean": "pooled",
    "val/iou50_hmean": "iou50",
    "val/iou70_hmean": "iou70",
    "val/precision": None,
    "val/recall": None,
    "train/loss": None,
}


class SweepPlan(Record):
    """What a sweep was started with. A sweep that is resumed must have the same plan."""

    sweep: dict[str, JsonValue] = Field(description="Content of the sweep file.")
    overrides: list[str] = Field(
        validation_alias=AliasChoices("overrides", "fixed"), description="key=value that hold for every training."
    )
    folder: str = Field(description="Folder of the sweep, as it was given.")
    seed: int = Field(description="Seed of the search, and of the trainings that repeat no other.")
    n: int = Field(description="How many trials search.")
    epochs: int = Field(description="Epochs of a training, unless the sweep searches trainer.max_epochs.")
    tune_each: bool = Field(description="Whether each trial is tuned before it is scored.")
    kept: list[str] | None = Field(
        default=None,
        description="Post-processing parameters that no trial's tuning changes, since the sweep sets or searches them; "
        "null in sweeps of earlier versions, which tune them all the same.",
    )
    floor: float | None = Field(description="A trial that is worse after 60 % of its schedule is stopped.")
    grace: float = Field(description="Seconds without a heartbeat after which an agent counts as dead.")
    first: bool = Field(description="Whether the first trial has the preset's own values.")

    @pydantic.field_validator("overrides")
    @classmethod
    def _without_output_dir(cls, overrides: list[str]) -> list[str]:
        """Earlier versions kept it here too; each training is given its own in any case."""
        return [override for override in overrides if not override.startswith("output_dir=")]


class TrialPayload(Record):
    """What a trial is to try."""

    params: dict[str, JsonValue] = Field(
        default_factory=dict, description="Values that are given; the search proposes those of the other parameters."
    )
    confirms: int | None = Field(
        default=None,
        description="The trial repeats the one of this rank (0: the best of the search) with another seed.",
    )


class TrialResult(TaskResult):
    """What came of a trial so far."""

    params: dict[str, JsonValue] = Field(default_factory=dict, description="Values of the searched parameters.")
    agent: str | None = Field(default=None, description="The agent that trained it.")
    rows: list[EpochRow] = Field(default_factory=list, description="The epochs so far.")
    value: float | None = Field(
        default=None, description="The score: cross-fitted if the trial was tuned, else of the best epoch."
    )
    untuned: float | None = Field(default=None, description="The score of the best epoch, if the trial was tuned.")
    seconds: float = Field(default=0.0, description="Duration of the training.")
    scored: ScoredPages | None = Field(default=None, description="The pages behind the score.")
    stop: StopReason | None = Field(default=None, description="Why it was stopped before its end.")

    def summary(self) -> str:
        """The score, or why there is none."""
        if self.value is None:
            return super().summary()
        return str(self.value)

    @property
    def score(self) -> float:
        """The value of a trial that has one."""
        if self.value is None:
            raise ValueError("the trial has no score")
        return self.value

    def history(self, metric: str) -> list[float]:
        """A metric at each validation."""
        return [row.metrics[metric] for row in self.rows if metric in row.metrics]


Trial = Task[TrialPayload, TrialResult]
TrialQueue = Queue[TrialPayload, TrialResult]


def trial_folder(sweep_folder: Path, number: int) -> Path:
    """The run folder of a trial."""
    folder = sweep_folder / f"trial_{number:02d}"
    # Sweeps that were started by an earlier version continue in the folders that they have.
    folder_of_earlier_version = sweep_folder / f"slot_{number:02d}"
    if folder_of_earlier_version.exists():
        return folder_of_earlier_version
    return folder


def trial_folders(sweep_folder: Path) -> list[Path]:
    """The run folders of the trials that were begun, in order."""
    return sorted([*sweep_folder.glob("slot_*"), *sweep_folder.glob("trial_*")])
