"""Torch datasets over label sets: views, targets and batches. All chance is a function of (seed, epoch, position)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler, default_collate

from hmean import geometry
from hmean.data import targets_torch
from hmean.data.pages import LabelledImages
from hmean.data.photometric import Photometric
from hmean.data.targets import make_targets, shrink_distances
from hmean.data.transforms import Augment, Pad, View, letterbox, training_crop, training_page
from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import Decoder, decode
from hmean.runs.maps import quantise, read_map
from hmean.types import Page


@dataclass(frozen=True)
class TrainView:
    """How a training sample is cut from a page: ``crop`` pixels square, or (None) the whole page at ``long_side``."""

    long_side: tuple[int, int]
    crop: int | None
    near_text: float
    augment: Augment
    photometric: Photometric

    def sample(self, rng: np.random.Generator, page: Page) -> View:
        """A random view of the page."""
        if self.crop is None:
            return training_page(rng, page.width, page.height, self.long_side[1], self.augment)
        return training_crop(
            rng, page.width, page.height, page.polygons,
            crop=self.crop, long_side=self.long_side, near_text=self.near_text, augment=self.augment,
        )  # fmt: skip


class TrainDataset(Dataset[dict[str, Any]]):
    """Random views with their targets; an item is asked for by (epoch, position).

    An item holds ``image`` uint8 (3, H, W), ``shrink``, ``band``, ``valid`` uint8 (H, W) and ``threshold`` float32, or,
    if they are made ``on_device``, what ``targets_torch.pack`` returns; or ``error``, where the page cannot be read.
    With ``teacher``, map files by page, also ``teacher`` uint8 (H, W): its P in this view, for ``mix``.
    """

    def __init__(
        self, pages: LabelledImages, view: TrainView, *, seed: int, shrink_ratio: float, min_side: float,
        fill: tuple[int, int, int], antialias: bool = False, on_device: bool = False,
        teacher: Mapping[str, Path] | None = None, teacher_weight: float = 0.5,
    ) -> None:  # fmt: skip
        self.pages, self.view, self.seed = pages, view, seed
        self.teacher, self.teacher_weight = teacher, teacher_weight
        self.antialias, self.on_device = antialias, on_device
        self.shrink_ratio, self.min_side, self.fill = shrink_ratio, min_side, fill

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, position = key
        rng = np.random.default_rng([self.seed, epoch, position])
        index = position % len(self.pages)
        try:
            page = self.pages.page(index)
            view = self.view.sample(rng, page)
            pixels = self.pages.pixels(index, page, view.shrink)
            taught = {} if self.teacher is None else {"teacher": seen_by(self.teacher[page.name], page, view)}
        except InputError as error:
            return {"error": str(error)}
        image = self.view.photometric(view.image(pixels, self.fill), rng)
        words, rule = view.polygons(page.polygons), {"shrink_ratio": self.shrink_ratio, "min_side": self.min_side}
        if self.on_device:
            packed = targets_torch.pack(words, shrink_distances(words, page.ignored, **rule))
            return {"image": to_tensor(image), **packed, **taught}
        targets = make_targets(words, page.ignored, view.width, view.height, antialias=self.antialias, **rule)
        return {
            "image": to_tensor(image),
            "shrink": torch.from_numpy(targets.shrink),
            "threshold": torch.from_numpy(targets.threshold),
            "band": torch.from_numpy(targets.band),
            "valid": torch.from_numpy(targets.valid),
            **taught,
        }


def seen_by(teacher: Path, page: Page, view: View) -> torch.Tensor:
    """A teacher's map of the page in this view, uint8 (H, W), as the image is: warped once."""
    known = read_map(teacher, page.name)
    if (known.page_width, known.page_height) != (page.width, page.height):
        raise InputError(f"{teacher}: is of another image than {page.name}, whose size is {page.width} x {page.height}")
    planes = np.repeat(quantise(known.probability)[..., None], 3, axis=2)
    return torch.from_numpy(geometry.warp(planes, view.matrix @ known.to_page, view.width, view.height)[..., 0].copy())


def mix(shrink: torch.Tensor, teacher: torch.Tensor, weight: float) -> torch.Tensor:
    """Shrink maps (N, H, W) of labels and of a teacher, uint8, as one: ``weight`` is the teacher's share."""
    return torch.lerp(shrink.float(), teacher.float(), weight).round().to(torch.uint8)


class EvalDataset(Dataset[dict[str, Any]]):
    """Whole pages, letterboxed. An item holds ``image`` uint8 (3, H, W), ``position``, ``view`` and ``size`` (w, h).

    An image that cannot be read gives ``position`` and ``error`` instead, for the main process to deal with. Pages are
    decoded whole: a score must not depend on how a JPEG was shrunk.
    """

    def __init__(
        self, files: Sequence[Path], *, long_side: int, pad: Pad, fill: tuple[int, int, int], decode: Decoder = decode,
    ) -> None:  # fmt: skip
        self.files, self.long_side, self.pad, self.fill, self.decode = files, long_side, pad, fill, decode

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> dict[str, Any]:
        try:
            pixels = self.decode(self.files[position], 1)
        except InputError as error:
            return {"position": position, "error": str(error)}
        view = letterbox(pixels.width, pixels.height, self.long_side, self.pad)
        image = to_tensor(view.image(pixels, self.fill))
        return {"image": image, "position": position, "view": view, "size": (pixels.width, pixels.height)}


def to_tensor(image: Image) -> torch.Tensor:
    """(H, W, 3) to uint8 (3, H, W)."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, list(planes))  # far quicker than a transpose by torch or numpy
    return torch.from_numpy(planes)


def collate_train(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack the items, or hand on the first ``error``: raised in a worker, it would come out as a traceback."""
    for item in items:
        if "error" in item:
            return item
    batch: dict[str, Any]
    if "words" in items[0]:
        batch = dict(targets_torch.collate(items))
        return batch | {
            key: torch.stack([item[key] for item in items]) for key in ("image", "teacher") if key in items[0]
        }
    batch = default_collate(items)
    return batch


def collate_eval(items: list[dict[str, Any]], fill: tuple[int, int, int]) -> dict[str, Any]:
    """Pages of one batch, padded to its largest; their views say where the page is. ``errors``: (position, text)."""
    good = [item for item in items if "error" not in item]
    height = max((item["image"].shape[1] for item in good), default=0)
    width = max((item["image"].shape[2] for item in good), default=0)
    images = torch.tensor(fill, dtype=torch.uint8).view(1, 3, 1, 1).repeat(len(good), 1, height, width)
    for image, item in zip(images, good, strict=True):
        image[:, : item["image"].shape[1], : item["image"].shape[2]] = item["image"]
    return {
        "image": images,
        "position": [item["position"] for item in good],
        "view": [item["view"] for item in good],
        "size": [item["size"] for item in good],
        "errors": [(item["position"], item["error"]) for item in items if "error" in item],
    }


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, position), shuffled by (seed, epoch) alone, each rank its share: nothing to save or restore.

    ``views_per_page`` passes over the data make one epoch. Workers may live on between epochs, since the epoch travels
    with the item. All ranks get the same number of items; the last ones are repeated from the front.
    """

    def __init__(
        self, pages: int, *, seed: int, views_per_page: int = 1, rank: int = 0, world: int = 1, epoch: int = 0
    ) -> None:
        self.pages, self.seed, self.views_per_page = pages, seed, views_per_page
        self.rank, self.world, self.epoch = rank, world, epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.pages * self.views_per_page / self.world)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.pages * self.views_per_page)
        share = np.resize(order, len(self) * self.world)[self.rank :: self.world]
        return ((self.epoch, int(position)) for position in share)
