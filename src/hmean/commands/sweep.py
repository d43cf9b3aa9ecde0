"""``hmean sweep``: the runs of a sweep file, by W&B's service or by Optuna, on one machine or many."""

from __future__ import annotations

import csv
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import optuna
import pydantic
import yaml
from optuna.distributions import CategoricalDistribution
from pydantic import Field

from hmean.errors import InputError
from hmean.execute.slots import ENDED, Queue, Task, gpus, patiently, run_agents, work
from hmean.search.sweepfile import Sweep, draft, ends, load
from hmean.search.trials import OBJECTIVES, Runs, command_of, open_study, overrides_in
from hmean.settings.config import Config, check_components, compose, read_options


class Options(pydantic.BaseModel):
    """Options of ``hmean sweep FILE``; every other key=value is an override of every run."""

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
        InputError: before anything is run, listing every fault of the file, or of options and overrides.
    """
    mine = [a for a in arguments if a.partition("=")[0] in Options.model_fields]
    fixed = [a for a in arguments if a not in mine]
    options, sweep, preset = checked(path, mine, fixed)
    if options.engine == "wandb" or (options.engine == "auto" and options.storage is None and has_wandb()):
        return run_wandb(sweep, options, fixed)
    name = options.name or path.stem
    folder = (
        Path([o.partition("=")[2] for o in ("output_dir=outputs", *fixed) if o.startswith("output_dir=")][-1]) / name
    )
    queue = Queue(options.storage or f"sqlite:///{folder / 'sweep.db'}", name)
    grid = sweep.grid()
    n = options.n or sweep.config.get("run_cap", len(grid) or 12)
    if options.confirm > n:
        raise InputError(f"confirm={options.confirm}: there are only {n} runs to repeat")
    if n < len(grid):
        print(f"{n} of the {len(grid)} points of the grid: n or run_cap ends it there")
    points = grid[:n] or [first_point(sweep, preset) if options.first else {}, *([{}] * (n - 1))]
    floor = 0.1 if "floor" not in options.model_fields_set and sweep.sign > 0 else options.floor
    about = {
        "sweep": sweep.config, "fixed": fixed, "folder": str(folder), "seed": preset.seed, "n": len(points),
        "epochs": preset.trainer.max_epochs,
        "tune_each": options.tune_each, "floor": floor, "grace": options.grace, "first": options.first,
    }  # fmt: skip
    slots: list[tuple[int, dict[str, Any]]] = [(0, {"params": point}) for point in points]
    slots += [(1, {"confirms": rank}) for rank in range(options.confirm)]
    patiently(lambda: queue.create(about, slots), 10)
    patiently(lambda: open_study(queue, sweep), 10)
    count = max(1, len(gpus())) if options.agents is None else options.agents
    print(f"{folder}: {len(points)} runs, {count} agents here; stopped, the same command goes on", flush=True)
    if count:
        run_agents(queue, count)
    Runs(queue, about).mirror()
    told, found = status(queue), queue.slots()
    if found and all(slot.state == "failed" for slot in found if not slot.stage):
        raise InputError(f"{folder}: every run failed\n{told}")
    return told


def checked(path: Path, mine: Sequence[str], fixed: Sequence[str]) -> tuple[Options, Sweep, Config]:
    """Options, sweep file and the preset's config.

    Raises:
        InputError: with every fault of all three.
    """
    said, options = [], Options(tune_each=False)
    try:
        options = read_options(Options, mine)
    except InputError as error:
        said.append(str(error))
    try:
        sweep, faults = draft(load(path))
        preset = check(sweep, fixed, tune_each=options.tune_each, faults=[f"{path}: {fault}" for fault in faults])
    except InputError as error:
        said.append(str(error))
    if said:
        raise InputError("\n".join(said))
    return options, sweep, preset


def check(sweep: Sweep, fixed: Sequence[str], *, tune_each: bool, faults: Sequence[str] = ()) -> Config:
    """Compose every parameter into the real config, at both ends and each choice; returns the preset's config.

    Raises:
        InputError: listing every fault, after those given.
    """
    faults = [
        *faults,
        *(f"{o}: the sweep searches it" for o in fixed if o.partition("=")[0].lstrip("+~") in sweep.space),
    ]
    if "${program}" in sweep.command and not Path(sweep.config.get("program", ".")).exists():
        faults.append(f"program: there is no {sweep.config['program']} here")
    if sweep.metric and sweep.metric not in OBJECTIVES:
        faults.append(f"metric.name: {sweep.metric} is not measured; there are {', '.join(OBJECTIVES)}")
    elif sweep.metric and tune_each and OBJECTIVES[sweep.metric] is None:
        faults.append(f"metric.name: thresholds cannot be tuned for {sweep.metric}; add tune_each=false")
    if any(word in sweep.command for word in ("${args}", "${args_no_boolean_flags}")):
        faults.append("command: hmean takes key=value, so use ${args_no_hyphens}")
    if not isinstance(sweep.config.get("command", []), list) or any("command: " in fault for fault in faults):
        raise InputError.listing("The sweep cannot run:", faults)  # what would be composed is not known
    config, said = None, set[str]()
    for values in [{}, *({name: value} for name, found in sweep.space.items() for value in ends(found))]:
        try:
            composed = _composed(sweep, values, fixed)
            config = config or composed
        except InputError as error:
            heading, *lines = str(error).splitlines()
            new = [line for line in lines or [heading] if line not in said]  # the preset's faults come with each
            said.update(new)
            where = "".join(f"parameters.{k} = {v!r}: " for k, v in values.items())
            if new:
                faults.append(where + " ".join([heading, *new] if lines else new))
    if faults or config is None:
        raise InputError.listing("The sweep cannot run:", faults)
    return config


def _composed(sweep: Sweep, values: Mapping[str, Any], fixed: Sequence[str]) -> Config:
    config = compose(overrides_in(command_of(sweep, values, fixed, Path("outputs/slot_00"))))
    check_components(config)
    told = {override.partition("=")[0] for override in fixed}
    for key, value in {**sweep.constants, **values}.items():
        if key not in told and (found := value_at(config, key)) != value:
            raise InputError(f"{key}: {value!r} reaches the config as {found!r}")
    return config


def value_at(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    found: Any = config.to_dict()
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def first_point(sweep: Sweep, preset: Config) -> dict[str, Any]:
    """The preset's own values, if the ranges hold them all."""
    values = {name: value_at(preset, name) for name in sweep.space}
    outside = [name for name, value in values.items() if not _holds(sweep, name, value)]
    if outside:
        print(f"the preset's {', '.join(outside)} is out of range: the first run is drawn like the others")
    return {} if outside else values


def _holds(sweep: Sweep, name: str, value: Any) -> bool:
    found: Any = sweep.space[name]
    if isinstance(found, CategoricalDistribution):
        return value in found.choices
    return isinstance(value, int | float) and bool(found.low <= value <= found.high)


# --- W&B ------------------------------------------------------------------------------------------------------------


def has_wandb() -> bool:
    """Whether W&B is installed and ``wandb login`` was done."""
    from hmean.training.wandb_key import has_wandb_key  # noqa: PLC0415

    return find_spec("wandb") is not None and has_wandb_key()


def run_wandb(sweep: Sweep, options: Options, fixed: Sequence[str]) -> str:
    """Make the sweep on W&B's service and run its agents here.

    Raises:
        InputError: without an account: W&B has no offline sweeps.
    """
    if not has_wandb():
        raise InputError("engine=wandb: pip install 'hmean[wandb]' and wandb login first; engine=optuna needs neither")
    import wandb  # noqa: PLC0415 - an extra

    n = options.n or sweep.config.get("run_cap", 12)
    project = sweep.config.get("project", "hmean")
    config = {**sweep.config, "run_cap": n, "command": [*sweep.command, *fixed]}
    address = "/".join(filter(None, (sweep.config.get("entity"), project, wandb.sweep(config, project=project))))
    print("W&B chooses, scores and stops; tune_each, confirm, first and floor are the embedded engine's", flush=True)
    devices = gpus()
    count = options.agents or max(1, len(devices))
    agents = [
        subprocess.Popen(  # noqa: S603 - W&B's own agent
            [sys.executable, "-m", "wandb", "agent", address],
            env=os.environ | ({"CUDA_VISIBLE_DEVICES": devices[i % len(devices)]} if devices else {}),
        )
        for i in range(count)
    ]
    try:
        codes = [process.wait() for process in agents]
    finally:
        for process in agents:
            process.terminate()
    return f"{address}: {n} runs at most, {count} agents ended with {codes}"


# --- beside it ------------------------------------------------------------------------------------------------------


def open_runs(words: Sequence[str]) -> Runs:
    """A sweep, from its folder or from storage URL and name.

    Raises:
        InputError: if there is none.
    """
    folder = Path(words[0]).resolve() if len(words) == 1 else None
    if folder is not None and not (folder / "sweep.db").exists():
        raise InputError(f"{words[0]}: holds no sweep.db; give a sweep's folder, or storage URL and name")
    if folder is not None:
        words = [f"sqlite:///{folder / 'sweep.db'}", folder.name]
    if len(words) != 2:
        raise InputError(f"{' '.join(words) or 'hmean sweep'}: give the sweep's folder, or storage URL and name")
    queue = Queue(*words)
    if not patiently(queue.exists, 5):
        raise InputError(f"the storage has no sweep {queue.name!r}; hmean sweep FILE makes one")
    about = patiently(queue.about, 5)
    # From anywhere: the folder was kept as it was typed when the sweep was made.
    return Runs(queue, about if folder is None else {**about, "folder": str(folder)})


def agent(url: str, name: str) -> None:
    """Work for a sweep, or another queue of slots, until it has ended; waits a minute for it to be made."""
    queue = Queue(os.environ["HMEAN_STORAGE"] if url == "-" else url, name)
    about = patiently(queue.about, 60)
    if "sweep" not in about:
        work(queue, Task(), about["grace"])
        return
    runs = Runs(queue, about)
    try:
        work(queue, runs, about["grace"])
    finally:
        runs.mirror()


def status(queue: Queue) -> str:
    """Tab-separated: every slot with its state, attempts, score, epochs, values and reason."""
    lines = ["slot\tstate\tattempts\tscore\tepochs\tvalues"]
    for slot in queue.slots():
        r = slot.result
        values = (
            f"{k.rpartition('.')[2]}={format(v, '.4g') if isinstance(v, float) else v}"
            for k, v in r.get("params", {}).items()
        )
        what = [*values, *(f"{key}: {r[key]}" for key in ("stop", "reason") if key in r)]
        score = f"{r['value']:.4f}" if "value" in r else ""
        lines.append(f"{slot.slot}\t{slot.state}\t{slot.attempt}\t{score}\t{len(r.get('rows', ()))}\t{' '.join(what)}")
    return "\n".join(lines)


def doctor(runs: Runs) -> str:
    """Mend what agents that died left behind, and say what is wrong."""
    queue, grace, folder = runs.queue, runs.about["grace"], Path(runs.about["folder"])
    queue.reap(grace)
    runs.mirror()
    slots, stale = queue.slots(), queue.stale(grace)
    found = [f"slot {s}: its agent gave no sign of life for {grace:g} s; the next agent takes it over" for s in stale]
    found += [f"slot {s.slot}: failed: {s.result.get('reason')}" for s in slots if s.state == "failed"]
    left = sum(s.state not in ENDED for s in slots)
    if left and all(s.state != "running" or s.slot in stale for s in slots):
        found.append(f"{left} slots are left and no agent is at work; hmean sweep FILE, or hmean sweep agent, goes on")
    if queue.stopping():
        found.append("it was stopped; hmean sweep FILE goes on")
    if folder.exists() and shutil.disk_usage(folder).free < 1 << 30:
        found.append(f"{folder}: less than 1 GB is free")
    return "\n".join(found or [f"all is well: {len(slots)} slots, {left} left"])


def import_runs(runs: Runs, file: Path) -> str:
    """Give the search the runs of a table: a column for each parameter and one for the objective.

    Raises:
        InputError: listing every row that does not fit the ranges.
    """
    sweep, faults, trials = runs.sweep, [], []
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    missing = [name for name in (*sweep.space, sweep.metric) if rows and name not in rows[0]]
    if missing:
        raise InputError(f"{file}: has no column {', '.join(missing)}; it has {', '.join(map(str, rows[0]))} "
                         "(a table with commas)")  # fmt: skip
    for line, row in enumerate(rows, start=2):
        values = {name: _cell(row[name]) for name in sweep.space}
        score = _cell(row[sweep.metric])
        wrong = [
            f"{name} {value!r} is out of range" for name, value in values.items() if not _holds(sweep, name, value)
        ]
        share = sweep.metric.startswith("val/")
        if type(score) not in (int, float) or not math.isfinite(score) or (share and not 0 <= score <= 1):
            wrong.append(
                f"{sweep.metric} {score!r} is no {'score (a share, not percent)' if share else 'finite number'}"
            )
        faults += [f"line {line}: {fault}" for fault in wrong]
        trials.append((values, score))
    if faults or not rows:
        raise InputError.listing(f"{file}: nothing was imported:", faults or ["it has no rows"])
    there = [(t.params, t.value) for t in runs.study.trials if "imported" in t.user_attrs]
    new = [trial for i, trial in enumerate(trials) if trial not in there and trial not in trials[:i]]
    for values, score in new:
        attributes = {"imported": file.name}
        runs.study.add_trial(
            optuna.create_trial(params=values, distributions=sweep.space, value=score, user_attrs=attributes)
        )
    return f"{len(new)} runs imported, {len(trials) - len(new)} were there"


def _cell(text: str | None) -> Any:
    """A number as any program writes one (5e-4 too, which YAML takes for text); else what YAML makes of it."""
    try:
        number = float(text or "")
        return int(number) if number.is_integer() and "." not in str(text) and "e" not in str(text).lower() else number
    except ValueError:
        pass
    try:
        return yaml.safe_load(text or "null")
    except yaml.YAMLError:
        return text


def main(words: Sequence[str]) -> str:
    """What follows ``hmean sweep``; returns what to print."""
    verb, rest = (words[0], words[1:]) if words else ("", [])
    if (verb == "agent" and len(rest) != 2) or (verb == "import" and len(rest) < 2):
        raise InputError(f"hmean sweep {verb} takes " + ("URL and NAME" if verb == "agent" else "FOLDER and TABLE.csv"))
    if verb == "agent":
        agent(*rest)
        return ""
    if verb == "import":
        return import_runs(open_runs(rest[:-1]), Path(rest[-1]))
    if verb == "report":
        from hmean.reports.sweep import run as report  # noqa: PLC0415 - matplotlib

        return str(report(open_runs(rest)))
    if verb == "stop":
        open_runs(rest).queue.stop()
        return "agents put their slots back within seconds; hmean sweep FILE goes on"
    if verb in ("status", "doctor"):
        runs = open_runs(rest)
        return status(runs.queue) if verb == "status" else doctor(runs)
    files = [word for word in words if "=" not in word and not word.startswith("~")]
    if len(files) != 1:
        raise InputError("hmean sweep takes one file, or status, stop, doctor, report, import, agent; see --help")
    return run(Path(files[0]), [word for word in words if word not in files])
