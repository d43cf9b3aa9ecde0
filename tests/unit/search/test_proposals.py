"""Optuna's side of a sweep."""

import warnings

import optuna

from hmean.execute.database import Database
from hmean.search.proposals import find_trial, make_sampler, open_study, propose
from hmean.search.sweepfile import SweepFile
from support.sweeps import DECAY, FILE, LR

SWEEP = SweepFile.parse(FILE, "s.yaml")


def test_the_search_prints_no_warnings_of_optuna():
    """Optuna warns about what is experimental, and about what its next major version drops."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_sampler("bayes", 12, 0)


def test_a_trial_keeps_its_values_when_its_agent_dies(tmp_path):
    study = open_study(Database(f"sqlite:///{tmp_path}/s.db"), "s", SWEEP)
    study.sampler = make_sampler("bayes", 12, 0)
    values = propose(study, SWEEP, 3, {LR: 0.001})
    assert values[LR] == 0.001
    study.sampler = make_sampler("bayes", 12, 1)
    assert propose(study, SWEEP, 3, {LR: 0.001}) == values
    assert propose(study, SWEEP, 4, {})[DECAY] != values[DECAY]
    assert find_trial(study, 5) is None


def test_a_study_of_an_earlier_version_goes_on(tmp_path):
    study = open_study(Database(f"sqlite:///{tmp_path}/s.db"), "s", SWEEP)
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, user_attrs={"slot": 0}))
    assert find_trial(study, 0).number == 0
    propose(study, SWEEP, 0, {})
    assert len(study.trials) == 1
