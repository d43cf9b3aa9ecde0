"""Optuna's side of a sweep: its study, which proposes values and mirrors what came of the trials."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.trial import TrialState

from hmean.execute.database import Database
from hmean.execute.queue import TaskState
from hmean.search.distributions import Params
from hmean.search.records import Trial
from hmean.search.sweepfile import SweepFile

_TRIAL_ATTRIBUTE = "trial"  # of a trial of Optuna: the number of the trial in our queue
_TRIAL_ATTRIBUTE_OF_EARLIER_VERSIONS = "slot"
_STATES = {
    TaskState.DONE: TrialState.COMPLETE,
    TaskState.STOPPED: TrialState.PRUNED,
    TaskState.FAILED: TrialState.FAIL,
}
optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(database: Database, name: str, file: SweepFile) -> optuna.Study:
    """The study of a sweep; created if it is not there."""
    storage = optuna.storages.RDBStorage(database.url, engine_kwargs=database.engine_options)
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        direction = optuna.study.StudyDirection.MINIMIZE
        if file.sign > 0:
            direction = optuna.study.StudyDirection.MAXIMIZE
        return optuna.create_study(storage=storage, study_name=name, direction=direction)


def make_sampler(method: str, n: int, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a search of ``n`` trials.

    For ``bayes``: multivariate TPE after max(4, n // 3) trials, with the better quarter of the trials taken as good
    (``docs/benchmarks.md``). Optuna's defaults would make 12 trials nearly a random search: 10 trials to start with,
    and one good trial of up to 10.
    """
    if method != "bayes":
        return optuna.samplers.RandomSampler(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)  # gamma goes in Optuna 6, which we do not support
        return optuna.samplers.TPESampler(
            n_startup_trials=max(4, n // 3),
            multivariate=True,
            constant_liar=True,
            gamma=_good_trials,
            seed=seed,
        )


def _good_trials(finished: int) -> int:
    """A quarter of the finished trials, rounded up."""
    return -(-finished // 4)


def find_trial(study: optuna.Study, number: int) -> optuna.Trial | None:
    """Optuna's trial for a trial of our queue."""
    for trial in study.get_trials(deepcopy=False):
        if trial_number(trial) == number:
            return optuna.Trial(study, trial._trial_id)  # noqa: SLF001 - there is no public name for it
    return None


def trial_number(trial: optuna.trial.FrozenTrial) -> int | None:
    """The number in our queue of a trial of Optuna; None for one that was imported."""
    attributes = trial.user_attrs
    number = attributes.get(_TRIAL_ATTRIBUTE, attributes.get(_TRIAL_ATTRIBUTE_OF_EARLIER_VERSIONS))
    if number is None:
        return None
    return int(number)


def propose(study: optuna.Study, file: SweepFile, number: int, given: Params) -> Params:
    """Values for a trial of our queue.

    If an agent that died had asked for this trial before, it gets the same values.

    Args:
        study: of the sweep.
        file: its sweep file.
        number: of the trial.
        given: values that are not for the study to choose.
    """
    if find_trial(study, number) is None:
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING,
                user_attrs={_TRIAL_ATTRIBUTE: number},
                system_attrs={"fixed_params": dict(given)},
            )
        )
    trial: Any = find_trial(study, number)
    values = {}
    for name, distribution in file.space.items():
        values[name] = trial._suggest(name, distribution)  # noqa: SLF001 - as study.ask does
    return values


def mirror(study: optuna.Study, trials: Sequence[Trial], metric: str) -> None:
    """Tell the study what came of the trials that have ended; what it knows already is left as it is."""
    for ended in trials:
        if not ended.state.has_ended():
            continue
        trial = find_trial(study, ended.number)
        if trial is None or study.trials[trial.number].state.is_finished():
            continue
        with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another agent was faster
            for row in ended.result.rows:
                if metric in row.metrics:
                    trial.report(row.metrics[metric], row.epoch)
            value = None
            if ended.state == TaskState.DONE:
                value = ended.result.value
            study.tell(trial.number, value, _STATES[ended.state], skip_if_finished=True)
