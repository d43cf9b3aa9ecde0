"""A command as a process: ended with the job that started it, and never two jobs in one folder."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hmean.errors import InputError

HMEAN = (sys.executable, "-m", "hmean")


@contextmanager
def locked(folder: Path, name: str = ".lock", *, shared: bool = False) -> Iterator[int]:
    """Hold a folder; the file descriptor, handed to processes, keeps it held while one of them lives.

    Args:
        folder: made if it is not there.
        name: of the file in it that is locked.
        shared: beside others that share it.

    Raises:
        InputError: if another job, or a process that a killed one left behind, is at work in it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{folder}: is no folder to write to ({error.strerror}); choose another output") from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise InputError(f"{folder}: another process is at work in it; wait for its end, or end it") from None
    finally:
        os.close(descriptor)


def run_one(command: Sequence[str], hold: int, tick: Callable[[float], object] = lambda _: None) -> int:
    """Run a command to its exit code; ``hold`` is what ``locked`` gave.

    ``tick`` is called about every second with the seconds since the last call; what it raises ends the command.
    """
    process, last = subprocess.Popen(command, pass_fds=[hold]), time.monotonic()  # noqa: S603 - our own commands
    try:
        while process.returncode is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            now = time.monotonic()
            tick(now - last)
            last = now
        return process.returncode
    finally:
        process.terminate()  # a job keeps its state and ends with 130
        process.wait()
