"""Config values to parts: data sets, views, network, loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hmean.data.folds import HOLDOUT, fold_of, read_splits
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.settings.config import Config, DatasetConfig, build

if TYPE_CHECKING:
    from hmean.data.dataset import TrainView
    from hmean.network.detector import Detector


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
    from hmean.data.dataset import TrainView  # noqa: PLC0415 - torch is there only where something is trained
    from hmean.data.photometric import Photometric  # noqa: PLC0415
    from hmean.data.transforms import Augment  # noqa: PLC0415

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
