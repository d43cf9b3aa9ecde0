"""The sweep file, its checks and the rules of a search; W&B's own code is the oracle where it runs offline."""

import math
import random
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hmean.errors import InputError
from hmean.search.sweepfile import COMMAND, Sweep, bands_of, distribution, early_stop, ends, expand, read_sweep

CONFIGS = Path(__file__).parents[3] / "configs"
GOOD = {
    "method": "bayes",
    "metric": {"name": "val/hmean", "goal": "maximize"},
    "program": "train.py",
    "parameters": {"a.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}, "b": {"values": [1, 2]}},
}


def faults(**changes) -> str:
    with pytest.raises(InputError) as error:
        Sweep.of({**GOOD, **changes}, "x.yaml")
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
        "epochs", "method", "metric.goal: say", "run_cap", "${nonsense} is no macro", "write 0.0005 or 5.0e-4", "swapped: min 2.0 must be below",
        "parameters.zero", "cannot draw normal", "dotted names", "multiple of q", "3x",
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
    ({"metric": {"name": "val/hmean", "goal": "maximize", "target": 0.9}}, "metric.target: hmean has no such thing"),
    ({"metric": {"name": "val/hmean", "goal": "maximize", "impute": "best"}}, "metric.impute: hmean has no such thing"),
    ({"controller": {"type": "local"}}, "controller: hmean has no such thing"),
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
    grid = Sweep.of({**GOOD, "method": "grid", "parameters": parameters}, "x").grid()
    assert len(grid) == 6
    assert {"a": 2, "b": 2} in grid
    assert "a grid needs values" in faults(method="grid")


SPECS = [
    {"values": [1, "x", 0.5]}, {"min": 1, "max": 9}, {"min": 0.5, "max": 9}, {"distribution": "uniform", "min": 1, "max": 9},
    {"distribution": "int_uniform", "min": -3, "max": 3}, {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
    {"distribution": "q_uniform", "min": 0, "max": 10, "q": 5}, {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
    {"distribution": "categorical", "values": [True, False]},
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
def test_distributions_are_those_of_wandbs_own_mapping(spec):
    optuna_of_wandb = pytest.importorskip("wandb.sdk.sweeps.scheduler.optuna")
    assert distribution(spec) == optuna_of_wandb.sweep_parameter_to_distribution(spec)


def test_exponents_become_bounds():
    assert distribution({"distribution": "log_uniform", "min": -3.0, "max": 0.0}) == FloatDistribution(
        math.exp(-3), 1.0, log=True
    )
    assert ends(IntDistribution(1, 1000)) == [1, 1000]


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
    assert expand(COMMAND, {"a": 1}, "train.py", "python") == ["/usr/bin/env", "python", "train.py", "--a=1"]
    assert expand(["exp_name=b_${oc.env:WANDB_RUN_ID}"], {}, "p", "i") == ["exp_name=b_${oc.env:WANDB_RUN_ID}"]


def test_bands_and_thresholds_are_those_of_wandbs_own_rule():
    """Random histories: where no guard holds, we stop what W&B stops (strict: false), and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own pydantic model
        stopping = pytest.importorskip("sweeps.hyperband_stopping", exc_type=ImportError)
    from sweeps.run import RunState, SweepRun

    draw = random.Random(0)
    stopped = 0
    for case in range(300):
        rule = {"type": "hyperband", "min_iter": draw.randint(1, 4), "eta": draw.choice([2, 3]), "strict": False}
        histories = [[draw.random() for _ in range(draw.randint(1, 20))] for _ in range(draw.randint(2, 9))]
        runs = [
            SweepRun(name=str(i), state=RunState.running, history=[{"m": v} for v in h])
            for i, h in enumerate(histories)
        ]
        config = {
            "method": "bayes",
            "metric": {"name": "m", "goal": "maximize"},
            "early_terminate": rule,
            "parameters": {"a": {"values": [1]}},
        }
        theirs = {int(run.name) for run in stopping.hyperband_stop_runs(runs, config)}
        bands, eta = bands_of(rule)
        for i, own in enumerate(histories):
            others = histories[:i] + histories[i + 1 :]
            stop = early_stop(own, others, 1.0, bands=bands, eta=eta)
            band = max((b for b in bands if b <= len(own)), default=0)
            guarded = max(own) >= max(map(max, others)) or sum(len(h) >= band for h in histories) < 4
            assert (stop is not None) == (i in theirs and not guarded), case
            stopped += stop is not None
    assert stopped > 50
    assert bands_of({"type": "hyperband", "max_iter": 27, "s": 2})[0] == (3, 9)
    assert bands_of(None)[0] == ()


MEASURED = (0.8606, 0.9629, 0.9647, 0.9631, 0.9564, 0.9623, 0.9629, 0.9660, 0.9603, 0.9620, 0.9614, 0.9599)  # fmt: skip


def replay(order: list[int], noise: random.Random, guards: bool) -> dict[int, dict]:
    """Two agents, 22 epochs; a run's curve rises to what it had (runs 4 to 12: at epoch 10) and hardly further."""
    bands, eta = bands_of({"type": "hyperband", "min_iter": 5, "eta": 3})
    seen: dict[int, list[float]] = {run: [] for run in order}
    waiting, running, stops = list(order), [], {}
    while waiting or running:
        running += [waiting.pop(0) for _ in range(min(2 - len(running), len(waiting)))]
        for run in list(running):
            epoch = len(seen[run]) + 1
            full = 22 if run < 3 else 10
            level = MEASURED[run] - 0.25 * math.exp(-epoch / 1.6) + 0.25 * math.exp(-full / 1.6)
            seen[run].append(level + noise.gauss(0, 0.001) * (epoch != full))
            others = [h for other, h in seen.items() if other != run and h]
            if guards:
                stop = early_stop(seen[run], others, epoch / 22, bands=bands, eta=eta, floor=0.1)
            else:  # the same rule, strict and unguarded
                reached = sorted((h[epoch - 1] for h in [*others, seen[run]] if len(h) >= epoch), reverse=True)
                stop = epoch in bands and seen[run][-1] < reached[int(len(reached) / eta)]
            if stop or epoch == 22:
                running.remove(run)
                stops |= {run: asdict(stop) if guards else {}} if stop else {}
    return stops


def test_the_best_of_the_twelve_measured_runs_survives():
    best, bad, killed_unguarded = MEASURED.index(max(MEASURED)), MEASURED.index(min(MEASURED)), 0
    stopped_bad = 0
    for seed in range(200):
        order = list(range(12))
        if seed:
            random.Random(seed).shuffle(order)
        stops = replay(order, random.Random(seed), guards=True)
        assert best not in stops
        stopped_bad += bad in stops
        killed_unguarded += best in replay(order, random.Random(seed), guards=False)
        for stop in stops.values():
            assert stop["value"] < stop["threshold"]
            assert stop["comparable"] >= 4
            assert stop["rank"] > 1
            assert stop["validations"] >= 0.6 * 22
    assert stopped_bad > 100  # the rule does stop the hopeless one, where enough runs came before it
    assert killed_unguarded > 0  # and without the guards it would have cost us the best, in some order


def test_the_floor_stops_what_learns_nothing_but_only_late():
    assert early_stop([0.01] * 10, [], 0.5, floor=0.1) is None
    stop = early_stop([0.01] * 14, [], 0.64, floor=0.1)
    assert stop is not None
    assert (stop.rule, stop.value, stop.threshold, stop.rank) == ("floor", 0.01, 0.1, 1)
    assert early_stop([0.01, 0.2, 0.01], [], 1.0, floor=0.1) is None
    assert early_stop([], [], 1.0, floor=0.1) is None


def test_a_stopped_runs_rank_is_among_those_it_was_compared_with():
    """Five others came to the band, one of them no further: it is compared, and counts in the rank."""
    others = [[0.5, 0.9], *([[0.6, 0.61, 0.62]] * 4)]
    stop = early_stop([0.1, 0.2, 0.3], others, 0.9, bands=(2,), eta=3.0)
    assert stop is not None
    assert (stop.rank, stop.comparable) == (6, 6)


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
