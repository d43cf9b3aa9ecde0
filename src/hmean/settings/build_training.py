"""Builds the parts of a training from its settings: the network with its loss and optimizer, and the data."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from hmean.data.augment import Augment, TrainView
from hmean.data.cache import PageCache
from hmean.data.datamodule import PagesModule
from hmean.data.dataset import TrainDataset, TrainingView
from hmean.data.pages import LabelledImages
from hmean.data.paste import Paste
from hmean.data.photometric import Photometric
from hmean.data.sampler import Mixture
from hmean.data.views import samples_of_epoch
from hmean.errors import InputError
from hmean.images import Decoder, decode
from hmean.inference.torch_runner import eval_dataset
from hmean.network.build import build_detector, without_pretrained
from hmean.network.detector import Detector
from hmean.runs.carried import Carried
from hmean.runs.maps import FoundMaps
from hmean.settings.sections import Cache, Models, Transforms
from hmean.settings.start import network_differences
from hmean.settings.training import RecipeSettings
from hmean.training.fit import TrainerOptions
from hmean.training.module import DetectorModule
from hmean.training.optimization import Optimization
from hmean.training.pages import pages_seen
from hmean.training.start import Start, open_start

TEACHER_WEIGHT = 0.5  # share of a teacher in the shrink map, where the settings do not say


def build_module(
    settings: RecipeSettings,
    train_pages: LabelledImages,
    val_pages: LabelledImages,
) -> DetectorModule:
    """The network, its loss, optimizer and schedule.

    Args:
        settings: of the training.
        train_pages: pages to train on.
        val_pages: pages to validate on.

    Raises:
        InputError: if a component does not accept its arguments, weights cannot be loaded, or a model that this one
            learns from has seen validation pages.
    """
    components = settings.models.components()
    optimization = Optimization(components.optimizer, components.scheduler, settings.models.optimizer.lr)
    optimization.check()
    start = None
    if settings.models.pretrained is not None:
        start = open_start(settings.models.pretrained)
    detector = _build_network(settings.models, start)
    start_model = None
    if start is not None:
        start_model = start.model
    carried = Carried(
        epoch=0,
        config=settings.to_dict(),
        postprocess=settings.models.head.postprocess.params(),
        history=(),
        pages=pages_seen(train_pages, val_pages, start_model, _teacher_folder(settings)),
    )
    if settings.trainer.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    if settings.trainer.compile:
        detector.compile()
    return DetectorModule(
        detector,
        loss=components.loss.build(),
        optimization=optimization,
        postprocess=settings.models.head.postprocess.params(),
        view=settings.transforms.seen(),
        val_pages=val_pages,
        seed=settings.seed,
        channels_last=settings.trainer.channels_last,
        carried=carried,
    )


def _build_network(models: Models, start: Start | None) -> Detector:
    components = models.components()
    if start is None:
        return build_detector(components.encoder, components.decoder, components.head)
    detector = build_detector(without_pretrained(components.encoder), components.decoder, components.head)
    try:
        start.fill(detector)
    except InputError as error:
        raise _with_differences(error, models) from error
    return detector


def _with_differences(error: InputError, models: Models) -> InputError:
    """A fault of weights that do not fit, with the keys that the network and its start do not agree on."""
    source = str(models.pretrained)
    faults = []
    for difference in network_differences(models.model_dump(by_alias=True), source):
        faults.append(
            f"{difference.key}: is {difference.configured}, and {source} has {difference.of_start}; set it to that, or "
            "choose another start (from=)"
        )
    if not faults:
        return error
    return InputError.listing(f"{error}. The network of the config is not that of its start:", faults)


def _teacher_folder(settings: RecipeSettings) -> Path | None:
    teacher = settings.datasets.train_dataset.teacher
    if teacher is None:
        return None
    return Path(teacher)


def build_data(
    settings: RecipeSettings, train_pages: LabelledImages, val_pages: LabelledImages, fill: tuple[int, int, int]
) -> PagesModule:
    """The data sets and their loaders.

    Args:
        settings: of the training.
        train_pages: pages to train on.
        val_pages: pages to validate on.
        fill: the colour that pads a view: the encoder's.
    """
    decoder = _decoder(settings.dataloaders.cache)
    loaders = settings.dataloaders
    views = settings.transforms.train
    train = _train_dataset(settings, replace(train_pages, decode=decoder), fill)
    return PagesModule(
        train,
        eval_dataset(
            [val_pages.file(position) for position in range(len(val_pages))],
            settings.transforms.seen(),
            fill,
            decoder,
        ),
        samples=samples_of_epoch(len(train), views.views_per_page, views.min_samples),
        train_batch=loaders.train_dataloader.batch_size,
        val_batch=loaders.val_dataloader.batch_size,
        train_workers=loaders.train_dataloader.num_workers,
        val_workers=loaders.val_dataloader.num_workers,
    )


def first_views(settings: RecipeSettings, pages: LabelledImages, count: int) -> list[TrainingView]:
    """What a training with these settings is shown first: the samples of its first batches, in order.

    Raises:
        InputError: if a page cannot be read, or the settings name a part that cannot be built.
    """
    encoder = without_pretrained(settings.models.components().encoder).build()
    data = build_data(settings, pages, replace(pages, indices=[]), encoder.fill)
    return [data.train.sample(key) for key in islice(data.train_sampler(), count)]


def _decoder(cache: Cache) -> Decoder:
    if cache.folder is None:
        return decode
    return PageCache(Path(cache.folder), int(cache.size_gb * 1e9))


def _train_dataset(settings: RecipeSettings, pages: LabelledImages, fill: tuple[int, int, int]) -> TrainDataset:
    targets = settings.models.targets
    teacher = None
    folder = _teacher_folder(settings)
    if folder is not None and settings.transforms.train.paste > 0:
        raise InputError(
            "transforms.train.paste: a teacher's maps do not know pasted words; set it to 0, or remove the teacher"
        )
    if folder is not None:
        teacher = FoundMaps(folder, [pages.name(position) for position in range(len(pages))])
    teacher_weight = settings.datasets.train_dataset.teacher_weight
    if teacher_weight is None:
        teacher_weight = TEACHER_WEIGHT
    return TrainDataset(
        pages,
        build_train_view(settings.transforms),
        seed=settings.seed,
        shrink_ratio=targets.shrink_ratio,
        min_side=targets.min_side,
        fill=fill,
        antialias=targets.antialias,
        word_balance=targets.word_balance,
        teacher=teacher,
        teacher_weight=teacher_weight,
        mixture=_mixture(settings, pages),
    )


def _mixture(settings: RecipeSettings, pages: LabelledImages) -> Mixture | None:
    """How often each part of the training pages is seen; None where nothing is said of it."""
    also = settings.datasets.train_dataset.also or []
    shares = [None, *(part.share for part in also)]
    if shares == [None] * len(shares):
        return None
    return Mixture.of_shares(pages.parts, shares, settings.seed)


def build_train_view(transforms: Transforms) -> TrainView:
    """How training samples are cut from pages and changed."""
    train = transforms.train
    augment = train.augment.model_dump()
    low_scale, high_scale = augment.pop("scale")
    low, high = train.long_side
    return TrainView(
        long_side=(low, high),
        crop=train.crop,
        near_text=train.near_text,
        text_height=(train.text_height[0], train.text_height[1]),
        text_share=train.text_share,
        near_narrow=train.near_narrow,
        augment=Augment(scale=(low_scale, high_scale), **augment),
        photometric=Photometric(**train.photometric.model_dump()),
        paste=Paste(train.paste, train.paste_words),
    )


def trainer_options(settings: RecipeSettings) -> TrainerOptions:
    """How long the training runs, and on what."""
    return TrainerOptions(**settings.trainer.model_dump())
