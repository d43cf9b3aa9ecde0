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

from hmean.campaign.file import Campaign, Choice, Gate, Phase, Scoring, Sweep, Training, composed, decide, read_campaign
from hmean.ensemble.records import read_ensemble
from hmean.errors import InputError
from hmean.execute.processes import run_command
from hmean.files import read_json, write_json
from hmean.locks import locked
from hmean.reports import campaign as campaign_report
from hmean.runs.comparison import compare, open_result
from hmean.runs.folder import RunFolder, differences
from hmean.runs.manifest import config_hash
from hmean.runs.metrics import read_epochs
from hmean.search.records import trial_folders
from hmean.settings.build import open_pages
from hmean.settings.config import CrossvalConfig

# Of a training's overrides, those that later jobs on its checkpoint take too: the checkpoint brings the rest.
DATA = ("preset=", "dataset", "tune.", "trainer.accelerator=")
# What lies in a phase's folder once a job is done.
ENDS = {"train": "scores.json", "tune": "cross_fitted/scores.json", "ensemble": "ensemble.json"}
PROBE = 4  # batches of an epoch that are measured
NO_PRICE = ("models.optimizer.", "models.scheduler.", "models.loss", "tune.", "crossval.", "seed=")
VIEWS = 4  # that an ensemble judges of each member at most: its own, two scales, the weight average


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
        for name in filter(runner.is_done, campaign.phases):
            runner.check(name)
        if dry_run:
            return runner.plan()
        for name in runner.of_job("data"):
            runner.do(name)  # a plan needs the pages
        print(runner.plan())
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
        self.begun: dict[str, dict[str, Any]] = state.get("begun", {})  # with which values, for what lies there
        self.spent: dict[str, float] = state.get("seconds", {})

    def save(self) -> None:
        """Write the state."""
        models = self.of_job("choose") or self.of_job("train", "sweep", "ensemble")
        chosen = next(filter(self.is_done, reversed(models)), None)
        winner = str(self.model(chosen).relative_to(self.folder)) if chosen else None
        about = {"file": self.campaign.model_dump(), "phases": self.done, "begun": self.begun, "seconds": self.spent}
        write_json(self.file, {**about, "chosen": chosen, "winner": winner})

    def of_job(self, *jobs: str) -> list[str]:
        """The phases of some jobs."""
        return [name for name, phase in self.campaign.phases.items() if phase.job in jobs]

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
        before = {other: self.done.get(other, {}).get("stamp", "skipped") for other in self.hangs_on(name)}
        return {**phase.model_dump(exclude={"skip"}), **text, "campaign_args": self.campaign.args, "hangs_on": before}

    def hangs_on(self, name: str) -> list[str]:
        """The phases that another follows from."""
        phase = self.campaign.phases[name]
        return [*phase.names(), *(self.of_job("data") if phase.job != "data" else [])]

    def check(self, name: str) -> None:
        """Refuse what was done, or begun, with other values.

        Raises:
            InputError: naming them.
        """
        if name in self.begun and (changed := differences(self.begun[name], self.asked(name))):
            raise InputError.listing(f"phase {name} was done with other values, or before what it hangs on changed. "
                                     f"reset={name} does it and all that hang on it again (their folders are kept as "
                                     "<phase>.old-<n>); or give the campaign another name=...", changed)  # fmt: skip

    def stamp(self, name: str) -> str:
        """Another one whenever a phase was done with other values, or came to another outcome or other scores."""
        done = self.done[name]
        digest = hashlib.sha256(config_hash({"asked": done["asked"], "outcome": done["outcome"]}).encode())
        for file in (*(f"{place}/scores.json" for place, _ in done["scores"].values()), f"{name}/ensemble.json"):
            if (self.folder / file).exists():
                digest.update((self.folder / file).read_bytes())
        return digest.hexdigest()[:16]

    def reset(self, name: str) -> None:
        """Forget a phase and all that hang on it; their folders move aside."""
        if name not in self.campaign.phases:
            raise InputError(f"reset={name}: the phases are {', '.join(self.campaign.phases)}")
        gone = {name}
        for other in self.campaign.phases:
            gone |= {other} if gone & set(self.hangs_on(other)) else set()
        for other in gone:
            folder, n = self.folder / other, 1
            while (old := folder.with_name(f"{other}.old-{n}")).exists():
                n += 1
            if folder.exists():
                folder.rename(old)
            self.done.pop(other, None)
            self.begun.pop(other, None)
        self.save()

    def do(self, name: str) -> None:
        """Go through one phase, unless that was done.

        Raises:
            InputError: if it fails, or was done with other values.
        """
        phase = self.campaign.phases[name]
        asked = self.asked(name)
        needed = all(self.done[gate].get("outcome") in wanted for gate, wanted in phase.when.items())
        if phase.skip or not needed or (phase.of and not any(map(self.is_done, phase.of))):
            self.done[name] = {"asked": asked, "outcome": "skipped"}
            self.save()
            return
        self.check(name)
        if not self.is_done(name):
            print(f"phase {name}: {phase.job}", flush=True)
            self.begun[name] = asked
            self.save()
            commands = self.commands(name)
            for command in commands:
                end = ENDS.get(command[len(self.campaign.command)])
                if end and (self.folder / name / end).exists():  # done before it was killed
                    continue
                self.execute(name, command)
            self.done[name] = {"asked": asked, **self.conclude(name)}
            self.done[name]["commands"] = [command[len(self.campaign.command) :] for command in commands]
            self.done[name]["scores"] = self.results(name)
            self.done[name]["stamp"] = self.stamp(name)
            print(f"phase {name}: {self.done[name]['outcome']}", flush=True)
        self.save()

    def execute(self, name: str, command: Sequence[str]) -> None:
        """Run one command, its time counted as that of a phase (or of the probes)."""
        code = run_command(command, self.hold, partial(self.tick, name))
        self.save()
        if code == 130:
            raise KeyboardInterrupt(f"stopped in phase {name}; the same command goes on")
        if code:
            raise InputError(f"phase {name} failed (exit code {code}, see above); the same command goes on")

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
            scored = [of for of in phase.of if self.is_done(of) and self.scores(of, name) == run / of]
            found = [[*score, f"checkpoint_path={self.model(of)}", f"output={run / of}"] for of in scored]
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
            results = [open_result(self.scores(of, phase.by), None) for of in there]
            rows = [compare(results[0], other).macro.to_json() for other in results[1:]]
            gains = dict(zip(there, [0.0, *(row["difference"] for row in rows)], strict=True))
            against = dict(zip(there[1:], rows, strict=True))
            better = [of for of, row in against.items() if row["verdict"] == "better"]
            kept = better or (there if phase.not_distinguishable == "best" else there[:1])
            told = bool(better) or not rows
            return {"outcome": max(kept, key=lambda of: gains[of]), "distinguishable": told, "against": against}
        return {"outcome": "done"}

    def results(self, name: str) -> dict[str, tuple[str, str]]:
        """What a phase adds to the report's tables: the folder of each result's scores, and its config."""
        phase = self.campaign.phases[name]
        if isinstance(phase, Scoring):
            found = {of: (self.scores(of, name), self.config_of(of)) for of in phase.of if self.is_done(of)}
        else:
            runs = self.trials(name) if isinstance(phase, Sweep) else [self.folder / name] * isinstance(phase, Training)
            found = {str(run.relative_to(self.folder)): (_scored(run), self.config_of(name, run)) for run in runs}
        return {label: (str(place.relative_to(self.folder)), config) for label, (place, config) in found.items()}

    def trials(self, name: str) -> list[Path]:
        """The runs of a sweep that have a score."""
        return [trial for trial in trial_folders(self.folder / name) if (trial / "scores.json").exists()]

    def run_of(self, name: str) -> Path:
        """The folder of the model that a phase stands for."""
        phase = self.campaign.phases[name]
        if phase.job == "choose":
            return self.run_of(self.done[name]["outcome"])
        if phase.job == "sweep":
            return max(
                self.trials(name), key=lambda trial: read_json(_scored(trial) / "scores.json")["cleval"]["macro"]["h"]
            )
        return self.folder / name

    def scores(self, name: str, by: str | None = None) -> Path:
        """Where a phase's own scores are, or those of the scoring phase ``by``: on val, where it was tuned, its own."""
        own, judge = _scored(self.run_of(name)), self.campaign.phases[by] if by else None
        elsewhere = isinstance(judge, Scoring) and (judge.part == "test" or own.name != "cross_fitted")
        return self.folder / str(by) / name if elsewhere else own

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

    def config_of(self, name: str, run: Path | None = None) -> str:
        """What the report calls a phase's config: its preset, then what else was set; of an ensemble its kind first."""
        phase = self.campaign.phases[name]
        if phase.job == "choose":
            return self.config_of(self.done[name]["outcome"])
        if phase.job == "ensemble":
            kept = read_ensemble(self.folder / name / "ensemble.json").strategy
            return f"{kept}: {self.config_of(phase.of[0])}"
        args = self.args_of(name, run)
        preset = [a for a in [*self.campaign.args, *args] if a.startswith("preset=")][-1:]
        return " ".join([*preset, *(a for a in args if not a.startswith("preset="))])

    def plan(self) -> str:
        """Phases with their hours and gigabytes, measured on a few steps of each recipe or on what has run."""
        spent = sum(self.spent.values()) / 3600
        lines = [
            f"{self.folder}: budget {self.campaign.budget_hours:g} hours, {spent:.2f} spent",
            "phase\tjob\ttrainings\thours\tGB\tneeds",
        ]
        total, said = [0.0, 0.0], "searches of thresholds not counted"
        labels = Path(composed(*self.campaign.args).datasets.train_dataset.annotation_path)
        known = labels.exists() or not self.of_job("data")
        if not known:
            said = f"unknown before phase {self.of_job('data')[0]} has made its pages"
        for name, phase in self.campaign.phases.items():
            needs = ", ".join(f"{gate}: {' or '.join(outcomes)}" for gate, outcomes in phase.when.items())
            if name in self.done or phase.skip:
                state = self.done.get(name, {}).get("outcome", "skipped")
                lines.append(f"{name}\t{phase.job}\t\t{self.spent.get(name, 0.0) / 3600:.2f}\t\t{state}")
                continue
            count, passes = self.work(phase) if known else (0, 0)
            one, size, page = self.cost(phase.args) if count or passes else (0.0, 0.0, 0.0)
            hours, size = count * one + passes * page, count * size
            total = [total[0] + hours, total[1] + size]
            lines.append(f"{name}\t{phase.job}\t{count or ''}\t{hours:.2f}\t{size:.2f}\t{needs}")
        lines.append(f"left at most\t\t\t{total[0]:.2f}\t{total[1]:.2f}\t{said}")
        if spent + total[0] > self.campaign.budget_hours:
            lines.append("the budget will be spent before the end, unless gates leave phases out")
        return "\n".join(lines)

    def work(self, phase: Phase) -> tuple[int, int]:
        """How many trainings a phase has, and how many pages go through a network beside them."""
        config = composed(*self.campaign.args, *phase.args)

        def pages(part: str) -> int:
            return len(open_pages(getattr(config.datasets, f"{part}_dataset")))

        def dealt(ensemble: Phase) -> CrossvalConfig:
            return composed(*self.campaign.args, *self.campaign.phases[ensemble.of[0]].args).crossval

        if isinstance(phase, Scoring):
            scored = [self.campaign.phases[of] for of in phase.of]
            return 0, pages(phase.part) * sum(dealt(one).k if one.job == "ensemble" else 1 for one in scored)
        if phase.job == "ensemble":
            folds = dealt(phase)
            return 0, round(folds.k * VIEWS * folds.holdout * pages("train"))
        if phase.job == "crossval":
            return config.crossval.k, pages("train")
        count = phase.n if isinstance(phase, Sweep) else int(isinstance(phase, Training))
        return count, count and count * pages("val")

    def recipe(self, args: Sequence[str]) -> list[str]:
        """What the time of a training follows from."""
        return [a for a in [*self.campaign.args, *args] if not a.startswith(NO_PRICE)]

    def cost(self, args: Sequence[str]) -> tuple[float, float, float]:
        """(hours, gigabytes, hours a page) of a training: few batches, with validation and without, made larger."""
        recipe = self.recipe(args)
        probe = RunFolder(self.folder / "probes" / f"steps_{config_hash({'recipe': recipe})[:12]}")
        ran = [
            n for n in self.of_job("train") if self.is_done(n) and self.recipe(self.campaign.phases[n].args) == recipe
        ]
        run = RunFolder(self.folder / ran[0]) if ran else probe
        if not (run.path / "scores.json").exists():
            print(f"measuring a few steps of {' '.join(recipe)}", flush=True)
            few = ["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=3"]
            short = [*few, f"trainer.limit_train_batches={PROBE}"]
            where = [f"output_dir={probe.path.parent}", f"exp_name={probe.path.name}", "resume=auto"]
            command = [*self.campaign.command, "train", *recipe, *short, *where]
            self.execute("probes", command)
        rows, scored = read_epochs(run.metrics), read_json(run.path / "scores.json")
        page = scored.get("seconds", 0.0) / scored["images"] / 3600
        if ran:
            return sum(row.seconds for row in rows) / 3600, _size(run.path), page
        config = composed(*recipe)
        views = len(open_pages(config.datasets.train_dataset)) * config.transforms.train.views_per_page
        batches = max(1, views // config.dataloaders.train_dataloader.batch_size)
        step = rows[1].seconds / min(PROBE, batches)
        validation = max(0.0, rows[2].seconds - rows[1].seconds)
        epochs, t = config.trainer.max_epochs, config.trainer
        seconds = epochs * batches * step + -(-epochs // t.check_val_every_n_epoch) * validation
        return seconds / 3600, _size(probe.path), page


def _size(folder: Path) -> float:
    """Gigabytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def _scored(run: Path) -> Path:
    crossed = run / "cross_fitted"
    return crossed if (crossed / "scores.json").exists() else run
