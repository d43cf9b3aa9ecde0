"""Parameters of a sweep file as distributions; W&B's own mapping is the oracle."""

import math

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from hmean.search.distributions import contains, extremes, grid_values, to_distribution

SPECS = [
    {"values": [1, "x", 0.5]}, {"min": 1, "max": 9}, {"min": 0.5, "max": 9}, {"distribution": "uniform", "min": 1, "max": 9},
    {"distribution": "int_uniform", "min": -3, "max": 3}, {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
    {"distribution": "q_uniform", "min": 0, "max": 10, "q": 5}, {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
    {"distribution": "categorical", "values": [True, False]},
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
def test_distributions_are_those_of_wandbs_own_mapping(spec):
    optuna_of_wandb = pytest.importorskip("wandb.sdk.sweeps.scheduler.optuna")
    assert to_distribution(spec) == optuna_of_wandb.sweep_parameter_to_distribution(spec)


def test_exponents_become_bounds():
    assert to_distribution({"distribution": "log_uniform", "min": -3.0, "max": 0.0}) == FloatDistribution(
        math.exp(-3), 1.0, log=True
    )
    assert extremes(IntDistribution(1, 1000)) == [1, 1000]


def test_what_a_parameter_can_be():
    some = to_distribution({"values": [1, "x"]})
    assert extremes(some) == grid_values(some) == [1, "x"]
    assert contains(some, "x")
    assert not contains(some, 2)
    assert grid_values(to_distribution({"min": 1, "max": 3})) == [1, 2, 3]
    share = to_distribution({"min": 0.0, "max": 1.0})
    assert contains(share, 1)
    assert not contains(share, 1.1)
    assert not contains(share, "0.5")
