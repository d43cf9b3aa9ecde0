"""Config values to parts: data sets, views, network, loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean.data.check_report import Fault
from hmean.data.folds import HOLDOUT, fold_of, read_splits
from hmean.data.pages import LabelledImages, join_pages
from hmean.data.survey import NamedPages
from hmean.errors import InputError
from hmean.labels.formats import open_label_sets
from hmean.labels.label_set import LabelSet
from hmean.settings.sections import Dataset, Folds, TrainDataset, Tune
from hmean.settings.training import RecipeSettings
from hmean.tuning.choose import Floors
from hmean.tuning.fit import TuneOptions


def open_dataset(dataset: Dataset) -> LabelledImages:
    """The pages of one data set, cut to its folds; of a training, with those that are trained on too.

    Raises:
        InputError: if the labels or folds cannot be read, or there are no pages.
    """
    if isinstance(dataset, TrainDataset) and dataset.also:
        own = dataset.model_copy(update={"also": None})
        return join_pages([open_dataset(part) for part in (own, *dataset.also)])
    labels = open_label_sets(dataset.label_paths, Path(dataset.image_path))
    indices = np.arange(len(labels.names))
    which = ""
    if dataset.folds is not None:
        fold_of_page = _fold_of_each_page(dataset, labels)
        indices = np.flatnonzero(_in_split(fold_of_page, dataset.folds))
        which = f" of {dataset.folds.split}"
    if len(indices) == 0:
        raise InputError(f"{dataset.annotation_path}: lists no images{which}")
    return LabelledImages(labels, Path(dataset.image_path), indices.tolist())


def open_validation(dataset: Dataset | None, train_pages: LabelledImages) -> LabelledImages:
    """The validation pages of a training; none of its pages where ``dataset`` is None.

    Raises:
        InputError: as ``open_dataset``.
    """
    if dataset is None:
        return replace(train_pages, indices=[])
    return open_dataset(dataset)


@dataclass(frozen=True, eq=False)
class OpenedSplits:
    """The splits of a data set.

    Attributes:
        splits: those whose labels could be opened.
        unreadable: a fault for each of the others.
    """

    splits: list[NamedPages]
    unreadable: list[Fault]


def open_splits(settings: RecipeSettings) -> OpenedSplits:
    """The pages of train, val and test. A data set may do without some of them, but not without those that were typed.

    Raises:
        InputError: if there is none.
    """
    datasets = settings.datasets
    splits: list[NamedPages] = []
    unreadable: list[Fault] = []
    missing: list[str] = []
    for name, dataset in (
        ("train", datasets.train_dataset),
        ("val", datasets.val_dataset),
        ("test", datasets.test_dataset),
    ):
        if dataset is None:
            continue
        paths = dataset.annotation_path
        if isinstance(paths, str) and not Path(paths).exists() and not settings.given(f"datasets.{name}_dataset"):
            missing.append(paths)
            continue
        try:
            splits.append(NamedPages(name, open_dataset(dataset)))
        except InputError as error:
            unreadable.append(Fault(split=name, page=None, fault=str(error)))
    if not splits and not unreadable:
        raise InputError(
            f"{settings.dataset_base_path}: no data set is there; not found: {', '.join(missing)} "
            "(docs/reference/data.md). Labels that lie elsewhere: name the labels and the folder of their images"
        )
    return OpenedSplits(splits, unreadable)


def _fold_of_each_page(dataset: Dataset, labels: LabelSet) -> NDArray[np.int64]:
    folds = dataset.folds
    assert folds is not None  # noqa: S101 - for the type checker: the caller has looked
    try:
        if folds.file is not None:
            return read_splits(Path(folds.file), labels.names)
        return fold_of(labels.names, labels.groups, folds.k or 0, folds.seed or 0)
    except ValueError as error:
        raise InputError(f"{dataset.annotation_path}: {error}") from error


def _in_split(fold_of_page: NDArray[np.int64], folds: Folds) -> NDArray[np.bool_]:
    held_out = np.equal(fold_of_page, HOLDOUT)
    if folds.split == "holdout":
        return held_out
    if folds.split == "all":
        return np.logical_not(held_out)
    in_fold = np.equal(fold_of_page, folds.fold)
    if folds.split == "val":
        return in_fold
    return np.logical_not(in_fold | held_out)


def tune_options(section: Tune) -> TuneOptions:
    """What a tuning tries, maximises and respects."""
    return TuneOptions(
        lists=section.axes(),
        objective=section.weights(),
        floors=Floors(section.precision, section.recall),
        folds=section.folds,
        adopt=section.adopt,
    )
