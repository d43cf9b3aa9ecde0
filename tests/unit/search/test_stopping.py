"""When a trial is stopped; W&B's own rule is the oracle."""

import math
import random
import warnings
from typing import Any

import pytest

from hmean.search.stopping import Hyperband, should_stop

NO_RULE = Hyperband()


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
        hyperband = Hyperband.from_config(rule)
        for i, own in enumerate(histories):
            others = histories[:i] + histories[i + 1 :]
            stop = should_stop(own, others, 1.0, hyperband=hyperband)
            band = max((b for b in hyperband.bands if b <= len(own)), default=0)
            guarded = max(own) >= max(map(max, others)) or sum(len(h) >= band for h in histories) < 4
            assert (stop is not None) == (i in theirs and not guarded), case
            stopped += stop is not None
    assert stopped > 50
    assert Hyperband.from_config({"type": "hyperband", "max_iter": 27, "s": 2}).bands == (3, 9)
    assert Hyperband.from_config(None).bands == ()


MEASURED = (0.8606, 0.9629, 0.9647, 0.9631, 0.9564, 0.9623, 0.9629, 0.9660, 0.9603, 0.9620, 0.9614, 0.9599)  # fmt: skip


def replay(order: list[int], noise: random.Random, guards: bool) -> dict[int, Any]:
    """Two agents, 22 epochs; a run's curve rises to what it had (runs 4 to 12: at epoch 10) and hardly further."""
    hyperband = Hyperband.from_config({"type": "hyperband", "min_iter": 5, "eta": 3})
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
                stop = should_stop(seen[run], others, epoch / 22, hyperband=hyperband, floor=0.1)
            else:  # the same rule, strict and unguarded
                reached = sorted((h[epoch - 1] for h in [*others, seen[run]] if len(h) >= epoch), reverse=True)
                stop = epoch in hyperband.bands and seen[run][-1] < reached[int(len(reached) / hyperband.eta)]
            if stop or epoch == 22:
                running.remove(run)
                if stop:
                    stops[run] = stop
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
            assert stop.value < stop.threshold
            assert stop.comparable >= 4
            assert stop.rank > 1
            assert stop.validations >= 0.6 * 22
    assert stopped_bad > 100  # the rule does stop the hopeless one, where enough runs came before it
    assert killed_unguarded > 0  # and without the guards it would have cost us the best, in some order


def test_the_floor_stops_what_learns_nothing_but_only_late():
    assert should_stop([0.01] * 10, [], 0.5, floor=0.1, hyperband=NO_RULE) is None
    stop = should_stop([0.01] * 14, [], 0.64, floor=0.1, hyperband=NO_RULE)
    assert stop is not None
    assert (stop.rule, stop.value, stop.threshold, stop.rank) == ("floor", 0.01, 0.1, 1)
    assert should_stop([0.01, 0.2, 0.01], [], 1.0, floor=0.1, hyperband=NO_RULE) is None
    assert should_stop([], [], 1.0, floor=0.1, hyperband=NO_RULE) is None


def test_the_rank_of_a_stopped_trial_is_among_those_it_was_compared_with():
    """Five others came to the band, one of them no further: it is compared, and counts in the rank."""
    others = [[0.5, 0.9], *([[0.6, 0.61, 0.62]] * 4)]
    stop = should_stop([0.1, 0.2, 0.3], others, 0.9, hyperband=Hyperband((2,), 3.0))
    assert stop is not None
    assert (stop.rank, stop.comparable) == (6, 6)


def test_a_reason_for_what_is_minimized_has_what_was_measured():
    stop = should_stop([-0.9] * 9, [], 0.9, hyperband=NO_RULE, floor=-0.5)
    assert (stop.negated().value, stop.negated().threshold) == (0.9, 0.5)
    assert stop.negated().describe() == (
        "floor: its best value was 0.9, and 0.5 was required; rank 1 of 1 after 9 validations"
    )
