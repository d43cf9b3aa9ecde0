"""Training samples: as DBNet repositories make them, with torchvision alone, and as little as can be done with OpenCV.

The first is cv2.imread, albumentations (or OpenCV's calls) and textbook targets; the others have the faster targets of
``peers/targets.py``.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from peers.targets import make_targets, make_targets_at_once
from torchvision import io, tv_tensors
from torchvision.transforms import v2

from hmean.types import Page

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32) * 255
ALBUMENTATIONS = importlib.util.find_spec("albumentations") is not None


class Loader:
    """Samples of ``side`` px: the whole page, or with ``crop_from`` a crop of the page drawn at that long side."""

    def __init__(self, side: int, shrink_ratio: float, crop_from: int | None = None) -> None:
        self.side, self.shrink_ratio, self.crop_from = side, shrink_ratio, crop_from
        self.rng = np.random.default_rng(0)
        self.augment = _albumentations(side, crop_from) if ALBUMENTATIONS else self._opencv

    def __call__(self, file: Path, page: Page) -> tuple[NDArray[Any], object]:
        """One sample: image float32 (3, side, side) and its maps."""
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        image, points = self.augment(image, page.polygons.points)
        words = page.polygons.with_points(np.asarray(points, dtype=np.float64))
        maps = make_targets(words, page.ignored, self.side, self.side, shrink_ratio=self.shrink_ratio, min_side=3.0)
        return np.ascontiguousarray(image.transpose(2, 0, 1)), maps

    def _opencv(self, image: NDArray[Any], points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        height, width = image.shape[:2]
        scale = (self.crop_from or self.side) / max(height, width)
        image = cv2.resize(image, (round(width * scale), round(height * scale)))
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), self.rng.uniform(-10, 10), self.rng.uniform(0.85, 1.15))
        x, y = (self.rng.integers(0, max(1, n - self.side)) if self.crop_from else 0 for n in (width, height))
        image = cv2.warpAffine(image, turn, (width, height))[y : y + self.side, x : x + self.side]
        image = cv2.copyMakeBorder(
            image, 0, self.side - image.shape[0], 0, self.side - image.shape[1], cv2.BORDER_CONSTANT
        )
        points = (points * scale) @ turn[:, :2].T + turn[:, 2] - (x, y)
        if self.rng.random() < 0.5:  # brightness, contrast, saturation, hue: as the textbook has it, in HSV
            image = cv2.convertScaleAbs(image, alpha=self.rng.uniform(0.7, 1.3), beta=self.rng.uniform(-30, 30))
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32) * (1, self.rng.uniform(0.8, 1.2), 1)
            hsv[..., 0] += self.rng.uniform(-3, 3)
            image = cv2.cvtColor(np.clip(hsv, 0, (179, 255, 255)).astype(np.uint8), cv2.COLOR_HSV2RGB)
        if self.rng.random() < 0.15:
            noise = self.rng.normal(0, self.rng.uniform(0, 12), image.shape)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
        if self.rng.random() < 0.1:
            image = cv2.GaussianBlur(image, (5, 5), self.rng.uniform(0.1, 1.5))
        return (image - MEAN) * (1 / STD), points


def _albumentations(side: int, crop_from: int | None) -> Callable[..., tuple[NDArray[Any], NDArray[Any]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations as A  # noqa: N812, PLC0415 - its own way to be imported

        place = (
            [A.RandomCrop(side, side, pad_if_needed=True)]
            if crop_from
            else [A.PadIfNeeded(side, side, position="top_left")]
        )
        compose = A.Compose(
            [
                A.LongestMaxSize(crop_from or side),
                A.Affine(rotate=(-10, 10), scale=(0.85, 1.15), translate_percent=(-0.05, 0.05), p=1.0),
                *place,
                A.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.2, hue=0.02, p=0.5),
                A.GaussNoise(std_range=(0, 0.05), p=0.15),
                A.GaussianBlur(sigma_limit=(0.1, 1.5), p=0.1),
                A.Sharpen(p=0.1),
                A.RandomShadow(p=0.1),
                A.RandomFog(p=0.05),
                A.Normalize(),
            ],
            keypoint_params=A.KeypointParams(format="xy", remove_invisible=False),
        )

    def augment(image: NDArray[Any], points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        out = compose(image=image, keypoints=points)
        return out["image"], np.asarray(out["keypoints"]).reshape(-1, 2)

    return augment


class TorchvisionLoader:
    """Whole pages of ``side`` px through torchvision: decode_jpeg, transforms.v2 on uint8, key points for the words."""

    def __init__(self, side: int, shrink_ratio: float) -> None:
        self.side, self.shrink_ratio = side, shrink_ratio
        self.augment = v2.Compose(
            [
                v2.RandomAffine(
                    10, translate=(0.05, 0.05), scale=(0.85, 1.15), interpolation=v2.InterpolationMode.BILINEAR
                ),
                v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.2, 0.02)], p=0.5),
                v2.RandomApply([v2.GaussianNoise(sigma=0.025)], p=0.15),
                v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.5))], p=0.1),
                v2.RandomAdjustSharpness(2, p=0.1),
            ]
        )
        self.finish = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN / 255, STD / 255)])

    def __call__(self, file: Path, page: Page) -> tuple[torch.Tensor, object]:
        """One sample: image float32 (3, side, side) and its maps."""
        image = io.decode_image(io.read_file(str(file)), mode="RGB")
        height, width = image.shape[-2:]
        scale = self.side / max(height, width)
        size = (round(height * scale), round(width * scale))
        image = v2.functional.resize(image, list(size), antialias=True)
        image = v2.functional.pad(image, [0, 0, self.side - size[1], self.side - size[0]])
        points = tv_tensors.KeyPoints(
            torch.from_numpy(page.polygons.points * scale), canvas_size=(self.side, self.side)
        )
        image, points = self.augment(image, points)
        words = page.polygons.with_points(np.asarray(points, dtype=np.float64))
        maps = make_targets_at_once(
            words, page.ignored, self.side, self.side, shrink_ratio=self.shrink_ratio, min_side=3.0
        )
        return self.finish(image), maps


class BareLoader:
    """Whole pages of ``side`` px: cv2.imread and one warpAffine; colours stay as they are, and nothing is normalised."""

    def __init__(self, side: int, shrink_ratio: float) -> None:
        self.side, self.shrink_ratio = side, shrink_ratio
        self.rng = np.random.default_rng(0)

    def __call__(self, file: Path, page: Page) -> tuple[NDArray[np.uint8], object]:
        """One sample: image uint8 (3, side, side) and its maps."""
        image = cv2.imread(str(file))
        height, width = image.shape[:2]
        scale = self.side / max(height, width) * self.rng.uniform(0.85, 1.15)
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), self.rng.uniform(-10, 10), scale)
        turn[:, 2] += self.side / 2 - np.array([width, height]) / 2
        image = cv2.warpAffine(image, turn, (self.side, self.side))
        words = page.polygons.with_points(page.polygons.points @ turn[:, :2].T + turn[:, 2])
        maps = make_targets_at_once(
            words, page.ignored, self.side, self.side, shrink_ratio=self.shrink_ratio, min_side=3.0
        )
        return np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)), maps
