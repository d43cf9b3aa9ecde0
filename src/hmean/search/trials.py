"""Optuna's side of a sweep, and what an agent does with a slot of it.

The slots of ``jobs/slots.py`` say what ran and what came of it; Optuna's study proposes values and mirrors the results.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from hmean.errors import InputError
from hmean.execute.slots import ENDED, NothingToDo, Queue, Slot, Task, patiently
from hmean.runs.scores import Scores
from hmean.search.sweepfile import Sweep, early_stop, expand
from hmean.types import Statistic

# What a run's metrics.jsonl has, and the statistic of the pages behind it.
OBJECTIVES: dict[str, Statistic | None] = {
    "val/hmean": "macro", "val/pooled_hmean": "pooled", "val/iou50_hmean": "iou50", "val/iou70_hmean": "iou70",
    "val/precision": None, "val/recall": None, "train/loss": None,
}  # fmt: skip
_STATES = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
_TUNE = "import sys; from hmean.commands.tune import run_folder; run_folder(*sys.argv[1:])"
optuna.logging.set_verbosity(optuna.logging.WARNING)


def command_of(sweep: Sweep, values: Mapping[str, Any], fixed: Sequence[str], folder: Path) -> list[str]:
    """The command of one run: the file's, then what holds for every run, then its own folder."""
    command = expand(sweep.command, {**sweep.constants, **values}, str(sweep.config.get("program")), sys.executable)
    own = [f"output_dir={folder.parent}", f"exp_name={folder.name}", "resume=auto"]
    return [*command, "wandb=false", *fixed, *own]


def overrides_in(command: Sequence[str]) -> list[str]:
    """The key=value of a command."""
    return [word for word in command if "=" in word or word.startswith("~")]


def open_study(queue: Queue, sweep: Sweep) -> optuna.Study:
    """The study, made if it is not there."""
    storage = optuna.storages.RDBStorage(queue.url, engine_kwargs=queue.engine_options)
    try:
        return optuna.load_study(study_name=queue.name, storage=storage)
    except KeyError:
        goal = optuna.study.StudyDirection.MAXIMIZE if sweep.sign > 0 else optuna.study.StudyDirection.MINIMIZE
        return optuna.create_study(storage=storage, study_name=queue.name, direction=goal)


def make_sampler(method: str, n: int, seed: int) -> optuna.samplers.BaseSampler:
    """Bayes: multivariate TPE after max(4, n // 3) runs, the better quarter of them good (``docs/benchmarks.md``).

    Optuna's defaults make 12 runs nearly a random search: 10 runs to start with, and of up to 10 one that is good.
    """
    if method != "bayes":
        return optuna.samplers.RandomSampler(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)  # gamma goes in Optuna 6, which we do not take
        startup = max(4, n // 3)
        return optuna.samplers.TPESampler(
            n_startup_trials=startup, multivariate=True, constant_liar=True, gamma=lambda done: -(-done // 4), seed=seed
        )


def trial_of(study: optuna.Study, slot: int) -> optuna.Trial | None:
    """The trial of a slot, to go on with."""
    for trial in study.get_trials(deepcopy=False):
        if trial.user_attrs.get("slot") == slot:
            return optuna.Trial(study, trial._trial_id)  # noqa: SLF001 - there is no public name for it
    return None


def propose(study: optuna.Study, sweep: Sweep, slot: int, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a slot; those of its trial if an agent that died had asked."""
    if trial_of(study, slot) is None:
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, user_attrs={"slot": slot}, system_attrs={"fixed_params": dict(fixed)}
        )
        study.add_trial(template)
    trial: Any = trial_of(study, slot)
    return {name: trial._suggest(name, d) for name, d in sweep.space.items()}  # noqa: SLF001 - as study.ask does


class Runs(Task):
    """A sweep that was made, and what its agents do with a slot."""

    def __init__(self, queue: Queue, about: Mapping[str, Any]) -> None:
        self.queue, self.about = queue, about
        self.sweep = Sweep.of(about["sweep"], queue.name)
        self.study = patiently(lambda: open_study(queue, self.sweep), 60)
        self._known: dict[str, Any] = {}

    def mirror(self) -> None:
        """Tell Optuna what has ended; called often, so that an agent that died in between does no harm."""
        patiently(self._mirror)

    def _mirror(self) -> None:
        for slot in self.queue.slots():
            trial = trial_of(self.study, slot.slot) if slot.state in ENDED else None
            if trial is None or self.study.trials[trial.number].state.is_finished():
                continue
            with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another agent was faster
                for row in slot.result.get("rows", ()):
                    if self.sweep.metric in row:
                        trial.report(row[self.sweep.metric], row["epoch"])
                value = slot.result.get("value") if slot.state == "done" else None
                self.study.tell(trial.number, value, _STATES[slot.state], skip_if_finished=True)

    def folder(self, slot: Slot) -> Path:
        """A run folder for each slot."""
        return Path(self.about["folder"]) / f"slot_{slot.slot:02d}"

    def commands(self, slot: Slot) -> Iterator[list[str]]:
        """Training, and the tuning of its thresholds on its cached maps."""
        fixed, self._known = list(self.about["fixed"]), {}  # not what the slot before had
        if (rank := slot.payload.get("confirms")) is None:
            self.mirror()
            self.study.sampler = make_sampler(
                self.sweep.config["method"], self.about["n"], self.about["seed"] + slot.slot
            )
            values = patiently(lambda: propose(self.study, self.sweep, slot.slot, slot.payload["params"]))
        else:
            best = ranked(patiently(self.queue.slots), self.sweep.sign)
            if rank >= len(best):
                raise NothingToDo(f"no run to repeat: only {len(best)} with a score")
            values, fixed = best[rank].result["params"], [*fixed, f"seed={self.about['seed'] + 1}"]
        self._known = {"params": values, "agent": self.queue.owner}
        command = command_of(self.sweep, values, fixed, self.folder(slot))
        yield command
        if self.about["tune_each"]:
            yield [sys.executable, "-c", _TUNE, str(self.folder(slot)), str(OBJECTIVES[self.sweep.metric])]

    def progress(self, slot: Slot) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The rows so far, and whether a rule ends the run."""
        rows = read_rows(self.folder(slot) / "metrics.jsonl")
        known = {**self._known, "rows": rows}
        epochs = self._known.get("params", {}).get("trainer.max_epochs", self.about["epochs"])
        if slot.stage or not rows or rows[-1]["epoch"] + 1 >= epochs:
            return known, None
        others = [s for s in self.queue.slots() if s.slot != slot.slot and s.stage == 0]
        sign = self.sweep.sign  # the rules know only more and less, the record what was measured
        floor = None if self.about["floor"] is None else sign * self.about["floor"]
        stop = early_stop(
            self._history(rows), [self._history(s.result.get("rows", ())) for s in others],
            (rows[-1]["epoch"] + 1) / epochs, bands=self.sweep.bands, eta=self.sweep.eta, floor=floor,
        )  # fmt: skip
        if stop is None:
            return known, None
        return known, {**asdict(stop), "value": sign * stop.value, "threshold": sign * stop.threshold}

    def _history(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        return [self.sweep.sign * row[self.sweep.metric] for row in rows if self.sweep.metric in row]

    def result(self, slot: Slot) -> dict[str, Any]:
        """The score: cross-fitted if thresholds were tuned, else of the best epoch; with the pages behind it."""
        known, _ = self.progress(slot)
        history = self._history(known["rows"])
        if not history:
            raise InputError(f"metrics.jsonl has no finite {self.sweep.metric}")
        known["value"] = self.sweep.sign * max(history)
        known["seconds"] = sum(row.get("seconds", 0.0) for row in known["rows"])
        statistic = OBJECTIVES[self.sweep.metric]
        files = [self.folder(slot) / name for name in ("scores.json", "cross_fitted/scores.json")]
        if files[0].exists():
            known["scored"] = _pages(Scores.read(files[0]))
        if self.about["tune_each"] and statistic and files[1].exists():
            crossed = Scores.read(files[1])
            known |= {"untuned": known["value"], "value": crossed.hmean(statistic), "scored": _pages(crossed)}
        return known


def _pages(scores: Scores) -> dict[str, Any]:
    values = scores.to_json()
    return {"cleval": {"characters": scores.cleval.characters}, "pages": values["pages"]}


def ranked(slots: Sequence[Slot], sign: int) -> list[Slot]:
    """The runs of the search that have a score, best first."""
    return sorted((s for s in slots if s.state == "done" and s.stage == 0), key=lambda s: -sign * s.result["value"])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl`` that another process is writing; what is not finite is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            rows.append({k: v for k, v in row.items() if not isinstance(v, float) or math.isfinite(v)})
    return rows
