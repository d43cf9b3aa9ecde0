"""What a finished sweep stands for: the values that its best trial was trained with."""

from pathlib import Path

import pytest

from hmean.campaign.results import value_at
from hmean.errors import InputError

CONFIG = {"models": {"head": {"postprocess": {"unclip": "ratio"}}, "optimizer": {"lr": 0.1}}}


@pytest.mark.parametrize("key", ["models.head.postprocess.growth", "models.head.postprocess.unclip"])
def test_a_sweep_may_name_a_key_as_earlier_versions_did(key):
    assert value_at(CONFIG, key, Path("config.yaml")) == "ratio"


@pytest.mark.parametrize("key", ["models.optimizer.momentum", "models.optimizer.lr.much"])
def test_a_key_that_the_trial_does_not_have_is_named(key):
    with pytest.raises(InputError, match=f"config.yaml: has no {key}, although the sweep searches it"):
        value_at(CONFIG, key, Path("config.yaml"))
