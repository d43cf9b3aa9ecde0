"""``hmean campaign``: the phases and gates of a file, each some hmean commands, resumable, within a budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from hmean.builders import open_pages
from hmean.campaign import Campaign, Choice, Gate, Phase, Scoring, Sweep, Training, composed, decide, read_campaign
from hmean.errors import InputError
from hmean.files import read_json, write_json
from hmean.jobs import campaign_report
from hmean.jobs.compare import compare, open_result
from hmean.processes import locked, run_one
from hmean.runs import RunFolder, differences

# Of a training's overrides, those that later jobs on its checkpoint take too: the checkpoint brings the rest.
DATA = ("preset=", "dataset", "tune.", "trainer.accelerator=")
# What lies in a phase's folder once a job is done.
ENDS = {"train": "scores.json", "tune": "cross_fitted/scores.json", "ensemble": "ensemble.json"}
PROBE = 4  # batches of an epoch that are measured


def run(path: Path, overrides: Sequence[str] = (), *, dry_run: bool = False, lang: str = "en", reset: str = "") -> str:
    """Run a campaign, or go on with it, until it or its budget ends; returns what to print.

    ``reset`` names a phase that is done again, and with it all that hang on it.

    Raises:
        InputError: before any work if the file is wrong, and if a phase fails.
        KeyboardInterrupt: when the budget is spent.
    """
    campaign = read_campaign(path, overrides)
    folder = Path(campaign.output_dir) / campaign.name
    if reset and dry_run:
        raise InputError("reset: a dry run changes nothing; leave one of the two out")
    with locked(folder) as hold:
        runner = Runner(campaign, folder, hold)
        if reset:
            runner.reset(reset)
        for name in (name for name, phase in campaign.phases.items() if phase.job == "data"):
            runner.do(name)  # a plan needs the pages
        print(runner.plan())
        if dry_run:
            return ""
        for name in campaign.phases:
            known = name in runner.done
            runner.do(name)
            if not known:
                print(*(line for line in runner.plan().splitlines() if line.startswith("left at most")))
        return str(campaign_report.run(folder, lang))


class Runner:
    """A campaign and its state, ``campaign.json``."""

    def __init__(self, campaign: Campaign, folder: Path, hold: int) -> None:
        self.campaign, self.folder, self.hold = campaign, folder, hold
        self.file = folder / "campaign.json"
        state = read_json(self.file) if self.file.exists() else {}
        self.done: dict[str, dict[str, Any]] = state.get("phases", {})
        self.spent: dict[str, float] = state.get("seconds", {})

    def save(self) -> None:
        """Write the state."""
        chosen = [n for n, p in self.campaign.phases.items() if p.job == "choose" and self.is_done(n)]
        winner = self.model(chosen[-1]).relative_to(self.folder) if chosen else None
        about = {"file": self.campaign.model_dump(), "phases": self.done, "seconds": self.spent}
        write_json(self.file, {**about, "winner": winner and str(winner)})

    def is_done(self, name: str) -> bool:
        """Whether a phase was gone through and not skipped."""
        return name in self.done and bool(self.done[name]["outcome"] != "skipped")

    def tick(self, name: str, seconds: float) -> None:
        """Count the time of a phase; ends the campaign when the budget is spent."""
        self.spent[name] = self.spent.get(name, 0.0) + seconds
        if sum(self.spent.values()) > 3600 * self.campaign.budget_hours:
            self.save()
            raise KeyboardInterrupt(f"the budget of {self.campaign.budget_hours:g} hours is spent in phase {name}; "
                                    "the same command with a larger budget_hours goes on")  # fmt: skip
        if int(self.spent[name]) % 10 == 0:
            self.save()

    def asked(self, name: str) -> dict[str, Any]:
        """All that a phase's outcome follows from: its entry, the campaign's ``args``, files, and earlier phases."""
        phase = self.campaign.phases[name]
        text = {"text": Path(phase.file).read_text(encoding="utf-8")} if isinstance(phase, Sweep) else {}
        before = {other: self.done.get(other, {}).get("stamp", "skipped") for other in _hangs_on(phase)}
        return {**phase.model_dump(exclude={"skip"}), **text, "campaign_args": self.campaign.args, "hangs_on": before}

    def stamp(self, name: str) -> str:
        """Another one whenever a phase was done with other values, or came to another outcome or other scores."""
        done = self.done[name]
        digest = hashlib.sha256(json.dumps([done["asked"], done["outcome"]], sort_keys=True).encode())
        for file in (*(f"{place}/scores.json" for place, _ in done["scores"].values()), f"{name}/ensemble.json"):
            if (self.folder / file).exists():
                digest.update((self.folder / file).read_bytes())
        return digest.hexdigest()[:16]

    def reset(self, name: str) -> None:
        """Forget a phase and all that hang on it; their folders move aside."""
        if name not in self.campaign.phases:
            raise InputError(f"reset={name}: the phases are {', '.join(self.campaign.phases)}")
        gone = {name}
        for other, phase in self.campaign.phases.items():
            gone |= {other} if gone & set(_hangs_on(phase)) else set()
        for other in gone:
            folder, n = self.folder / other, 1
            while (old := folder.with_name(f"{other}.old-{n}")).exists():
                n += 1
            if folder.exists():
                folder.rename(old)
            self.done.pop(other, None)
        self.save()

    def do(self, name: str) -> None:
        """Go through one phase, unless that was done.

        Raises:
            InputError: if it fails, or was done with other values.
        """
        phase = self.campaign.phases[name]
        asked = self.asked(name)
        if self.is_done(name) and (changed := differences(self.done[name]["asked"], asked)):
            raise InputError.listing(f"phase {name} was done with other values, or before what it hangs on changed. "
                                     f"reset={name} does it and all that hang on it again (their folders are kept as "
                                     "<phase>.old-<n>); or give the campaign another name=...", changed)  # fmt: skip
        needed = all(self.done[gate].get("outcome") in wanted for gate, wanted in phase.when.items())
        if phase.skip or not needed or (phase.of and not any(map(self.is_done, phase.of))):
            self.done[name] = {"asked": asked, "outcome": "skipped"}
        elif not self.is_done(name):
            print(f"phase {name}: {phase.job}", flush=True)
            commands = self.commands(name)
            for command in commands:
                end = ENDS.get(command[len(self.campaign.command)])
                if end and (self.folder / name / end).exists():  # done before it was killed
                    continue
                code = run_one(command, self.hold, partial(self.tick, name))
                if code == 130:
                    raise KeyboardInterrupt(f"stopped in phase {name}; the same command goes on")
                if code:
                    raise InputError(f"phase {name} failed (exit code {code}, see above); the same command goes on")
            self.done[name] = {"asked": asked, **self.conclude(name)}
            self.done[name]["commands"] = [command[len(self.campaign.command) :] for command in commands]
            self.done[name]["scores"] = self.results(name)
            self.done[name]["stamp"] = self.stamp(name)
            print(f"phase {name}: {self.done[name]['outcome']}", flush=True)
        self.save()

    def commands(self, name: str) -> list[list[str]]:
        """What a phase runs; what of it is done already is left out by ``do``."""
        phase, hmean, run = self.campaign.phases[name], self.campaign.command, self.folder / name
        args = [*self.campaign.args, *(self.args_of(name) if isinstance(phase, Training) else phase.args)]
        data = [a for a in [*self.campaign.args, *phase.args] if a.startswith(DATA)]
        place, found = [f"output_dir={self.folder}", f"exp_name={name}"], list[list[str]]()
        if phase.job == "data":
            found = [["data", *phase.args]]
        elif phase.job == "train":
            found = [["train", *args, *place, "resume=auto"], ["tune", f"run={run}", *data]]
        elif phase.job == "crossval":
            found = [["crossval", *args, *place]]
        elif isinstance(phase, Sweep):
            found = [["sweep", phase.file, f"n={phase.n}", f"name={name}", "engine=optuna", place[0], *args]]
        elif phase.job == "ensemble":  # judged on the pages that the folds left out
            folds = [str(fold) for of in phase.of for fold in sorted((self.folder / of).glob("fold_*"))]
            source = composed(*self.campaign.args, *phase.args).datasets.train_dataset
            splits = json.dumps(str(self.folder / phase.of[0] / "splits.json"))
            values = (f"annotation_path={source.annotation_path}", f"image_path={source.image_path}",
                      f"split={{file: {splits}, part: holdout}}")  # fmt: skip
            found = [["ensemble", *folds, f"output={run}", *data, *(f"datasets.val_dataset.{v}" for v in values)]]
        elif isinstance(phase, Scoring):
            score = ["evaluate", *data, f"evaluate_on={phase.part}", "overwrite=true"]
            models = {of: self.model(of) for of in phase.of if self.is_done(of)}
            found = [[*score, f"checkpoint_path={path}", f"output={run / of}"] for of, path in models.items()]
        return [[*hmean, *command] for command in found]

    def conclude(self, name: str) -> dict[str, Any]:
        """What came of a phase whose commands have ended."""
        phase = self.campaign.phases[name]
        there = [of for of in phase.of if self.is_done(of)]
        if isinstance(phase, Gate):
            record = read_json(self.scores(there[-1]) / "scores.json")
            h, interval = record["cleval"]["macro"]["h"], record["interval95"]["macro"]
            outcome, told = decide(h, interval, phase)
            return {"outcome": outcome, "distinguishable": told, "h": h, "interval95": interval, "of": there[-1]}
        if isinstance(phase, Choice):
            results = [open_result(self.folder / phase.by / of if phase.by else self.scores(of), None) for of in there]
            rows = [compare(results[0], other)["macro"] for other in results[1:]]
            told = any(row["verdict"] == "better" for row in rows)
            gains = [0.0, *(row["difference"] for row in rows)]
            best = max(range(len(gains)), key=lambda i: gains[i])
            if told:
                best = max((i + 1 for i, row in enumerate(rows) if row["verdict"] == "better"), key=lambda i: gains[i])
            kept = best if told or phase.not_distinguishable == "best" else 0
            return {
                "outcome": there[kept],
                "distinguishable": told or not rows,
                "against": dict(zip(there[1:], rows, strict=True)),
            }
        return {"outcome": "done"}

    def results(self, name: str) -> dict[str, tuple[str, str]]:
        """What a phase adds to the report's tables: the folder of each result's scores, and its config."""
        phase = self.campaign.phases[name]
        if isinstance(phase, Scoring):
            return {of: (f"{name}/{of}", " ".join(self.args_of(of))) for of in phase.of if self.is_done(of)}
        runs = {str(run.relative_to(self.folder)): run for run in self.slots(name)} if isinstance(phase, Sweep) else {}
        if isinstance(phase, Training):
            runs = {name: self.folder / name}
        return {
            label: (str(_scored(run).relative_to(self.folder)), " ".join(self.args_of(name, run)))
            for label, run in runs.items()
        }

    def slots(self, name: str) -> list[Path]:
        """The runs of a sweep that have a score."""
        return [slot for slot in sorted((self.folder / name).glob("slot_*")) if (slot / "scores.json").exists()]

    def run_of(self, name: str) -> Path:
        """The folder of the model that a phase stands for."""
        phase = self.campaign.phases[name]
        if phase.job == "choose":
            return self.run_of(self.done[name]["outcome"])
        if phase.job == "sweep":
            return max(
                self.slots(name), key=lambda slot: read_json(_scored(slot) / "scores.json")["cleval"]["macro"]["h"]
            )
        return self.folder / name

    def scores(self, name: str) -> Path:
        """The folder with a phase's scores on pages that its thresholds were not chosen on."""
        return _scored(self.run_of(name))

    def model(self, name: str) -> Path:
        """What ``checkpoint_path`` takes."""
        run = self.run_of(name)
        return run / "ensemble.json" if (run / "ensemble.json").exists() else RunFolder(run).best

    def args_of(self, name: str, run: Path | None = None) -> list[str]:
        """The overrides that make another training like a phase's (or one run of a sweep), beside the campaign's."""
        phase = self.campaign.phases[name]
        if phase.job == "choose":
            return self.args_of(self.done[name]["outcome"])
        if not isinstance(phase, Sweep):
            taken = phase.of if isinstance(phase, Training) else []
            return [*(a for of in taken if self.is_done(of) for a in self.args_of(of)), *phase.args]
        found = OmegaConf.load((run or self.run_of(name)) / "config.yaml")
        keys = yaml.safe_load(Path(phase.file).read_text(encoding="utf-8"))["parameters"]
        return [*phase.args, *(f"{key}={OmegaConf.select(found, key)}" for key in keys)]

    def plan(self) -> str:
        """Phases with the hours and gigabytes that their trainings take, measured on a few steps or on what has run."""
        head = (
            f"{self.folder}: budget {self.campaign.budget_hours:g} hours, {sum(self.spent.values()) / 3600:.2f} spent"
        )
        lines, total = [head, "phase\tjob\ttrainings\thours\tGB\tneeds"], [0.0, 0.0]
        for name, phase in self.campaign.phases.items():
            needs = ", ".join(f"{gate}: {' or '.join(outcomes)}" for gate, outcomes in phase.when.items())
            if name in self.done or phase.skip:
                state = self.done.get(name, {}).get("outcome", "skipped")
                lines.append(f"{name}\t{phase.job}\t\t{self.spent.get(name, 0.0) / 3600:.2f}\t\t{state}")
                continue
            config = composed(*self.campaign.args, *phase.args) if isinstance(phase, Training) else None
            count = phase.n if isinstance(phase, Sweep) else 0
            if config:
                count = config.crossval.k if phase.job == "crossval" else 1
            hours, size = self.cost(phase.args) if count else (0.0, 0.0)
            total = [total[0] + count * hours, total[1] + count * size]
            lines.append(f"{name}\t{phase.job}\t{count or ''}\t{count * hours:.2f}\t{count * size:.2f}\t{needs}")
        lines.append(f"left at most\t\t\t{total[0]:.2f}\t{total[1]:.2f}\ttunings, ensembles and scores not counted")
        if sum(self.spent.values()) / 3600 + total[0] > self.campaign.budget_hours:
            lines.append("the budget will be spent before the end, unless gates leave phases out")
        return "\n".join(lines)

    def cost(self, args: Sequence[str]) -> tuple[float, float]:
        """(hours, gigabytes) of one training: epochs of a few batches with and without validation, made larger."""
        told = [*self.campaign.args, *args]
        ran = [
            n for n, p in self.campaign.phases.items() if p.job == "train" and self.is_done(n) and p.args == list(args)
        ]
        if ran:
            seconds = sum(row["seconds"] for row in RunFolder(self.folder / ran[0]).read_metrics())
            return seconds / 3600, _size(self.folder / ran[0])
        key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
        probe = RunFolder(self.folder / "probes" / key)
        if not (probe.path / "scores.json").exists():
            short = [
                "trainer.max_epochs=3",
                "trainer.check_val_every_n_epoch=3",
                f"trainer.limit_train_batches={PROBE}",
            ]
            where = [f"output_dir={probe.path.parent}", f"exp_name={key}", "resume=auto"]
            command = [*self.campaign.command, "train", *told, *short, *where]
            code = run_one(command, self.hold, partial(self.tick, "probes"))
            self.save()
            if code == 130:
                raise KeyboardInterrupt("stopped; the same command goes on")
            if code:
                raise InputError(f"a few steps of {' '.join(told)} could not be trained (exit code {code}, see above)")
        rows, config = probe.read_metrics(), composed(*told)
        views = len(open_pages(config.datasets.train_dataset)) * config.transforms.train.views_per_page
        batches = max(1, views // config.dataloaders.train_dataloader.batch_size)
        step = rows[1]["seconds"] / min(PROBE, batches)
        validation = max(0.0, rows[2]["seconds"] - rows[1]["seconds"])
        epochs, t = config.trainer.max_epochs, config.trainer
        seconds = epochs * batches * step + -(-epochs // t.check_val_every_n_epoch) * validation
        return seconds / 3600, _size(probe.path)


def _hangs_on(phase: Phase) -> list[str]:
    by = [phase.by] if isinstance(phase, Choice) and phase.by else []
    return [*phase.of, *phase.when, *by]


def _size(folder: Path) -> float:
    """Gigabytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def _scored(run: Path) -> Path:
    crossed = run / "cross_fitted"
    return crossed if (crossed / "scores.json").exists() else run
