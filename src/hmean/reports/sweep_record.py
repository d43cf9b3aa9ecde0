"""``report.json``: what a sweep found, and whether it found anything."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pydantic
from pydantic import AliasChoices, Field, JsonValue

from hmean.execute.queue import TaskState
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval, score_interval
from hmean.metrics.seeds import SeedSpread
from hmean.records import Record
from hmean.search.comparison import TrialComparison, compare_trials, page_scores
from hmean.search.earlier_trials import imported_trials
from hmean.search.ranking import Candidate
from hmean.search.records import OBJECTIVES, Trial
from hmean.search.trials import Sweep


class CurvePoint(NamedTuple):
    """One point of a learning curve; in JSON a list of two."""

    epoch: int
    value: float


class TrialEntry(Record):
    """One trial."""

    trial: int = Field(validation_alias=AliasChoices("trial", "slot"), description="Its number.")
    state: TaskState = Field(description="waiting, running, done, stopped or failed.")
    attempts: int = Field(description="How often it was started.")
    repeats: int | None = Field(description="The trial that it repeats with another seed.")
    value: float | None = Field(description="Its score.")
    untuned: float | None = Field(description="Its score before tuning, if it was tuned.")
    seeds: int = Field(default=1, description="Trainings with its values: itself, and its repeats that have a score.")
    mean: float | None = Field(default=None, description="Mean score of these trainings; null: it was not repeated.")
    sd: float | None = Field(default=None, description="Standard deviation of their scores; null: it was not repeated.")
    params: dict[str, JsonValue] = Field(description="Values of the searched parameters.")
    interval95: Interval | None = Field(description="95 % interval of its score, over groups of pages.")
    epochs: int = Field(description="How many epochs it was trained.")
    seconds: float = Field(description="Duration of the training.")
    curve: list[CurvePoint] = Field(description="[epoch, objective] at each validation.")
    note: str = Field(description="Why it was stopped, or failed.")


class ImportedTrial(Record):
    """A trial of another day that the search started from."""

    params: dict[str, JsonValue] = Field(description="Values of the searched parameters.")
    value: float = Field(description="Its score.")


class SweepReport(Record):
    """All trials of a sweep with their scores, the spread of seeds if it was measured, and what can be concluded."""

    metric: str = Field(description="Name of the objective.")
    tuned: bool = Field(description="Whether each trial was tuned before it was scored.")
    kept: list[str] = Field(
        default=[],
        description="Post-processing parameters that were not tuned, since the sweep sets or searches them.",
    )
    space: list[str] = Field(description="The searched parameters.")
    best: int | None = Field(
        default=None, description="The best trial: the first one by its mean over seeds, where the best were repeated."
    )
    trials: list[TrialEntry] = Field(
        validation_alias=AliasChoices("trials", "runs"),
        description="All trials, best first: those that were repeated, the others, then the repeats themselves.",
    )
    imported: list[ImportedTrial] = Field(description="Trials of another day that the search started from.")
    spread: SeedSpread | None = Field(
        default=None, description="Spread of a score over seeds, from the repeats; null: nothing was repeated."
    )
    grouping: Grouping | None = Field(
        default=None, description="The groups that the intervals of differences rest on; null: there are none."
    )
    comparisons: list[TrialComparison] = Field(
        validation_alias=AliasChoices("comparisons", "verdict"),
        description="Every trial with a score against the one with the preset's own values, or against the best.",
    )
    hours: float = Field(description="Hours of training in all.")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _present_layout(cls, values: Any) -> Any:
        """Files of earlier versions have the standard deviation alone."""
        if not isinstance(values, Mapping) or "seed_noise" not in values:
            return values
        present = {key: value for key, value in values.items() if key != "seed_noise"}
        trials = values.get("trials", values.get("runs", []))
        repeats = sum(trial["repeats"] is not None for trial in trials)
        if values["seed_noise"] is not None and repeats:
            present["spread"] = {"sd": values["seed_noise"], "degrees_of_freedom": repeats}
        return present


def make_report(sweep: Sweep) -> SweepReport:
    """The report of a sweep of which at least one trial has a score."""
    trials = sweep.trials()
    candidates = sweep.ranked()
    compared = compare_trials(candidates, sweep.file)
    entries = _entries(sweep, trials, candidates)
    imported = []
    for earlier in imported_trials(sweep.study):
        imported.append(ImportedTrial(params=earlier.params, value=earlier.value))
    return SweepReport(
        metric=sweep.file.metric,
        tuned=sweep.plan.tune_each,
        kept=sweep.plan.kept or [],
        space=list(sweep.file.space),
        best=candidates[0].number,
        trials=entries,
        imported=imported,
        spread=compared.spread,
        grouping=compared.grouping,
        comparisons=list(compared.comparisons),
        hours=sum(entry.seconds for entry in entries) / 3600,
    )


def _entries(sweep: Sweep, trials: Sequence[Trial], candidates: Sequence[Candidate]) -> list[TrialEntry]:
    """The best first, then those without a score, then the repeats: these are no candidates of their own."""
    own = {trial.number: _entry(sweep, trial) for trial in trials}
    found = []
    repeats = []
    for candidate in candidates:
        found.append(_with_seeds(own.pop(candidate.number), candidate))
        for repeat in candidate.repeats:
            entry = own.pop(repeat.number)
            repeats.append(entry.model_copy(update={"repeats": candidate.number}))
    return [*found, *own.values(), *repeats]


def _entry(sweep: Sweep, trial: Trial) -> TrialEntry:
    result = trial.result
    statistic = OBJECTIVES[sweep.file.metric]
    pages = page_scores(trial)
    interval = None
    if pages and statistic is not None:
        interval = score_interval(pages, statistic)
    curve = []
    for row in result.rows:
        if sweep.file.metric in row.metrics:
            curve.append(CurvePoint(row.epoch + 1, row.metrics[sweep.file.metric]))
    note = result.reason or ""
    if result.stop is not None:
        note = result.stop.describe()
    return TrialEntry(
        trial=trial.number,
        state=trial.state,
        attempts=trial.attempt,
        repeats=None,
        value=result.value,
        untuned=result.untuned,
        params=result.params,
        interval95=interval,
        epochs=len(result.rows),
        seconds=result.seconds,
        curve=curve,
        note=note,
    )


def _with_seeds(entry: TrialEntry, candidate: Candidate) -> TrialEntry:
    """The entry of a trial, with what its repeats say."""
    if not candidate.repeats:
        return entry
    return entry.model_copy(
        update={
            "seeds": len(candidate.trainings),
            "mean": candidate.mean,
            "sd": statistics.stdev(candidate.scores),
        }
    )
