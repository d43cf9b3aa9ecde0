"""Config values to parts: data sets, views, network, loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmean.data.augment import Augment, TrainView
from hmean.data.folds import HOLDOUT, fold_of, read_splits
from hmean.data.pages import LabelledImages
from hmean.data.photometric import Photometric
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.labels.label_set import LabelSet
from hmean.settings.config import Config, DatasetConfig, build
from hmean.settings.sections import Dataset, Folds, Tune
from hmean.tuning.choose import Floors
from hmean.tuning.fit import TuneOptions

if TYPE_CHECKING:
    from hmean.network.detector import Detector


def open_dataset(dataset: Dataset) -> LabelledImages:
    """The pages of one data set, cut to its folds.

    Raises:
        InputError: if the labels or folds cannot be read, or there are no pages.
    """
    labels = open_labels(Path(dataset.annotation_path), Path(dataset.image_path))
    indices = np.arange(len(labels.names))
    which = ""
    if dataset.folds is not None:
        fold_of_page = _fold_of_each_page(dataset, labels)
        indices = np.flatnonzero(_in_split(fold_of_page, dataset.folds))
        which = f" of {dataset.folds.split}"
    if len(indices) == 0:
        raise InputError(f"{dataset.annotation_path}: lists no images{which}")
    return LabelledImages(labels, Path(dataset.image_path), indices.tolist())


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
    )


def open_pages(config: DatasetConfig) -> LabelledImages:
    """The pages of one data set, cut to its part of the folds."""
    labels = open_labels(Path(config.annotation_path), Path(config.image_path))
    indices = np.arange(len(labels.names))
    split = config.split
    if split is not None:
        try:
            folds = (
                read_splits(Path(split.file), labels.names)
                if split.file is not None
                else fold_of(labels.names, labels.groups, split.k or 0, split.seed or 0)
            )
        except ValueError as error:
            raise InputError(f"{config.annotation_path}: {error}") from error
        own = folds == (HOLDOUT if split.part == "holdout" else split.fold)
        indices = np.flatnonzero((~own & (folds != HOLDOUT)) if split.part == "train" else own)
    if not len(indices):
        raise InputError(f"{config.annotation_path}: lists no images{'' if split is None else f' of {split.part}'}")
    return LabelledImages(labels, Path(config.image_path), indices.tolist())


def build_train_view(config: Config) -> TrainView:
    """How training samples are cut and changed."""
    train = config.transforms.train
    augment = train.augment.model_dump()
    low, high = train.long_side
    return TrainView(
        long_side=(low, high),
        crop=train.crop,
        near_text=train.near_text,
        augment=Augment(**{**augment, "scale": tuple(augment["scale"])}),
        photometric=Photometric(**train.photometric.model_dump()),
    )


def build_detector(config: Config, *, pretrained: bool = True) -> Detector:
    """The network; without ``pretrained`` no weights are looked for (a checkpoint's follow)."""
    from hmean.network.detector import Detector  # noqa: PLC0415

    models = config.models
    encoder_config = models.encoder
    if not pretrained:
        encoder_config = encoder_config.model_copy(update={"pretrained": False})
    encoder = build(encoder_config, "models.encoder")
    decoder = build(models.decoder, "models.decoder", in_channels=encoder.channels)
    head = build(models.head, "models.head", in_channels=decoder.channels)
    return Detector(encoder, decoder, head)
