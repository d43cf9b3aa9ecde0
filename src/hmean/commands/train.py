"""``hmean train``: labelled pages in, a run folder with a scored detector out."""

from __future__ import annotations

import inspect
import logging
import netrc
import os
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from hmean.commands import evaluate, report
from hmean.data.cache import PageCache
from hmean.data.check import label_faults
from hmean.data.datamodule import PagesModule
from hmean.data.dataset import EvalDataset, TrainDataset
from hmean.data.pages import LabelledImages, shared_images
from hmean.errors import InputError
from hmean.files import write_json
from hmean.images import decode
from hmean.inference.checkpoints import load_checkpoint, load_weights, pages_behind
from hmean.metrics.scorer import choose_characters
from hmean.runs import folder as runs
from hmean.runs.carried import Carried, PagesSeen
from hmean.runs.checkpoints import save_content, to_content
from hmean.runs.folder import RunFolder
from hmean.runs.maps import FoundMaps
from hmean.settings.build import build_detector, build_train_view, open_pages
from hmean.settings.config import Config, build, check_components, resolve
from hmean.settings.opening import carried_models
from hmean.training.module import DetectorModule


def run(config: Config) -> RunFolder:
    """Train, keep the best and the last epoch, score the best on the validation pages, draw the report.

    Returns:
        The run folder.

    Raises:
        InputError: if config or data are wrong (all faults at once, before anything is trained), or the loss diverged.
    """
    check_components(config)
    if config.exp_name is None:
        raise InputError("exp_name: give the run a name, such as exp_name=first_try")
    train_pages, val_pages = open_pages(config.datasets.train_dataset), open_pages(config.datasets.val_dataset)
    _check_data(train_pages, val_pages)
    module = build_module(config, train_pages, val_pages)
    data = build_data(config, module, train_pages, val_pages)
    folder = RunFolder(Path(config.output_dir) / config.exp_name)
    resume = config.resume == "auto"
    if resume and folder.last.exists():
        _check_resumable(folder, module.carried["pages"])
    if getattr(rank_zero_only, "rank", 0) == 0:  # other processes of DDP find the folder made
        runs.open_run(config.output_dir, config.exp_name, config.to_dict(), resume=resume, overwrite=config.overwrite)
    trainer = build_trainer(config, folder)
    resumed = folder.last if folder.last.exists() else None
    data.first_epoch = load_checkpoint(resumed).epoch + 1 if resumed else 0
    if trainer.is_global_zero:
        data_hash = {"train": train_pages.fingerprint(), "val": val_pages.fingerprint()}
        manifest = runs.manifest(config.to_dict(), data_hash, config.seed)
        manifest["machine"]["device"] = _machine(trainer)
        write_json(folder.path / "manifest.json", manifest)
        print(
            f"training {folder.path} on {_machine(trainer)}, {len(train_pages)} pages, validating on {len(val_pages)}"
        )
    if resumed and trainer.is_global_zero:
        print(f"going on from {resumed}")
    try:
        trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    except SystemExit as stop:  # Lightning's answer to Ctrl-C and SIGTERM
        raise KeyboardInterrupt(f"stopped; the same command with resume=auto goes on from {folder.last}") from stop
    if trainer.is_global_zero:
        checkpoint = load_checkpoint(folder.best)
        values = {
            **config.to_dict(),
            "evaluate_on": "val",
            "models": carried_models(checkpoint),
        }  # thresholds, if tuned
        evaluate.run(Config.model_validate(values), checkpoint, folder.path)
        print(report.run([folder.path]))
    return folder


def build_module(config: Config, train_pages: LabelledImages, val_pages: LabelledImages) -> DetectorModule:
    """Network, loss, optimizer and schedule of a config; nothing is read but weights.

    What the checkpoint that it starts from, or its teacher, had seen counts as trained on.
    """
    pl.seed_everything(config.seed, verbose=False)
    pages = {"train": train_pages.page_keys(), "val": val_pages.page_keys()}
    start = load_checkpoint(Path(config.checkpoint_path)) if config.checkpoint_path else None
    detector = build_detector(config, pretrained=start is None)
    if start is not None:
        load_weights(detector, start)
        seen = start.influenced_by(pages["val"])
        if seen.any():
            raise InputError(f"{start.path}: of the {len(val_pages)} validation pages, {seen.trained} trained it, "
                             f"{seen.epoch_chosen} chose its epoch, {seen.tuned} its thresholds; validate on "
                             "others, or the score would be a lie")  # fmt: skip
        pages["train"] = np.concatenate([pages["train"], start.pages.all()])
    if config.datasets.train_dataset.teacher is not None:  # a student has seen what its teacher has
        pages["train"] = np.concatenate([pages["train"], pages_behind(Path(config.datasets.train_dataset.teacher))])
    if config.trainer.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    if config.trainer.compile:
        detector.compile()
    models = config.models
    # Made once for nothing, so that values that they refuse are told before a run folder is there.
    trial = _make_optimizer(config, [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": models.optimizer.lr}])
    _make_scheduler(config, trial, total_steps=100)
    carried = Carried(
        epoch=0,
        config=config.to_dict(),
        postprocess=models.head.postprocess.params(),
        history=(),
        pages=PagesSeen(train=pages["train"], val=pages["val"]),
    )
    return DetectorModule(
        detector,
        loss=build(models.loss, "models.loss"),
        make_optimizer=partial(_make_optimizer, config),
        make_scheduler=partial(_make_scheduler, config),
        lr=models.optimizer.lr,
        postprocess=models.head.postprocess.params(),
        val_pages=val_pages,
        characters=choose_characters(val_pages.page(i) for i in range(len(val_pages))),
        carried=to_content(carried),
    )


def _make_optimizer(config: Config, groups: list[dict[str, Any]]) -> Optimizer:
    optimizer: Optimizer = build(config.models.optimizer, "models.optimizer", params=groups)
    return optimizer


def _make_scheduler(config: Config, optimizer: Optimizer, total_steps: int) -> tuple[Any, str]:
    scheduler = config.models.scheduler
    by_step = "total_steps" in inspect.signature(resolve(scheduler, "models.scheduler")).parameters
    made = build(scheduler, "models.scheduler", optimizer=optimizer, total_steps=total_steps)
    return made, "step" if by_step else "epoch"


def build_data(
    config: Config, module: DetectorModule, train_pages: LabelledImages, val_pages: LabelledImages
) -> PagesModule:
    """Data sets and loaders of a config."""
    targets, loaders, source = config.models.targets, config.dataloaders, config.datasets.train_dataset
    fill = module.detector.encoder.fill
    train_names = [train_pages.name(position) for position in range(len(train_pages))]
    cache = loaders.cache
    decoder = decode if cache.folder is None else PageCache(Path(cache.folder), int(cache.size_gb * 1e9))
    train = TrainDataset(
        replace(train_pages, decode=decoder), build_train_view(config), seed=config.seed,
        shrink_ratio=targets.shrink_ratio, min_side=targets.min_side, fill=fill, antialias=targets.antialias,
        teacher=None if source.teacher is None else FoundMaps(Path(source.teacher), train_names),
        teacher_weight=0.5 if source.teacher_weight is None else source.teacher_weight,
    )  # fmt: skip
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


def build_trainer(config: Config, folder: RunFolder) -> pl.Trainer:
    """Lightning's trainer with our checkpoints, rows of metrics and loggers."""
    t = config.trainer
    best = ModelCheckpoint(
        folder.best.parent, filename="best", monitor="val/hmean", mode="max", enable_version_counter=False
    )
    last = ModelCheckpoint(
        folder.last.parent, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [best, last, EpochRows(folder)]
    # Not Lightning's RichProgressBar: its refreshing thread and OpenMP's wait for each other on few cores.
    callbacks.append(TQDMProgressBar() if sys.stderr.isatty() else EpochLines())
    if t.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=t.ema_decay))
    _quiet()
    return pl.Trainer(
        max_epochs=t.max_epochs,
        accumulate_grad_batches=t.accumulate_grad_batches,
        gradient_clip_val=t.gradient_clip_val,
        check_val_every_n_epoch=t.check_val_every_n_epoch,
        limit_train_batches=t.limit_train_batches,
        precision=_precision(t.precision, t.accelerator),
        accelerator=t.accelerator,
        devices=t.devices,
        strategy=t.strategy,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        logger=_loggers(config, folder),
        num_sanity_val_steps=0,  # data and config were checked already
        use_distributed_sampler=False,  # the samplers know their rank
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        log_every_n_steps=10,
        default_root_dir=folder.path,
    )


def _quiet() -> None:
    """Silence what Lightning says of itself, and its advice against what is chosen here on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    advice = ("does not have many workers", "exists and is not empty", "smaller than the logging interval", "LeafSpec")
    for message in (f".*{text}.*" for text in advice):
        warnings.filterwarnings("ignore", message)


def _precision(wanted: str, accelerator: str) -> Any:
    if wanted != "auto":
        return wanted
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "32-true"  # bf16 is emulated, and slow, on processors without it
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def _machine(trainer: pl.Trainer) -> str:
    device = torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else "the processor"
    return f"{trainer.world_size} x {device}, precision {trainer.precision}"


def _loggers(config: Config, folder: RunFolder) -> Any:
    """W&B if asked for, offline without a key; never a prompt, and never the end of a run."""
    if not config.wandb:
        return False
    from lightning.pytorch.loggers import WandbLogger  # noqa: PLC0415 - an extra

    if find_spec("wandb") is None:
        raise InputError("wandb=true: install it with pip install 'hmean[wandb]'")
    if "WANDB_MODE" not in os.environ and not has_wandb_key():
        os.environ["WANDB_MODE"] = "offline"
        print("wandb: no API key, so this run is logged offline; send it later with: wandb sync", folder.path / "wandb")
    try:
        logger = WandbLogger(name=config.exp_name, save_dir=folder.path, project="hmean", config=config.to_dict())
        _ = logger.experiment  # connects now, so that a failure is met here
    except Exception as error:  # noqa: BLE001 - whatever a tracker raises must not end a training
        print(f"wandb: could not start ({error}); going on without it")
        return False
    return logger


def has_wandb_key() -> bool:
    """Whether ``wandb login`` was done; asking wandb itself may prompt."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there: Lightning's own copies from the temporary folder, over the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write beside its place, then move; a full disk is an ``InputError``."""
        save_content(Path(path), checkpoint)


class EpochRows(Callback):
    """Writes one row an epoch to ``metrics.jsonl``."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock; the last epoch is always validated, else it could never be the best."""
        self._started = time.monotonic()
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the row."""
        if not trainer.is_global_zero:
            return
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        row: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row |= {
            name: float(value)
            for name, value in sorted(trainer.callback_metrics.items())
            if validated or not name.startswith("val/")
        }
        row["lr"] = trainer.optimizers[0].param_groups[-1]["lr"]
        row["seconds"] = round(time.monotonic() - self._started, 2)
        self.folder.append_metrics(row)


class EpochLines(Callback):
    """Prints one line an epoch, so that a log without a progress bar stays readable."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Print the epoch's numbers."""
        if trainer.is_global_zero:
            values = {
                k: float(v)
                for k, v in trainer.callback_metrics.items()
                if k in ("train/loss", "val/hmean", "val/iou50_hmean")
            }
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs} "
                + " ".join(f"{k} {v:.4f}" for k, v in values.items())
            )


def _check_resumable(folder: RunFolder, pages: Mapping[str, Tensor]) -> None:
    """Refuse to go on with other pages: the run would be of no data set that anyone has."""
    before = load_checkpoint(folder.last).pages
    changed = [part for part in pages if not np.array_equal(pages[part].numpy(), getattr(before, part))]
    if changed:
        raise InputError(f"{folder.path}: its {' and '.join(changed)} pages were others; use another exp_name")


def _check_data(train_pages: LabelledImages, val_pages: LabelledImages) -> None:
    faults: list[str] = []
    both = shared_images(train_pages, val_pages)
    if both:
        faults.append(
            f"{len(both)} images are in both training and validation, first {both[0]}; the score would be a lie"
        )
    for pages in (train_pages, val_pages):
        faults += label_faults(pages)
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)
