"""Agents of this machine as processes, a GPU each."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from hmean.errors import InputError
from hmean.execute.database import patiently
from hmean.execute.processes import end_with_parent, visible_gpus
from hmean.execute.queue import MAX_ATTEMPTS, Payload, Queue, Result, Task

STORAGE_VARIABLE = "HMEAN_STORAGE"
POLL_SECONDS = 0.2


class AgentPool:
    """Processes that each run ``hmean sweep agent``.

    Args:
        url: of the storage.
        name: of the queue.
        count: how many agents work at a time.
    """

    def __init__(self, url: str, name: str, count: int) -> None:
        self._url = url
        # The storage URL is no argument, since it may hold a password that others could see in the list of processes.
        command = [sys.executable, "-m", "hmean", "sweep", "agent", "-", name]
        self._command = end_with_parent(command, "TERM")
        self._count = count
        self._gpus = visible_gpus()
        self._deaths = 0
        self._agents = [self._start(index) for index in range(count)]

    def wait(self) -> None:
        """Wait until all agents have ended; one that was killed is replaced, a limited number of times."""
        try:
            while any(agent.poll() is None for agent in self._agents):
                time.sleep(POLL_SECONDS)
                self._replace_killed()
        finally:
            for agent in self._agents:
                agent.terminate()
            for agent in self._agents:
                agent.wait()

    def _replace_killed(self) -> None:
        for index, agent in enumerate(self._agents):
            exit_code = agent.poll()
            was_killed = exit_code is not None and exit_code < 0
            if was_killed and self._deaths < MAX_ATTEMPTS * self._count:
                self._agents[index] = self._start(index)
                self._deaths += 1

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, STORAGE_VARIABLE: self._url}
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[index % len(self._gpus)]
        cores = os.cpu_count() or 1
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // self._count)))
        return subprocess.Popen(self._command, env=environment)  # noqa: S603 - our own command


def run_agents(queue: Queue[Payload, Result], count: int) -> list[Task[Payload, Result]]:
    """Run agents on this machine until all tasks have ended or the queue is stopped; returns the tasks.

    Raises:
        InputError: if the agents ended before the tasks, because of what they printed themselves.
    """
    AgentPool(queue.database.url, queue.name, count).wait()
    tasks = patiently(queue.tasks)
    have_ended = all(task.state.has_ended() for task in tasks)
    if not have_ended and not patiently(queue.is_stopping):
        raise InputError("the agents ended before all was done, see above; the same command continues")
    return tasks
