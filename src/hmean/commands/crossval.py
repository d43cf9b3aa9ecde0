"""``hmean crossval``: one recipe trained without each fold of the pages; out-of-fold predictions and scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml
from numpy.typing import NDArray

from hmean.crossval.base import BASE, base_batches, base_epochs, base_schedule
from hmean.crossval.folds import (
    TrainedFold,
    check_base,
    check_folds,
    is_trained,
    recipe_differences,
    take_postprocess,
)
from hmean.crossval.out_of_fold import join_folds
from hmean.crossval.record import CrossvalRecord
from hmean.data.check import require_sound
from hmean.data.folds import HOLDOUT, read_splits, write_splits
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.execute.processes import HMEAN, run_command
from hmean.files import write_text
from hmean.inference.maps import make_run_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import Execution
from hmean.locks import locked
from hmean.plugins import check_components
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import Manifest
from hmean.settings.build import open_dataset, tune_options
from hmean.settings.compose import read_saved, select
from hmean.settings.sections import Crossval, Dataset, Folds, Tracker, Tune
from hmean.settings.training import RecipeSettings, TrainSettings


class CrossvalSettings(RecipeSettings):
    """Settings of ``hmean crossval``: the recipe of every fold, and how the pages are dealt."""

    shorthands: ClassVar[dict[str, str]] = {
        "k": "crossval.k",
        "holdout": "crossval.holdout",
        "agents": "crossval.agents",
    }

    wandb: bool
    logger: Tracker | None = None
    score_start: bool = True
    tune: Tune
    crossval: Crossval


def run(settings: CrossvalSettings) -> CrossvalRecord:
    """Train the folds that are not trained yet, then score and tune on the pages that each has not seen.

    With ``crossval.base``, one model is trained on the pages of all folds, too; it gets the folds' post-processing.

    Returns:
        The content of ``crossval.json``.

    Raises:
        InputError: if data or settings are wrong, a fold failed, or folds are one model or saw pages of their own.
    """
    components = settings.models.components().all()
    check_components(components)
    source = settings.datasets.train_dataset
    if source.folds is not None:
        raise InputError("datasets.train_dataset.folds: crossval deals the pages itself; remove it")
    if source.also:
        raise InputError("datasets.train_dataset.also: crossval deals the pages of one label file; remove it")
    pages = open_dataset(source)
    require_sound(pages)
    folder = Path(settings.output_dir) / settings.run_name()
    with locked(folder) as lock:
        fold_of_page = _deal(settings, pages, folder / "splits.json")
        in_folds = replace(pages, indices=np.flatnonzero(fold_of_page != HOLDOUT).tolist())
        data_hash = {"train": in_folds.fingerprint()}
        Manifest.collect(settings.to_dict(), data_hash, settings.seed).write(folder / "manifest.json")
        recipes = [fold_settings(settings, folder, number) for number in range(settings.crossval.k)]
        trainings = list(recipes)
        if settings.crossval.base:
            trainings.append(base_settings(settings, folder))
        _train(trainings, folder, settings.crossval.agents, lock)
        packages = [component.target.split(".")[0] for component in components]
        folds = [_open(recipe, packages) for recipe in recipes]
        check_folds(folds)
        record = join_folds(folder, folds, in_folds, tune_options(settings.tune))
        if settings.crossval.base:
            base = open_model(RunFolder(folder / BASE).best, packages)
            check_base(base, folds)
            take_postprocess(base, folds[0].model)
        return record


def _deal(settings: CrossvalSettings, pages: LabelledImages, splits: Path) -> NDArray[np.int64]:
    """The fold of each page, as ``splits.json`` says; it is written once and kept."""
    k = settings.crossval.k
    if not splits.exists():
        write_splits(splits, pages.labels, k=k, holdout=settings.crossval.holdout, seed=settings.crossval.seed)
    fold_of_page = read_splits(splits, pages.labels.names)
    if set(fold_of_page.tolist()) - {HOLDOUT} != set(range(k)):
        raise InputError(f"{splits}: was dealt with another k than {k}; choose another exp_name, or that k")
    return fold_of_page


def fold_settings(settings: CrossvalSettings, folder: Path, number: int) -> TrainSettings:
    """The training of one fold: the same labels, cut in two."""
    source = settings.datasets.train_dataset
    splits = str(folder / "splits.json")
    train = source.model_copy(update={"folds": Folds(file=splits, fold=number, split="train")})
    val = Dataset(
        image_path=source.image_path,
        annotation_path=source.annotation_path,
        folds=Folds(file=splits, fold=number, split="val"),
    )
    datasets = settings.datasets.model_copy(update={"train_dataset": train, "val_dataset": val})
    return select(
        settings,
        TrainSettings,
        output_dir=str(folder),
        exp_name=f"fold_{number}",
        datasets=datasets.model_dump(),
        resume="auto",
        overwrite=False,
    )


def base_settings(settings: CrossvalSettings, folder: Path) -> TrainSettings:
    """The training of one model on the pages of all folds, for as long as the folds together; nothing validates it."""
    k = settings.crossval.k
    splits = str(folder / "splits.json")
    source = settings.datasets.train_dataset
    train = source.model_copy(update={"folds": Folds(file=splits, split="all")})
    datasets = settings.datasets.model_copy(update={"train_dataset": train, "val_dataset": None})
    trainer = settings.trainer.model_copy(
        update={
            "max_epochs": base_epochs(k, settings.trainer.max_epochs),
            "limit_train_batches": base_batches(k, settings.trainer.limit_train_batches),
        }
    )
    models = settings.to_dict()["models"]
    models["scheduler"] = base_schedule(k, models["scheduler"])
    return select(
        settings,
        TrainSettings,
        output_dir=str(folder),
        exp_name=BASE,
        datasets=datasets.model_dump(),
        models=models,
        trainer=trainer.model_dump(),
        resume="auto",
        overwrite=False,
    )


def _train(recipes: Sequence[TrainSettings], folder: Path, agents: int, lock: int) -> None:
    """Run the trainings that are not finished, as processes of their own; one that fails does not end the others."""
    commands = {}
    differing = []
    for recipe in recipes:
        fold = _run_of(recipe)
        if is_trained(fold, recipe.trainer.max_epochs, validated=recipe.datasets.val_dataset is not None):
            trained_with = read_saved(fold.config, RecipeSettings)
            differing += recipe_differences(fold, trained_with, select(recipe, RecipeSettings).to_dict())
        else:
            commands[fold.path.name] = _train_command(recipe, folder)
    if differing:
        raise InputError.listing("These models were trained with other values; choose another exp_name:", differing)
    print(f"{folder}: {len(recipes)} models, {len(recipes) - len(commands)} of them trained already", flush=True)
    if not commands:
        return
    if agents == 1:
        failed = _run_in_turn(commands, folder, lock)
    else:
        failed = _run_side_by_side(commands, folder, agents)
    if failed:
        raise InputError.listing("Some models are not trained; the same command continues with them:", failed)


def _train_command(recipe: TrainSettings, folder: Path) -> list[str]:
    file = folder / f"{recipe.run_name()}.yaml"
    write_text(file, yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True))
    return [*HMEAN, "train", f"config={file}"]


def _run_in_turn(commands: Mapping[str, Sequence[str]], folder: Path, lock: int) -> list[str]:
    """Run one command after the other; returns a sentence for each that failed."""
    failed = []
    for name, command in commands.items():
        code = run_command(command, lock)
        if code == 130:
            raise KeyboardInterrupt(f"stopped; the same command continues in {folder}")
        if code != 0:
            failed.append(f"{folder / name}: exit code {code}")
    return failed


def _run_side_by_side(commands: Mapping[str, Sequence[str]], folder: Path, agents: int) -> list[str]:
    """Run several commands at a time; returns a sentence for each that failed."""
    from hmean.execute.commands import run_commands  # noqa: PLC0415 - the queue's database only where it is needed
    from hmean.execute.queue import TaskState  # noqa: PLC0415

    (folder / "commands.db").unlink(missing_ok=True)  # the folders themselves say what is finished
    tasks = run_commands(commands, folder, agents=agents)
    failed = []
    for name, task in tasks.items():
        if task.state != TaskState.DONE:
            failed.append(f"{folder / name}: {task.result.reason}")
    return failed


def _run_of(recipe: TrainSettings) -> RunFolder:
    return RunFolder(Path(recipe.output_dir) / recipe.run_name())


def _open(recipe: TrainSettings, packages: Sequence[str]) -> TrainedFold:
    """A trained fold; its checkpoint may name code of the packages that the recipe names."""
    fold = _run_of(recipe)
    model = open_model(fold.best, packages)
    pages = open_dataset(recipe.datasets.of_split("val"))
    loader = recipe.dataloaders.val_dataloader
    execution = Execution(recipe.trainer.accelerator, loader.batch_size, loader.num_workers)
    return TrainedFold(fold, model, pages, make_run_maps(model, pages, execution=execution))
