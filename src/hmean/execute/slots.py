"""A list of commands in a database: each is done once, by whichever agent on whichever machine holds its lease.

A slot is ``waiting``, ``running`` (leased, while its owner's ``beat`` is fresh), or at an end: ``done``, ``stopped`` or
``failed``. An agent that dies stops beating; after ``grace`` seconds another takes the slot over, in the same folder,
so that a command with ``resume=auto`` goes on from there. Only the owner can end a slot, so it ends once.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import sqlalchemy
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from sqlalchemy.exc import ArgumentError, DBAPIError

from hmean.errors import InputError
from hmean.runs.folder import differences

MOST_ATTEMPTS = 3
WRONG_INPUT = 2  # hmean's exit code for what no second attempt mends
ENDED = ("done", "stopped", "failed")
_QUEUES = "CREATE TABLE IF NOT EXISTS hmean_queue (name VARCHAR(200) PRIMARY KEY, about TEXT, stopping INTEGER)"
_SLOTS = """CREATE TABLE IF NOT EXISTS hmean_slot (queue VARCHAR(200), slot INTEGER, stage INTEGER, state VARCHAR(20),
    owner VARCHAR(200), beat DOUBLE PRECISION, attempt INTEGER, payload TEXT, result TEXT, PRIMARY KEY (queue, slot))"""
_COLUMNS = "slot, stage, state, owner, beat, attempt, payload, result"
# The database's clock, so that those of the agents need not agree.
_NOW = {"sqlite": "(julianday('now') - 2440587.5) * 86400.0", "postgresql": "extract(epoch from clock_timestamp())"}
_AWAY = (DBAPIError, StorageInternalError, DuplicatedStudyError)
LEAST_SPACE = 64 << 20  # bytes that must be free before a command is started
_FREE = "(state = 'waiting' OR (state = 'running' AND beat < {now} - :grace))"
# Children die with their agent, also when it is killed; where there is no setpriv, ``_folder_of_our_own`` ends them.
_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
T = TypeVar("T")


class NothingToDo(Exception):  # noqa: N818 - no error
    """A slot turns out to have no work: it ends as stopped, for the reason given."""


class _LeaseLostError(Exception):
    """Another agent has the slot."""


class _DiskFullError(InputError):
    """No fault of the slot: it goes back, and the agent ends."""


def patiently(call: Callable[[], T], seconds: float = 600.0) -> T:
    """Call again while the database cannot be reached (it may be restarting) or another is just making its tables."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except _AWAY as error:
            if time.monotonic() > end:
                raise InputError(
                    f"the storage cannot be used: {str(error.__cause__ or error).splitlines()[0]}"
                ) from error
            time.sleep(0.5)


def storage_url(url: str) -> str:
    """A storage URL with its driver named.

    Raises:
        InputError: if hmean cannot use it.
    """
    if url.startswith("postgresql://"):
        url = url.replace("://", "+pg8000://", 1)
    try:
        parsed = sqlalchemy.make_url(url)
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ImportError) as error:
        raise InputError(f"storage: {error}; PostgreSQL needs pip install 'hmean[postgres]'") from None
    if parsed.get_backend_name() not in _NOW:
        raise InputError("storage: a database of SQLite (sqlite:///sweep.db) or PostgreSQL (postgresql://user@host/db)")
    return url


@dataclass(frozen=True)
class Slot:
    """One row: ``payload`` says what is to be done, ``result`` what came of it so far."""

    slot: int
    stage: int
    state: str
    owner: str
    beat: float
    attempt: int
    payload: dict[str, Any]
    result: dict[str, Any]


class Queue:
    """The slots of one name in a database."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = storage_url(url), name
        self.engine_options: dict[str, Any] = {  # no pool: a connection kept idle outlives a restarted database
            "poolclass": sqlalchemy.NullPool,
            "connect_args": {"timeout": 60 if self.url.startswith("sqlite") else 10},
        }
        self._engine = sqlalchemy.create_engine(self.url, **self.engine_options)
        url_of = self._engine.url
        self._file = Path(url_of.database) if url_of.database and url_of.get_backend_name() == "sqlite" else None
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    def _do(self, *statements: str, **values: Any) -> list[Any]:
        """Run statements in one transaction; the rows of the last."""
        with self._engine.begin() as connection:
            for statement in statements:
                text = sqlalchemy.text(statement.replace("{now}", _NOW[self._engine.dialect.name]))
                found = connection.execute(text, {"queue": self.name, "me": self.owner, **values})
            return list(found.all()) if found.returns_rows else [None] * found.rowcount

    def create(self, about: Mapping[str, Any], slots: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Make the queue, or add to it the (stage, payload) that it lacks, and let it go on.

        Raises:
            InputError: if there is one of this name that is about something else.
        """
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        self._do(_QUEUES, _SLOTS)
        new = "INSERT INTO hmean_queue VALUES (:queue, :about, 0) ON CONFLICT DO NOTHING"
        self._do(new, about=json.dumps(dict(about)))
        made, wanted = self.about(), json.loads(json.dumps(dict(about)))
        changed = differences({key: made.get(key) for key in wanted}, wanted)
        if changed:
            raise InputError.listing(f"{self.name}: is made already, of something else; take another name:", changed)
        new = "VALUES (:queue, :slot, :stage, 'waiting', '', 0, 0, :payload, '{}') ON CONFLICT DO NOTHING"
        for i, (stage, payload) in enumerate(slots):
            self._do(f"INSERT INTO hmean_slot {new}", slot=i, stage=stage, payload=json.dumps(dict(payload)))
        self.stop(0)

    def exists(self) -> bool:
        """Whether there is a database with queues; makes none."""
        there = self._file is None or self._file.exists()
        return there and sqlalchemy.inspect(self._engine).has_table("hmean_queue")

    def about(self) -> dict[str, Any]:
        """What was said when the queue was made.

        Raises:
            InputError: if there is no such queue.
        """
        rows = self._do("SELECT about FROM hmean_queue WHERE name = :queue")
        if not rows:
            raise InputError(f"the storage has no sweep {self.name!r}; hmean sweep FILE makes one")
        found: dict[str, Any] = json.loads(rows[0][0])
        return found

    def slots(self) -> list[Slot]:
        """All of them, in order."""
        rows = self._do(f"SELECT {_COLUMNS} FROM hmean_slot WHERE queue = :queue ORDER BY slot")  # noqa: S608
        return [Slot(*row[:6], *map(json.loads, row[6:])) for row in rows]

    def stop(self, value: int = 1) -> None:
        """Ask all agents to put their slot back and end."""
        self._do("UPDATE hmean_queue SET stopping = :value WHERE name = :queue", value=value)

    def stopping(self) -> bool:
        """Whether that was asked."""
        return bool(self._do("SELECT 1 FROM hmean_queue WHERE name = :queue AND stopping = 1"))

    def stale(self, grace: float) -> list[int]:
        """Slots whose agents gave no sign of life for so long."""
        sql = "SELECT slot FROM hmean_slot WHERE queue = :queue AND state = 'running' AND beat < {now} - :grace"
        return [row[0] for row in self._do(sql, grace=grace)]

    def reap(self, grace: float) -> None:
        """Fail the slots whose agents died too often: their command may be what kills them."""
        dead = "queue = :queue AND state = 'running' AND beat < {now} - :grace AND attempt >= :most"
        told = {"grace": grace, "most": MOST_ATTEMPTS}
        for slot, known in self._do(f"SELECT slot, result FROM hmean_slot WHERE {dead}", **told):  # noqa: S608
            sql = f"UPDATE hmean_slot SET state = 'failed', result = :result WHERE {dead} AND slot = :slot"  # noqa: S608
            self._do(sql, result=json.dumps({**json.loads(known), "reason": "its agents died"}), slot=slot, **told)

    def claim(self, grace: float) -> Slot | None:
        """Lease the first free slot of the first stage that has not ended, if there is one."""
        self.reap(grace)
        sql = """UPDATE hmean_slot SET state = 'running', owner = :me, beat = {now}, attempt = attempt + 1
            WHERE queue = :queue AND {free} AND slot = (SELECT min(slot) FROM hmean_slot
                WHERE queue = :queue AND {free} AND stage = (SELECT min(stage) FROM hmean_slot
                    WHERE queue = :queue AND state IN ('waiting', 'running')))
            RETURNING slot""".replace("{free}", _FREE)
        taken = self._do(sql, grace=grace)
        return next(s for s in self.slots() if s.slot == taken[0][0]) if taken else None

    def put(self, slot: Slot, state: str, result: Mapping[str, Any], attempt: int | None = None) -> bool:
        """Beat (``running``), give back (``waiting``) or end a slot; False if it is no longer ours."""
        sql = """UPDATE hmean_slot SET state = :state, beat = {now}, result = :result, attempt = :attempt
            WHERE queue = :queue AND slot = :slot AND owner = :me AND state = 'running'"""
        tries = slot.attempt if attempt is None else attempt
        return bool(self._do(sql, state=state, slot=slot.slot, result=json.dumps(dict(result)), attempt=tries))


class Task:
    """What an agent does with a slot: this one runs the ``command`` of its payload in its ``folder``."""

    def folder(self, slot: Slot) -> Path:
        """The folder of the slot's own."""
        return Path(slot.payload["folder"])

    def commands(self, slot: Slot) -> Iterator[list[str]]:
        """Its commands, one after the other."""
        yield slot.payload["command"]

    def progress(self, slot: Slot) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """(What is known so far, why it should be stopped now)."""
        return slot.result, None

    def result(self, slot: Slot) -> dict[str, Any]:
        """What came of it; an ``InputError`` if it ended well but has no result."""
        return slot.result


def work(queue: Queue, task: Task, grace: float) -> None:
    """Be an agent: do slots until all have ended, or the queue is stopped.

    Raises:
        InputError: if the disk is full, or the database stays away. The slot is free for others then.
    """
    while True:
        if patiently(queue.stopping):
            return
        slot = patiently(lambda: queue.claim(grace))
        if slot is not None:
            _do_slot(queue, task, slot, grace)
        elif all(s.state in ENDED for s in patiently(queue.slots)):
            return
        else:  # others have the rest; one of them may die
            time.sleep(min(grace / 6, 10))


def _do_slot(queue: Queue, task: Task, slot: Slot, grace: float) -> None:
    try:
        state, result = _done(queue, task, slot, grace)
    except _LeaseLostError:
        return
    except (KeyboardInterrupt, _DiskFullError):
        patiently(lambda: queue.put(slot, "waiting", {}, slot.attempt - 1), 30)
        raise
    except NothingToDo as why:
        state, result = "stopped", {"reason": str(why)}
    except InputError as error:
        state, result = "failed", {**patiently(lambda: task.progress(slot))[0], "reason": str(error)}
    if patiently(lambda: queue.put(slot, state, result)):
        print(f"{task.folder(slot)}: {state} {result.get('value', result.get('reason', ''))}", flush=True)


def _done(queue: Queue, task: Task, slot: Slot, grace: float) -> tuple[str, dict[str, Any]]:
    """(state, result) after the commands of a slot."""
    folder, stop = task.folder(slot), None
    with _folder_of_our_own(folder) as lock:
        for command in task.commands(slot):
            _require_space(folder)
            code, stop = _run(queue, task, slot, command, lock, grace)
            if stop:
                break
            if code:
                _require_space(folder)
                said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
                reason = f"exit code {code}: {said[-1] if said else 'it said nothing'}"
                known, _ = patiently(lambda: task.progress(slot))
                final = code == WRONG_INPUT or slot.attempt >= MOST_ATTEMPTS
                return "failed" if final else "waiting", {**known, "reason": reason}
        found = patiently(lambda: task.result(slot))
        return ("stopped", {**found, "stop": stop}) if stop else ("done", found)


def _run(
    queue: Queue, task: Task, slot: Slot, command: Sequence[str], lock: IO[str], grace: float
) -> tuple[int, dict[str, Any] | None]:
    """(exit code, why it was stopped) of one command, beating while it runs."""
    if not patiently(lambda: queue.put(slot, "running", slot.result)):  # it may have been long to prepare
        raise _LeaseLostError
    with (task.folder(slot) / "log.txt").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the user's command
            [*_WITH_US, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            pass_fds=[lock.fileno()],
        )  # fmt: skip
    try:
        lock.truncate(0)
        print(f"{socket.gethostname()}:{process.pid}", file=lock, flush=True)
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(grace / 6, 10))
            with suppress(*_AWAY):  # it may be restarting; only its word that the slot is another's counts
                known, stop = task.progress(slot)
                if not queue.put(slot, "running", known):
                    raise _LeaseLostError
                if queue.stopping():
                    raise KeyboardInterrupt("stopped by hmean sweep stop")
                if stop and process.poll() is None:
                    return 0, stop
        return process.returncode, None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """End a command and what it started: politely, then not."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, wanted)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)


@contextmanager
def _folder_of_our_own(folder: Path) -> Iterator[IO[str]]:
    """Lock a folder for us and our children; what a dead agent left running in it is ended first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as lock:
        for _ in range(50):
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.truncate(0)  # of whoever had it before: its number may be another process's by now
                yield lock
                return
            lock.seek(0)
            host, _, group = lock.read().strip().partition(":")
            if host == socket.gethostname() and group:
                with suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)
            time.sleep(0.2)
    raise _LeaseLostError  # it runs on another machine, on a disk that is shared


def _require_space(folder: Path) -> None:
    if shutil.disk_usage(folder).free < LEAST_SPACE:
        raise _DiskFullError(f"{folder}: the disk is full; make room, then the same command goes on")


def gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES allows, or all of the machine."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def run_agents(queue: Queue, count: int) -> list[Slot]:
    """Run agents of this machine as processes, a GPU each, until all slots have ended or the queue is stopped.

    Raises:
        InputError: if the agents ended before the slots, for what they said themselves.
    """
    devices, cores = gpus(), os.cpu_count() or 1
    with_us = _WITH_US and [*_WITH_US[:2], "TERM", "--"]
    command = [*with_us, sys.executable, "-m", "hmean", "sweep", "agent", "-", queue.name]

    def start(i: int) -> subprocess.Popen[bytes]:
        own = {"HMEAN_STORAGE": queue.url}  # not an argument: it may hold a password
        if devices:
            own["CUDA_VISIBLE_DEVICES"] = devices[i % len(devices)]
        own.setdefault("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count))))
        return subprocess.Popen(command, env={**os.environ, **own})  # noqa: S603 - our own

    running, deaths = [start(i) for i in range(count)], 0
    try:
        while any(process.poll() is None for process in running):
            time.sleep(0.2)
            for i, process in enumerate(running):
                if (process.poll() or 0) < 0 and deaths < MOST_ATTEMPTS * count:  # killed: another in its place
                    running[i], deaths = start(i), deaths + 1
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    slots = patiently(queue.slots)
    if any(s.state not in ENDED for s in slots) and not patiently(queue.stopping):
        raise InputError("the agents ended before all was done, see above; the same command goes on")
    return slots


def run_commands(
    commands: Mapping[str, Sequence[str]], folder: Path, *, agents: int = 1, storage: str | None = None,
    grace: float = 60,
) -> dict[str, Slot]:  # fmt: skip
    """Run each command once, ``agents`` of them at a time on this machine (a GPU each), and go on where it was left.

    What ended is kept in ``storage``: called again with the same ``folder``, only the rest is run. A command that fails
    or whose agent died is started again, three times in all (but not after exit code 2: its input is wrong), so it
    should take up its own work (``hmean train ... resume=auto``). Other machines help with ``hmean sweep agent URL
    NAME`` (the storage, the folder's name), in the same working directory.

    Args:
        commands: by name; the output of each goes to ``folder/<name>/log.txt``.
        folder: made if needed; a run folder may stand in it under the same name.
        agents: how many at a time.
        storage: database; by default ``folder/slots.db``.
        grace: seconds without a sign of life after which an agent counts as dead.

    Returns:
        The slot of each, ``done`` or ``failed`` with ``result["reason"]``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    queue = Queue(storage or f"sqlite:///{folder / 'slots.db'}", folder.name)
    about: dict[str, Any] = {"grace": grace, "commands": {name: list(command) for name, command in commands.items()}}
    wanted = [(0, {"command": about["commands"][name], "folder": str(folder / name)}) for name in commands]
    patiently(lambda: queue.create(about, wanted), 10)
    return dict(zip(commands, run_agents(queue, agents), strict=True))
