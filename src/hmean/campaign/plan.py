"""The plan of a campaign: hours and disk space of each phase, measured on a few steps or on what has run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hmean.campaign import results
from hmean.campaign.file import CrossvalPhase, EnsemblePhase, Phase, RefitPhase, ScorePhase, SweepPhase, TrainPhase
from hmean.campaign.phases import PhaseCommand
from hmean.campaign.recipe import Recipe, replaced, without
from hmean.campaign.refit import size_over_training
from hmean.campaign.run import command_words, run_words
from hmean.campaign.state import SKIPPED, Campaign
from hmean.ensemble.voting import FIXED_VOTES
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import config_hash
from hmean.runs.metrics import read_epochs
from hmean.runs.scores import Scores

PROBES = "probes"  # the folder of the short trainings that are timed, and what their time is counted as
PROBE_BATCHES = 4  # of an epoch
# The second epoch of a probe is trained only, the third is validated too: their difference is one validation.
PROBE_EPOCHS = 3
VIEWS_OF_MEMBER = 4  # that an ensemble is judged with at most: its own, two other sizes, the average of weights
# Settings that do not change the time of a training.
NO_PRICE = (
    "models.optimizer",
    "models.scheduler",
    "models.loss",
    "models.head.postprocess",
    "tune",
    "crossval",
    "seed",
    "exp_name",
)


@dataclass(frozen=True)
class Work:
    """What a phase does.

    Attributes:
        trainings: how many.
        pages: that go through a network beside them.
        size: pages of these trainings over those of the recipe's.
    """

    trainings: int = 0
    pages: int = 0
    size: float = 1.0


@dataclass(frozen=True)
class Price:
    """What one training takes, and one page through the network."""

    hours: float = 0.0
    gigabytes: float = 0.0
    hours_a_page: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What a phase will take at most."""

    trainings: int
    hours: float
    gigabytes: float


def make_plan(campaign: Campaign, lock: int) -> str:
    """A table of the phases, with what each took or will take; a few steps of new recipes are trained for it."""
    spent = sum(campaign.seconds.values()) / 3600
    lines = [
        f"{campaign.folder}: budget {campaign.file.budget_hours:g} hours, {spent:.2f} spent",
        "phase\tkind\ttrainings\thours\tGB\tneeds",
    ]
    hours = 0.0
    gigabytes = 0.0
    remark = "searches of thresholds not counted"
    pages_are_there = _has_pages(campaign)
    if not pages_are_there:
        remark = f"unknown before phase {campaign.of_kind('data')[0]} has made its pages"
    for name, phase in campaign.file.phases.items():
        if name in campaign.done or phase.skip:
            lines.append(_past_line(campaign, name))
            continue
        estimate = Estimate(0, 0.0, 0.0)
        if pages_are_there:
            estimate = _estimate(campaign, phase, lock)
        hours += estimate.hours
        gigabytes += estimate.gigabytes
        lines.append(_future_line(name, phase, estimate))
    lines.append(f"left at most\t\t\t{hours:.2f}\t{gigabytes:.2f}\t{remark}")
    if spent + hours > campaign.file.budget_hours:
        lines.append("the budget will be spent before the end, unless gates leave phases out")
    return "\n".join(lines)


def _has_pages(campaign: Campaign) -> bool:
    labels = campaign.read_recipe(campaign.file.args).labels
    return all(path.exists() for path in labels) or not campaign.of_kind("data")


def _past_line(campaign: Campaign, name: str) -> str:
    outcome = SKIPPED
    if name in campaign.done:
        outcome = campaign.done[name].outcome
    hours = campaign.seconds.get(name, 0.0) / 3600
    return f"{name}\t{campaign.file.phases[name].kind}\t\t{hours:.2f}\t\t{outcome}"


def _future_line(name: str, phase: Phase, estimate: Estimate) -> str:
    needs = ", ".join(f"{gate}: {' or '.join(outcomes)}" for gate, outcomes in phase.when.items())
    trainings = str(estimate.trainings or "")
    return f"{name}\t{phase.kind}\t{trainings}\t{estimate.hours:.2f}\t{estimate.gigabytes:.2f}\t{needs}"


def _estimate(campaign: Campaign, phase: Phase, lock: int) -> Estimate:
    work = work_of(campaign, phase)
    price = Price()
    if work.trainings or work.pages:
        price = _price(campaign, [*campaign.file.args, *phase.args], lock)
    hours = work.trainings * work.size * price.hours + work.pages * price.hours_a_page
    return Estimate(work.trainings, hours, work.trainings * price.gigabytes)


def work_of(campaign: Campaign, phase: Phase) -> Work:
    """The work of a phase."""
    recipe = campaign.read_recipe([*campaign.file.args, *phase.args])
    if isinstance(phase, ScorePhase):
        models = sum(_models_of(campaign, of) for of in phase.of)
        return Work(pages=recipe.count_pages(phase.split) * models)
    if isinstance(phase, EnsemblePhase):
        folds = _dealt(campaign, phase)
        held_out = folds.holdout * recipe.count_pages("train")
        return Work(pages=round(folds.folds * VIEWS_OF_MEMBER * held_out))
    if isinstance(phase, CrossvalPhase):
        trainings = recipe.folds
        if recipe.base:
            trainings *= 2  # it takes as long as the folds together
        return Work(trainings, recipe.count_pages("train"))
    if isinstance(phase, RefitPhase):
        return Work(1, size=size_over_training(recipe, phase))
    trainings = 0
    if isinstance(phase, TrainPhase):
        trainings = max(1, len(phase.seeds))
    elif isinstance(phase, SweepPhase):
        trainings = phase.n + min(phase.confirm, phase.n)
    if trainings == 0:
        return Work()
    return Work(trainings, trainings * recipe.count_pages("val"))


def _models_of(campaign: Campaign, name: str) -> int:
    """Networks that a page goes through to be scored: of an ensemble, all folds, and again for the fixed vote."""
    phase = campaign.file.phases[name]
    if isinstance(phase, EnsemblePhase):
        folds = _dealt(campaign, phase).folds
        if folds >= FIXED_VOTES:
            return 2 * folds
        return folds
    return 1


def _dealt(campaign: Campaign, phase: EnsemblePhase) -> Recipe:
    """How the pages of an ensemble's folds were dealt."""
    return campaign.read_recipe([*campaign.file.args, *campaign.file.phases[phase.of[0]].args])


def _price(campaign: Campaign, args: list[str], lock: int) -> Price:
    """From a training of the same recipe that is done, else from a few batches, scaled up."""
    recipe = campaign.read_recipe(args)
    done = _trained_alike(campaign, recipe)
    if done is not None:
        seconds = sum(row.seconds for row in read_epochs(done.metrics))
        return Price(seconds / 3600, _gigabytes(done.path), _hours_a_page(done))
    probe = RunFolder(campaign.folder / PROBES / f"steps_{config_hash(_priced(recipe))[:12]}")
    if not probe.scores.exists():
        print(f"measuring a few steps of {' '.join(args)}", flush=True)
        _run_probe(campaign, recipe, probe, lock)
    return Price(_hours(recipe, probe), _gigabytes(probe.path), _hours_a_page(probe))


def _priced(recipe: Recipe) -> dict[str, object]:
    return without(recipe.values, NO_PRICE)


def _trained_alike(campaign: Campaign, recipe: Recipe) -> RunFolder | None:
    """The run of a train phase that is done and takes as long."""
    for name in campaign.of_kind("train"):
        if not campaign.is_done(name):
            continue
        other = campaign.read_recipe([*campaign.file.args, *campaign.file.phases[name].args])
        if _priced(other) == _priced(recipe):
            return RunFolder(results.run_folder(campaign, name))
    return None


def _run_probe(campaign: Campaign, recipe: Recipe, probe: RunFolder, lock: int) -> None:
    changes = {
        "trainer.max_epochs": PROBE_EPOCHS,
        "trainer.check_val_every_n_epoch": PROBE_EPOCHS,
        "trainer.limit_train_batches": PROBE_BATCHES,
        "output_dir": str(probe.path.parent),
        "exp_name": probe.path.name,
        "resume": "auto",
    }
    command = PhaseCommand("train", settings=replaced(recipe.values, changes))
    run_words(campaign, PROBES, command_words(campaign, probe.path.name, command), lock)


def _hours(recipe: Recipe, probe: RunFolder) -> float:
    """Of a whole training, from its probe."""
    rows = read_epochs(probe.metrics)
    samples = recipe.samples_of_epoch(recipe.count_pages("train"))
    batches = max(1, samples // recipe.batch_size)
    step = rows[1].seconds / min(PROBE_BATCHES, batches)
    validation = max(0.0, rows[2].seconds - rows[1].seconds)
    validations = math.ceil(recipe.epochs / recipe.epochs_between_validations)
    seconds = recipe.epochs * batches * step + validations * validation
    return seconds / 3600


def _hours_a_page(run: RunFolder) -> float:
    scores = Scores.read(run.scores)
    return (scores.seconds or 0.0) / scores.images / 3600


def _gigabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
