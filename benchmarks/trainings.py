"""Trainings that a page of results compares: run, and scored on held-out pages of SROIE."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import harness
import numpy as np
import sroie

from hmean.inference.maps import make_run_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import TrainedModel
from hmean.settings.build import open_dataset, open_validation
from hmean.settings.build_training import build_module
from hmean.settings.compose import read_settings
from hmean.settings.sections import Folds
from hmean.settings.training import TrainSettings
from hmean.training.start import keep_start, open_start
from hmean.types import View

LABELS = "datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json"


def run_hmean(words: Sequence[str]) -> None:
    """Run a command of hmean, and stop where it fails."""
    print(shlex.join(["hmean", *words]), flush=True)
    subprocess.run([sys.executable, "-m", "hmean", *words], check=True)


def write_start(path: Path, words: Sequence[str]) -> None:
    """Write what a training would start from as a checkpoint, before any training.

    Args:
        path: of the checkpoint; one that is there stays.
        words: of the training's command, behind ``train``.
    """
    if path.exists():
        return
    settings = read_settings(TrainSettings, words)
    pages = open_dataset(settings.datasets.train_dataset)
    module = build_module(settings, pages, open_validation(None, pages))
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_start(path, open_start(str(settings.models.pretrained)), module)


def open_unseen(checkpoint: Path, data: Path, judges: Folds, *, epoch_chosen: bool = True) -> TrainedModel:
    """A model that is to be judged.

    Args:
        checkpoint: its file.
        data: the data set.
        judges: the pages that judge.
        epoch_chosen: whether its validation pages chose its epoch.

    Raises:
        ValueError: if pages that judge had a part in its making.
    """
    model = open_model(checkpoint)
    seen = model.pages.train
    if epoch_chosen:
        seen = model.pages.all()
    if np.isin(sroie.open_pages(data, judges).page_keys(), seen).any():
        raise ValueError(f"{checkpoint}: was trained on pages that judge")
    return model


def mapped(model: TrainedModel, data: Path, judges: Folds, view: View | None = None) -> sroie.MappedPages:
    """The judging pages with a model's maps, which are kept in the folder of its run."""
    pages = sroie.open_pages(data, judges)
    store = make_run_maps(model, pages, view=view)
    return sroie.MappedPages(sroie.labels_of(pages), lambda page: store.read(page.name), model.postprocess)


def in_one_line(title: str, runs: Sequence[harness.ComparedRun]) -> harness.ComparedRun:
    """Trainings of one kind, with the command of one of them."""
    if len(runs) == 1:
        return runs[0].model_copy(update={"name": f"{title}, {runs[0].name}"})
    commits: dict[str, None] = {}
    for one in runs:
        commits.update(dict.fromkeys(one.commits))
    return harness.ComparedRun(
        name=f"{title}, {len(runs)} trainings such as {runs[0].name}",
        command=runs[0].command,
        commits=tuple(commits),
        dirty=any(one.dirty for one in runs),
        seed=None,
        epochs=sum(one.epochs for one in runs),
        minutes=round(sum(one.minutes for one in runs), 1),
    )
