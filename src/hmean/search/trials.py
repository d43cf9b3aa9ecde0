"""The trials of a sweep: what an agent runs for one, how far it is, and what came of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hmean.errors import InputError
from hmean.execute.agent import Agent, Attempt, NothingToDoError
from hmean.execute.database import Database, patiently
from hmean.execute.queue import Queue
from hmean.runs.metrics import EpochRow
from hmean.runs.scores import ScoredPages, Scores
from hmean.search.commands import split_overrides, trial_command, tune_command
from hmean.search.distributions import Params
from hmean.search.proposals import make_sampler, mirror, open_study, propose
from hmean.search.ranking import RANKING, Candidate, Ranking, by_own_score, ranked
from hmean.search.records import (
    OBJECTIVES,
    SweepPlan,
    Trial,
    TrialPayload,
    TrialQueue,
    TrialResult,
    trial_folder,
)
from hmean.search.stopping import StopReason, should_stop
from hmean.search.sweepfile import SweepFile


def open_queue(database: Database, name: str) -> TrialQueue:
    """The trials of a sweep; nothing is created."""
    return Queue(database, name, TrialPayload, TrialResult)


class Sweep:
    """A sweep that was started.

    Attributes:
        queue: its trials.
        plan: what it was started with.
        file: its sweep file.
        study: Optuna's study of it.
        folder: where the folders of its trials are.
    """

    def __init__(self, queue: TrialQueue, plan: SweepPlan, folder: Path | None = None) -> None:
        """Open it; ``folder`` is where the sweep is now, if not where the plan says."""
        self.queue = queue
        self.plan = plan
        self.file = SweepFile.parse(plan.sweep, queue.name)
        self.study = patiently(lambda: open_study(queue.database, queue.name, self.file), 60)
        self.folder = folder or Path(plan.folder)

    def trials(self) -> list[Trial]:
        """All trials, in order."""
        return patiently(self.queue.tasks)

    def ranked(self) -> list[Candidate]:
        """The trials of the search that have a score, best first: those that were repeated before the others."""
        return ranked(self.trials(), self.file.sign)

    def save_ranking(self) -> None:
        """Write ``ranking.json``, if any trial has a score."""
        candidates = self.ranked()
        if candidates:
            Ranking.of(candidates, self.file.metric, self.folder).write(self.folder / RANKING)

    def trial_folder(self, trial: Trial) -> Path:
        """The run folder of a trial."""
        return trial_folder(self.folder, trial.number)

    def work(self) -> None:
        """Be an agent of this sweep until all trials have ended, or it is stopped."""
        try:
            Agent(self.queue, partial(TrialAttempt, self), self.plan.grace).work()
        finally:
            self.mirror()

    def mirror(self) -> None:
        """Tell Optuna what has ended; called often, so that an agent that died before it did does no harm."""
        patiently(lambda: mirror(self.study, self.queue.tasks(), self.file.metric))

    def propose(self, trial: Trial) -> Params:
        """Values for a trial of the search."""
        self.mirror()
        self.study.sampler = make_sampler(self.file.method, self.plan.n, self.plan.seed + trial.number)
        return patiently(lambda: propose(self.study, self.file, trial.number, trial.payload.params))

    def values_of_rank(self, rank: int) -> Params:
        """The values of the trial of a rank by its own score, 0 being the best.

        Raises:
            NothingToDoError: if fewer trials have a score.
        """
        best = by_own_score(self.trials(), self.file.sign)
        if rank >= len(best):
            raise NothingToDoError(f"no trial to repeat: only {len(best)} with a score")
        return best[rank].result.params

    def early_stop(self, trial: Trial, result: TrialResult) -> StopReason | None:
        """Whether a rule stops a trial now, and which."""
        if not result.rows:
            return None
        epochs_done = result.rows[-1].epoch + 1
        epochs = self._epochs(result)
        is_search = trial.stage == 0
        if not is_search or epochs_done >= epochs:
            return None
        others = []
        for other in self.queue.tasks():
            if other.number != trial.number and other.stage == 0:
                others.append(self._history(other.result))
        floor = self.plan.floor
        if floor is not None:
            floor *= self.file.sign
        reason = should_stop(
            self._history(result),
            others,
            epochs_done / epochs,
            hyperband=self.file.hyperband,
            floor=floor,
        )
        if reason is not None and self.file.sign < 0:
            return reason.negated()
        return reason

    def score(self, result: TrialResult, folder: Path) -> TrialResult:
        """A result with its score: cross-fitted if the trial was tuned, else of the best epoch; and its pages.

        Raises:
            InputError: if no epoch has a finite value of the objective.
        """
        history = self._history(result)
        if not history:
            raise InputError(f"metrics.jsonl has no finite {self.file.metric}")
        value = self.file.sign * max(history)
        seconds = sum(row.seconds for row in result.rows)
        result = result.model_copy(update={"value": value, "seconds": seconds})
        scores = folder / "scores.json"
        if scores.exists():
            result = result.model_copy(update={"scored": _pages_of(Scores.read(scores))})
        cross_fitted = folder / "cross_fitted" / "scores.json"
        statistic = OBJECTIVES[self.file.metric]
        if self.plan.tune_each and statistic is not None and cross_fitted.exists():
            tuned = Scores.read(cross_fitted)
            result = result.model_copy(
                update={"untuned": value, "value": tuned.hmean(statistic), "scored": _pages_of(tuned)}
            )
        return result

    def _epochs(self, result: TrialResult) -> float:
        """How many epochs a trial is trained in all."""
        searched = result.params.get("trainer.max_epochs")
        if isinstance(searched, int | float):
            return searched
        return self.plan.epochs

    def _history(self, result: TrialResult) -> list[float]:
        """The objective at each validation; more is better."""
        return [self.file.sign * value for value in result.history(self.file.metric)]


class TrialAttempt(Attempt[TrialResult]):
    """One attempt at a trial: its training, then its tuning on the maps that the training cached."""

    def __init__(self, sweep: Sweep, trial: Trial) -> None:
        self.folder = sweep.trial_folder(trial)
        self._sweep = sweep
        self._trial = trial
        self._begun = TrialResult()
        self._stop: StopReason | None = None

    def commands(self) -> Iterator[Sequence[str]]:
        """Training and tuning."""
        sweep = self._sweep
        overrides = list(sweep.plan.overrides)
        rank = self._trial.payload.confirms
        if rank is None:
            values = sweep.propose(self._trial)
        else:
            values = sweep.values_of_rank(rank)
            overrides.append(f"seed={sweep.plan.seed + 1}")
        self._begun = TrialResult(params=values, agent=sweep.queue.owner)
        training, tuning = split_overrides(overrides)
        training_command = trial_command(sweep.file, values, training, self.folder)
        yield training_command
        objective = OBJECTIVES[sweep.file.metric]
        if sweep.plan.tune_each and objective is not None:
            yield tune_command(self.folder, objective, training_command, tuning, sweep.plan.kept or ())

    def known(self) -> TrialResult:
        """The values, and the epochs so far."""
        return self._begun.model_copy(update={"rows": read_rows(self.folder / "metrics.jsonl")})

    def must_stop(self) -> bool:
        """Whether a rule stops the trial now."""
        self._stop = self._sweep.early_stop(self._trial, self.known())
        return self._stop is not None

    def result(self, *, was_stopped: bool) -> TrialResult:
        """The score, with the pages behind it."""
        result = self._sweep.score(self.known(), self.folder)
        if was_stopped:
            result = result.model_copy(update={"stop": self._stop})
        return result


def read_rows(path: Path) -> list[EpochRow]:
    """The rows of a ``metrics.jsonl`` that another process is writing; values that are not finite are left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            numbers = _finite_numbers(json.loads(line))
            numbers.setdefault("seconds", 0.0)  # a program of the user's own need not say
            rows.append(EpochRow.parse(numbers, path))
    return rows


def _finite_numbers(row: Mapping[str, Any]) -> dict[str, int | float]:
    numbers = {}
    for name, value in row.items():
        if isinstance(value, int | float) and math.isfinite(value):
            numbers[name] = value
    return numbers


def _pages_of(scores: Scores) -> ScoredPages:
    """What of a scores.json is needed to compare its pages with those of another."""
    return ScoredPages(pages=scores.pages)
