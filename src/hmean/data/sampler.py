"""The order in which training views are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class SampleKey(NamedTuple):
    """Names one training sample; with the seed, all chance in it."""

    epoch: int
    position: int


class EpochSampler(Sampler[SampleKey]):
    """Keys of all samples of an epoch, shuffled by (seed, epoch) alone: there is no state to save or restore.

    The epoch travels with each key, so loader processes may live on between epochs. All ranks get the same number of
    keys; the last ranks get some from the front a second time.

    Args:
        pages: number of pages.
        seed: of the order.
        views_per_page: samples of each page in one epoch.
        rank: this process.
        world: number of processes.
        epoch: the first one; ``set_epoch`` changes it.
    """

    def __init__(
        self,
        pages: int,
        *,
        seed: int,
        views_per_page: int = 1,
        rank: int = 0,
        world: int = 1,
        epoch: int = 0,
    ) -> None:
        self.samples = pages * views_per_page
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.samples / self.world)

    def __iter__(self) -> Iterator[SampleKey]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.samples)
        for_all_ranks = np.resize(order, len(self) * self.world)  # repeats from the front
        for position in for_all_ranks[self.rank :: self.world]:
            yield SampleKey(self.epoch, int(position))
