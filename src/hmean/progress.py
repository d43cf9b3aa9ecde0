"""Progress of long work on stderr: a bar in a terminal, a line a minute in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f}/s")


SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def track(what: str, total: int, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[], None]]:
    """Show progress while the block runs.

    Args:
        what: what is done, such as ``scoring``.
        total: number of steps.
        clock: seconds.

    Yields:
        A function that counts one more step done.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LogLines(what, total, clock).advance
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


class _LogLines:
    """Progress as lines on stderr, at most one in ``SECONDS_BETWEEN_LINES``."""

    def __init__(self, what: str, total: int, clock: Callable[[], float]) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._start = clock()
        self._last_line = self._start
        self._done = 0

    def advance(self) -> None:
        """Count one more done."""
        self._done += 1
        now = self._clock()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        rate = self._done / (now - self._start)
        minutes_left = (self._total - self._done) / rate / 60
        print(
            f"{self._what}: {self._done}/{self._total}, {rate:.1f}/s, {minutes_left:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
