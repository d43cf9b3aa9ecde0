"""A trained model, as every command uses it, whether its file is a checkpoint or an exported model."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, Influence, PagesSeen, PostprocessChange
from hmean.types import Detections, Look, TextView, View

if TYPE_CHECKING:
    from torch import Tensor

Accelerator = Literal["auto", "cpu", "gpu", "mps"]


class PageFile(NamedTuple):
    """A page by its name in the results, and the file (``FILE#page=N`` for a page of a file) that shows it."""

    name: str
    path: Path


def page_files(pages: LabelledImages) -> list[PageFile]:
    """The pages of a data set as files."""
    return [PageFile(pages.name(position), pages.file(position)) for position in range(len(pages))]


@dataclass(frozen=True)
class Unreadable:
    """A page whose image cannot be read, and why."""

    name: str
    reason: str


class FoundPage(NamedTuple):
    """What was found on a page, the page's size in pixels, and the looks at it (see ``PageMap``)."""

    detections: Detections
    width: int
    height: int
    looks: tuple[Look, ...] = ()


class Runner(Protocol):
    """A network at work: the probability map of each page, in order. Pages that cannot be read do not stop it."""

    def at(self, view: View) -> Runner:
        """The same network in memory, which sees pages in another way."""

    def __call__(
        self, pages: Sequence[PageFile], *, batch_size: int = 1, workers: int = 0
    ) -> Iterator[PageMap | Unreadable]:
        """Start on these pages.

        Args:
            pages: any number of them.
            batch_size: pages that go through the network together.
            workers: processes (or threads) that read images ahead of the network.
        """


@dataclass(frozen=True)
class Execution:
    """How a network is run; what it finds does not depend on it.

    Attributes:
        accelerator: ``auto`` is a GPU where there is one; an exported model always runs on the processor.
        batch_size: pages that go through the network together.
        workers: processes (or threads) that read images ahead of the network.
    """

    accelerator: Accelerator = "auto"
    batch_size: int = 1
    workers: int = 0

    def run(self, runner: Runner, pages: Sequence[PageFile]) -> Iterator[PageMap | Unreadable]:
        """The map of each page, in order."""
        return runner(pages, batch_size=self.batch_size, workers=self.workers)


def view_of(transforms: Mapping[str, Any]) -> View:
    """The view that the section ``transforms`` of a training's config describes; earlier versions had no other."""
    text = None
    if transforms.get("view", "page") == "text":
        text = TextView(float(transforms["text_height"]), int(transforms["first_look"]))
    return View(int(transforms["long_side"]), transforms["pad"], text)


def text_settings(view: View) -> dict[str, Any]:
    """What ``view_of`` reads of a view beside its size: keys of the section ``transforms``."""
    if view.text is None:
        return {"view": "page"}
    return {"view": "text", "text_height": view.text.height, "first_look": view.text.first_look}


class TrainedModel(ABC):
    """A trained model's file.

    Attributes:
        path: the file.
        carried: what it says beside the network.
    """

    def __init__(self, path: Path, carried: Carried) -> None:
        self.path = path
        self.carried = carried

    @property
    def training(self) -> Mapping[str, Any]:
        """The resolved config of its training, as literals."""
        return self.carried.config

    @property
    def view(self) -> View:
        """How it sees pages: the one that it was validated with."""
        return view_of(self.training["transforms"])

    @property
    def postprocess(self) -> PostprocessParams:
        """The post-processing values that hold now."""
        return self.carried.postprocess

    @property
    def history(self) -> Sequence[PostprocessChange]:
        """Earlier post-processing values, oldest first."""
        return self.carried.history

    @property
    def pages(self) -> PagesSeen:
        """The pages that it was trained and validated on."""
        return self.carried.pages

    @property
    def epoch(self) -> int:
        """Number of the last epoch of training, from 0 on."""
        return self.carried.epoch

    def influenced_by(self, keys: NDArray[np.int64]) -> Influence:
        """How many of the pages with these keys (``LabelledImages.page_keys``) had a part in its making."""
        return self.carried.influenced_by(keys, epoch_chosen=self.path.name != "last.ckpt")

    def write_postprocess(self, params: PostprocessParams, why: str, keys: NDArray[np.int64]) -> None:
        """Put post-processing values into the file, whose history keeps the earlier ones.

        Args:
            params: the values.
            why: the reason, for the history.
            keys: of the pages that the values were chosen on.

        Raises:
            InputError: if the file cannot be written.
        """
        self.require_writable()
        until = time.strftime("%Y-%m-%dT%H:%M:%S")
        change = PostprocessChange(postprocess=self.postprocess, until=until, why=why, pages=keys)
        self._replace_postprocess(change, params)
        self.carried = self.carried.with_postprocess(change, params)

    def require_writable(self) -> None:  # noqa: B027 - most files are
        """Check that post-processing values can be written into the file.

        Raises:
            InputError: if they cannot be.
        """

    @property
    @abstractmethod
    def folder(self) -> Path | None:
        """Where its maps, scores and tuned values belong; None if there is no such place."""

    def require_folder(self) -> Path:
        """Where its maps, scores and tuned values belong.

        Raises:
            InputError: if there is no such place.
        """
        if self.folder is None:
            raise InputError(
                f"{self.path}: does not lie in a run folder; copy it to a folder of yours and give the copy, or say "
                "where results go with output=FOLDER (hmean tune, which writes into the file, needs the copy)"
            )
        return self.folder

    @property
    @abstractmethod
    def size(self) -> int:
        """Size of the weights in bytes."""

    @property
    @abstractmethod
    def weights(self) -> Mapping[str, Tensor]:
        """The network's tensors by name.

        Raises:
            InputError: if the file is an exported model, which does not have them.
        """

    @abstractmethod
    def weights_hash(self) -> str:
        """Hash of all weights: equal only for the same network."""

    @abstractmethod
    def start(self, view: View, accelerator: Accelerator = "auto") -> Runner:
        """Bring the network into memory; the runner can be used any number of times.

        Args:
            view: how it sees pages: ``self.view``, or another.
            accelerator: ``auto`` is a GPU where there is one; an exported model always runs on the processor.

        Raises:
            InputError: if the network cannot be built or loaded.
        """

    @abstractmethod
    def _replace_postprocess(self, change: PostprocessChange, params: PostprocessParams) -> None:
        """Write values and history into the file."""
