"""What jobs ask of a trained model, be it the checkpoint of a training or an exported file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hmean.postprocess.decoding import PageMap
from hmean.settings.config import Config, Dataloader
from hmean.types import PostprocessParams


@dataclass(frozen=True, eq=False)
class MapOrError:
    """P of the image at ``position`` of the list asked for, or why there is none."""

    position: int
    found: PageMap | str


class Run(Protocol):
    """P of each (name, file), in order; files that cannot be read give an error and the rest goes on."""

    def __call__(self, asked: Sequence[tuple[str, Path]], config: Config, loader: Dataloader) -> Iterator[MapOrError]:
        """See the class."""


@dataclass(frozen=True, eq=False)
class Trained(ABC):
    """What a trained model's file says beside the network.

    Attributes:
        path: the file.
        config: the resolved config of its training, with the post-processing values that hold now.
        epoch: epochs trained, less one.
        history: earlier post-processing values, oldest first, each with when, why and on which pages it was replaced.
        pages: the page keys (``LabelledImages.page_keys``) that were trained on, ``train``, and validated on, ``val``.
    """

    path: Path
    config: Mapping[str, Any]
    epoch: int
    history: Sequence[Mapping[str, Any]]
    pages: Mapping[str, NDArray[np.int64]]

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """Where what is made with it has its natural place: maps, scores, tuned values."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes of the weights."""

    @abstractmethod
    def start(self, config: Config) -> Run:
        """Bring the network into memory, on the machine's best device; it serves any number of runs."""

    @abstractmethod
    def weights_hash(self) -> str:
        """Hash of all weights: equal only for the same model."""

    @abstractmethod
    def write_postprocess(self, params: PostprocessParams, why: str, keys: NDArray[np.int64]) -> None:
        """Put values chosen on the pages of these keys into the file, whose history keeps the earlier ones."""

    def influenced_by(self, keys: NDArray[np.int64]) -> dict[str, int]:
        """How many of these pages the model was trained on, its epoch and its thresholds were chosen on."""
        chosen = self.pages["val"] if self.path.name != "last.ckpt" else np.zeros(0, np.int64)
        tuned = np.concatenate([np.zeros(0, np.int64), *(entry["pages"] for entry in self.history)])
        used = {"trained": self.pages["train"], "epoch_chosen": chosen, "tuned": tuned}
        return {name: int(np.isin(keys, pages).sum()) for name, pages in used.items()}
