"""Builds the parts of a training from plain values and records, and fits."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from hmean.data.datamodule import PagesModule
from hmean.inference.checkpoints import load_checkpoint
from hmean.runs.folder import RunFolder
from hmean.training.callbacks import WholeCheckpoints
from hmean.training.module import DetectorModule

# Advice of Lightning's against what is chosen here on purpose.
_UNWANTED_ADVICE = (
    "does not have many workers",
    "exists and is not empty",
    "smaller than the logging interval",
    "LeafSpec",
)


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """How long a training runs, and on what.

    Attributes:
        max_epochs: epochs in all.
        accumulate_grad_batches: batches whose gradients are summed for one optimizer step.
        gradient_clip_val: largest norm of a step's gradient; None for no limit.
        check_val_every_n_epoch: epochs from one validation to the next.
        limit_train_batches: batches of an epoch at most; None for all.
        ema_decay: of a moving average of the weights, which is what is validated and kept; None for no average.
        precision: of Lightning; ``auto`` takes bf16 or 16 bits where the GPU has them.
        channels_last: memory layout of weights and images.
        compile: ``torch.compile`` the network.
        accelerator: what to train on.
        devices: how many.
        strategy: of Lightning, for several devices.
    """

    max_epochs: int
    accumulate_grad_batches: int
    gradient_clip_val: float | None
    check_val_every_n_epoch: int
    limit_train_batches: int | None
    ema_decay: float | None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    channels_last: bool
    compile: bool
    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    devices: Literal["auto"] | int
    strategy: Literal["auto", "ddp", "ddp_spawn"]


def build_trainer(
    options: TrainerOptions,
    folder: RunFolder,
    callbacks: Sequence[Callback],
    tracker: Logger | None = None,
    *,
    validates: bool = True,
) -> pl.Trainer:
    """Lightning's trainer, with our checkpoints, callbacks and tracker; ``validates``: there are validation pages."""
    _silence_advice()
    limit_val_batches = None
    if not validates:
        limit_val_batches = 0
    return pl.Trainer(
        max_epochs=options.max_epochs,
        accumulate_grad_batches=options.accumulate_grad_batches,
        gradient_clip_val=options.gradient_clip_val,
        check_val_every_n_epoch=options.check_val_every_n_epoch,
        limit_train_batches=options.limit_train_batches,
        limit_val_batches=limit_val_batches,
        precision=_precision(options),
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=options.strategy,
        callbacks=list(callbacks),
        plugins=[WholeCheckpoints()],
        logger=tracker or False,
        num_sanity_val_steps=0,  # data and config were checked already
        use_distributed_sampler=False,  # the samplers know their rank
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,  # training.progress shows it
        log_every_n_steps=10,
        default_root_dir=folder.path,
    )


def _silence_advice() -> None:
    """Silence what Lightning says about itself, and its advice against what is chosen here on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for advice in _UNWANTED_ADVICE:
        warnings.filterwarnings("ignore", f".*{advice}.*")


def _precision(options: TrainerOptions) -> Any:
    if options.precision != "auto":
        return options.precision
    if options.accelerator == "cpu" or not torch.cuda.is_available():
        return "32-true"  # bf16 is emulated, and slow, on processors without it
    if torch.cuda.is_bf16_supported():
        return "bf16-mixed"
    return "16-mixed"


def machine(trainer: pl.Trainer) -> str:
    """What a trainer runs on, in words."""
    device = "the processor"
    if trainer.strategy.root_device.type == "cuda":
        device = torch.cuda.get_device_name()
    return f"{trainer.world_size} x {device}, precision {trainer.precision}"


def fit(trainer: pl.Trainer, module: DetectorModule, data: PagesModule, folder: RunFolder) -> None:
    """Train; from the last checkpoint of the run, if there is one.

    Raises:
        KeyboardInterrupt: if the training was stopped by Ctrl-C or SIGTERM; the message says how to continue.
    """
    resumed = None
    if folder.last.exists():
        resumed = folder.last
        data.first_epoch = load_checkpoint(resumed).epoch + 1
        if trainer.is_global_zero:
            print(f"continuing from {resumed}")
    try:
        trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    except SystemExit as stop:  # Lightning's answer to Ctrl-C and SIGTERM
        raise KeyboardInterrupt(f"stopped; the same command with resume=auto continues from {folder.last}") from stop
