"""Commands as processes of this machine that end with the process which started them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

HMEAN = (sys.executable, "-m", "hmean")
POLL_SECONDS = 1.0
TERMINATE_SECONDS = 30.0  # a training writes its checkpoint in this time


def run_command(command: Sequence[str], lock: int, on_tick: Callable[[float], object] | None = None) -> int:
    """Run a command until it ends.

    Args:
        command: program and arguments.
        lock: descriptor of a lock file (see ``locks.locked``). The command inherits it, so that the folder stays locked
            while the command lives, even if this process is killed.
        on_tick: called about once a second with the seconds since the last call. If it raises, the command is ended.

    Returns:
        The exit code.
    """
    process = subprocess.Popen(command, pass_fds=[lock])  # noqa: S603 - our own commands
    last = time.monotonic()
    try:
        while process.returncode is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
            now = time.monotonic()
            if on_tick is not None:
                on_tick(now - last)
            last = now
        return process.returncode
    finally:
        process.terminate()  # a command of ours saves its state and ends with exit code 130
        process.wait()


def end_with_parent(command: Sequence[str], parent_death_signal: Literal["KILL", "TERM"]) -> list[str]:
    """A command that gets a signal when the process that started it dies, also when that is killed.

    Without ``setpriv`` (of util-linux) the command is unchanged: it keeps running, and the lock on its folder tells the
    next agent about it.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(command)
    return [setpriv, "--pdeathsig", parent_death_signal, "--", *command]


def start_group(command: Sequence[str], log: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, with its output appended to ``log``.

    ``lock`` is inherited as in ``run_command``.
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the user's command
            end_with_parent(command, "KILL"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=[lock],
        )


def end_group(process: subprocess.Popen[bytes], seconds: float = TERMINATE_SECONDS) -> None:
    """End a command and all that it started: SIGTERM first, SIGKILL if it still runs after ``seconds``."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def visible_gpus() -> list[str]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` allows, or all GPUs of this machine."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(index) for index in range(len(gpus))]
