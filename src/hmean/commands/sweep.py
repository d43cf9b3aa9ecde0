"""``hmean sweep``: the trials of a sweep file, by W&B's service or by Optuna, on one machine or many."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from hmean.errors import InputError
from hmean.execute.commands import CommandsPlan, open_commands, work_on_commands
from hmean.execute.database import Database, patiently
from hmean.execute.pool import STORAGE_VARIABLE, run_agents
from hmean.execute.processes import visible_gpus
from hmean.execute.queue import NewTask, TaskState
from hmean.search.distributions import contains, extremes
from hmean.search.earlier_trials import import_trials
from hmean.search.overview import doctor, status
from hmean.search.proposals import open_study
from hmean.search.records import SweepPlan, TrialPayload
from hmean.search.sweepfile import SweepDraft, SweepFile, load_yaml
from hmean.search.trials import OBJECTIVES, Sweep, open_queue, overrides_in, trial_command
from hmean.search.wandb_service import run_on_service
from hmean.settings.config import Config, check_components, compose, read_options

DEFAULT_TRIALS = 12
DEFAULT_FLOOR = 0.1  # of what is maximized: a detector that learns anything is above it
QUICKLY = 10.0  # seconds that a command which a person waits for tries to reach the storage
AT_ONCE = 5.0


class Options(pydantic.BaseModel):
    """Options of ``hmean sweep FILE``; every other key=value is an override of every training."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
    n: Annotated[int, Field(ge=1, le=10_000)] | None = None
    engine: Literal["auto", "wandb", "optuna"] = "auto"
    agents: Annotated[int, Field(ge=0, le=1000)] | None = None
    storage: str | None = None
    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] | None = None
    confirm: Annotated[int, Field(ge=0)] = 0
    first: bool = True
    tune_each: bool = True
    floor: float | None = None
    grace: Annotated[float, Field(gt=0)] = 60.0


def run(path: Path, arguments: Sequence[str]) -> str:
    """Run a sweep, or go on with it; returns what to print at the end.

    Raises:
        InputError: before anything is run, listing every fault of the file, the options and the overrides.
    """
    mine = [a for a in arguments if a.partition("=")[0] in Options.model_fields]
    overrides = [a for a in arguments if a not in mine]
    options, file, preset = checked(path, mine, overrides)
    if options.engine == "wandb" or (options.engine == "auto" and options.storage is None and has_wandb()):
        if not has_wandb():
            raise InputError(
                "engine=wandb: first do pip install 'hmean[wandb]' and wandb login; engine=optuna needs neither"
            )
        return run_on_service(file, options.n, options.agents, overrides)
    sweep = start(path, options, file, preset, overrides)
    count = options.agents
    if count is None:
        count = max(1, len(visible_gpus()))
    print(f"{sweep.folder}: {sweep.plan.n} trials, {count} agents here; stopped, the same command goes on", flush=True)
    if count:
        run_agents(sweep.queue, count)
    sweep.mirror()
    table = status(sweep)
    searched = [trial for trial in sweep.trials() if trial.stage == 0]
    if searched and all(trial.state == TaskState.FAILED for trial in searched):
        raise InputError(f"{sweep.folder}: every trial failed\n{table}")
    return table


def start(path: Path, options: Options, file: SweepFile, preset: Config, overrides: list[str]) -> Sweep:
    """Create the sweep in its storage, or open it if it is there.

    Raises:
        InputError: if there is another sweep of this name.
    """
    name = options.name or path.stem
    output_dir = "outputs"
    for override in overrides:
        if override.startswith("output_dir="):
            output_dir = override.partition("=")[2]
    folder = Path(output_dir) / name
    grid = file.grid()
    n = options.n or file.config.get("run_cap", len(grid) or DEFAULT_TRIALS)
    if options.confirm > n:
        raise InputError(f"confirm={options.confirm}: there are only {n} trials to repeat")
    if n < len(grid):
        print(f"{n} of the {len(grid)} points of the grid: n or run_cap ends it there")
    points = grid[:n]
    if not points:
        points = [{} for _ in range(n)]
        if options.first:
            points[0] = first_point(file, preset)
    floor = options.floor
    if "floor" not in options.model_fields_set and file.sign > 0:
        floor = DEFAULT_FLOOR
    plan = SweepPlan(
        sweep=file.config,
        overrides=overrides,
        folder=str(folder),
        seed=preset.seed,
        n=len(points),
        epochs=preset.trainer.max_epochs,
        tune_each=options.tune_each,
        floor=floor,
        grace=options.grace,
        first=options.first,
    )
    trials = [NewTask(TrialPayload(params=point)) for point in points]
    for rank in range(options.confirm):
        trials.append(NewTask(TrialPayload(confirms=rank), stage=1))
    database = Database(options.storage or f"sqlite:///{folder / 'sweep.db'}")
    queue = open_queue(database, name)
    patiently(lambda: queue.create(plan, trials), QUICKLY)
    patiently(lambda: open_study(database, name, file), QUICKLY)
    return Sweep(queue, plan)


def checked(path: Path, mine: Sequence[str], fixed: Sequence[str]) -> tuple[Options, SweepFile, Config]:
    """Options, sweep file and the preset's config.

    Raises:
        InputError: with every fault of all three.
    """
    messages = []
    options = Options(tune_each=False)
    try:
        options = read_options(Options, mine)
    except InputError as error:
        messages.append(str(error))
    try:
        draft = SweepDraft(load_yaml(path))
        faults = [f"{path}: {fault}" for fault in draft.faults]
        preset = check(draft.file, fixed, tune_each=options.tune_each, faults=faults)
    except InputError as error:
        messages.append(str(error))
    if messages:
        raise InputError("\n".join(messages))
    return options, draft.file, preset


def check(file: SweepFile, overrides: Sequence[str], *, tune_each: bool, faults: Sequence[str] = ()) -> Config:
    """Compose every parameter into the real config, at both ends and each choice; returns the preset's config.

    Raises:
        InputError: listing every fault, after those given.
    """
    faults = [*faults, *_file_faults(file, overrides, tune_each=tune_each)]
    has_command = isinstance(file.config.get("command", []), list) and not any("command: " in f for f in faults)
    if not has_command:
        raise InputError.listing("The sweep cannot run:", faults)
    points: list[dict[str, Any]] = [{}]
    for name, distribution in file.space.items():
        points += [{name: value} for value in extremes(distribution)]
    preset = None
    known = set[str]()
    for values in points:
        try:
            composed = _composed(file, values, overrides)
            preset = preset or composed
        except InputError as error:
            heading, *lines = str(error).splitlines()
            # The faults of the preset come with each point, and are told once.
            new = [line for line in lines or [heading] if line not in known]
            known.update(new)
            where = "".join(f"parameters.{key} = {value!r}: " for key, value in values.items())
            if new and lines:
                new = [heading, *new]
            if new:
                faults.append(where + " ".join(new))
    if faults or preset is None:
        raise InputError.listing("The sweep cannot run:", faults)
    return preset


def _file_faults(file: SweepFile, overrides: Sequence[str], *, tune_each: bool) -> list[str]:
    """What is wrong with a sweep file, or with overrides beside it, that its schema does not know."""
    faults = []
    for override in overrides:
        if override.partition("=")[0].lstrip("+~") in file.space:
            faults.append(f"{override}: the sweep searches it")
    if "${program}" in file.command and not Path(file.config.get("program", ".")).exists():
        faults.append(f"program: {file.program} was not found in this folder")
    if file.metric and file.metric not in OBJECTIVES:
        faults.append(f"metric.name: {file.metric} is not measured; choose one of {', '.join(OBJECTIVES)}")
    elif file.metric and tune_each and OBJECTIVES[file.metric] is None:
        faults.append(f"metric.name: thresholds cannot be tuned for {file.metric}; add tune_each=false")
    if "${args}" in file.command or "${args_no_boolean_flags}" in file.command:
        faults.append("command: hmean takes key=value, so use ${args_no_hyphens}")
    return faults


def _composed(file: SweepFile, values: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    config = compose(overrides_in(trial_command(file, values, overrides, Path("outputs/trial_00"))))
    check_components(config)
    told = {override.partition("=")[0] for override in overrides}
    for key, value in {**file.constants, **values}.items():
        found = value_at(config, key)
        if key not in told and found != value:
            raise InputError(f"{key}: {value!r} reaches the config as {found!r}")
    return config


def value_at(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    found: Any = config.to_dict()
    for part in key.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def first_point(file: SweepFile, preset: Config) -> dict[str, Any]:
    """The preset's own values, if the ranges hold them all."""
    values = {name: value_at(preset, name) for name in file.space}
    outside = [name for name, value in values.items() if not contains(file.space[name], value)]
    if outside:
        print(f"the preset's {', '.join(outside)} is out of range: the first trial is drawn like the others")
        return {}
    return values


def has_wandb() -> bool:
    """Whether W&B is installed and ``wandb login`` was done."""
    from hmean.training.wandb_key import has_wandb_key  # noqa: PLC0415

    return find_spec("wandb") is not None and has_wandb_key()


def open_sweep(words: Sequence[str]) -> Sweep:
    """A sweep, from its folder or from storage URL and name.

    Raises:
        InputError: if there is none.
    """
    folder = None
    if len(words) == 1:
        folder = Path(words[0]).resolve()
        file = folder / "sweep.db"
        if not file.exists():
            raise InputError(f"{words[0]}: has no sweep.db; give the folder of a sweep, or storage URL and name")
        words = [f"sqlite:///{file}", folder.name]
    if len(words) != 2:
        raise InputError(f"{' '.join(words) or 'hmean sweep'}: give the folder of a sweep, or storage URL and name")
    url, name = words
    queue = open_queue(Database(url), name)
    if not patiently(queue.exists, AT_ONCE):
        raise InputError(f"the storage has no sweep {name!r}; hmean sweep FILE starts one")
    plan = patiently(lambda: queue.plan(SweepPlan), AT_ONCE)
    return Sweep(queue, plan, folder)


def agent(url: str, name: str) -> None:
    """Work for a sweep, or for a list of commands, until it has ended; waits a minute for it to be started."""
    if url == "-":
        url = os.environ[STORAGE_VARIABLE]
    database = Database(url)
    queue = open_queue(database, name)
    plan_text = patiently(queue.plan_text, 60)
    if "sweep" in json.loads(plan_text):
        Sweep(queue, queue.plan(SweepPlan)).work()
        return
    commands = open_commands(database, name)
    work_on_commands(commands, commands.plan(CommandsPlan).grace)


def main(words: Sequence[str]) -> str:
    """What follows ``hmean sweep``; returns what to print."""
    verb, rest = (words[0], words[1:]) if words else ("", [])
    if (verb == "agent" and len(rest) != 2) or (verb == "import" and len(rest) < 2):
        raise InputError(f"hmean sweep {verb} takes " + ("URL and NAME" if verb == "agent" else "FOLDER and TABLE.csv"))
    if verb == "agent":
        agent(*rest)
        return ""
    if verb == "import":
        return import_trials(open_sweep(rest[:-1]), Path(rest[-1]))
    if verb == "report":
        from hmean.reports.sweep import write_report  # noqa: PLC0415 - matplotlib

        return str(write_report(open_sweep(rest)))
    if verb == "stop":
        open_sweep(rest).queue.stop()
        return "agents give their trials back within seconds; go on with hmean sweep FILE"
    if verb in ("status", "doctor"):
        sweep = open_sweep(rest)
        return status(sweep) if verb == "status" else doctor(sweep)
    files = [word for word in words if "=" not in word and not word.startswith("~")]
    if len(files) != 1:
        raise InputError("hmean sweep takes one file, or status, stop, doctor, report, import, agent; see --help")
    return run(Path(files[0]), [word for word in words if word not in files])
