"""``hmean sweep``: the trials of a sweep file, chosen by W&B's service or by Optuna, on one machine or many."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmean.errors import InputError
from hmean.execute.commands import CommandsPlan, open_commands, work_on_commands
from hmean.execute.database import Database, patiently
from hmean.execute.pool import STORAGE_VARIABLE, run_agents
from hmean.execute.processes import visible_gpus
from hmean.execute.queue import NewTask, TaskState
from hmean.reports.words import DEFAULT_LANGUAGE, Language
from hmean.search.commands import kept_parameters
from hmean.search.distributions import Params
from hmean.search.earlier_trials import import_trials
from hmean.search.overview import doctor, status
from hmean.search.proposals import open_study
from hmean.search.records import SweepPlan, TrialPayload, TrialQueue
from hmean.search.sweepfile import SweepDraft, SweepFile, load_yaml
from hmean.search.trials import Sweep, open_queue
from hmean.search.wandb_service import run_on_service
from hmean.settings.sections import LanguageSettings, Name
from hmean.settings.training import TrainSettings
from hmean.settings.trials import check_trials, preset_point, tuned_lists
from hmean.training.wandb_key import has_wandb_key

DEFAULT_TRIALS = 12
DEFAULT_REPEATS = 3
FEWEST_TO_REPEAT = 6  # trials; of fewer, repeats would be most of the cost
DEFAULT_FLOOR = 0.1  # of what is maximized: a detector that learns anything is above it
# How long a command that a person waits for tries to reach the storage, seconds.
CREATE_SECONDS = 10.0
OPEN_SECONDS = 5.0
AGENT_SECONDS = 60.0


class SweepSettings(LanguageSettings):
    """Settings of ``hmean sweep``."""

    rest: ClassVar[str | None] = "overrides"

    inputs: tuple[str, ...] = Field(default=(), exclude=True)
    n: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many trials search; null: `run_cap` of the file, or all points of its grid, or 12."""
    engine: Literal["auto", "wandb", "optuna"] = "auto"
    """Who chooses the values; auto: W&B's service after `wandb login`, unless `storage` is given."""
    agents: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Trials that train at a time on this machine; null: one for each GPU; 0: create the sweep only."""
    storage: str | None = None
    """URL of the database, for agents on several machines; null: sweep.db in the sweep's folder."""
    name: Name | None = None
    """Name of the sweep and its folder; null: that of the file."""
    output_dir: str = "outputs"
    """Folder of the sweep's folder."""
    confirm: Annotated[int, Field(ge=0)] | None = None
    """How many of the best trials are repeated with another seed; null: 3, or 0 for fewer than 6 trials."""
    first: bool = True
    """Whether the first trial has the preset's own values."""
    tune_each: bool = True
    """Whether each trial is tuned before it is scored."""
    floor: float | None = None
    """A trial that is worse after 60 % of its schedule is stopped; 0.1 if the objective is maximized."""
    grace: Annotated[float, Field(gt=0)] = 60.0
    """Seconds until an agent that is silent counts as dead."""
    overrides: tuple[str, ...] = Field(default=(), exclude=True)


@dataclass(frozen=True)
class SweepResult:
    """What came of the command, in words."""

    text: str

    def summary(self) -> str:
        """What the command prints."""
        return self.text


def run(settings: SweepSettings) -> SweepResult:
    """Run a sweep, go on with it, or do one of the other things that concern a sweep.

    Raises:
        InputError: before anything is run, listing every fault of the file and the overrides.
    """
    words = settings.inputs
    if words and words[0] in _VERBS:
        if settings.overrides:
            raise InputError(
                f"{settings.overrides[0]}: hmean sweep {words[0]} takes no key=value (after -- every word is an input)"
            )
        if words[0] == "report":
            return SweepResult(_report(words[1:], settings.lang))
        return SweepResult(_VERBS[words[0]](words[1:]))
    if len(words) != 1:
        raise InputError(f"hmean sweep takes one file, or one of {', '.join(_VERBS)}; see hmean sweep --help")
    return SweepResult(_run_file(Path(words[0]), settings))


def _run_file(path: Path, settings: SweepSettings) -> str:
    """Run a sweep, or continue it; the table of its trials."""
    draft = SweepDraft(load_yaml(path))
    faults = [f"{path}: {fault}" for fault in draft.faults]
    preset = check_trials(draft.file, settings.overrides, tune_each=settings.tune_each, faults=faults)
    if _is_for_service(settings):
        overrides = list(settings.overrides)
        if "output_dir" in settings.model_fields_set:
            overrides.append(f"output_dir={settings.output_dir}")
        return run_on_service(draft.file, settings.n, settings.agents, overrides)
    sweep = _create(settings.name or path.stem, draft.file, preset, settings)
    agents = settings.agents
    if agents is None:
        agents = max(1, len(visible_gpus()))
    print(f"{_cost(sweep)}, {agents} agents here; if it is stopped, the same command continues", flush=True)
    if agents:
        run_agents(sweep.queue, agents)
    sweep.mirror()
    sweep.save_ranking()
    table = status(sweep)
    searched = [trial for trial in sweep.trials() if trial.stage == 0]
    if all(trial.state == TaskState.FAILED for trial in searched):
        raise InputError(f"{sweep.folder}: every trial failed\n{table}")
    return table


def _cost(sweep: Sweep) -> str:
    """How many trainings a sweep takes."""
    repeats = sum(trial.stage > 0 for trial in sweep.trials())
    trials = f"{sweep.folder}: {sweep.plan.n} trials"
    if repeats == 0:
        return trials
    if repeats == 1:
        return f"{trials} and 1 repeat"
    return f"{trials} and {repeats} repeats"


def _is_for_service(settings: SweepSettings) -> bool:
    """Whether W&B's service runs the sweep.

    Raises:
        InputError: if it should but cannot: W&B has no offline sweeps.
    """
    if settings.engine == "wandb" and not has_wandb():
        raise InputError(
            "engine=wandb: first do pip install 'hmean[wandb]' and wandb login; engine=optuna needs neither"
        )
    if settings.engine == "auto":
        return settings.storage is None and has_wandb()
    return settings.engine == "wandb"


def has_wandb() -> bool:
    """Whether W&B is installed and ``wandb login`` was done."""
    return find_spec("wandb") is not None and has_wandb_key()


def _create(name: str, file: SweepFile, preset: TrainSettings, settings: SweepSettings) -> Sweep:
    """Create the sweep in its storage, or open it if it is there.

    Raises:
        InputError: if there is another sweep of this name.
    """
    folder = Path(settings.output_dir) / name
    points = _points(file, preset, settings)
    floor = settings.floor
    if "floor" not in settings.model_fields_set and file.sign > 0:
        floor = DEFAULT_FLOOR
    repeats = _repeats(len(points), settings)
    database = Database(settings.storage or f"sqlite:///{folder / 'sweep.db'}")
    queue = open_queue(database, name)
    tuning = _tuning(file, settings, queue)
    plan = SweepPlan(
        sweep=file.config,
        overrides=list(settings.overrides),
        folder=str(folder),
        seed=preset.seed,
        n=len(points),
        epochs=preset.trainer.max_epochs,
        tune_each=tuning.is_done,
        kept=tuning.kept,
        floor=floor,
        grace=settings.grace,
        first=settings.first,
    )
    trials = [NewTask(TrialPayload(params=point)) for point in points]
    for rank in range(repeats):
        trials.append(NewTask(TrialPayload(confirms=rank), stage=1))
    patiently(lambda: queue.create(plan, trials), CREATE_SECONDS)
    patiently(lambda: open_study(database, name, file), CREATE_SECONDS)
    return Sweep(queue, plan)


def _repeats(n: int, settings: SweepSettings) -> int:
    """How many of the best of ``n`` trials are repeated.

    Raises:
        InputError: if there are not so many.
    """
    if settings.confirm is None and n >= FEWEST_TO_REPEAT:
        return DEFAULT_REPEATS
    if settings.confirm is None:
        return 0
    if settings.confirm > n:
        raise InputError(f"confirm={settings.confirm}: there are only {n} trials to repeat")
    return settings.confirm


class _Tuning(NamedTuple):
    """Whether each trial is tuned, and the parameters that this does not change (None: see ``SweepPlan.kept``)."""

    is_done: bool
    kept: list[str] | None


def _tuning(file: SweepFile, settings: SweepSettings, queue: TrialQueue) -> _Tuning:
    """How the trials are tuned: what the sweep sets or searches is not tuned away."""
    if _is_of_earlier_version(queue):
        return _Tuning(settings.tune_each, None)
    kept = kept_parameters(file, settings.overrides)
    if not settings.tune_each or not kept:
        return _Tuning(settings.tune_each, [])
    names = ", ".join(kept)
    if tuned_lists(file, settings.overrides):
        print(f"{names}: the sweep sets or searches this, so the tuning of the trials keeps it")
        return _Tuning(True, kept)
    print(f"{names}: the sweep sets or searches this, and there is nothing else to tune: no trial is tuned")
    return _Tuning(False, kept)


def _is_of_earlier_version(queue: TrialQueue) -> bool:
    """Whether the sweep is there already, and was started when trials were tuned whatever its file says."""
    if not patiently(queue.exists, CREATE_SECONDS):
        return False
    try:
        plan = patiently(lambda: queue.plan(SweepPlan), CREATE_SECONDS)
    except InputError:  # the storage has other sweeps only
        return False
    return plan.kept is None


def _points(file: SweepFile, preset: TrainSettings, settings: SweepSettings) -> list[Params]:
    """The values that are given to each trial of the search; the study proposes the others."""
    grid = file.grid()
    n = settings.n or file.config.get("run_cap", len(grid) or DEFAULT_TRIALS)
    if grid:
        if n < len(grid):
            print(f"{n} of the {len(grid)} points of the grid: n or run_cap ends it there")
        return grid[:n]
    points: list[Params] = [{} for _ in range(n)]
    if settings.first:
        points[0] = preset_point(file, preset)
    return points


# --- what else concerns a sweep ---------------------------------------------------------------------------------------


def open_sweep(words: Sequence[str]) -> Sweep:
    """A sweep, from its folder or from storage URL and name.

    Raises:
        InputError: if there is none.
    """
    folder = None
    if len(words) == 1:
        # The sweep is opened where it is now: its plan has the folder as it was typed in some working directory.
        folder = Path(words[0]).resolve()
        file = folder / "sweep.db"
        if not file.exists():
            raise InputError(f"{words[0]}: has no sweep.db; give the folder of a sweep, or storage URL and name")
        words = [f"sqlite:///{file}", folder.name]
    if len(words) != 2:
        raise InputError(f"{' '.join(words) or 'hmean sweep'}: give the folder of a sweep, or storage URL and name")
    url, name = words
    queue = open_queue(Database(url), name)
    if not patiently(queue.exists, OPEN_SECONDS):
        raise InputError(f"the storage has no sweep {name!r}; hmean sweep FILE starts one")
    plan = patiently(lambda: queue.plan(SweepPlan), OPEN_SECONDS)
    return Sweep(queue, plan, folder)


def _status(words: Sequence[str]) -> str:
    return status(open_sweep(words))


def _stop(words: Sequence[str]) -> str:
    open_sweep(words).queue.stop()
    return "agents give their trials back within seconds; hmean sweep FILE continues"


def _doctor(words: Sequence[str]) -> str:
    return doctor(open_sweep(words))


def _report(words: Sequence[str], lang: Language = DEFAULT_LANGUAGE) -> str:
    from hmean.reports.sweep import write_report  # noqa: PLC0415 - matplotlib, which agents need not wait for

    return str(write_report(open_sweep(words), lang))


def _import(words: Sequence[str]) -> str:
    if len(words) < 2:
        raise InputError("hmean sweep import takes FOLDER and TABLE.csv")
    return import_trials(open_sweep(words[:-1]), Path(words[-1]))


def _agent(words: Sequence[str]) -> str:
    """Work for a sweep, or for a list of commands, until it has ended."""
    if len(words) != 2:
        raise InputError("hmean sweep agent takes URL and NAME")
    url, name = words
    if url == "-":
        if STORAGE_VARIABLE not in os.environ:
            raise InputError(f"hmean sweep agent -: reads the URL from {STORAGE_VARIABLE}, which is not set")
        url = os.environ[STORAGE_VARIABLE]
    database = Database(url)
    queue = open_queue(database, name)
    plan_text = patiently(queue.plan_text, AGENT_SECONDS)  # it may be about to be created
    if "sweep" in json.loads(plan_text):
        Sweep(queue, queue.plan(SweepPlan)).work()
    else:
        commands = open_commands(database, name)
        work_on_commands(commands, commands.plan(CommandsPlan).grace)
    return ""


_VERBS: dict[str, Callable[[Sequence[str]], str]] = {
    "status": _status,
    "stop": _stop,
    "doctor": _doctor,
    "report": _report,
    "import": _import,
    "agent": _agent,
}
