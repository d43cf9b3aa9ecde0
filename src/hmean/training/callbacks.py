"""What a training does besides learning: checkpoints, one row of metrics an epoch, progress on the screen."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from hmean.runs.checkpoints import save_content
from hmean.runs.folder import RunFolder
from hmean.runs.metrics import EpochRow, append_epoch
from hmean.training.progress import TrainingProgress


def build_callbacks(folder: RunFolder, ema_decay: float | None, *, validates: bool = True) -> list[Callback]:
    """All callbacks of a training.

    Args:
        folder: the run.
        ema_decay: of a moving average of the weights, which is what is validated and kept; None for no average.
        validates: whether there are validation pages; otherwise the last epoch is the best one.
    """
    best = ModelCheckpoint(
        folder.best.parent, filename="best", monitor="val/hmean", mode="max", enable_version_counter=False
    )
    if not validates:
        # Its mode decides nothing, but Lightning tells checkpoints apart by it.
        best = ModelCheckpoint(
            folder.best.parent, filename="best", mode="max", save_on_train_epoch_end=True, enable_version_counter=False
        )
    last = ModelCheckpoint(
        folder.last.parent, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [best, last, EpochRows(folder)]
    callbacks.append(TrainingProgress(terminal=sys.stderr.isatty()))
    if ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=ema_decay))
    return callbacks


class EpochRows(Callback):
    """Writes one row an epoch to ``metrics.jsonl``."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock. The last epoch is always validated: otherwise it could never be the best."""
        self._started = time.monotonic()
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the row."""
        if not trainer.is_global_zero:
            return
        metrics: dict[str, float] = {}
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        for name, value in sorted(trainer.callback_metrics.items()):
            if name.startswith("val/") and not validated:
                continue  # left over from an earlier epoch
            metrics[name] = float(value)
        row = EpochRow(
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            metrics=metrics,
            lr=trainer.optimizers[0].param_groups[-1]["lr"],
            seconds=round(time.monotonic() - self._started, 2),
        )
        append_epoch(self.folder.metrics, row)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints that are complete or not there, also those that Lightning copies from its temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write beside the final place, then move.

        Raises:
            InputError: if the disk is full.
        """
        save_content(Path(path), checkpoint)
