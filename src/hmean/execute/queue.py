"""A queue of tasks in a database: each task is done once, by whichever agent on whichever machine holds its lease.

A task waits until an agent claims it. The agent then holds a lease on it, which it renews with a heartbeat. An agent
that dies stops beating: after a grace period another agent takes the task over, in the same folder, so that a command
with ``resume=auto`` continues from there. Only the agent that holds the lease can end a task, so a task ends once.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

import sqlalchemy
from pydantic import Field
from sqlalchemy import and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from hmean.errors import InputError
from hmean.execute.database import Database
from hmean.records import Record
from hmean.runs.folder import differences

MAX_ATTEMPTS = 3
# Tables and columns keep the names of earlier versions ("slot" for a task), so that their sweeps can continue.
_METADATA = sqlalchemy.MetaData()
_QUEUES = sqlalchemy.Table(
    "hmean_queue",
    _METADATA,
    sqlalchemy.Column("name", sqlalchemy.String(200), primary_key=True),
    sqlalchemy.Column("about", sqlalchemy.Text, key="plan"),
    sqlalchemy.Column("stopping", sqlalchemy.Integer),
)
_TASKS = sqlalchemy.Table(
    "hmean_slot",
    _METADATA,
    sqlalchemy.Column("queue", sqlalchemy.String(200), primary_key=True),
    sqlalchemy.Column("slot", sqlalchemy.Integer, key="number", primary_key=True, autoincrement=False),
    sqlalchemy.Column("stage", sqlalchemy.Integer),
    sqlalchemy.Column("state", sqlalchemy.String(20)),
    sqlalchemy.Column("owner", sqlalchemy.String(200)),
    sqlalchemy.Column("beat", sqlalchemy.Double),
    sqlalchemy.Column("attempt", sqlalchemy.Integer),
    sqlalchemy.Column("payload", sqlalchemy.Text),
    sqlalchemy.Column("result", sqlalchemy.Text),
)


class TaskState(StrEnum):
    """Where a task is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in (TaskState.DONE, TaskState.STOPPED, TaskState.FAILED)


class TaskResult(Record):
    """What came of a task so far."""

    reason: str | None = Field(default=None, description="Why the task failed, was stopped or has to be tried again.")

    def with_reason(self, reason: str) -> Self:
        """The same result, with a reason."""
        return self.model_copy(update={"reason": reason})

    def summary(self) -> str:
        """What a line of a log says about it."""
        return self.reason or ""


Plan = TypeVar("Plan", bound=Record)
Payload = TypeVar("Payload", bound=Record)
Result = TypeVar("Result", bound=TaskResult)


@dataclass(frozen=True)
class Task(Generic[Payload, Result]):
    """One row of a queue.

    Attributes:
        number: from 0 on.
        stage: a stage begins when all tasks of the stages before it have ended.
        state: where it is.
        owner: the agent that holds, or last held, its lease.
        attempt: how often it was started.
        payload: what is to be done.
        result: what came of it so far.
    """

    number: int
    stage: int
    state: TaskState
    owner: str
    attempt: int
    payload: Payload
    result: Result


@dataclass(frozen=True)
class NewTask(Generic[Payload]):
    """A task to be added to a queue."""

    payload: Payload
    stage: int = 0


class Queue(Generic[Payload, Result]):
    """The tasks of one name in a database.

    Attributes:
        database: where they are.
        name: of the queue.
        owner: a name for this agent that no other has.
    """

    def __init__(self, database: Database, name: str, payload: type[Payload], result: type[Result]) -> None:
        self.database = database
        self.name = name
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._payload = payload
        self._result = result

    def create(self, plan: Record, tasks: Sequence[NewTask[Payload]]) -> None:
        """Create the queue, or add the tasks that it lacks, and let it continue if it was stopped.

        Args:
            plan: what the queue is about; kept with it.
            tasks: all tasks, in order; their place is their number.

        Raises:
            InputError: if there is a queue of this name with another plan.
        """
        if self.database.file is not None:
            self.database.file.parent.mkdir(parents=True, exist_ok=True)
        with self.database.engine.begin() as connection:
            connection.execute(CreateTable(_QUEUES, if_not_exists=True))
            connection.execute(CreateTable(_TASKS, if_not_exists=True))
        self._insert_missing(_QUEUES, {"name": self.name, "plan": plan.model_dump_json(), "stopping": 0})
        self._check_plan(plan)
        for number, task in enumerate(tasks):
            self._insert_missing(
                _TASKS,
                {
                    "queue": self.name,
                    "number": number,
                    "stage": task.stage,
                    "state": TaskState.WAITING,
                    "owner": "",
                    "beat": 0.0,
                    "attempt": 0,
                    "payload": task.payload.model_dump_json(),
                    "result": "{}",
                },
            )
        self._set_stopping(False)

    def exists(self) -> bool:
        """Whether the database has queues; asking creates nothing."""
        return self.database.has_table(_QUEUES.name)

    def plan(self, kind: type[Plan]) -> Plan:
        """The plan that the queue was created with.

        Raises:
            InputError: if there is no such queue, or its plan is of another kind.
        """
        return kind.model_validate_json(self.plan_text())

    def plan_text(self) -> str:
        """The plan as JSON.

        Raises:
            InputError: if there is no such queue.
        """
        query = select(_QUEUES.c.plan).where(_QUEUES.c.name == self.name)
        with self.database.engine.begin() as connection:
            text = connection.execute(query).scalar_one_or_none()
        if text is None:
            raise InputError(f"the storage has no sweep {self.name!r}; hmean sweep FILE starts one")
        return str(text)

    def tasks(self) -> list[Task[Payload, Result]]:
        """All tasks, in order."""
        query = select(_TASKS).where(_TASKS.c.queue == self.name).order_by(_TASKS.c.number)
        with self.database.engine.begin() as connection:
            rows = connection.execute(query).all()
        return [self._task(row) for row in rows]

    def stop(self) -> None:
        """Ask all agents to give their tasks back and end."""
        self._set_stopping(True)

    def is_stopping(self) -> bool:
        """Whether the agents were asked to end."""
        query = select(_QUEUES.c.stopping).where(_QUEUES.c.name == self.name)
        with self.database.engine.begin() as connection:
            return connection.execute(query).scalar_one_or_none() == 1

    def stale(self, grace: float) -> list[int]:
        """Numbers of the tasks whose agents have not beaten for ``grace`` seconds."""
        query = select(_TASKS.c.number).where(_TASKS.c.queue == self.name, self._lease_ran_out(_TASKS, grace))
        with self.database.engine.begin() as connection:
            return list(connection.execute(query).scalars())

    def fail_abandoned(self, grace: float) -> None:
        """Fail the tasks whose agents died too often: their command may be what kills them."""
        abandoned = and_(
            _TASKS.c.queue == self.name,
            self._lease_ran_out(_TASKS, grace),
            _TASKS.c.attempt >= MAX_ATTEMPTS,
        )
        with self.database.engine.begin() as connection:
            rows = connection.execute(select(_TASKS).where(abandoned)).all()
            for row in rows:
                task = self._task(row)
                result = task.result.with_reason("its agents died")
                connection.execute(
                    sqlalchemy.update(_TASKS)
                    .where(abandoned, _TASKS.c.number == task.number)
                    .values(state=TaskState.FAILED, result=result.model_dump_json())
                )

    def claim(self, grace: float) -> Task[Payload, Result] | None:
        """Take the lease on the first free task of the first stage that has not ended.

        A task is free if it waits, or if its agent has not beaten for ``grace`` seconds.
        """
        self.fail_abandoned(grace)
        stages = _TASKS.alias("stages")
        first_stage = (
            select(func.min(stages.c.stage))
            .where(stages.c.queue == self.name, stages.c.state.in_([TaskState.WAITING, TaskState.RUNNING]))
            .scalar_subquery()
        )
        candidates = _TASKS.alias("candidates")
        first_free = (
            select(func.min(candidates.c.number))
            .where(
                candidates.c.queue == self.name,
                self._is_free(candidates, grace),
                candidates.c.stage == first_stage,
            )
            .scalar_subquery()
        )
        claim = (
            sqlalchemy.update(_TASKS)
            # Asked again of the row itself: another agent may have claimed it in the meantime.
            .where(_TASKS.c.queue == self.name, self._is_free(_TASKS, grace), _TASKS.c.number == first_free)
            .values(
                state=TaskState.RUNNING,
                owner=self.owner,
                beat=self.database.now,
                attempt=_TASKS.c.attempt + 1,
            )
            .returning(_TASKS)
        )
        with self.database.engine.begin() as connection:
            row = connection.execute(claim).one_or_none()
        if row is None:
            return None
        return self._task(row)

    def beat(self, task: Task[Payload, Result], result: Result) -> bool:
        """Renew the lease and save what is known so far; False if another agent holds the task."""
        return self._update(task, TaskState.RUNNING, result, task.attempt)

    def give_back(self, task: Task[Payload, Result], result: Result, attempt: int) -> bool:
        """Let the task wait for another attempt; False if another agent holds it."""
        return self._update(task, TaskState.WAITING, result, attempt)

    def end(self, task: Task[Payload, Result], state: TaskState, result: Result) -> bool:
        """End the task; False if another agent holds it."""
        return self._update(task, state, result, task.attempt)

    def empty_result(self) -> Result:
        """The result of a task of which nothing is known."""
        return self._result()

    def _update(self, task: Task[Payload, Result], state: TaskState, result: Result, attempt: int) -> bool:
        update = (
            sqlalchemy.update(_TASKS)
            .where(
                _TASKS.c.queue == self.name,
                _TASKS.c.number == task.number,
                _TASKS.c.owner == self.owner,
                _TASKS.c.state == TaskState.RUNNING,
            )
            .values(state=state, beat=self.database.now, result=result.model_dump_json(), attempt=attempt)
        )
        with self.database.engine.begin() as connection:
            return connection.execute(update).rowcount == 1

    def _insert_missing(self, table: sqlalchemy.Table, values: dict[str, Any]) -> None:
        """Insert a row unless there is one with its primary key."""
        if self.database.engine.dialect.name == "sqlite":
            insert: Any = sqlite.insert
        else:
            insert = postgresql.insert
        with self.database.engine.begin() as connection:
            connection.execute(insert(table).values(values).on_conflict_do_nothing())

    def _check_plan(self, plan: Record) -> None:
        changed = differences(self.plan(type(plan)).to_json(), plan.to_json())
        if changed:
            raise InputError.listing(
                f"{self.name}: this name is in use, with other values; choose another name:", changed
            )

    def _set_stopping(self, stopping: bool) -> None:
        update = sqlalchemy.update(_QUEUES).where(_QUEUES.c.name == self.name).values(stopping=int(stopping))
        with self.database.engine.begin() as connection:
            connection.execute(update)

    def _lease_ran_out(self, table: sqlalchemy.FromClause, grace: float) -> sqlalchemy.ColumnElement[bool]:
        return and_(table.c.state == TaskState.RUNNING, table.c.beat < self.database.now - grace)

    def _is_free(self, table: sqlalchemy.FromClause, grace: float) -> sqlalchemy.ColumnElement[bool]:
        return or_(table.c.state == TaskState.WAITING, self._lease_ran_out(table, grace))

    def _task(self, row: sqlalchemy.Row[Any]) -> Task[Payload, Result]:
        columns = row._mapping  # noqa: SLF001 - a public attribute of SQLAlchemy, underscored against column names
        return Task(
            number=columns[_TASKS.c.number],
            stage=columns[_TASKS.c.stage],
            state=TaskState(columns[_TASKS.c.state]),
            owner=columns[_TASKS.c.owner],
            attempt=columns[_TASKS.c.attempt],
            payload=self._payload.model_validate_json(columns[_TASKS.c.payload]),
            result=self._result.model_validate_json(columns[_TASKS.c.result]),
        )
