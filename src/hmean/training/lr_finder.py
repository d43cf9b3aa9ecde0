"""Trains at rising learning rates, to find those at which a model learns (Smith 2017, arXiv 1506.01186)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from hmean.data.datamodule import PagesModule
from hmean.errors import InputError
from hmean.runs.folder import RunFolder
from hmean.training.fit import TrainerOptions, build_trainer
from hmean.training.learning_rates import LearningRates, suggest
from hmean.training.module import DetectorModule

LOWEST_LR = 1e-6
HIGHEST_LR = 1.0
STEPS = 100
FEWEST_STEPS = 10  # that a suggestion can be made from


class Ramp(Callback):
    """Raises the learning rate by one factor at every step, and stops once the loss is far above its lowest value."""

    def __init__(self) -> None:
        self.lrs: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:  # noqa: ARG002
        """Set the rate of this step, each parameter group in its proportion to the last one."""
        progress = len(self.lrs) / (STEPS - 1)
        lr = LOWEST_LR * (HIGHEST_LR / LOWEST_LR) ** progress
        groups = trainer.optimizers[0].param_groups
        base = groups[-1]["initial_lr"]
        for group in groups:
            group["lr"] = lr * group["initial_lr"] / base
        self.lrs.append(lr)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:  # noqa: ARG002
        """Keep the loss."""
        loss = float(outputs["loss"])
        self.losses.append(loss)
        is_last = len(self.losses) >= STEPS
        has_diverged = loss > 4 * min(self.losses)
        trainer.should_stop = is_last or has_diverged


def find_learning_rates(
    options: TrainerOptions, module: DetectorModule, data: PagesModule, folder: RunFolder
) -> LearningRates:
    """Train a few steps at rising rates.

    Args:
        options: what to train on; the number of epochs does not matter.
        module: the network; its weights are changed.
        data: the training pages.
        folder: for files of Lightning's.

    Raises:
        InputError: if the loss was not finite before there were enough steps.
    """
    ramp = Ramp()
    trainer = build_trainer(replace(options, max_epochs=STEPS), folder, [ramp])
    trainer.limit_val_batches = 0
    try:
        trainer.fit(module, data)
    except InputError:  # the loss was not finite, which ends a range test
        if len(ramp.losses) < FEWEST_STEPS:
            raise
    return suggest(ramp.lrs[: len(ramp.losses)], ramp.losses)
