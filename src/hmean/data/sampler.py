"""The order in which training views are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class SampleKey(NamedTuple):
    """Names one training sample; with the seed, all chance in it."""

    epoch: int
    position: int


@dataclass(frozen=True)
class Mixture:
    """How often the pages of each part of a data set are seen, where that is not once an epoch.

    A part with fewer samples than pages goes on in the next epoch where it stopped, so that all of its pages are seen
    equally often.

    Attributes:
        pages: number of pages of each part; they lie one part after the other.
        samples: of each part in one epoch.
        seed: of the order in which a part's pages are seen.
    """

    pages: Sequence[int]
    samples: Sequence[int]
    seed: int

    @classmethod
    def of_shares(cls, pages: Sequence[int], shares: Sequence[float | None], seed: int) -> Mixture:
        """Parts with a share take it of an epoch's samples; the others have one sample of each page.

        Raises:
            ValueError: if the shares leave nothing to the others, or no part is without a share.
        """
        taken = sum(share for share in shares if share is not None)
        free = sum(count for count, share in zip(pages, shares, strict=True) if share is None)
        if taken >= 1 or free == 0:
            raise ValueError("the shares must leave something to the pages without a share")
        total = free / (1 - taken)
        samples = []
        for count, share in zip(pages, shares, strict=True):
            if share is None:
                samples.append(count)
            else:
                samples.append(max(1, round(share * total)))
        return cls(pages, samples, seed)

    def __len__(self) -> int:
        return sum(self.samples)

    def page(self, epoch: int, position: int) -> int:
        """The page that a sample shows."""
        before = 0
        for part, (pages, samples) in enumerate(zip(self.pages, self.samples, strict=True)):
            if position < samples:
                order = np.random.default_rng([self.seed, part]).permutation(pages)
                return before + int(order[(epoch * samples + position) % pages])
            position -= samples
            before += pages
        raise IndexError(position)


class EpochSampler(Sampler[SampleKey]):
    """Keys of all samples of an epoch, shuffled by (seed, epoch) alone: there is no state to save or restore.

    A sample at ``position`` is of page ``position % pages``. Where the samples of an epoch are not a multiple of the
    pages, an epoch goes on at the page where the one before has stopped, so that all are seen equally often.

    The epoch travels with each key, so loader processes may live on between epochs. All ranks get the same number of
    keys; the last ranks get some from the front a second time.

    Args:
        pages: number of pages, or of samples of a ``Mixture``.
        seed: of the order.
        samples: of one epoch; None: each page once.
        rank: this process.
        world: number of processes.
        epoch: the first one; ``set_epoch`` changes it.
    """

    def __init__(
        self,
        pages: int,
        *,
        seed: int,
        samples: int | None = None,
        rank: int = 0,
        world: int = 1,
        epoch: int = 0,
    ) -> None:
        self.pages = pages
        self.samples = pages if samples is None else samples
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
        first = self.epoch * self.samples % self.pages
        order = first + np.random.default_rng([self.seed, self.epoch]).permutation(self.samples)
        for_all_ranks = np.resize(order, len(self) * self.world)  # repeats from the front
        for position in for_all_ranks[self.rank :: self.world]:
            yield SampleKey(self.epoch, int(position))
