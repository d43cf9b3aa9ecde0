"""What all benchmarks share: timing a peer and hmean in turn, and where a page of results comes from.

A peer and hmean run on the same inputs in turn, and the ratio is kept: absolute times drift on shared machines.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field

from hmean.records import Record
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import GitState, Manifest, git_state
from hmean.runs.metrics import read_epochs


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
        strongest: whether the peer is the fastest plain way to the same thing, or to less, that we could write.
        most_ms: the time of ours that is aimed at, None without one.
        clock: what was measured: time on the wall, or that of the processor.
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
    strongest: bool = False
    most_ms: float | None = None
    clock: str = "wall"


def compare(
    item: str,
    peer: str,
    inputs: Sequence[Any],
    ours: Callable[[Any], object],
    theirs: Callable[[Any], object],
    *,
    exact: str,
    target: float | None = None,
    strongest: bool = False,
    most_ms: float | None = None,
    cpu: bool = False,
    rounds: int = 3,
    least_s: float = 0.002,
) -> Result:
    """Run both on every input, one after the other, ``rounds`` times; both are repeated until they are long enough to time.

    The first call of each is not timed: it compiles, or loads what was compiled. Which of the two is timed first changes
    from round to round, so neither always finds the caches as the other left them. ``cpu`` counts the processor's time of this
    process, in which other programs of a busy machine have no part: for work of one thread.
    """
    ours(inputs[0])
    theirs(inputs[0])
    clock = time.perf_counter
    if cpu:
        clock = time.process_time
    pairs: list[tuple[float, float]] = []
    medians = []
    for value in inputs:
        here = [_pair(theirs, ours, value, clock, least_s, ours_first=bool(i % 2)) for i in range(rounds)]
        medians.append(statistics.median(a / b for a, b in here))
        pairs += here
    ratios = [a / b for a, b in pairs]
    low, high = np.quantile(ratios, [0.05, 0.95])
    return Result(
        item, peer, statistics.median(medians), float(low), float(high), len(pairs),
        1e3 * statistics.median(b for _, b in pairs), 1e3 * statistics.median(a for a, _ in pairs), target, exact, strongest, most_ms,
        "processor" if cpu else "wall",
    )  # fmt: skip


def _pair(
    theirs: Callable[[Any], object],
    ours: Callable[[Any], object],
    value: Any,
    clock: Callable[[], float],
    least_s: float,
    *,
    ours_first: bool,
) -> tuple[float, float]:
    """Seconds of one call of each."""
    if ours_first:
        own = _seconds(ours, value, clock, least_s)
        return _seconds(theirs, value, clock, least_s), own
    return _seconds(theirs, value, clock, least_s), _seconds(ours, value, clock, least_s)


def _seconds(call: Callable[[Any], object], value: Any, clock: Callable[[], float], least_s: float) -> float:
    """Seconds of one call, the mean of as many as last ``least_s``."""
    calls = 0
    start = clock()
    while True:
        call(value)
        calls += 1
        seconds = clock() - start
        if seconds >= least_s:
            return seconds / calls


# --- where a page of results comes from -------------------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
DATA_SETS = ("sroie", "receipts_de")  # folders of the data folder, DATA in commands
# What the programs here write.
PRODUCTS = ("docs/results", "docs/benchmarks.json", "docs/benchmarks.md", "docs/concepts/intervals.md", "README.md")
_PATH = re.compile(r"""(?<![^=\s'"\[,:])(/|\.\./)[^\s'",\]}]*""")  # absolute, or out of the repository
_clock = time.monotonic()


class ComparedRun(Record):
    """A training, or the trainings of a cross-validation, that a page shows or compares."""

    name: str = Field(description="of its folder")
    command: str | None = Field(description="command line; null: not recorded")
    commits: tuple[str, ...] = Field(description="of the code that trained it")
    dirty: bool = Field(description="whether files differed from the commit")
    seed: int | None = Field(description="of the training")
    epochs: int = Field(description="in all")
    minutes: float = Field(description="of training, in all")


class PageProvenance(Record):
    """What a page of results was made with."""

    command: str | None = Field(default=None, description="as typed; null: not recorded")
    date: str | None = Field(default=None, description="day; null: not recorded")
    minutes: float | None = Field(default=None, description="that making it took, without the trainings")
    git: GitState | None = Field(default=None, description="commit, and whether files other than results differed")
    processor: str = Field(description="name of the processor")
    cores: int | None = Field(description="number of its cores")
    python: str = Field(description="version of Python")
    versions: dict[str, str] = Field(description="of the packages that the numbers depend on")
    runs: tuple[ComparedRun, ...] = Field(default=(), description="the trainings that it shows or compares")

    @classmethod
    def collect(cls, *packages: str, runs: Sequence[ComparedRun] = ()) -> Self:
        """Of the program that is running; its minutes are counted from its start, or from the last call."""
        global _clock  # noqa: PLW0603 - one clock for the process
        now = time.monotonic()
        minutes = (now - _clock) / 60
        _clock = now
        processor = next(
            (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
            platform.processor(),
        )
        return cls(
            command=command_as_typed(),
            date=time.strftime("%Y-%m-%d"),
            minutes=round(minutes, 2),
            git=git_state(leaving_out=PRODUCTS),
            processor=processor,
            cores=os.cpu_count(),
            python=platform.python_version(),
            versions={name: metadata.version(name) for name in packages},
            runs=tuple(runs),
        )

    def footer(self) -> str:
        """The last lines of a page."""
        made = "Made by a command that was not recorded"
        if self.command is not None:
            made = f"Made by `{self.command}`"
        if self.date is not None:
            made += f" on {self.date}"
        if self.minutes is not None:
            made += f" in {self.minutes:.1f} minutes"
        if self.git is None:
            made += "; its commit was not recorded."
        elif self.git.dirty:
            made += f" at commit {self.git.commit[:8]}, **with uncommitted changes**."
        else:
            made += f" at commit {self.git.commit[:8]}."
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [made, f"{self.processor}, {self.cores} cores, Python {self.python}; {versions}."]
        if self.runs:
            lines += ["", "| trained | with | commit | seed | epochs | minutes |", "|---|---|---|--:|--:|--:|"]
            for run in self.runs:
                lines.append(_run_row(run))
        return "\n".join(lines)


def _run_row(run: ComparedRun) -> str:
    commit = ", ".join(commit[:8] for commit in run.commits) or "not recorded"
    if run.dirty:
        commit += ", **with uncommitted changes**"
    command = "not recorded"
    if run.command is not None:
        command = f"`{run.command}`"
    return f"| {run.name} | {command} | {commit} | {run.seed} | {run.epochs} | {run.minutes:.1f} |"


def wrapped(paragraph: str) -> str:
    """A paragraph in lines of at most 120 characters."""
    return textwrap.fill(" ".join(paragraph.split()), 120, break_long_words=False, break_on_hyphens=False)


def environment(*packages: str, runs: Sequence[ComparedRun] = ()) -> dict[str, Any]:
    """``PageProvenance`` of the running program, as plain values."""
    return PageProvenance.collect(*packages, runs=runs).to_json()


def words(environment: dict[str, Any]) -> str:
    """The last lines of a page: what it was made with, which trainings it compares, machine and versions."""
    return PageProvenance.parse(environment, "environment").footer()


def command_as_typed() -> str:
    """The command line of this program, from the repository's root, with the data folder as DATA."""
    program = Path(sys.argv[0]).resolve()
    shown = Path(program.name)
    if program.is_relative_to(ROOT):
        shown = program.relative_to(ROOT)
    words = ["python", str(shown)]
    for argument in sys.argv[1:]:
        if Path(argument).is_absolute() and Path(argument).is_relative_to(ROOT):
            argument = str(Path(argument).relative_to(ROOT))
        words.append(without_paths(argument))
    command = shlex.join(words)
    if "HMEAN_DATA" in os.environ and "DATA" not in command:
        command = f"HMEAN_DATA=DATA {command}"
    return command


def without_paths(argument: str) -> str:
    """An argument whose paths out of the repository say only which data set they are, or what they are called."""
    return _PATH.sub(lambda found: _placeholder(found[0]), argument)


def _placeholder(path: str) -> str:
    parts = Path(path).parts
    for name in DATA_SETS:
        if name in parts:
            return "/".join(["DATA", *parts[parts.index(name) :]])
    if any((Path(path) / name).is_dir() for name in DATA_SETS):
        return "DATA"
    return f"FOLDER/{parts[-1]}"


def read_run(folder: Path) -> ComparedRun:
    """What a training has recorded of itself."""
    return _compared(folder.name, folder / "manifest.json", [RunFolder(folder)])


def read_crossval(folder: Path) -> ComparedRun:
    """What the trainings of a cross-validation have recorded of themselves."""
    folds = [RunFolder(path) for path in sorted(folder.glob("fold_*")) if path.is_dir()]
    return _compared(folder.name, folder / "manifest.json", folds)


def _compared(name: str, manifest: Path, runs: Sequence[RunFolder]) -> ComparedRun:
    command = None
    if manifest.exists():
        typed = Manifest.read(manifest).machine.command
        command = shlex.join([without_paths(word) for word in typed])
    commits: dict[str, None] = {}
    dirty = False
    seeds = set()
    epochs = 0
    seconds = 0.0
    for run in runs:
        own = Manifest.read(run.manifest)
        seeds.add(own.seed)
        if own.git is not None:
            commits[own.git.commit] = None
            dirty = dirty or own.git.dirty
        rows = read_epochs(run.metrics)
        epochs += len(rows)
        seconds += sum(row.seconds for row in rows)
    seed = None
    if len(seeds) == 1:
        seed = seeds.pop()
    return ComparedRun(
        name=name,
        command=command,
        commits=tuple(commits),
        dirty=dirty,
        seed=seed,
        epochs=epochs,
        minutes=round(seconds / 60, 1),
    )


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a plain path of the system
            return file.readlines()
    except OSError:
        return []
