"""The sweep file and its checks."""

from pathlib import Path

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hmean.errors import InputError
from hmean.search.sweepfile import SweepFile
from support.sweeps import read_sweep

CONFIGS = Path(__file__).parents[3] / "configs"
GOOD = {
    "method": "bayes",
    "metric": {"name": "val/hmean", "goal": "maximize"},
    "program": "train.py",
    "parameters": {"a.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}, "b": {"values": [1, 2]}},
}


def faults(**changes) -> str:
    with pytest.raises(InputError) as error:
        SweepFile.parse({**GOOD, **changes}, "x.yaml")
    return str(error.value)


def test_the_shipped_sweep_is_the_campaigns():
    sweep = read_sweep(CONFIGS / "sweep_efficientnet_b4_lr_optimized.yaml")
    assert sweep.space == {
        "models.optimizer.lr": FloatDistribution(0.00025, 0.0006, log=True),
        "models.optimizer.weight_decay": FloatDistribution(0.00005, 0.0005, log=True),
        "models.scheduler.T_max": CategoricalDistribution([20, 22, 24]),
        "models.scheduler.eta_min": FloatDistribution(0.000005, 0.00005, log=True),
    }
    assert sweep.constants == {
        "models.head.postprocess.thresh": 0.28, "models.head.postprocess.box_thresh": 0.25,
        "models.head.postprocess.max_candidates": 600,
    }  # fmt: skip
    assert (sweep.config["method"], sweep.metric, sweep.sign, sweep.config["run_cap"]) == ("bayes", "val/hmean", 1, 12)


def test_every_fault_is_told_at_once():
    text = faults(
        epochs=3, method="tpe", metric={"name": "val/hmean"}, run_cap=0, command=["${env}", "${nonsense}"],
        parameters={
            "typed": {"distribution": "log_uniform_values", "min": "5e-4", "max": 0.1},
            "swapped": {"min": 2.0, "max": 1.0},
            "zero": {"distribution": "log_uniform_values", "min": 0.0, "max": 1.0},
            "bell": {"distribution": "normal"},
            "nested": {"parameters": {"c": {"value": 1}}},
            "steps": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 3},
            "3x": {"value": 1},
        },
    )  # fmt: skip
    for part in (
        "epochs", "method", "metric.goal: must be", "run_cap", "${nonsense} is not a macro of W&B", "write 0.0005 or 5.0e-4", "swapped: min 2.0 must be below",
        "parameters.zero", "the distribution normal is not supported", "dotted names", "multiple of q", "3x",
    ):  # fmt: skip
        assert part in text, part
    assert "YAML reads '5e-4' as text" in text


def test_no_fault_is_told_twice():
    text = faults(
        method="tpe", metric={"name": "val/hmean", "goal": "up"}, early_terminate={"type": "hyperband", "min_iter": 2, "eta": 1},
        parameters={"zero": {"distribution": "log_uniform_values", "min": 0.0, "max": 1.0}},
    )  # fmt: skip
    keys = [line.partition(": ")[0] for line in text.splitlines()[1:]]
    assert sorted(keys) == ["  - early_terminate.eta", "  - method", "  - metric.goal", "  - parameters.zero"]


@pytest.mark.parametrize(("change", "told"), [
    ({"early_terminate": {"type": "hyperband", "min_iter": 2, "strict": True}}, "early_terminate.strict"),
    ({"early_terminate": {"type": "hyperband", "min_iter": 2, "max_iter": 9, "s": 2}}, "not both"),
    ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, "needs min_iter, or max_iter and s"),
    ({"metric": {"name": "val/hmean", "goal": "maximize", "target": 0.9}}, "metric.target: is not supported by hmean; remove it"),
    ({"metric": {"name": "val/hmean", "goal": "maximize", "impute": "best"}}, "metric.impute: is not supported by hmean; remove it"),
    ({"controller": {"type": "local"}}, "controller: is not supported by hmean; remove it"),
])  # fmt: skip
def test_what_would_not_be_obeyed_is_refused(change, told):
    assert told in faults(**change)


@pytest.mark.parametrize("content", ["", "- a\n", "a: [", "text"])
def test_a_file_that_is_no_sweep(tmp_path, content):
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(InputError, match=r"s\.yaml"):
        read_sweep(tmp_path / "s.yaml")


def test_a_grid_has_every_combination_and_refuses_what_is_endless():
    parameters = {"a": {"values": [1, 2]}, "b": {"min": 0, "max": 2}, "c": {"value": 7}}
    grid = SweepFile.parse({**GOOD, "method": "grid", "parameters": parameters}, "x").grid()
    assert len(grid) == 6
    assert {"a": 2, "b": 2} in grid
    assert "a grid needs values" in faults(method="grid")


def test_shipped_sweeps_pass_wandbs_own_schema():
    for path in CONFIGS.glob("sweep_*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= {
            "program",
            "method",
            "metric",
            "run_cap",
            "parameters",
            "command",
        }
        read_sweep(path)
