"""The pages of a training: checks before it starts, and a record of what the model has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean.data.check import label_faults
from hmean.data.pages import LabelledImages, shared_images
from hmean.errors import InputError
from hmean.inference.checkpoints import load_checkpoint, pages_behind
from hmean.inference.trained import TrainedModel
from hmean.runs.carried import PagesSeen
from hmean.runs.folder import RunFolder

PageKeys = NDArray[np.int64]


def require_trainable(train_pages: LabelledImages, val_pages: LabelledImages) -> None:
    """Check labels and images before any long work.

    Raises:
        InputError: listing every fault, and images that are in both splits.
    """
    faults = []
    shared = shared_images(train_pages, val_pages)
    if shared:
        faults.append(
            f"{len(shared)} images are in both training and validation, first {shared[0]}; "
            "remove them from one, or the score would be too high"
        )
    faults += label_faults(train_pages)
    faults += label_faults(val_pages)
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)


def pages_seen(
    train_pages: LabelledImages, val_pages: LabelledImages, start: TrainedModel | None, teacher: Path | None
) -> PagesSeen:
    """The pages that the trained model will have seen.

    Args:
        train_pages: pages to train on.
        val_pages: pages to validate on.
        start: the trained model whose weights the training starts from: what it has seen counts as trained on.
        teacher: folder of a teacher's maps: what the teacher has seen counts as trained on.

    Raises:
        InputError: if ``start`` has seen validation pages, or the folder does not say what the teacher has seen.
    """
    val_keys = val_pages.page_keys()
    train_keys = [train_pages.page_keys()]
    if start is not None:
        _require_unseen(start, val_keys)
        train_keys.append(start.pages.all())
    if teacher is not None:
        train_keys.append(pages_behind(teacher))
    return PagesSeen(train=np.concatenate(train_keys), val=val_keys)


def _require_unseen(start: TrainedModel, val_keys: PageKeys) -> None:
    seen = start.influenced_by(val_keys)
    if seen.any():
        raise InputError(
            f"{start.path}: of the {len(val_keys)} validation pages, {seen.trained} were used to train it, "
            f"{seen.epoch_chosen} to choose its epoch and {seen.tuned} to tune its thresholds; "
            "validate on other pages, or the score would be too high"
        )


def require_same_pages(folder: RunFolder, seen: PagesSeen) -> None:
    """Check that a run is resumed with the pages that it was started with.

    Raises:
        InputError: if pages, labels or images have changed.
    """
    before = load_checkpoint(folder.last).pages
    changed = []
    if not np.array_equal(seen.train, before.train):
        changed.append("train")
    if not np.array_equal(seen.val, before.val):
        changed.append("val")
    if changed:
        raise InputError(
            f"{folder.path}: was started with other {' and '.join(changed)} pages; choose another exp_name"
        )
