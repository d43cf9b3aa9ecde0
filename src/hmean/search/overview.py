"""How far a sweep is, and what is wrong with it: ``hmean sweep status`` and ``hmean sweep doctor``."""

from __future__ import annotations

import shutil
from typing import Any

from hmean.execute.queue import TaskState
from hmean.search.records import Trial
from hmean.search.trials import Sweep

LOW_DISK_BYTES = 1 << 30


def status(sweep: Sweep) -> str:
    """A tab-separated table: every trial with its state, attempts, score, epochs, values and reason."""
    lines = ["trial\tstate\tattempts\tscore\tepochs\tvalues"]
    for trial in sweep.trials():
        result = trial.result
        score = ""
        if result.value is not None:
            score = f"{result.value:.4f}"
        cells = [str(trial.number), trial.state, str(trial.attempt), score, str(len(result.rows)), _describe(trial)]
        lines.append("\t".join(cells))
    return "\n".join(lines)


def _describe(trial: Trial) -> str:
    """The values of a trial, and why it ended early if it did."""
    words = []
    for key, value in trial.result.params.items():
        words.append(f"{key.rpartition('.')[2]}={_short(value)}")
    stop = trial.result.stop
    if stop is not None:
        words.append(f"stopped by {stop.describe()}")
    if trial.result.reason is not None:
        words.append(f"reason: {trial.result.reason}")
    return " ".join(words)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def doctor(sweep: Sweep) -> str:
    """Clean up after agents that died, and say what is wrong."""
    queue = sweep.queue
    grace = sweep.plan.grace
    queue.fail_abandoned(grace)
    sweep.mirror()
    trials = sweep.trials()
    stale = queue.stale(grace)
    found = []
    for number in stale:
        found.append(f"trial {number}: its agent has not been heard of for {grace:g} s; the next agent takes it over")
    for trial in trials:
        if trial.state == TaskState.FAILED:
            found.append(f"trial {trial.number}: failed: {trial.result.reason}")
    left = [trial for trial in trials if not trial.state.has_ended()]
    at_work = [trial for trial in left if trial.state == TaskState.RUNNING and trial.number not in stale]
    if left and not at_work:
        found.append(
            f"{len(left)} trials are left and no agent is at work; continue with hmean sweep FILE, or hmean sweep agent"
        )
    if queue.is_stopping():
        found.append("it was stopped; continue with hmean sweep FILE")
    if sweep.folder.exists() and shutil.disk_usage(sweep.folder).free < LOW_DISK_BYTES:
        found.append(f"{sweep.folder}: less than 1 GB is free")
    if not found:
        return f"all is well: {len(trials)} trials, {len(left)} left"
    return "\n".join(found)
