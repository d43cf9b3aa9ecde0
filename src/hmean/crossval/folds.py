"""The folds of a cross-validation: which are trained, how they were trained, and whether they are what they claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.trained import TrainedModel
from hmean.runs.folder import RunFolder, differences
from hmean.runs.maps import MapStore
from hmean.runs.metrics import read_epochs

# Values that do not decide what a fold learns and which epoch is kept. The pages themselves are compared by content.
NOT_IN_THE_RECIPE = (
    "exp_name",
    "output_dir",
    "dataset_base_path",
    "datasets.train_dataset.annotation_path",
    "datasets.train_dataset.image_path",
    "datasets.train_dataset.folds",
    "datasets.val_dataset",
    "datasets.test_dataset",
    "dataloaders.cache",
    "dataloaders.train_dataloader.num_workers",
    "dataloaders.val_dataloader",
    "trainer.accelerator",
    "trainer.compile",
    "models.head.postprocess",
)


@dataclass(frozen=True, eq=False)
class TrainedFold:
    """A fold's run and its model, the pages that this has not seen, and their maps."""

    run: RunFolder
    model: TrainedModel
    pages: LabelledImages
    maps: MapStore


def is_trained(run: RunFolder, epochs: int, *, validated: bool = True) -> bool:
    """Whether a run was trained for so many epochs and, if it has validation pages, scored."""
    file = run.best
    if validated:
        file = run.scores
    rows = read_epochs(run.metrics)
    return file.exists() and len(rows) > 0 and rows[-1].epoch + 1 >= epochs


def recipe_differences(run: RunFolder, trained_with: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """The values in which a run was trained differently, one sentence each.

    Args:
        run: of a fold, or of the base.
        trained_with: its settings, plain values.
        recipe: those that it should have.
    """
    return [f"{run.path}: {difference}" for difference in differences(trained_with, recipe, NOT_IN_THE_RECIPE)]


def check_folds(folds: Sequence[TrainedFold]) -> None:
    """Refuse folds that are one model, or saw the same pages, other labels, or pages that they are scored on.

    Raises:
        InputError: listing every fault.
    """
    faults: list[str] = []
    keys_of = [fold.pages.page_keys() for fold in folds]
    weights: dict[str, Path] = {}
    training_pages: dict[bytes, Path] = {}
    for i, fold in enumerate(folds):
        path = fold.run.path
        keys = keys_of[i]
        trained = np.sort(fold.model.pages.train)
        first = weights.setdefault(fold.model.weights_hash(), path)
        if first != path:
            faults.append(f"{path}: has the weights of {first}")
        first = training_pages.setdefault(trained.tobytes(), path)
        if first != path:
            faults.append(f"{path}: has the training pages of {first}")
        leaked = int(np.isin(keys, trained).sum())
        if leaked > 0:
            faults.append(f"{path}: was trained on {leaked} of the {len(keys)} pages that it is scored on")
        others = np.sort(np.concatenate(keys_of[:i] + keys_of[i + 1 :]))
        if not np.array_equal(trained, others):
            faults.append(f"{path}: was trained on other pages, or other labels, than those of the other folds now")
        if not np.array_equal(np.sort(keys), np.sort(fold.model.pages.val)):
            faults.append(f"{path}: was validated on other pages, or other labels, than splits.json gives it now")
    if faults:
        raise InputError.listing("These runs cannot be folds of one cross-validation:", faults)


def check_base(base: TrainedModel, folds: Sequence[TrainedFold]) -> None:
    """Refuse a base that was not trained on the pages of all folds, or on others.

    Raises:
        InputError: if it was not.
    """
    keys = np.concatenate([fold.pages.page_keys() for fold in folds])
    are_same = np.array_equal(np.unique(base.pages.train), np.unique(keys))
    if not are_same or len(base.pages.val) > 0:
        raise InputError(f"{base.path}: was trained on other pages, or other labels, than those of all folds now")


def take_postprocess(base: TrainedModel, fold: TrainedModel) -> None:
    """Give the base the post-processing of a fold, if that was changed after its training, with the reason."""
    if fold.history and base.postprocess != fold.postprocess:
        change = fold.history[-1]
        base.write_postprocess(fold.postprocess, change.why, change.pages)
