"""Time a peer and hmean in turn on the same inputs, and keep the ratio: absolute times drift on shared machines."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        item: what is timed.
        peer: what it is timed against; "textbook" where the peer cannot be installed and a plain version stands for it.
        ratio: the peer's time over ours: median over the inputs of the median over rounds.
        low: 5th percentile of the ratio over all pairs.
        high: 95th percentile.
        pairs: number of pairs timed.
        ours_ms: median, for orientation only.
        peer_ms: median, for orientation only.
        target: the ratio aimed at, None without one.
        exact: what shows that both compute the same, in words.
    """

    item: str
    peer: str
    ratio: float
    low: float
    high: float
    pairs: int
    ours_ms: float
    peer_ms: float
    target: float | None
    exact: str


def compare(
    item: str,
    peer: str,
    inputs: Sequence[Any],
    ours: Callable[[Any], object],
    theirs: Callable[[Any], object],
    *,
    exact: str,
    target: float | None = None,
    rounds: int = 3,
    least_s: float = 0.002,
) -> Result:
    """Run both on every input, one after the other, ``rounds`` times; ours is repeated until it is long enough to time.

    The first call of each is not timed: it compiles, or loads what was compiled.
    """
    ours(inputs[0]), theirs(inputs[0])
    pairs: list[tuple[float, float]] = []
    medians = []
    for value in inputs:
        repeats = max(1, round(least_s / max(_seconds(ours, value, 1), 1e-7)))
        here = [(_seconds(theirs, value, 1), _seconds(ours, value, repeats)) for _ in range(rounds)]
        medians.append(statistics.median(a / b for a, b in here))
        pairs += here
    ratios = [a / b for a, b in pairs]
    low, high = np.quantile(ratios, [0.05, 0.95])
    return Result(
        item, peer, statistics.median(medians), float(low), float(high), len(pairs),
        1e3 * statistics.median(b for _, b in pairs), 1e3 * statistics.median(a for a, _ in pairs), target, exact,
    )  # fmt: skip


def _seconds(call: Callable[[Any], object], value: Any, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call(value)
    return (time.perf_counter() - start) / repeats


def environment(*packages: str) -> dict[str, Any]:
    """What the ratios were measured with."""
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def words(environment: dict[str, Any]) -> str:
    """The last line of a page: machine and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return f"{environment['processor']}, {environment['cores']} cores, Python {environment['python']}; {versions}."


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a plain path of the system
            return file.readlines()
    except OSError:
        return []
