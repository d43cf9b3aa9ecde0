"""``hmean train``: labelled pages in, a run folder with a scored detector out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only

from hmean import plugins
from hmean.data.cache import PageCache
from hmean.data.datamodule import PagesModule
from hmean.data.dataset import EvalDataset, TrainDataset
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.images import decode
from hmean.inference.checkpoints import load_checkpoint, load_weights
from hmean.inference.evaluation import evaluate
from hmean.inference.trained import Execution
from hmean.reports.run import write_run_report
from hmean.runs.carried import Carried
from hmean.runs.folder import RunFolder, open_run
from hmean.runs.manifest import Manifest
from hmean.runs.maps import FoundMaps
from hmean.settings.build import build_detector, build_train_view, open_pages
from hmean.settings.config import Component, Config, build, check_components
from hmean.training.callbacks import build_callbacks
from hmean.training.fit import TrainerOptions, build_trainer, fit, machine
from hmean.training.module import DetectorModule
from hmean.training.optimization import Optimization
from hmean.training.pages import pages_seen, require_same_pages, require_trainable
from hmean.training.trackers import open_tracker, require_tracker


def run(config: Config) -> RunFolder:
    """Train, keep the best and the last epoch, score the best on the validation pages, write the report.

    Returns:
        The run folder.

    Raises:
        InputError: if config or data are wrong (all faults at once, before anything is trained), or the loss diverged.
    """
    check_components(config)
    if config.exp_name is None:
        raise InputError("exp_name: give the run a name, such as exp_name=first_try")
    if config.wandb:
        require_tracker("wandb")
    train_pages = open_pages(config.datasets.train_dataset)
    val_pages = open_pages(config.datasets.val_dataset)
    require_trainable(train_pages, val_pages)
    module = build_module(config, train_pages, val_pages)
    data = build_data(config, module, train_pages, val_pages)

    folder = RunFolder(Path(config.output_dir) / config.exp_name)
    resume = config.resume == "auto"
    if resume and folder.last.exists():
        require_same_pages(folder, module.carried.pages)
    if getattr(rank_zero_only, "rank", 0) == 0:  # the other processes of DDP find the folder made
        open_run(folder.path, config.to_dict(), resume=resume, overwrite=config.overwrite)
    tracker = None
    if config.wandb:
        tracker = open_tracker("wandb", folder, config.to_dict())
    callbacks = build_callbacks(folder, config.trainer.ema_decay)
    trainer = build_trainer(trainer_options(config), folder, callbacks, tracker)
    if trainer.is_global_zero:
        data_hash = {"train": train_pages.fingerprint(), "val": val_pages.fingerprint()}
        manifest = Manifest.collect(config.to_dict(), data_hash, config.seed, device=machine(trainer))
        manifest.write(folder.manifest)
        print(f"training {folder.path} on {machine(trainer)}, {len(train_pages)} pages, validating on {len(val_pages)}")
    fit(trainer, module, data, folder)
    if trainer.is_global_zero:
        loader = config.dataloaders.val_dataloader
        execution = Execution(config.trainer.accelerator, loader.batch_size, loader.num_workers)
        evaluate(load_checkpoint(folder.best), val_pages, folder.path, split="val", execution=execution)
        print(write_run_report([folder.path]))
    return folder


def build_module(config: Config, train_pages: LabelledImages, val_pages: LabelledImages) -> DetectorModule:
    """Network, loss, optimizer and schedule of a config; nothing is read but weights.

    What the checkpoint that it starts from, or its teacher, had seen counts as trained on.
    """
    pl.seed_everything(config.seed, verbose=False)
    start = None
    if config.checkpoint_path:
        start = load_checkpoint(Path(config.checkpoint_path))
    teacher = None
    if config.datasets.train_dataset.teacher:
        teacher = Path(config.datasets.train_dataset.teacher)
    detector = build_detector(config, pretrained=start is None)
    if start is not None:
        load_weights(detector, start)
    seen = pages_seen(train_pages, val_pages, start, teacher)
    if config.trainer.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    if config.trainer.compile:
        detector.compile()
    optimization = Optimization(
        optimizer=_component(config.models.optimizer, "models.optimizer"),
        scheduler=_component(config.models.scheduler, "models.scheduler"),
        lr=config.models.optimizer.lr,
    )
    optimization.check()
    return DetectorModule(
        detector,
        loss=build(config.models.loss, "models.loss"),
        optimization=optimization,
        postprocess=config.models.head.postprocess.params(),
        val_pages=val_pages,
        seed=config.seed,
        channels_last=config.trainer.channels_last,
        carried=Carried(
            epoch=0,
            config=config.to_dict(),
            postprocess=config.models.head.postprocess.params(),
            history=(),
            pages=seen,
        ),
    )


def _component(section: Component, key: str) -> plugins.Component:
    return plugins.Component(key, section.target, section.arguments())


def trainer_options(config: Config) -> TrainerOptions:
    """How long the training of a config runs, and on what."""
    return TrainerOptions(**config.trainer.model_dump())


def build_data(
    config: Config, module: DetectorModule, train_pages: LabelledImages, val_pages: LabelledImages
) -> PagesModule:
    """Data sets and loaders of a config."""
    targets, loaders, source = config.models.targets, config.dataloaders, config.datasets.train_dataset
    fill = module.detector.encoder.fill
    cache = loaders.cache
    decoder = decode if cache.folder is None else PageCache(Path(cache.folder), int(cache.size_gb * 1e9))
    teacher = None
    if source.teacher is not None:
        teacher = FoundMaps(Path(source.teacher), [train_pages.name(i) for i in range(len(train_pages))])
    train = TrainDataset(
        replace(train_pages, decode=decoder),
        build_train_view(config),
        seed=config.seed,
        shrink_ratio=targets.shrink_ratio,
        min_side=targets.min_side,
        fill=fill,
        antialias=targets.antialias,
        teacher=teacher,
        teacher_weight=0.5 if source.teacher_weight is None else source.teacher_weight,
    )
    val_files = [val_pages.file(position) for position in range(len(val_pages))]
    val = EvalDataset(
        val_files, long_side=config.transforms.long_side, pad=config.transforms.pad, fill=fill, decode=decoder
    )
    return PagesModule(
        train,
        val,
        views_per_page=config.transforms.train.views_per_page,
        train_batch=loaders.train_dataloader.batch_size,
        val_batch=loaders.val_dataloader.batch_size,
        train_workers=loaders.train_dataloader.num_workers,
        val_workers=loaders.val_dataloader.num_workers,
    )
