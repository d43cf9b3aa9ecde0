"""Loaders of training and validation, each rank its share."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import cv2
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Subset

from hmean.data.dataset import EpochSampler, EvalDataset, TrainDataset, collate_eval, collate_train, mix
from hmean.data.targets_torch import make_targets

# OpenCV's threads do not survive a fork: a loader process forked after their first use would wait for them for ever.
cv2.setNumThreads(0)


class PagesModule(pl.LightningDataModule):
    """Training views and validation pages.

    Args:
        train: training data set.
        val: whole pages.
        views_per_page: samples of each page in one epoch.
        train_batch: batch size of training, on each device.
        val_batch: batch size of validation.
        train_workers: loader processes of training.
        val_workers: loader processes of validation.
        first_epoch: 0, or where a resumed run goes on. Workers start to load before Lightning calls ``set_epoch``, so
            they would begin with views of epoch 0.
    """

    def __init__(
        self, train: TrainDataset, val: EvalDataset, *, views_per_page: int, train_batch: int, val_batch: int,
        train_workers: int, val_workers: int, first_epoch: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.train, self.val, self.views_per_page = train, val, views_per_page
        self.train_batch, self.val_batch = train_batch, val_batch
        self.train_workers, self.val_workers = train_workers, val_workers
        self.first_epoch = first_epoch

    def transfer_batch_to_device(
        self,
        batch: dict[str, Any],
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002 - Lightning's signature
    ) -> dict[str, Any]:
        """Tensors move, views stay."""
        return {k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}

    def on_after_batch_transfer(
        self,
        batch: dict[str, Any],
        dataloader_idx: int,  # noqa: ARG002 - Lightning's signature
    ) -> dict[str, Any]:
        """Words become maps here if the loader did not draw them, and a teacher has its say."""
        if "words" in batch:
            pages, _, height, width = batch["image"].shape
            words = (batch.pop(key) for key in ("words", "distances", "page"))
            batch |= make_targets(*words, shape=(pages, height, width), antialias=self.train.antialias)
        if "teacher" in batch:
            batch["shrink"] = mix(batch["shrink"], batch.pop("teacher"), self.train.teacher_weight)
        return batch

    def train_dataloader(self) -> DataLoader[Any]:
        """Full batches only: a last batch of one would disturb BatchNorm."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochSampler(
            len(self.train),
            seed=self.train.seed,
            views_per_page=self.views_per_page,
            rank=rank,
            world=world,
            epoch=self.first_epoch,
        )
        return DataLoader(
            self.train,
            self.train_batch,
            sampler=sampler,
            drop_last=len(sampler) >= self.train_batch,
            collate_fn=collate_train,
            **_workers(self.train_workers),
        )

    def train_batches(self, world: int) -> int:
        """Batches of one epoch on each of ``world`` devices, without starting a loader."""
        items = math.ceil(len(self.train) * self.views_per_page / world)
        return max(1, items // self.train_batch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Every page once, over all ranks."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return eval_loader(self.val, self.val_batch, self.val_workers, range(rank, len(self.val), world))


def eval_loader(dataset: EvalDataset, batch_size: int, workers: int, positions: range) -> DataLoader[Any]:
    """Batches of whole pages, in order."""
    return DataLoader(
        Subset(dataset, positions), batch_size, collate_fn=partial(collate_eval, fill=dataset.fill), **_workers(workers)
    )


def _workers(count: int) -> dict[str, Any]:
    return {
        "num_workers": count,
        "persistent_workers": count > 0,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _single_threaded if count else None,
    }


def _single_threaded(_: int) -> None:
    """Workers share the processor with the training; threads of their own would fight over it."""
    torch.set_num_threads(1)
