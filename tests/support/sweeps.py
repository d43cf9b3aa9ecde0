"""A sweep whose trainings are a script that ends at once, and agents that do its trials."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy
import yaml
from optuna.trial import TrialState

from hmean.cli import main
from hmean.execute.database import Database
from hmean.execute.queue import TaskState
from hmean.search.proposals import open_study, trial_number
from hmean.search.records import Trial, TrialQueue
from hmean.search.sweepfile import SweepFile, load_yaml
from hmean.search.trials import open_queue

ROOT = Path(__file__).parents[2]
HMEAN = [sys.executable, "-m", "hmean"]
LR = "models.optimizer.lr"
DECAY = "models.scheduler.decay"
FILE = {
    "program": "fake_train.py",
    "method": "bayes",
    "metric": {"name": "val/hmean", "goal": "maximize"},
    "run_cap": 4,
    "parameters": {
        LR: {"distribution": "log_uniform_values", "min": 0.0004, "max": 0.006},
        DECAY: {"distribution": "uniform", "min": 0.3, "max": 0.95},
    },
    "command": [
        "${env}",
        "${interpreter}",
        "${program}",
        "preset=receipts_lite",
        "trainer.max_epochs=4",
        "${args_no_hyphens}",
    ],
}
STORAGE = "sqlite:///outputs/s/sweep.db"
OPTIONS = ["engine=optuna", "tune_each=false"]
# For agents of other processes: a loaded machine must not make one look dead.
PATIENT = [*OPTIONS, "grace=12"]
# For one agent, which nobody takes for dead: it looks after its training every 50 ms.
BRISK = [*OPTIONS, "grace=0.3"]
STATES = {
    TaskState.DONE: TrialState.COMPLETE,
    TaskState.STOPPED: TrialState.PRUNED,
    TaskState.FAILED: TrialState.FAIL,
}


def read_sweep(path: Path) -> SweepFile:
    """A sweep file without faults."""
    return SweepFile.parse(load_yaml(path), str(path))


def make_folder(folder: Path) -> None:
    """The sweep file ``s.yaml`` and its trainer, which does not misbehave."""
    shutil.copy(ROOT / "tests/support/fake_train.py", folder)
    (folder / "s.yaml").write_text(yaml.safe_dump(FILE))
    (folder / "plan.json").write_text("{}")


def plan(**behaviours) -> None:
    """How the trainings misbehave, by the name of their folder."""
    Path("plan.json").write_text(json.dumps(behaviours))


def go() -> None:
    """Release the trainings that wait."""
    Path("go").touch()


def starts(number: int) -> list[int]:
    """The epoch at which each start of a trial's training began."""
    log = Path("starts.txt")
    if not log.exists():
        return []
    lines = [line.split() for line in log.read_text().splitlines()]
    return [int(epoch) for name, epoch, *_ in lines if name == f"trial_{number:02d}"]


def rows(number: int, folder: str = "outputs/s") -> int:
    """How many epochs a trial has behind it."""
    path = Path(folder) / f"trial_{number:02d}" / "metrics.jsonl"
    if not path.exists():
        return 0
    return len(path.read_text().splitlines())


def start_agent(url: str, name: str = "s", prefix: tuple[str, ...] = ()) -> subprocess.Popen:
    """An agent as a process of its own."""
    with Path("agents.txt").open("a") as log:
        return subprocess.Popen([*prefix, *HMEAN, "sweep", "agent", url, name], stdout=log, stderr=log)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for another process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def trials_of(url: str = STORAGE, name: str = "s") -> TrialQueue:
    return open_queue(Database(url), name)


def let_time_pass(queue: TrialQueue, seconds: float) -> None:
    """As if all heartbeats had come so much earlier."""
    with queue.database.engine.begin() as connection:
        earlier = sqlalchemy.text("UPDATE hmean_slot SET beat = beat - :seconds")
        connection.execute(earlier, {"seconds": seconds})


def check_ended(queue: TrialQueue, n: int, states: dict[int, str] | None = None) -> list[Trial]:
    """Exactly n trials ended, each once, and Optuna's study says the same."""
    found = queue.tasks()
    assert len(found) == n
    assert {trial.number: trial.state for trial in found} == dict.fromkeys(range(n), "done") | (states or {})
    study = open_study(queue.database, queue.name, read_sweep(Path("s.yaml")))
    assert sorted(trial_number(trial) for trial in study.trials) == list(range(n))
    for trial in study.trials:
        ours = found[trial_number(trial)]
        assert trial.state == STATES[ours.state]
        if ours.state == TaskState.DONE:
            assert trial.value == ours.result.value
    return found


def work(url: str = STORAGE, name: str = "s") -> int:
    """Be an agent in this process; the exit code of ``hmean sweep agent``."""
    return main(["sweep", "agent", url, name])
