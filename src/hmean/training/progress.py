"""What a person sees of a training: a bar or a line a minute while an epoch runs, and one line of numbers after each.

The loss is read from the device only when it is shown: reading it at every step would make the device wait.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0
SECONDS_BETWEEN_LOOKS = 1.0  # of the bar at the loss
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
SCORES = {"val/hmean": "macro H", "val/iou50_hmean": "IoU50 H", "val/iou70_hmean": "IoU70 H"}


class Pace:
    """How fast a training goes, and how long it will go on. Validations count by themselves: they take their own time.

    Args:
        steps: batches of the whole training.
        done: of these, before this start.
        validations: that are still to come.
        clock: seconds.
    """

    def __init__(self, steps: int, done: int, validations: int, clock: Callable[[], float]) -> None:
        self.steps = steps
        self.done = done
        self.validations = validations
        self._clock = clock
        self._done_before = done
        self._images = 0
        self._validating = 0.0  # seconds in validations of this start
        self._validated = 0
        self._started = clock()
        self._validation_started = 0.0

    def step(self, images: int) -> None:
        """A batch of so many images, on all devices, has been learnt from."""
        self.done += 1
        self._images += images

    def start_validation(self) -> None:
        """A validation begins."""
        self._validation_started = self._clock()

    def end_validation(self) -> None:
        """It has ended."""
        self._validating += self._clock() - self._validation_started
        self._validated += 1
        self.validations = max(0, self.validations - 1)

    def _training_seconds(self) -> float:
        return max(self._clock() - self._started - self._validating, 1e-9)

    def images_a_second(self) -> float:
        """While it learns."""
        return self._images / self._training_seconds()

    def seconds_left(self) -> float | None:
        """Of the whole training; None before the first step."""
        steps = self.done - self._done_before
        if steps == 0:
            return None
        seconds = (self.steps - self.done) * self._training_seconds() / steps
        if self._validated > 0:
            seconds += self.validations * self._validating / self._validated
        return seconds


def duration(seconds: float | None) -> str:
    """In words: ``40 s left``, ``17 min left``, ``2 h 05 min left``; nothing where it is not known."""
    if seconds is None:
        return ""
    minutes = math.ceil(seconds / 60)
    if seconds < 100:
        return f"{math.ceil(seconds)} s left"
    if minutes < 100:
        return f"{minutes} min left"
    return f"{minutes // 60} h {minutes % 60:02d} min left"


def epoch_line(
    epoch: str,
    metrics: Mapping[str, float],
    *,
    lr: float,
    images_a_second: float,
    left: float | None,
    is_best: bool,
) -> str:
    """The numbers of an epoch, in one line.

    Args:
        epoch: ``3/12``.
        metrics: of the epoch, by the names of ``metrics.jsonl``; scores only if it was validated.
        lr: learning rate of its last step.
        images_a_second: while it learns.
        left: seconds that the training will go on; None: not known.
        is_best: whether no validation so far was better.
    """
    parts = [f"epoch {epoch}"]
    loss = metrics.get("train/loss")
    if loss is not None:
        parts.append(f"loss {loss:.4f}")
    for name, title in SCORES.items():
        if name in metrics:
            parts.append(f"{title} {100 * metrics[name]:.2f}")
    if is_best:
        parts.append("(best so far)")
    parts.append(f"lr {lr:.2g}")
    parts.append(f"{images_a_second:.1f} images/s")
    words = duration(left)
    if words:
        parts.append(words)
    return "  ".join(parts)


class TrainingProgress(Callback):
    """Shows a training on stderr, and its epochs on stdout.

    Args:
        terminal: whether stderr is a terminal: a bar; else a line a minute.
        clock: seconds.
    """

    def __init__(self, *, terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._clock = clock
        self._pace: Pace | None = None
        self._bar: Any = None
        self._looked = clock()
        self._lr = 0.0  # of the last step; after it the schedule has set the next one's

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Count what is to be done."""
        if not trainer.is_global_zero:
            return
        batches = int(trainer.num_training_batches)
        epochs = trainer.max_epochs or 0
        left = epochs - trainer.current_epoch
        self._pace = Pace(
            steps=batches * epochs,
            done=batches * trainer.current_epoch,
            validations=math.ceil(left / (trainer.check_val_every_n_epoch or 1)),
            clock=self._clock,
        )
        if self._terminal:
            tqdm.monitor_interval = 0  # its thread would make OpenMP's wait on few cores
            self._bar = tqdm(
                total=self._pace.steps,
                initial=self._pace.done,
                unit="step",
                dynamic_ncols=True,
                mininterval=0.5,
                bar_format=BAR,
                file=sys.stderr,
                leave=False,
            )

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning's signature
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Note the learning rate."""
        self._lr = trainer.optimizers[0].param_groups[-1]["lr"]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning's signature
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the step; show the loss now and then."""
        if self._pace is None:
            return
        self._pace.step(len(batch["image"]) * trainer.world_size)
        if self._bar is not None:
            self._bar.update(1)
        between = SECONDS_BETWEEN_LOOKS if self._terminal else SECONDS_BETWEEN_LINES
        now = self._clock()
        if now - self._looked < between:
            return
        self._looked = now
        loss = _loss(outputs)
        if self._bar is not None:
            self._bar.set_description_str(f"epoch {self._epoch(trainer)}, loss {loss:.3f}", refresh=False)
            self._bar.set_postfix_str(duration(self._pace.seconds_left()), refresh=False)
            return
        batches = int(trainer.num_training_batches)
        print(
            f"epoch {self._epoch(trainer)}, step {batch_idx + 1}/{batches}: loss {loss:.4f}, "
            f"{self._pace.images_a_second():.1f} images/s, {duration(self._pace.seconds_left())}",
            file=sys.stderr,
            flush=True,
        )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Say that it validates."""
        if self._pace is None:
            return
        self._pace.start_validation()
        if self._bar is not None:
            self._bar.set_description_str(f"epoch {self._epoch(trainer)}, validating")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop its clock."""
        if self._pace is not None:
            self._pace.end_validation()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """The line of the epoch."""
        if self._pace is None:
            return
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        metrics: dict[str, float] = {}
        for name, value in trainer.callback_metrics.items():
            if validated or not name.startswith("val/"):
                metrics[name] = float(value)
        left = None
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            left = self._pace.seconds_left()
        line = epoch_line(
            self._epoch(trainer),
            metrics,
            lr=self._lr,
            images_a_second=self._pace.images_a_second(),
            left=left,
            is_best="val/hmean" in metrics and metrics["val/hmean"] >= _best_so_far(trainer),
        )
        if self._bar is not None:
            self._bar.clear()
        print(line, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Take the bar away."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Likewise."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _epoch(self, trainer: pl.Trainer) -> str:
        return f"{trainer.current_epoch + 1}/{trainer.max_epochs}"


def _loss(outputs: Any) -> float:
    """Of a step: Lightning hands on the loss by itself or in a dict."""
    loss: Tensor = outputs["loss"] if isinstance(outputs, Mapping) else outputs
    return float(loss.detach())


def _best_so_far(trainer: pl.Trainer) -> float:
    """The best validation, this one among them."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.best_model_score is not None:
            return float(callback.best_model_score)
    return -math.inf
