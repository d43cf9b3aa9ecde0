"""How far a sweep is, and what is wrong with it: ``hmean sweep status`` and ``hmean sweep doctor``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from hmean.execute.queue import TaskState
from hmean.metrics.intervals import Interval
from hmean.metrics.tables import grouping_lines
from hmean.search.comparison import ComparedTrials, compare_trials
from hmean.search.ranking import Candidate
from hmean.search.records import Trial
from hmean.search.trials import Sweep

LOW_DISK_BYTES = 1 << 30


def status(sweep: Sweep) -> str:
    """Tab-separated: every trial, which of them is the best, and what they are against the base.

    The first table has state, attempts, score, mean over seeds, epochs, values and reason of every trial.
    """
    candidates = sweep.ranked()
    means = _means(candidates)
    lines = ["trial\tstate\tattempts\tscore\tmean\tepochs\tvalues"]
    for trial in sweep.trials():
        result = trial.result
        score = ""
        if result.value is not None:
            score = f"{result.value:.4f}"
        mean = means.get(trial.number, "")
        epochs = str(len(result.rows))
        cells = [str(trial.number), trial.state, str(trial.attempt), score, mean, epochs, _describe(trial)]
        lines.append("\t".join(cells))
    if candidates:
        lines.append(_best(candidates[0]))
        lines += _comparison_lines(compare_trials(candidates, sweep.file))
    return "\n".join(lines)


def _means(candidates: Sequence[Candidate]) -> dict[int, str]:
    """What the table says of seeds, by the number of a trial; nothing if no trial was repeated."""
    if not any(candidate.repeats for candidate in candidates):
        return {}
    found = {}
    for candidate in candidates:
        found[candidate.number] = "not repeated"
        if candidate.repeats:
            found[candidate.number] = f"{candidate.mean:.4f} of {len(candidate.trainings)}"
    return found


def _best(candidate: Candidate) -> str:
    if candidate.repeats:
        return f"best: trial {candidate.number}, {candidate.mean:.4f} on average over {len(candidate.trainings)} seeds"
    return f"best: trial {candidate.number}, {candidate.mean:.4f} with one seed"


def _comparison_lines(compared: ComparedTrials) -> list[str]:
    """Differences, with both intervals and the verdict of the family; nothing without pages."""
    if compared.grouping is None:
        return []
    base = compared.comparisons[0]
    lines = [f"against trial {base.base} ({base.what})", "trial\tdifference\t95 %\tfamily 95 %\tverdict"]
    for found in compared.comparisons:
        difference = f"{found.difference:+.4f}"
        cells = [str(found.trial), difference, _ends(found.interval95), _ends(found.family95), found.verdict]
        lines.append("\t".join(cells))
    return [*lines, *grouping_lines(compared.grouping)]


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"[{interval.low:+.4f}, {interval.high:+.4f}]"


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
