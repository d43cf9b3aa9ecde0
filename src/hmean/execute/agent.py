"""An agent: it claims tasks from a queue and runs their commands, until all tasks have ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Generic

from hmean.errors import InputError
from hmean.execute.database import UNREACHABLE, patiently
from hmean.execute.processes import end_group, start_group
from hmean.execute.queue import MAX_ATTEMPTS, Payload, Queue, Result, Task, TaskState

WRONG_INPUT = 2  # hmean's exit code for what a second attempt cannot fix
MIN_FREE_BYTES = 64 << 20  # that a disk must have before a command is started
LONGEST_POLL = 10.0  # seconds


class Attempt(ABC, Generic[Result]):
    """One attempt at a task: its folder, its commands, and what came of them.

    Attributes:
        folder: the working folder of the task; ``log.txt`` in it takes the output of the commands.
    """

    folder: Path

    @abstractmethod
    def commands(self) -> Iterator[Sequence[str]]:
        """The commands, one after the other.

        Raises:
            NothingToDoError: if the task turns out to have no work.
            InputError: if it cannot be done.
        """

    @abstractmethod
    def known(self) -> Result:
        """What is known so far; called while a command runs."""

    def must_stop(self) -> bool:
        """Whether the command that runs should be stopped now, which ends the task as stopped."""
        return False

    @abstractmethod
    def result(self, *, was_stopped: bool) -> Result:
        """What came of the task, after its commands ended, or ``must_stop`` said so.

        Raises:
            InputError: if they ended well but left no result.
        """


class NothingToDoError(Exception):
    """A task turns out to have no work: it ends as stopped, for this reason."""


class _LeaseLostError(Exception):
    """Another agent has the task."""


class _DiskFullError(InputError):
    """Not the fault of the task: the task is given back, and the agent ends."""


class Agent(Generic[Payload, Result]):
    """Does the tasks of a queue.

    Args:
        queue: where the tasks are.
        begin: makes an attempt at a task.
        grace: seconds without a heartbeat after which other agents take this one for dead.
    """

    def __init__(
        self,
        queue: Queue[Payload, Result],
        begin: Callable[[Task[Payload, Result]], Attempt[Result]],
        grace: float,
    ) -> None:
        self._queue = queue
        self._begin = begin
        self._grace = grace
        self._poll = min(grace / 6, LONGEST_POLL)

    def work(self) -> None:
        """Do tasks until all have ended, or the queue is stopped.

        Raises:
            InputError: if the disk is full, or the database stays away. Other agents can take the task then.
        """
        while not patiently(self._queue.is_stopping):
            task = patiently(lambda: self._queue.claim(self._grace))
            if task is not None:
                self._do(task)
            elif self._all_have_ended():
                return
            else:  # other agents have the rest; one of them may die
                time.sleep(self._poll)

    def _all_have_ended(self) -> bool:
        return all(task.state.has_ended() for task in patiently(self._queue.tasks))

    def _do(self, task: Task[Payload, Result]) -> None:
        attempt = self._begin(task)
        try:
            state, result = self._try(task, attempt)
        except _LeaseLostError:
            return
        except (KeyboardInterrupt, _DiskFullError):
            patiently(lambda: self._queue.give_back(task, self._queue.empty_result(), task.attempt - 1), 30)
            raise
        except NothingToDoError as why:
            state = TaskState.STOPPED
            result = self._queue.empty_result().with_reason(str(why))
        except InputError as error:
            state = TaskState.FAILED
            result = patiently(attempt.known).with_reason(str(error))
        if state == TaskState.WAITING:
            is_saved = patiently(lambda: self._queue.give_back(task, result, task.attempt))
        else:
            is_saved = patiently(lambda: self._queue.end(task, state, result))
        if is_saved:
            print(f"{attempt.folder}: {state} {result.summary()}", flush=True)

    def _try(self, task: Task[Payload, Result], attempt: Attempt[Result]) -> tuple[TaskState, Result]:
        """Run the commands of a task; where it is then, and what came of it."""
        with _own_folder(attempt.folder) as lock:
            for command in attempt.commands():
                _require_space(attempt.folder)
                exit_code = self._run(task, attempt, command, lock)
                if exit_code is None:
                    return TaskState.STOPPED, patiently(lambda: attempt.result(was_stopped=True))
                if exit_code != 0:
                    _require_space(attempt.folder)
                    reason = f"exit code {exit_code}: {_last_line(attempt.folder / 'log.txt')}"
                    result = patiently(attempt.known).with_reason(reason)
                    if exit_code == WRONG_INPUT or task.attempt >= MAX_ATTEMPTS:
                        return TaskState.FAILED, result
                    return TaskState.WAITING, result
            return TaskState.DONE, patiently(lambda: attempt.result(was_stopped=False))

    def _run(
        self, task: Task[Payload, Result], attempt: Attempt[Result], command: Sequence[str], lock: IO[str]
    ) -> int | None:
        """Run one command, with heartbeats; its exit code, or None if a rule stopped it."""
        # It may have taken long to prepare the command.
        if not patiently(lambda: self._queue.beat(task, task.result)):
            raise _LeaseLostError
        process = start_group(command, attempt.folder / "log.txt", lock.fileno())
        try:
            _write_holder(lock, process.pid)
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self._poll)
                # While the database is away the command keeps running: only the database can say that the task is
                # another's.
                with suppress(*UNREACHABLE):
                    if not self._queue.beat(task, attempt.known()):
                        raise _LeaseLostError
                    if self._queue.is_stopping():
                        raise KeyboardInterrupt("stopped by hmean sweep stop")
                    if attempt.must_stop() and process.poll() is None:
                        return None
            return process.returncode
        finally:
            end_group(process)


@contextmanager
def _own_folder(folder: Path) -> Iterator[IO[str]]:
    """Lock a folder for this process and its children; what a dead agent left running in it is ended first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as lock:
        for _ in range(50):
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The number that an earlier holder wrote may be that of another process by now.
                lock.truncate(0)
                yield lock
                return
            _end_holder(lock)
            time.sleep(0.2)
    raise _LeaseLostError  # its command runs on another machine that shares the disk


def _write_holder(lock: IO[str], process_group: int) -> None:
    lock.truncate(0)
    print(f"{socket.gethostname()}:{process_group}", file=lock, flush=True)


def _end_holder(lock: IO[str]) -> None:
    """Kill the process group that holds a lock, if it is of this machine."""
    lock.seek(0)
    host, _, group = lock.read().strip().partition(":")
    if host == socket.gethostname() and group:
        with suppress(ProcessLookupError):
            os.killpg(int(group), signal.SIGKILL)


def _require_space(folder: Path) -> None:
    if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        raise _DiskFullError(f"{folder}: the disk is full; make room, then the same command continues")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if not lines:
        return "it printed nothing"
    return lines[-1]
