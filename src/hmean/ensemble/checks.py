"""What members must be before their ensembles are judged: different models, to which the held-out pages are new."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmean.data.folds import group_keys
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.trained import TrainedModel
from hmean.runs.carried import Influence
from hmean.runs.folder import differences
from hmean.runs.sides import NO_DIFFERENCE
from hmean.tuning.crossfit import find_copies

# Values in which two trainings on the same pages may differ and still be the same training.
SAME_TRAINING = (*NO_DIFFERENCE, "datasets", "dataset_base_path", "dataloaders")


def check_members(models: Sequence[TrainedModel], pages: LabelledImages, keys: NDArray[np.int64]) -> None:
    """Refuse members that are one model, and pages on which they cannot be judged.

    Args:
        models: the members, and students.
        pages: the held-out pages.
        keys: of these (``LabelledImages.page_keys``).

    Raises:
        InputError: listing every fault.
    """
    faults = []
    copies = find_copies([pages.name(position) for position in range(len(pages))], keys)
    if copies is not None:
        faults.append(f"{pages.labels.source}: {copies[0]} and {copies[1]} are the same page")
    for a, b in itertools.combinations(models, 2):
        fault = _same_model(a, b)
        if fault is not None:
            faults.append(fault)
    for model in models:
        influence = model.influenced_by(keys)
        if influence.any():
            faults.append(f"{model.path}: of the {len(keys)} pages, {_uses(influence)}")
    if _count_groups(pages) < 2:
        faults.append("all pages are of one group, so that no choice can be checked on pages of another")
    if faults:
        raise InputError.listing(
            "These members cannot be judged on these pages. Members must differ, and the pages must be new to all of "
            "them. Keep pages out of all folds with hmean data split --holdout, and judge on "
            "datasets.val_dataset.folds={file: splits.json, split: holdout}:",
            faults,
        )


def split_off_bases(models: Sequence[TrainedModel]) -> tuple[list[TrainedModel], list[TrainedModel]]:
    """The members among the models, and those of all pages: one model that the ensemble of the members has to beat.

    A model of all pages was trained on every page that a member was trained on, on none that no member has seen, and on
    more than any member. Seeds of one training are all members.
    """
    trained = [set(model.pages.train.tolist()) for model in models]
    largest = max(trained, key=len, default=set())
    members = []
    bases = []
    by_members: set[int] = set()
    seen_by_members: set[int] = set()
    for model, pages in zip(models, trained, strict=True):
        if pages == largest:
            bases.append(model)
        else:
            members.append(model)
            by_members |= pages
            seen_by_members |= set(model.pages.all().tolist())
    if members and by_members <= largest <= seen_by_members:
        return members, bases
    return list(models), []


def trained_on(model: TrainedModel) -> str:
    """Hash of the pages that a model was trained on, whatever their order."""
    return hashlib.sha256(np.unique(model.pages.train).tobytes()).hexdigest()


def _same_model(a: TrainedModel, b: TrainedModel) -> str | None:
    if a.weights_hash() == b.weights_hash():
        return f"{b.path} is the same model as {a.path} (equal weights)"
    if trained_on(a) == trained_on(b) and not differences(a.training, b.training, SAME_TRAINING):
        return f"{b.path} is the training of {a.path} again: the same pages, values and seed"
    return None


def _uses(influence: Influence) -> str:
    """How many pages had which part in the making of a model."""
    uses = []
    if influence.trained:
        uses.append(f"{influence.trained} were trained on")
    if influence.epoch_chosen:
        uses.append(f"{influence.epoch_chosen} chose its epoch")
    if influence.tuned:
        uses.append(f"{influence.tuned} chose its post-processing")
    return ", ".join(uses)


def _count_groups(pages: LabelledImages) -> int:
    names = []
    groups = []
    for position in range(len(pages)):
        names.append(pages.name(position))
        groups.append(pages.page(position, []).group)
    return len(set(group_keys(names, groups)))
