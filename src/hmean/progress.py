"""One progress bar for all long work that is not Lightning's, on stderr: for logs, a line a minute."""

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


EVERY = 60.0  # seconds between lines in a log


@contextmanager
def track(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function that counts one more done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log(what, total)
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


def _log(what: str, total: int) -> Callable[[], None]:
    start = last = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal last, done
        done, now = done + 1, time.monotonic()
        if now - last >= EVERY:
            last, rate = now, done / (now - start)
            left = (total - done) / rate / 60
            print(f"{what}: {done}/{total}, {rate:.1f}/s, {left:.0f} min left", file=sys.stderr, flush=True)

    return advance
