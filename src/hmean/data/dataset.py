"""Torch datasets over labelled pages: random views with targets for training, whole pages for evaluation.

All chance is a function of (seed, epoch, position).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from hmean import geometry
from hmean.data.augment import TrainView
from hmean.data.pages import LabelledImages
from hmean.data.paste import SeenWords, paste_words, source_matrix
from hmean.data.sampler import Mixture
from hmean.data.targets import make_targets
from hmean.data.teacher import ReadTeacher, blend, teacher_in_view
from hmean.data.views import PageView, letterbox
from hmean.data.word_weights import draw_word_weights
from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import Decoder, Pixels, decode
from hmean.types import Pad, Page, Polygons


@dataclass(frozen=True, eq=False)
class TrainingView:
    """What a training is shown in one sample.

    Attributes:
        page: its labels.
        view: which part of the page, and how it was bent.
        image: with all changes of place and colour, (H, W, 3).
        polygons: of the words, pixels of the view, also of those outside of it (K).
        ignored: which of them do not count (K,).
    """

    page: Page
    view: PageView
    image: Image
    polygons: Polygons
    ignored: NDArray[np.bool_]


class TrainDataset(Dataset[dict[str, Any]]):
    """Random views with their targets, by (epoch, position).

    An item holds ``image`` uint8 (3, H, W), and (H, W) each the maps of ``Targets``: ``shrink``, ``band``, ``valid``
    uint8 and ``threshold`` float32; with ``word_balance`` above 0 also ``weight`` float32, what each pixel counts. If
    its page cannot be read, it holds ``error`` alone, a message.

    Args:
        pages: what is trained on.
        view: how samples are cut and changed.
        seed: of all chance.
        shrink_ratio: see ``make_targets``.
        min_side: likewise.
        fill: colour beside the page, RGB.
        antialias: see ``make_targets``.
        word_balance: the exponent of ``word_weights.draw_word_weights``; 0: all pixels count alike.
        teacher: reads the map of a page that a teacher made. It is blended into ``shrink``.
        teacher_weight: share of the teacher in ``shrink``, 0..1.
        mixture: which page a sample shows; None: each page is seen once an epoch.
    """

    def __init__(
        self,
        pages: LabelledImages,
        view: TrainView,
        *,
        seed: int,
        shrink_ratio: float,
        min_side: float,
        fill: tuple[int, int, int],
        antialias: bool = False,
        word_balance: float = 0.0,
        teacher: ReadTeacher | None = None,
        teacher_weight: float = 0.5,
        mixture: Mixture | None = None,
    ) -> None:
        self.pages = pages
        self.mixture = mixture
        self.view = view
        self.seed = seed
        self.shrink_ratio = shrink_ratio
        self.min_side = min_side
        self.fill = fill
        self.antialias = antialias
        self.word_balance = word_balance
        self.teacher = teacher
        self.teacher_weight = teacher_weight

    def __len__(self) -> int:
        if self.mixture is not None:
            return len(self.mixture)
        return len(self.pages)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        try:
            return self._item(self.sample(key))
        except InputError as error:
            return {"error": str(error)}  # raised here, in a loader process, it would come out as a traceback

    def sample(self, key: tuple[int, int]) -> TrainingView:
        """What the training is shown at (epoch, position).

        Raises:
            InputError: if labels or image cannot be read.
        """
        epoch, position = key
        rng = np.random.default_rng([self.seed, epoch, position])
        index = position % len(self)  # several views of a page have positions of their own
        if self.mixture is not None:
            index = self.mixture.page(epoch, index)
        return self._sample(index, rng)

    def _sample(self, index: int, rng: np.random.Generator) -> TrainingView:
        page = self.pages.page(index)
        view = self.view.sample(rng, page)
        pixels = self.pages.pixels(index, page, view.shrink)
        seen = SeenWords(view.image(pixels, self.fill), view.polygons(page.polygons), page.ignored)
        # Nothing is drawn where the probability is 0: views without pasted words are those of earlier versions.
        if self.view.paste.p > 0 and rng.random() < self.view.paste.p:
            seen = self._paste(seen, view, page, rng)
        image = self.view.photometric(seen.image, rng)
        return TrainingView(page, view, image, seen.polygons, seen.ignored)

    def _item(self, seen: TrainingView) -> dict[str, Any]:
        """The sample as tensors, with its targets."""
        view = seen.view
        targets = make_targets(
            seen.polygons,
            seen.ignored,
            view.width,
            view.height,
            shrink_ratio=self.shrink_ratio,
            min_side=self.min_side,
            antialias=self.antialias,
        )
        shrink = torch.from_numpy(targets.shrink)
        if self.teacher is not None:
            taught = teacher_in_view(self.teacher(seen.page.name), seen.page, view)
            shrink = blend(shrink, taught, self.teacher_weight)
        item = {
            "image": to_tensor(seen.image),
            "shrink": shrink,
            "threshold": torch.from_numpy(targets.threshold),
            "band": torch.from_numpy(targets.band),
            "valid": torch.from_numpy(targets.valid),
        }
        if self.word_balance > 0:
            weight = draw_word_weights(
                seen.polygons,
                seen.ignored,
                view.width,
                view.height,
                exponent=self.word_balance,
                min_side=self.min_side,
            )
            item["weight"] = torch.from_numpy(weight)
        return item

    def _paste(self, seen: SeenWords, view: PageView, page: Page, rng: np.random.Generator) -> SeenWords:
        """Words of another page in free places."""
        index = int(rng.integers(len(self.pages)))
        source = self.pages.page(index)
        matrix = source_matrix(rng, view, page, source)
        whole = PageView(matrix, source.width, source.height)
        pixels = self.pages.pixels(index, source, whole.shrink)
        corners = geometry.corners(page.width, page.height)
        page_corners = geometry.transform(view.matrix, corners)
        return paste_words(rng, seen, page_corners, pixels, source, matrix, self.view.paste.words)


def collate_train(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch of training samples; or, where a page could not be read, the first item with an ``error``."""
    for item in items:
        if "error" in item:
            return item
    batch: dict[str, Any] = default_collate(items)
    return batch


@dataclass(frozen=True, eq=False)
class WholePage:
    """One page, letterboxed.

    Attributes:
        position: in the data set.
        image: uint8 (3, H, W).
        view: where the page is in it.
        size: width and height of the upright page, pixels.
        page: uint8 (height, width, 3), the page itself, where more views of it may follow; else None.
    """

    position: int
    image: Tensor
    view: PageView
    size: tuple[int, int]
    page: Tensor | None = None


@dataclass(frozen=True)
class UnreadablePage:
    """A page whose image cannot be read, and why."""

    position: int
    error: str


class EvalDataset(Dataset[WholePage | UnreadablePage]):
    """Whole pages, letterboxed. They are decoded unshrunk: a score must not depend on how a file was compressed.

    Args:
        files: images.
        long_side: longest side of a page in its view, pixels; of a view of the text, in the first look.
        pad: see ``letterbox``.
        fill: colour of the padding, RGB.
        decode: ``hmean.images.decode``, or a cache in front of it.
        keep_pages: whether items hold the page itself, too.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        long_side: int,
        pad: Pad,
        fill: tuple[int, int, int],
        decode: Decoder = decode,
        keep_pages: bool = False,
    ) -> None:
        self.files = files
        self.long_side = long_side
        self.pad = pad
        self.fill = fill
        self.decode = decode
        self.keep_pages = keep_pages

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> WholePage | UnreadablePage:
        try:
            pixels = self.decode(self.files[position], 1)
        except InputError as error:
            return UnreadablePage(position, str(error))
        view = letterbox(pixels.width, pixels.height, self.long_side, self.pad)
        image = to_tensor(view.image(pixels, self.fill))
        page = None
        if self.keep_pages:
            page = torch.from_numpy(np.require(pixels.image, requirements="W"))
        return WholePage(position, image, view, (pixels.width, pixels.height), page)


@dataclass(frozen=True, eq=False)
class PageBatch:
    """Whole pages of one batch, N of them readable.

    Attributes:
        images: uint8 (N, 3, H, W), each padded to the largest; ``views`` say where the page is.
        positions: in the data set, of each.
        views: of each.
        sizes: width and height of each upright page, pixels.
        unreadable: the other pages.
        pages: each page itself, where more views of it may follow (see ``WholePage``); else empty.
    """

    images: Tensor
    positions: list[int]
    views: list[PageView]
    sizes: list[tuple[int, int]]
    unreadable: list[UnreadablePage]
    pages: list[Tensor] = field(default_factory=list)

    def to(self, device: torch.device) -> PageBatch:
        """The batch with its images on a device; Lightning calls it."""
        return replace(self, images=self.images.to(device, non_blocking=True))

    def pin_memory(self) -> PageBatch:
        """The batch with its images in pinned memory; torch's loader calls it."""
        return replace(self, images=self.images.pin_memory())


def collate_eval(items: list[WholePage | UnreadablePage], fill: tuple[int, int, int]) -> PageBatch:
    """The pages as one batch; ``fill`` pads them."""
    pages = [item for item in items if isinstance(item, WholePage)]
    height = max((page.image.shape[1] for page in pages), default=0)
    width = max((page.image.shape[2] for page in pages), default=0)
    colour = torch.tensor(fill, dtype=torch.uint8).view(1, 3, 1, 1)
    images = colour.repeat(len(pages), 1, height, width)
    for image, page in zip(images, pages, strict=True):
        _, page_height, page_width = page.image.shape
        image[:, :page_height, :page_width] = page.image
    return PageBatch(
        images=images,
        positions=[page.position for page in pages],
        views=[page.view for page in pages],
        sizes=[page.size for page in pages],
        unreadable=[item for item in items if isinstance(item, UnreadablePage)],
        pages=[page.page for page in pages if page.page is not None],
    )


def view_tensor(page: Tensor, view: PageView, fill: tuple[int, int, int]) -> Tensor:
    """The pixels of a page, uint8 (height, width, 3), in a view of it, uint8 (3, H, W)."""
    height, width, _ = page.shape
    return to_tensor(view.image(Pixels(page.numpy(), width, height), fill))


def to_tensor(image: Image) -> Tensor:
    """(H, W, 3) to uint8 (3, H, W)."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, list(planes))  # far quicker than a transpose by torch or numpy
    return torch.from_numpy(planes)
