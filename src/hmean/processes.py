"""Commands as processes: some at a time, ended with the job that started them, never two jobs in one folder."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hmean.errors import InputError

HMEAN = (sys.executable, "-m", "hmean")


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold a folder; the file descriptor, handed to processes, keeps it held while one of them lives.

    Raises:
        InputError: if another job, or a process that a killed one left behind, is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise InputError(f"{folder}: another process is at work in it; wait for its end, or end it") from None
    finally:
        os.close(descriptor)


def run_all(
    commands: Sequence[Sequence[str]], hold: int, *, agents: int = 1, tick: Callable[[float], object] = lambda _: None
) -> list[int]:
    """Run commands, ``agents`` at a time, to their exit codes; one that fails does not end the others.

    ``hold`` is what ``locked`` gave. ``tick`` is called about every second with the seconds since the last call; what
    it raises, or an interruption, ends all processes.
    """
    waiting, running = list(enumerate(commands)), dict[int, subprocess.Popen[bytes]]()
    codes, last = [0] * len(commands), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < agents:
                i, command = waiting.pop(0)
                running[i] = subprocess.Popen(command, pass_fds=[hold])  # noqa: S603 - our own commands
            time.sleep(0.05)
            for i in [i for i, process in running.items() if process.poll() is not None]:
                codes[i] = running.pop(i).returncode
            if (now := time.monotonic()) - last >= 1 or not running:
                tick(now - last)
                last = now
    finally:
        for process in running.values():
            process.terminate()  # jobs keep their state and end with 130
        for process in running.values():
            process.wait()
    return codes
