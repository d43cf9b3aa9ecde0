"""``hmean score`` as a command, from its start to its last line, against the official metric alone on the same pages in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result

from hmean.labels.ufo import UfoLabels, write_ufo
from hmean.runs.predictions import PredictionFile, write_predictions
from hmean.types import Detections, Page

Pair = tuple[Page, Detections]
SAMPLE = 200  # every so many pages go to the official metric
# A process inherits the peak memory of the one that started it: so a small one stands between this one and the command.
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class CommandRun:
    """One run of ``hmean score``: the processor's time in seconds, and the largest resident set in MB."""

    seconds: float
    peak_mb: float


def end_to_end(count: int, originals: Sequence[Page], official: Callable[[Pair], object], rounds: int = 3) -> Result:
    """``count`` pages like ``originals``, and a tenth of them, to see whether memory grows."""
    with tempfile.TemporaryDirectory() as temporary:
        few = Path(temporary) / "few"
        many = Path(temporary) / "many"
        _write_files(few, count // 10, originals)
        _write_files(many, count, originals)
        small = _run_command(few)  # compiles, too
        sample = _read(many, range(0, count, SAMPLE))
        official(sample[0])
        ours = []
        theirs = []
        peaks = []
        for _ in range(rounds):
            start = time.process_time()
            for pair in sample:
                official(pair)
            theirs.append((time.process_time() - start) / len(sample))
            run = _run_command(many)
            ours.append(run.seconds / count)
            peaks.append(run.peak_mb)
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    low, high = np.quantile(ratios, [0.05, 0.95])
    words = round(np.mean([len(page.polygons) for page, _ in sample]))
    return Result(
        item=f"`hmean score`, a page of {count} of {words} words: start, files, intervals and all; "
        f"at most {max(peaks):.0f} MB ({small.peak_mb:.0f} MB with {count // 10} pages)",
        peer="cleval, the metric alone",
        ratio=statistics.median(ratios),
        low=float(low),
        high=float(high),
        pairs=rounds,
        ours_ms=1e3 * statistics.median(ours),
        peer_ms=1e3 * statistics.median(theirs),
        target=None,
        exact="tests/e2e/test_official_program.py (from files to counters)",
        most_ms=1.0,
        clock="processor",
    )


def _write_files(folder: Path, count: int, originals: Sequence[Page]) -> None:
    """``labels.json``, and ``predictions.json`` with corners moved by 1.5 px, written page by page."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    with write_predictions(folder / "predictions.json") as predictions:

        def entries() -> Iterator[tuple[str, dict[str, Any]]]:
            for i in range(count):
                page = replace(originals[i % len(originals)], name=f"{i:06d}.jpg")
                points = page.polygons.points + rng.normal(0, 1.5, page.polygons.points.shape)
                found = Detections(page.polygons.with_points(points), rng.random(len(page.polygons)).astype(np.float32))
                predictions.write(page.name, found, page.width, page.height)
                yield page.name, page.to_ufo()

        write_ufo(folder / "labels.json", entries())


def _read(folder: Path, positions: Sequence[int]) -> list[Pair]:
    labels = UfoLabels(folder / "labels.json")
    predictions = PredictionFile(folder / "predictions.json")
    pages = [labels.page(i) for i in positions]
    return [(page, predictions[page.name]) for page in pages]


def _run_command(folder: Path) -> CommandRun:
    command = [sys.executable, "-m", "hmean", "score", str(folder / "labels.json"), str(folder / "predictions.json")]
    told = subprocess.run([sys.executable, "-c", LAUNCHER, *command], check=True, capture_output=True, text=True)
    seconds, peak_mb = map(float, told.stdout.split())
    return CommandRun(seconds, peak_mb)
