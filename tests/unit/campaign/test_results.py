"""What a finished sweep stands for: the best recipe by the mean of its seeds, and the values that it was trained with."""

from pathlib import Path

import pytest

from hmean.campaign.file import read_campaign
from hmean.campaign.results import repeats_of, runs_of, seed_scores, value_at
from hmean.campaign.state import Campaign
from hmean.errors import InputError
from support import stand_in
from support.campaigns import campaign_file

CONFIG = {"models": {"head": {"postprocess": {"unclip": "ratio"}}, "optimizer": {"lr": 0.1}}}


@pytest.mark.parametrize("key", ["models.head.postprocess.growth", "models.head.postprocess.unclip"])
def test_a_sweep_may_name_a_key_as_earlier_versions_did(key):
    assert value_at(CONFIG, key, Path("config.yaml")) == "ratio"


@pytest.mark.parametrize("key", ["models.optimizer.momentum", "models.optimizer.lr.much"])
def test_a_key_that_the_trial_does_not_have_is_named(key):
    with pytest.raises(InputError, match=f"config.yaml: has no {key}, although the sweep searches it"):
        value_at(CONFIG, key, Path("config.yaml"))


def sweep_of(tmp_path, trials):
    """A campaign with a sweep: the learning rate, seed and H of each trial."""
    campaign = Campaign.open(read_campaign(campaign_file(tmp_path, tmp_path, 0.0004, (0.96, 0.95))), lambda _: None)
    for number, (lr, seed, h) in enumerate(trials):
        trial = campaign.folder / f"sweep/trial_{number:02d}"
        stand_in.train(trial, lr, seed=seed)
        stand_in.scores(trial / "cross_fitted", h)
    return campaign


def names(runs):
    return [run.name for run in runs]


def test_a_sweep_stands_for_the_recipe_with_the_best_mean_of_seeds(tmp_path):
    """Not for the luckiest training, nor for one that was not repeated."""
    lucky, steady, single = 1e-4, 2e-4, 3e-4
    trials = [(lucky, 42, 0.97), (steady, 42, 0.965), (single, 42, 0.968), (lucky, 7, 0.95), (steady, 7, 0.965)]
    campaign = sweep_of(tmp_path, trials)
    assert [names(runs) for runs in repeats_of(campaign, "sweep")] == [
        ["trial_00", "trial_03"],
        ["trial_01", "trial_04"],
        ["trial_02"],
    ]
    assert names(runs_of(campaign, "sweep")) == ["trial_01", "trial_04"]
    assert seed_scores(campaign, "sweep") == [pytest.approx([0.97, 0.95]), pytest.approx([0.965, 0.965])]


def test_without_repeats_a_sweep_stands_for_its_best_trial(tmp_path):
    campaign = sweep_of(tmp_path, [(1e-4, 42, 0.96), (2e-4, 42, 0.97)])
    assert names(runs_of(campaign, "sweep")) == ["trial_01"]
    assert seed_scores(campaign, "sweep") == []


def test_the_same_recipe_with_the_same_seed_is_no_repeat(tmp_path):
    campaign = sweep_of(tmp_path, [(1e-4, 42, 0.96), (1e-4, 42, 0.961)])
    assert [names(runs) for runs in repeats_of(campaign, "sweep")] == [["trial_00"], ["trial_01"]]
