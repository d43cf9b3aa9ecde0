"""Macros of a command; W&B's own agent is the oracle."""

import pytest

from hmean.search.macros import DEFAULT_COMMAND, expand, unknown_macros


def test_macros_are_those_of_wandbs_own_agent(monkeypatch):
    sweeps = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    monkeypatch.setenv("MINE", "here")
    values = {"a.lr": 5e-05, "flag": True, "off": False, "word": "x", "none": None}
    wandb_args = sweeps.create_sweep_command_args({"args": {k: {"value": v} for k, v in values.items()}})
    for macro in (
        "args",
        "args_no_hyphens",
        "args_no_boolean_flags",
        "args_no_equals",
        "args_json",
        "args_append_hydra",
        "args_override_hydra",
    ):
        assert expand([f"${{{macro}}}"], values, "p", "i") == wandb_args[macro], macro
    assert expand(["x_${envvar:MINE}_${envvar:ABSENT}"], {}, "p", "i") == sweeps.create_sweep_command(
        ["x_${envvar:MINE}_${envvar:ABSENT}"]
    )
    assert expand(DEFAULT_COMMAND, {"a": 1}, "train.py", "python") == ["/usr/bin/env", "python", "train.py", "--a=1"]
    assert expand(["exp_name=b_${oc.env:WANDB_RUN_ID}"], {}, "p", "i") == ["exp_name=b_${oc.env:WANDB_RUN_ID}"]


def test_words_that_only_look_like_macros():
    assert unknown_macros(["${env}", "${args_json}", "${nonsense}", "x_${envvar:HOME}", 3]) == ["${nonsense}"]
