"""The Lightning module: the one place where network, loss, post-processing and score meet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from hmean.data.dataset import PageBatch
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.metrics.scorer import PageScore, Scorer
from hmean.network.detector import Detector, probability_maps
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Characters


class DetectorModule(pl.LightningModule):
    """Trains a ``Detector`` and scores it on whole pages.

    Args:
        detector: the network.
        loss: (logits of P, logits of T, batch) -> named terms, whose sum is the loss.
        make_optimizer: parameter groups -> optimizer.
        make_scheduler: (optimizer, total optimizer steps) -> (scheduler, "step" or "epoch").
        lr: learning rate of decoder and head; the encoder's is multiplied by its ``lr_scale``.
        postprocess: knobs of validation.
        val_pages: labels that validation scores against.
        characters: character convention of the score.
        carried: what a checkpoint carries beside weights and epoch: see ``checkpoints.carry``.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        loss: nn.Module,
        make_optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        make_scheduler: Callable[[Optimizer, int], tuple[Any, str]],
        lr: float,
        postprocess: PostprocessParams,
        val_pages: LabelledImages,
        characters: Characters,
        carried: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.detector, self.loss = detector, loss
        self.make_optimizer, self.make_scheduler, self.lr = make_optimizer, make_scheduler, lr
        self.postprocess, self.val_pages, self.characters = postprocess, val_pages, characters
        self.carried = dict(carried)
        self._scored: list[tuple[int, PageScore]] = []

    # --- training ---------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Dropout and the like follow (seed, epoch): a resumed run draws what an unbroken one would."""
        seed = np.random.SeedSequence([int(self.carried["config"]["seed"]), self.current_epoch, self.global_rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """One batch of ``TrainDataset`` items to the summed loss."""
        if "error" in batch:
            raise InputError(f"{batch['error']}; mend or remove it, then go on with resume=auto")
        images = batch["image"].contiguous(memory_format=self._layout())
        probability, threshold = self.detector(images)
        terms: dict[str, Tensor] = self.loss(probability, threshold, batch)
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            values = ", ".join(f"{name} {value.item():.4g}" for name, value in terms.items())
            raise InputError(
                f"training diverged at step {self.global_step} ({values}). Lower models.optimizer.lr, set "
                "trainer.gradient_clip_val, or trainer.precision=32-true; the last epoch's checkpoint is kept"
            )
        size = images.shape[0]
        self.log(
            "train/loss", total.detach(), prog_bar=True, on_step=False, on_epoch=True, sync_dist=True, batch_size=size
        )
        for name, value in terms.items():
            self.log(f"train/{name}", value.detach(), on_step=False, on_epoch=True, sync_dist=True, batch_size=size)
        return total

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Two parameter groups, encoder and the rest, and a schedule by step or by epoch."""
        encoder = list(self.detector.encoder.parameters())
        rest = [p for part in (self.detector.decoder, self.detector.head) for p in part.parameters()]
        optimizer = self.make_optimizer(
            [{"params": encoder, "lr": self.lr * self.detector.encoder.lr_scale}, {"params": rest, "lr": self.lr}]
        )
        scheduler, interval = self.make_scheduler(optimizer, self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": interval}}

    def _total_steps(self) -> int:
        """Optimizer steps of the whole run.

        Lightning's own estimate would start the loaders before a resumed run knows its epoch.
        """
        trainer: Any = self.trainer
        batches = trainer.datamodule.train_batches(trainer.world_size)
        if isinstance(trainer.limit_train_batches, int):
            batches = min(batches, trainer.limit_train_batches)
        steps: int = math.ceil(batches / trainer.accumulate_grad_batches) * trainer.max_epochs
        return steps

    # --- validation -------------------------------------------------------------------------------------------------

    def validation_step(self, batch: PageBatch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Detect and score one batch of whole pages."""
        if batch.unreadable:
            raise InputError(f"{batch.unreadable[0].error}; mend or remove it, then go on with resume=auto")
        scorer = Scorer(self.characters)
        maps = probability_maps(self.detector, batch.images.contiguous(memory_format=self._layout()), batch.views)
        for position, view, probability in zip(batch.positions, batch.views, maps, strict=True):
            page = self.val_pages.page(position)
            found = detect(PageMap(page.name, probability, view.to_page, page.width, page.height), self.postprocess)
            self._scored.append((position, scorer.update(page, found)))

    def on_validation_epoch_end(self) -> None:
        """Pool all ranks' pages, each once, and log the score."""
        shares: list[Any] = [self._scored]
        if self.trainer.world_size > 1:
            shares = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(shares, self._scored)
        scorer = Scorer(self.characters)
        by_position = dict(itertools.chain.from_iterable(shares))  # a page that two ranks had counts once
        scorer.pages = [by_position[position] for position in sorted(by_position)]
        self._scored = []
        score = scorer.compute()
        values = {
            "val/hmean": score.macro.h,
            "val/precision": score.macro.p,
            "val/recall": score.macro.r,
            "val/pooled_hmean": score.pooled.h,
            "val/iou50_hmean": score.iou50.h,
            "val/iou70_hmean": score.iou70.h,
        }
        # float64: a float32 would round a score of 99 pages in its 8th digit, and ties would be lost or made.
        exact = {k: torch.tensor(v, dtype=torch.float64, device=self.device) for k, v in values.items()}
        self.log_dict(exact, sync_dist=True)  # the same on every rank

    # --- checkpoints ------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Config, preprocessing and post-processing travel with the weights."""
        checkpoint["hmean"] = {**self.carried, "epoch": self.current_epoch}

    def _layout(self) -> torch.memory_format:
        channels_last = bool(self.carried["config"]["trainer"]["channels_last"])
        return torch.channels_last if channels_last else torch.contiguous_format
