"""A list of commands as a queue: each is run once, several at a time, and resumed after an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from hmean.execute.agent import Agent, Attempt
from hmean.execute.database import Database, patiently
from hmean.execute.pool import run_agents
from hmean.execute.queue import NewTask, Queue, Task, TaskResult
from hmean.records import Record


class CommandsPlan(Record):
    """What a queue of commands is about."""

    grace: float = Field(description="Seconds without a heartbeat after which an agent counts as dead.")
    commands: dict[str, list[str]] = Field(description="The commands by name.")


class CommandPayload(Record):
    """A command to be run."""

    command: list[str] = Field(description="Program and arguments.")
    folder: str = Field(description="Its working folder, where log.txt takes its output.")


CommandTask = Task[CommandPayload, TaskResult]
CommandQueue = Queue[CommandPayload, TaskResult]


class CommandAttempt(Attempt[TaskResult]):
    """One attempt at a command."""

    def __init__(self, task: CommandTask) -> None:
        self.folder = Path(task.payload.folder)
        self._task = task

    def commands(self) -> Iterator[Sequence[str]]:
        """The one command."""
        yield self._task.payload.command

    def known(self) -> TaskResult:
        """Nothing beside what earlier attempts left."""
        return self._task.result

    def result(self, *, was_stopped: bool) -> TaskResult:  # noqa: ARG002 - no rule stops a command
        """Nothing more: that it ended well is all there is to know."""
        return self._task.result


def open_commands(database: Database, name: str) -> CommandQueue:
    """The queue of a list of commands."""
    return Queue(database, name, CommandPayload, TaskResult)


def work_on_commands(queue: CommandQueue, grace: float) -> None:
    """Be an agent of a list of commands."""
    Agent(queue, CommandAttempt, grace).work()


def run_commands(
    commands: Mapping[str, Sequence[str]],
    folder: Path,
    *,
    agents: int = 1,
    storage: str | None = None,
    grace: float = 60,
) -> dict[str, CommandTask]:
    """Run each command once, ``agents`` of them at a time on this machine (a GPU each).

    What has ended is kept in ``storage``: called again with the same ``folder``, only the rest is run. A command that
    fails, or whose agent died, is started again, up to three times in all (but not after exit code 2: its input is
    wrong), so it should resume its own work (``hmean train ... resume=auto``). Other machines help with ``hmean sweep
    agent URL NAME`` (the storage, the folder's name), in the same working directory.

    Args:
        commands: by name; the output of each goes to ``folder/<name>/log.txt``.
        folder: made if needed; a run folder may stand in it under the same name.
        agents: how many commands run at a time.
        storage: URL of a database; by default ``folder/commands.db``.
        grace: seconds without a heartbeat after which an agent counts as dead.

    Returns:
        The task of each command, done or failed; ``result.reason`` says why it failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(storage or f"sqlite:///{folder / 'commands.db'}")
    queue = open_commands(database, folder.name)
    plan = CommandsPlan(grace=grace, commands={name: list(command) for name, command in commands.items()})
    tasks = []
    for name, command in plan.commands.items():
        tasks.append(NewTask(CommandPayload(command=command, folder=str(folder / name))))
    patiently(lambda: queue.create(plan, tasks), 10)
    ended = run_agents(queue, agents)
    return dict(zip(commands, ended, strict=True))
