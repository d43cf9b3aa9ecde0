"""Training samples a core makes in a second, against the usual route; see peers/loader.py. Run by run.py."""

from __future__ import annotations

import copy
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import PIL.Image
import torch
from harness import Result, compare
from peers import loader as peer

from hmean.data.cache import PageCache
from hmean.data.dataset import TrainDataset
from hmean.labels.ufo import write_ufo
from hmean.settings.build import open_dataset
from hmean.settings.build_training import build_train_view
from hmean.settings.compose import compose_all
from hmean.synth.dataset import write_dataset
from hmean.types import Page

_EXACT = "tests/unit/data: pixels and words agree with the matrix"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


TORCHVISION = "torchvision: decode_image, transforms.v2, one distance transform"
PEERS = tuple(name for name in ("torchvision", "albumentations", "albucore", "pyclipper", "pillow") if _installed(name))
PEER = "cv2.imread, " + ("albumentations" if peer.ALBUMENTATIONS else "OpenCV augmentation") + ", textbook targets"
ABOUT = (
    "One training sample on one core: read, decode, augment, draw targets, lay out as a tensor (theirs float32 and "
    "normalised, ours uint8: the rest is done on the device). Augmentation as in the preset "
    "`efficientnet_b4_lr_optimized`: rotation, scale, shift, colour, noise, blur, sharpness, shadow, fog at equal "
    "probabilities; crops with those of `receipts_lite`. Each round draws new views. The photographs are the same pages "
    "drawn three times as large and saved as ordinary JPEGs."
)


def run() -> Iterator[Result]:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, labels = sroie_or_synthetic(folder)
        page = ["preset=efficientnet_b4_lr_optimized", "transforms.train.long_side=[640,640]"]
        whole = samples(images, labels, page)
        positions = range(0, len(whole), max(1, len(whole) // 24))
        yield _compare("whole page, 640", whole, positions, peer.Loader(640, 0.4), target=5)
        yield _compare("whole page, 640", whole, positions, peer.TorchvisionLoader(640, 0.4), peer_name=TORCHVISION)
        yield _compare(
            "whole page, 640",
            whole,
            positions,
            peer.BareLoader(640, 0.4),
            peer_name="bare OpenCV: imread, warpAffine, one distance transform",
            exact="the peer does less: no colour, no noise",
            strongest=True,
        )
        yield _compare(
            "crop of 384 from 960",
            samples(images, labels, ["preset=receipts_lite"]),
            positions,
            peer.Loader(384, 0.6, 960),
            target=None,
        )
        kept = _cached(whole, folder, positions)
        yield _compare("whole page, 640, cached", kept, positions, peer.Loader(640, 0.4), target=None)
        images, labels = _photographs(whole, folder / "photographs", positions[:12])
        photographs = samples(images, labels, page)
        yield _compare(
            "photograph of 4 to 10 megapixels, 640", photographs, range(12), peer.Loader(640, 0.4), target=None
        )


def sroie_or_synthetic(folder: Path) -> tuple[Path, Path]:
    if os.environ.get("HMEAN_DATA"):
        root = Path(os.environ["HMEAN_DATA"]) / "sroie"
        return root / "images", root / "labels.json"
    write_dataset(folder, train=24, long_side=(1280, 1280))
    return folder / "images", folder / "jsons" / "train.json"


def samples(images: Path, labels: Path, overrides: Sequence[str]) -> TrainDataset:
    where = [f"datasets.train_dataset.image_path={images}", f"datasets.train_dataset.annotation_path={labels}"]
    settings = compose_all([*overrides, *where])
    targets = settings.models.targets
    return TrainDataset(
        open_dataset(settings.datasets.train_dataset),
        build_train_view(settings.transforms),
        seed=0,
        shrink_ratio=targets.shrink_ratio,
        min_side=targets.min_side,
        fill=(124, 116, 104),
    )


def _cached(data: TrainDataset, folder: Path, positions: Sequence[int]) -> TrainDataset:
    """The same samples, the pages decoded before (each shrink that views ask for, at least once)."""
    cache = PageCache(folder / "cache", 10**11)
    for position in positions:
        for shrink in (1, 2):
            cache(data.pages.file(position), shrink)
    out = copy.copy(data)
    out.pages = replace(data.pages, decode=cache)
    return out


def _photographs(data: TrainDataset, folder: Path, positions: Sequence[int]) -> tuple[Path, Path]:
    folder.mkdir()

    def entries() -> Iterator[tuple[str, dict[str, Any]]]:
        for position in positions:
            page = data.pages.page(position)
            pixels = data.pages.pixels(position, page).image
            large = cv2.resize(pixels, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
            PIL.Image.fromarray(large).save(folder / f"{position}.jpg", quality=90)
            words = page.polygons.with_points(page.polygons.points * 3)
            yield (
                f"{position}.jpg",
                replace(page, width=3 * page.width, height=3 * page.height, polygons=words).to_ufo(),
            )

    write_ufo(folder / "labels.json", entries())
    return folder, folder / "labels.json"


def _compare(
    item: str,
    data: TrainDataset,
    positions: Sequence[int],
    loader: Callable[[Path, Page], object],
    *,
    target: float | None = None,
    peer_name: str = PEER,
    exact: str = _EXACT,
    strongest: bool = False,
) -> Result:
    pages = {position: (data.pages.file(position), data.pages.page(position)) for position in positions}
    epoch = 0

    def ours(position: int) -> dict[str, Any]:
        nonlocal epoch
        epoch += 1
        sample = data[(epoch, position)]
        assert "error" not in sample, sample["error"]
        return sample

    # Theirs holds its labels in memory, as its kind does; ours reads them again.
    return compare(
        item, peer_name, positions, ours, lambda i: loader(*pages[i]),
        exact=exact, target=target, strongest=strongest, rounds=5, cpu=True,
    )  # fmt: skip
