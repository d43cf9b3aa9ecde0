"""``report.json``: what a sweep found, and whether it found anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import AliasChoices, Field, JsonValue

from hmean.execute.queue import TaskState
from hmean.metrics.intervals import Interval, difference_interval, score_interval, verdict
from hmean.metrics.scorer import PageScore
from hmean.metrics.seeds import widened
from hmean.records import Record
from hmean.search.earlier_trials import imported_trials
from hmean.search.records import OBJECTIVES, Trial
from hmean.search.trials import Sweep
from hmean.types import Statistic

# The 97.5 % quantile of Student's t for 1, 2, ... repeats: so few tell little about how much seeds matter.
STUDENT_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
_INTERVAL = "95 % interval over groups of pages (paired, for a difference)."


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
    params: dict[str, JsonValue] = Field(description="Values of the searched parameters.")
    interval95: Interval | None = Field(description=_INTERVAL)
    epochs: int = Field(description="How many epochs it was trained.")
    seconds: float = Field(description="Duration of the training.")
    curve: list[CurvePoint] = Field(description="[epoch, objective] at each validation.")
    note: str = Field(description="Why it was stopped, or failed.")


class ImportedTrial(Record):
    """A trial of another day that the search started from."""

    params: dict[str, JsonValue] = Field(description="Values of the searched parameters.")
    value: float = Field(description="Its score.")


class TrialComparison(Record):
    """The best trial against another."""

    best: int = Field(description="The best trial.")
    other: int = Field(description="The other.")
    what: str = Field(description="What the other is: the next, or the preset's own values.")
    difference: float = Field(description="Score of the best trial minus that of the other.")
    interval95: Interval | None = Field(
        description=f"{_INTERVAL} Widened by the noise of seeds if that was measured. null: there are no pages."
    )
    verdict: str = Field(
        validation_alias=AliasChoices("verdict", "says"),
        description="better, not distinguishable, or why nothing can be said.",
    )


class SweepReport(Record):
    """All trials of a sweep with their scores, the noise of seeds if it was measured, and what can be concluded."""

    metric: str = Field(description="Name of the objective.")
    tuned: bool = Field(description="Whether each trial was tuned before it was scored.")
    space: list[str] = Field(description="The searched parameters.")
    trials: list[TrialEntry] = Field(
        validation_alias=AliasChoices("trials", "runs"), description="All trials, best first, repeats last."
    )
    imported: list[ImportedTrial] = Field(description="Trials of another day that the search started from.")
    seed_noise: float | None = Field(description="Standard deviation of a score over seeds, from the repeats.")
    comparisons: list[TrialComparison] = Field(
        validation_alias=AliasChoices("comparisons", "verdict"),
        description="The best trial against the next, and against the preset's own values.",
    )
    hours: float = Field(description="Hours of training in all.")


def make_report(sweep: Sweep) -> SweepReport:
    """The report of a sweep of which at least one trial has a score."""
    trials = sweep.trials()
    best = sweep.ranked()
    repeated = _repeated(trials, best)
    entries = [_entry(sweep, trial, repeated.get(trial.number)) for trial in trials]
    entries.sort(key=lambda entry: _order(entry, sweep.file.sign))
    noise = SeedNoise.of(trials, repeated)
    seed_noise = None
    if noise is not None:
        seed_noise = noise.deviation
    imported = []
    for earlier in imported_trials(sweep.study):
        imported.append(ImportedTrial(params=earlier.params, value=earlier.value))
    statistic = OBJECTIVES[sweep.file.metric]
    comparisons = []
    for other, what in opponents(best, is_grid=sweep.file.method == "grid"):
        comparisons.append(_compare(best[0], other, what, statistic, noise))
    return SweepReport(
        metric=sweep.file.metric,
        tuned=sweep.plan.tune_each,
        space=list(sweep.file.space),
        trials=entries,
        imported=imported,
        seed_noise=seed_noise,
        comparisons=comparisons,
        hours=sum(entry.seconds for entry in entries) / 3600,
    )


def page_scores(trial: Trial) -> list[PageScore]:
    """The pages behind a trial's score; none if its training left none."""
    if trial.result.scored is None:
        return []
    return trial.result.scored.page_scores()


class SeedNoise(NamedTuple):
    """How much another seed moves a score.

    Attributes:
        deviation: standard deviation of a score over seeds.
        repeats: how many repeats that was measured on.
    """

    deviation: float
    repeats: int

    @classmethod
    def of(cls, trials: Sequence[Trial], repeated: dict[int, int]) -> SeedNoise | None:
        """From repeats: the number of each, and that of the trial that it repeats; None without any."""
        if not repeated:
            return None
        squares = 0.0
        for repeat, original in repeated.items():
            squares += (trials[repeat].result.score - trials[original].result.score) ** 2
        # Two trainings of one setting differ by the sum of two draws of the noise.
        return cls(math.sqrt(squares / (2 * len(repeated))), len(repeated))

    def half_width(self) -> float:
        """Half of the 95 % interval of the difference of two scores, from the noise alone."""
        t = STUDENT_T[min(self.repeats, len(STUDENT_T)) - 1]
        return t * math.sqrt(2) * self.deviation


def _repeated(trials: Sequence[Trial], best: Sequence[Trial]) -> dict[int, int]:
    """The number of each finished repeat, and that of the trial that it repeats."""
    found = {}
    for trial in trials:
        if trial.payload.confirms is not None and trial.state == TaskState.DONE:
            found[trial.number] = best[trial.payload.confirms].number
    return found


def _entry(sweep: Sweep, trial: Trial, repeats: int | None) -> TrialEntry:
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
        repeats=repeats,
        value=result.value,
        untuned=result.untuned,
        params=result.params,
        interval95=interval,
        epochs=len(result.rows),
        seconds=result.seconds,
        curve=curve,
        note=note,
    )


def _order(entry: TrialEntry, sign: int) -> tuple[bool, float]:
    """Sorts the best first; a repeat tells how certain a trial is, and is no candidate of its own."""
    is_repeat = entry.repeats is not None
    if entry.value is None:
        return is_repeat, math.inf
    return is_repeat, -sign * entry.value


def opponents(best: Sequence[Trial], *, is_grid: bool) -> list[tuple[Trial, str]]:
    """What the best trial is compared with, in words too: the next, and the preset's own values if they were tried.

    Args:
        best: the trials with a score, best first.
        is_grid: a grid has no trial of the preset's own values.
    """
    found = []
    for rank, trial in enumerate(best[1:], start=1):
        words = []
        if rank == 1:
            words.append("the next")
        if trial.number == 0 and trial.payload.params and not is_grid:
            words.append("the preset's own values")
        if words:
            found.append((trial, ", ".join(words)))
    return found


def _compare(
    best: Trial, other: Trial, what: str, statistic: Statistic | None, noise: SeedNoise | None
) -> TrialComparison:
    """Whether the best trial can be told from another, by these pages, and by seeds if their noise was measured."""
    difference = best.result.score - other.result.score
    pages = page_scores(best)
    other_pages = page_scores(other)
    are_the_same = [page.name for page in pages] == [page.name for page in other_pages]
    interval = None
    conclusion = "no pages to compare"
    if statistic is not None and pages and are_the_same:
        interval = difference_interval(pages, other_pages, statistic)
        if noise is None:
            conclusion = f"{verdict(interval)} on these pages; with another seed it may be otherwise"
        else:
            interval = widened(interval, difference, noise.half_width())
            conclusion = verdict(interval)
    return TrialComparison(
        best=best.number,
        other=other.number,
        what=what,
        difference=difference,
        interval95=interval,
        verdict=conclusion,
    )
