"""The queue: leases, stages, and what is kept of tasks whose agents died."""

from pathlib import Path

import pytest

from hmean.errors import InputError
from hmean.execute.commands import CommandPayload, CommandQueue, CommandsPlan, open_commands
from hmean.execute.database import Database, storage_url
from hmean.execute.queue import NewTask, TaskResult, TaskState
from support.sweeps import let_time_pass

PLAN = CommandsPlan(grace=60, commands={})


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/q.db"


def new_task(stage: int = 0) -> NewTask[CommandPayload]:
    return NewTask(CommandPayload(command=["true"], folder="f"), stage)


def states(queue: CommandQueue) -> list[str]:
    return [task.state for task in queue.tasks()]


def test_only_the_owner_ends_a_task_and_stages_come_in_turn(url):
    mine = open_commands(Database(url), "q")
    other = open_commands(Database(url), "q")
    mine.create(PLAN, [new_task(0), new_task(1)])
    task = mine.claim(60)
    assert task.payload.command == ["true"]
    assert other.claim(60) is None  # the second stage waits for the first
    let_time_pass(mine, 61)
    assert mine.stale(60) == [0]
    taken = other.claim(60)  # our lease ran out
    assert (taken.number, taken.attempt) == (0, 2)
    assert not mine.beat(task, TaskResult())
    assert not mine.end(task, TaskState.DONE, TaskResult())
    assert other.end(taken, TaskState.DONE, TaskResult(reason="first"))
    assert not other.end(taken, TaskState.FAILED, TaskResult(reason="second"))
    assert mine.tasks()[0].result.reason == "first"
    assert mine.claim(60).number == 1
    for _ in range(2):
        let_time_pass(mine, 61)
        assert other.claim(60).number == 1
    let_time_pass(mine, 61)
    assert other.claim(60) is None  # three agents died of it
    assert states(mine) == ["done", "failed"]


def test_a_task_whose_agents_died_keeps_what_is_known(url):
    queue = open_commands(Database(url), "q")
    queue.create(PLAN, [new_task()])
    for attempt in (1, 2, 3):
        queue.fail_abandoned(60)
        assert states(queue) == ["waiting" if attempt == 1 else "running"]
        task = queue.claim(60)
        assert task.attempt == attempt
        assert queue.beat(task, TaskResult(reason="known"))
        let_time_pass(queue, 61)
    queue.fail_abandoned(60)
    (task,) = queue.tasks()
    assert (task.state, task.result.reason) == ("failed", "its agents died")


def test_a_task_that_was_given_back_is_claimed_again(url):
    queue = open_commands(Database(url), "q")
    queue.create(PLAN, [new_task()])
    task = queue.claim(60)
    assert queue.give_back(task, TaskResult(), attempt=0)
    assert states(queue) == ["waiting"]
    assert queue.claim(60).attempt == 1


def test_a_queue_is_created_once_and_grows(url):
    queue = open_commands(Database(url), "q")
    queue.create(PLAN, [new_task()])
    queue.stop()
    assert queue.is_stopping()
    queue.create(PLAN, [new_task(), new_task(1)])
    assert not queue.is_stopping()
    assert [task.stage for task in queue.tasks()] == [0, 1]
    with pytest.raises(InputError, match=r"grace: was 60\.0, now 5\.0"):
        queue.create(CommandsPlan(grace=5, commands={}), [])


def test_asking_for_a_queue_creates_nothing(tmp_path):
    queue = open_commands(Database(f"sqlite:///{tmp_path}/none/q.db"), "q")
    assert not queue.exists()
    assert not Path(tmp_path / "none").exists()
    queue.create(PLAN, [])
    assert queue.exists()
    assert open_commands(queue.database, "other").exists()
    with pytest.raises(InputError, match="no sweep 'other'"):
        open_commands(queue.database, "other").plan(CommandsPlan)


def test_a_storage_that_is_not_supported():
    assert storage_url("postgresql://user@host/db") == "postgresql+pg8000://user@host/db"
    for url in ("nonsense", "mysql://host/db", "oracle://host/db"):
        with pytest.raises(InputError, match="storage: "):
            storage_url(url)
