"""The Lightning module: the one place where network, loss, post-processing and score meet."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from hmean.data.dataset import PageBatch
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.torch_runner import look_at_batch
from hmean.metrics.scorer import PageScore, Scorer, choose_characters
from hmean.network.detector import Detector
from hmean.postprocess.decoding import detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried
from hmean.runs.checkpoints import to_content
from hmean.runs.provenance import Provenance
from hmean.training.optimization import Optimization
from hmean.types import Score, View


class DetectorModule(pl.LightningModule):
    """Trains a ``Detector`` and scores it on whole pages.

    Args:
        detector: the network.
        loss: (logits of P, logits of T, batch) to named terms, whose sum is the loss.
        optimization: optimizer and schedule.
        postprocess: parameters of the post-processing in validation.
        view: how the network sees pages in validation.
        val_pages: labels that validation scores against.
        seed: of all chance in the network, such as dropout.
        channels_last: memory layout of images, which is that of the network's weights.
        carried: what a checkpoint carries besides weights; its ``epoch`` is filled in.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        loss: nn.Module,
        optimization: Optimization,
        postprocess: PostprocessParams,
        view: View,
        val_pages: LabelledImages,
        seed: int,
        channels_last: bool,
        carried: Carried,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.loss = loss
        self.optimization = optimization
        self.postprocess = postprocess
        self.view = view
        self.val_pages = val_pages
        self.characters = choose_characters(val_pages.page(i) for i in range(len(val_pages)))
        self.seed = seed
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.carried = carried
        self._scored: dict[int, PageScore] = {}  # by position in val_pages
        self._seconds: float | None = 0.0  # of the finished epochs; None if a run is resumed that did not record them
        self._epoch_start: float | None = None  # while an epoch runs

    # --- training -----------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Seed chance in the network by epoch: a resumed run draws what an uninterrupted one would. Start the clock."""
        sequence = np.random.SeedSequence([self.seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
        self._epoch_start = time.monotonic()

    def on_train_epoch_end(self) -> None:
        """Stop the clock of the epoch."""
        self._seconds = self._trained_seconds()
        self._epoch_start = None

    def _trained_seconds(self) -> float | None:
        """Duration of all epochs so far, of earlier starts too; None if those are not known."""
        if self._seconds is None or self._epoch_start is None:
            return self._seconds
        return self._seconds + time.monotonic() - self._epoch_start

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """One batch of ``TrainDataset`` items to the loss.

        Raises:
            InputError: if a page cannot be read, or the loss is not finite.
        """
        if "error" in batch:
            raise InputError(_unreadable(batch["error"]))
        images = batch["image"].contiguous(memory_format=self.memory_format)
        probability, threshold = self.detector(images)
        terms: dict[str, Tensor] = self.loss(probability, threshold, batch)
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise InputError(self._diverged(terms))
        self._log_losses({"loss": total, **terms}, batch_size=images.shape[0])
        return total

    def _log_losses(self, losses: dict[str, Tensor], batch_size: int) -> None:
        for name, value in losses.items():
            self.log(
                f"train/{name}",
                value.detach(),
                prog_bar=name == "loss",
                on_step=False,
                on_epoch=True,
                sync_dist=True,
                batch_size=batch_size,
            )

    def _diverged(self, terms: dict[str, Tensor]) -> str:
        values = ", ".join(f"{name} {value.item():.4g}" for name, value in terms.items())
        return (
            f"training diverged at step {self.global_step} ({values}). Lower models.optimizer.lr, or set "
            "trainer.gradient_clip_val or trainer.precision=32-true; the checkpoint of the last epoch is kept"
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """See ``Optimization``."""
        return self.optimization.configure(self.detector, self._total_steps())

    def _total_steps(self) -> int:
        """Optimizer steps of the whole run.

        Lightning's own estimate would start the loaders before a resumed run knows its epoch.
        """
        trainer: Any = self.trainer
        batches: int = trainer.datamodule.train_batches(trainer.world_size)
        if isinstance(trainer.limit_train_batches, int):
            batches = min(batches, trainer.limit_train_batches)
        steps_per_epoch: int = math.ceil(batches / trainer.accumulate_grad_batches)
        epochs: int = trainer.max_epochs
        return steps_per_epoch * epochs

    # --- validation ---------------------------------------------------------------------------------------------------

    def validation_step(self, batch: PageBatch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Detect text on one batch of whole pages and score it.

        Raises:
            InputError: if a page cannot be read.
        """
        if batch.unreadable:
            raise InputError(_unreadable(batch.unreadable[0].error))
        pages = [self.val_pages.page(position) for position in batch.positions]
        names = [page.name for page in pages]
        shrink_ratio = self.carried.shrink_ratio
        maps = look_at_batch(self.detector, batch, names, self.view, shrink_ratio, self.memory_format)
        scorer = Scorer(self.characters)
        for position, page, page_map in zip(batch.positions, pages, maps, strict=True):
            self._scored[position] = scorer.update(page, detect(page_map, self.postprocess))

    def on_validation_epoch_end(self) -> None:
        """Log the score of the pages of all processes."""
        by_position = self._gather_scored()
        self._scored = {}
        scorer = Scorer(self.characters)
        scorer.pages = [by_position[position] for position in sorted(by_position)]
        score = scorer.compute()
        self._log_score(score)

    def _gather_scored(self) -> dict[int, PageScore]:
        """The scored pages of all processes; a page that two of them had counts once."""
        world_size = self.trainer.world_size
        if world_size == 1:
            return self._scored
        shares: list[dict[int, PageScore]] = [{} for _ in range(world_size)]
        torch.distributed.all_gather_object(shares, self._scored)
        by_position: dict[int, PageScore] = {}
        for share in shares:
            by_position.update(share)
        return by_position

    def _log_score(self, score: Score) -> None:
        values = {
            "val/hmean": score.macro.h,
            "val/precision": score.macro.p,
            "val/recall": score.macro.r,
            "val/pooled_hmean": score.pooled.h,
            "val/iou50_hmean": score.iou50.h,
            "val/iou70_hmean": score.iou70.h,
        }
        for name, value in values.items():
            # float64: a float32 would round a score of 99 pages in its 8th digit, and ties would be lost or made.
            exact = torch.tensor(value, dtype=torch.float64, device=self.device)
            self.log(name, exact, sync_dist=True)  # the same in all processes

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let config, preprocessing, post-processing and provenance travel with the weights."""
        update: dict[str, Any] = {"epoch": self.current_epoch}
        provenance = self.carried.provenance
        if provenance.training is not None:
            training = provenance.training.at(self._trained_seconds())
            update["provenance"] = provenance.model_copy(update={"training": training})
        checkpoint["hmean"] = to_content(self.carried.model_copy(update=update))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the clock, and the count of starts, of the run that is resumed."""
        earlier = Provenance.model_validate(checkpoint["hmean"].get("provenance", {})).training
        starts = 2
        self._seconds = None
        if earlier is not None:
            starts = (earlier.starts or 1) + 1
            if earlier.minutes is not None:
                self._seconds = 60 * earlier.minutes
        own = self.carried.provenance
        if own.training is not None:
            training = own.training.model_copy(update={"starts": starts})
            provenance = own.model_copy(update={"training": training})
            self.carried = self.carried.model_copy(update={"provenance": provenance})


def _unreadable(error: str) -> str:
    return f"{error}; fix or remove it, then continue with resume=auto"
