"""Loaders of training and validation, each rank its share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Subset

from hmean.data.dataset import EvalDataset, TrainDataset, collate_eval, collate_train
from hmean.data.sampler import EpochSampler

# OpenCV's threads do not survive a fork: a loader process that is forked after their first use would wait for them
# for ever.
cv2.setNumThreads(0)


class PagesModule(pl.LightningDataModule):
    """Training views and validation pages.

    Args:
        train: training data set.
        val: whole pages.
        samples: of one epoch.
        train_batch: batch size of training, on each device.
        val_batch: batch size of validation.
        train_workers: loader processes of training.
        val_workers: loader processes of validation.
        first_epoch: 0, or where a resumed run continues. Workers start to load before Lightning calls ``set_epoch``, so
            they would begin with views of epoch 0.
    """

    def __init__(
        self,
        train: TrainDataset,
        val: EvalDataset,
        *,
        samples: int,
        train_batch: int,
        val_batch: int,
        train_workers: int,
        val_workers: int,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.train = train
        self.val = val
        self.samples = samples
        self.train_batch = train_batch
        self.val_batch = val_batch
        self.train_workers = train_workers
        self.val_workers = val_workers
        self.first_epoch = first_epoch

    def train_dataloader(self) -> DataLoader[Any]:
        """Full batches only: a last batch of one would disturb BatchNorm."""
        sampler = self.train_sampler()
        return DataLoader(
            self.train,
            self.train_batch,
            sampler=sampler,
            drop_last=len(sampler) >= self.train_batch,
            collate_fn=collate_train,
            **_worker_options(self.train_workers),
        )

    def train_sampler(self) -> EpochSampler:
        """The order in which this process is shown the samples of an epoch."""
        rank, world = self._rank_and_world()
        return EpochSampler(
            len(self.train),
            seed=self.train.seed,
            samples=self.samples,
            rank=rank,
            world=world,
            epoch=self.first_epoch,
        )

    def train_batches(self, world: int) -> int:
        """Batches of one epoch on each of ``world`` devices, without starting a loader."""
        samples = math.ceil(self.samples / world)
        return max(1, samples // self.train_batch)

    def val_dataloader(self) -> DataLoader[Any]:
        """Every page once, over all ranks."""
        rank, world = self._rank_and_world()
        return eval_loader(self.val, self.val_batch, self.val_workers, range(rank, len(self.val), world))

    def _rank_and_world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


def eval_loader(
    dataset: EvalDataset,
    batch_size: int,
    workers: int,
    positions: Sequence[int],
) -> DataLoader[Any]:
    """Batches of whole pages (``PageBatch``), in the order of ``positions``."""
    return DataLoader(
        Subset(dataset, positions),
        batch_size,
        collate_fn=partial(collate_eval, fill=dataset.fill),
        **_worker_options(workers),
    )


def _worker_options(workers: int) -> dict[str, Any]:
    options: dict[str, Any] = {"num_workers": workers, "pin_memory": torch.cuda.is_available()}
    if workers > 0:
        options["persistent_workers"] = True
        options["worker_init_fn"] = _use_one_thread
    return options


def _use_one_thread(_worker: int) -> None:
    """Loader processes share the processor with the training; threads of their own would compete with it."""
    torch.set_num_threads(1)
