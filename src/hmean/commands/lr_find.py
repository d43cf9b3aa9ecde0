"""``hmean lr_find``: learning rates at which a model learns, to set up a sweep (Smith 2017, arXiv 1506.01186)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import matplotlib as mpl
import numpy as np
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from hmean.commands.train import build_data, build_module, build_trainer
from hmean.errors import InputError
from hmean.files import write_json, write_with
from hmean.reports.figures import STYLE
from hmean.runs.folder import RunFolder
from hmean.settings.build import open_pages
from hmean.settings.config import Config, check_components

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 100


class Ramp(Callback):
    """Raises the learning rate by one factor at every step, and ends when the loss has left its best far behind."""

    def __init__(self) -> None:
        self.lrs: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Set the rate of this step, each parameter group in its proportion."""
        lr = LOWEST * (HIGHEST / LOWEST) ** (len(self.lrs) / (STEPS - 1))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = lr * group["initial_lr"] / pl_module.lr
        self.lrs.append(lr)

    def on_train_batch_end(self, trainer: pl.Trainer, _: pl.LightningModule, outputs: Any, *__: Any) -> None:
        """Keep the loss."""
        self.losses.append(float(outputs["loss"]))
        trainer.should_stop = len(self.losses) >= STEPS or self.losses[-1] > 4 * min(self.losses)


def run(config: Config) -> Path:
    """Train a few steps at rising rates.

    Returns:
        The folder with ``lr_find.json`` (rates, losses, the range suggested) and ``lr_find.svg``.
    """
    check_components(config)
    config = config.model_copy(update={"trainer": config.trainer.model_copy(update={"max_epochs": STEPS})})
    train_pages, val_pages = open_pages(config.datasets.train_dataset), open_pages(config.datasets.val_dataset)
    module, folder = (
        build_module(config, train_pages, val_pages),
        Path(config.output_dir) / f"{config.exp_name}_lr_find",
    )
    trainer: Any = build_trainer(config, RunFolder(folder))
    trainer.callbacks, trainer.limit_val_batches = [ramp := Ramp()], 0
    try:
        trainer.fit(module, build_data(config, module, train_pages, val_pages))
    except InputError:  # it diverged, as it may
        if len(ramp.losses) < 10:
            raise
    found = {"lr": ramp.lrs[: len(ramp.losses)], "loss": ramp.losses}
    found |= suggest(found["lr"], found["loss"])
    write_json(folder / "lr_find.json", found)
    write_with(folder / "lr_find.svg", lambda file: draw(found).savefig(file, format="svg"))
    return folder


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> dict[str, Any]:
    """A range to search: a factor of three about the rate at which the smoothed loss falls fastest.

    It ends at a third of the rate with the smallest loss, after which training would be unstable.
    """
    smooth = np.convolve(np.pad(losses, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    lowest = max(int(np.argmin(smooth)), 2)
    steepest = int(np.argmin(np.gradient(smooth[: lowest + 1])))
    high = min(3 * lrs[steepest], lrs[lowest] / 3)
    return {"smooth": smooth.tolist(), "steepest": lrs[steepest], "range": [high / 9, high]}


def draw(found: dict[str, Any]) -> Figure:
    """Loss against learning rate, the range shaded."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 3), layout="constrained")
        panel = figure.subplots()
        panel.semilogx(found["lr"], found["loss"], color="#bbbbbb")
        panel.semilogx(found["lr"], found["smooth"], color="#1f6f8b")
        panel.axvspan(*found["range"], alpha=0.15)
        panel.set(xlabel="learning rate", ylabel="training loss")
        return figure
