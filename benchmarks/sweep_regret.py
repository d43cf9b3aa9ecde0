"""How good a search of 12 trials is, on surfaces with a known optimum: ours, random search and W&B's own engine.

Each repeat draws a surface shaped like the measured one (twelve trainings of EfficientNet-B4: a shallow bowl in the
learning rate, a cliff at high weight decay, the schedule hardly matters) with its optimum anywhere in the ranges, and
noise as large as another seed's. Regret: how far the trial that a search calls best is below the best there is, without
noise, in points of H. All engines meet the same surfaces. By one training each, the best is the one that measured best;
with repeats, as ``hmean sweep`` has them, it is the best mean among the three that measured best.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import optuna

from hmean.search.proposals import make_sampler
from hmean.search.sweepfile import SweepFile

PEERS = ("optuna", "sweeps", "scikit-learn")
ABOUT = (
    "Regret of a search of 12 trials by one training each, and with the repeats of the best three that `hmean sweep` adds, points of H (mean, 95 % bootstrap interval over repeats): how far the trial it calls best is "
    "below the best there is. Surfaces with a known optimum, shaped like that of twelve measured trainings, noise of one seed 0.1 points; the same for "
    "all (`benchmarks/sweep_regret.py`). Difference: paired over repeats, negative where hmean is better."
)
COLUMNS = ("engine", "repeats", "regret", "hmean minus it", "verdict")
RUNS, REPEATS, NOISE = 12, int(os.environ.get("REPEATS", "200")), 0.1
CONFIG: dict[str, Any] = {
    "method": "bayes", "metric": {"name": "val/hmean", "goal": "maximize"}, "program": "none",
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 0.00025, "max": 0.0006},
        "weight_decay": {"distribution": "log_uniform_values", "min": 0.00005, "max": 0.0005},
        "T_max": {"values": [20, 22, 24]},
        "eta_min": {"distribution": "log_uniform_values", "min": 0.000005, "max": 0.00005},
    },
}  # fmt: skip
Point = dict[str, Any]


class Surface:
    """H in points below the optimum, as a function of the four parameters."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.best = {"lr": rng.uniform(), "weight_decay": rng.uniform(0, 0.7), "eta_min": rng.uniform()}
        self.t_max = int(rng.choice([20, 22, 24]))
        self.noise = rng.normal(0, NOISE, 1000)

    def loss(self, point: Point) -> float:
        """Points lost, without noise: 0 at the optimum."""
        ranges = CONFIG["parameters"]
        at = {
            k: math.log(point[k] / ranges[k]["min"]) / math.log(ranges[k]["max"] / ranges[k]["min"]) for k in self.best
        }
        cliff = 10 * max(0.0, at["weight_decay"] - 0.85) / 0.15
        bowl = 1.2 * (at["lr"] - self.best["lr"]) ** 2 + 0.5 * (at["weight_decay"] - self.best["weight_decay"]) ** 2
        return bowl + 0.1 * (at["eta_min"] - self.best["eta_min"]) ** 2 + 0.05 * (point["T_max"] != self.t_max) + cliff

    def regret(self, points: list[Point], repeats: int = 0) -> float:
        """Of the run that measured best; with repeats of the best, of the best mean among these."""
        seen = [self.measure(i, point) for i, point in enumerate(points)]
        order = np.argsort(seen)[::-1].tolist()
        best = order[0]
        if repeats:
            means = {}
            for rank, i in enumerate(order[:repeats]):
                means[i] = (seen[i] + self.measure(len(points) + rank, points[i])) / 2
            best = max(means, key=lambda i: means[i])
        return self.loss(points[best])

    def measure(self, i: int, point: Point) -> float:
        """What run ``i`` would report."""
        return 96.6 - self.loss(point) + float(self.noise[i])


def by_optuna(surface: Surface, seed: int, method: str, agents: int) -> list[Point]:
    """As ``hmean sweep`` does: the sampler of each trial, ``agents`` at a time."""
    sweep = SweepFile.parse(CONFIG, "benchmark")
    study = optuna.create_study(direction="maximize")
    points: list[Point] = []
    for first in range(0, RUNS, agents):
        trials = []
        for number in range(first, first + agents):
            study.sampler = make_sampler(method, RUNS, 1000 * seed + number)
            trials.append(study.ask(sweep.space))
        for trial in trials:
            points.append(trial.params)
            study.tell(trial, surface.measure(len(points) - 1, trial.params))
    return points


def by_wandb(surface: Surface, seed: int) -> list[Point]:
    """W&B's own Gaussian process (package sweeps 0.3.0), one run at a time."""
    from sweeps.bayes_search import bayes_search_next_run  # noqa: PLC0415 - a peer
    from sweeps.run import RunState, SweepRun  # noqa: PLC0415

    np.random.seed(seed)  # noqa: NPY002 - what it draws from
    config = {k: v for k, v in CONFIG.items() if k != "program"}
    runs: list[Any] = []
    points: list[Point] = []
    for i in range(RUNS):
        found = bayes_search_next_run(runs, config)
        points.append({k: v["value"] for k, v in found.config.items()})
        value = surface.measure(i, points[-1])
        runs.append(
            SweepRun(
                name=str(i),
                config=found.config,
                state=RunState.finished,
                history=[{"val/hmean": value}],
                summary_metrics={"val/hmean": value},
            )
        )
    return points


def run() -> list[dict[str, str]]:
    """Regret of each engine, and paired differences to the first."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    one_agent = partial(by_optuna, method="bayes", agents=1)
    engines: dict[str, Callable[[Surface, int], list[Point]]] = {
        "hmean, 1 agent": one_agent,
        "hmean, 2 agents": partial(by_optuna, method="bayes", agents=2),
        "random": partial(by_optuna, method="random", agents=1),
        "W&B's bayes (sweeps 0.3.0)": by_wandb,
    }
    found = {}
    for name, engine in engines.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the peer's Gaussian process
            found[name] = np.array(
                [(surface := Surface(seed)).regret(engine(surface, seed)) for seed in range(REPEATS)]
            )
        print(f"{name}: {found[name].mean():.3f}", flush=True)
    found["hmean, 1 agent, and 3 repeats"] = np.array(
        [(surface := Surface(seed)).regret(one_agent(surface, seed), repeats=3) for seed in range(REPEATS)]
    )
    ours = found["hmean, 1 agent"]
    return [_row(name, values, ours) for name, values in found.items()]


def _row(name: str, values: np.ndarray, ours: np.ndarray) -> dict[str, str]:
    draws = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    below, above = np.quantile((ours - values)[draws].mean(axis=1), [0.025, 0.975])
    verdict = "better" if above < 0 else "worse" if below > 0 else "not distinguishable"
    return {
        "engine": name,
        "repeats": str(len(values)),
        "regret": f"{values.mean():.3f} [{low:.3f}, {high:.3f}]",
        "hmean minus it": "" if values is ours else f"{(ours - values).mean():+.3f} [{below:+.3f}, {above:+.3f}]",
        "verdict": "" if values is ours else verdict,
    }
