"""Views of a page: every resize, crop, flip and augmentation is one 3 x 3 matrix from page to view pixels.

The image is warped once with it, the words are multiplied by it, predictions by its inverse. Words are never dropped
or re-ordered here: one that leaves the view is not drawn, and the others keep their places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from hmean import geometry
from hmean.geometry import Image, Matrix
from hmean.images import Pixels
from hmean.types import Polygons

Pad = Literal["square", "stride"]
STRIDE = 32  # deepest level of the encoder


@dataclass(frozen=True, eq=False)
class View:
    """``matrix`` maps page pixels to the pixels of a ``width`` x ``height`` view."""

    matrix: Matrix
    width: int
    height: int

    @property
    def to_page(self) -> Matrix:
        """The inverse matrix: view pixels to page pixels."""
        return np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)

    @property
    def shrink(self) -> int:
        """How far a page may be shrunk when decoded (1, 2, 4 or 8) and still be finer than the view everywhere."""
        inverse = self.to_page
        corners = np.array([[0, 0, 1], [self.width, 0, 1], [self.width, self.height, 1], [0, self.height, 1]])
        at = corners @ inverse.T
        depth = at[:, 2, None, None]
        if depth.min() <= 1e-9:
            return 1
        # Page pixels per view pixel in the direction where they are fewest, at each corner.
        jacobian = (inverse[:2, :2] - at[:, :2, None] / depth * inverse[2, :2]) / depth
        fewest = float(np.linalg.svd(jacobian, compute_uv=False).min()) / geometry.FINER
        return next((shrink for shrink in (8, 4, 2) if shrink <= fewest), 1)

    def image(self, page: Pixels, fill: tuple[int, int, int]) -> Image:
        """The page's pixels in this view (height, width, 3)."""
        matrix = self.matrix @ geometry.scaling(page.shrink, page.shrink)
        return geometry.warp(page.image, matrix, self.width, self.height, fill)

    def polygons(self, polygons: Polygons) -> Polygons:
        """The page's polygons in this view's pixels: as many, in the same order, also those outside of it."""
        return polygons.with_points(geometry.transform(self.matrix, polygons.points))


def letterbox(page_width: int, page_height: int, long_side: int, pad: Pad) -> View:
    """The whole page with its longest side at ``long_side``, in the top-left corner of the view.

    The page's size is rounded to whole pixels and the matrix says so (its two scales differ by under 0.1 % for
    documents), so that it is resampled once and the way back is exact. ``square`` pads to long_side x long_side
    (rounded up to the stride), ``stride`` only to the next multiple of 32: less work for long receipts.
    """
    scale = long_side / max(page_width, page_height)
    width, height = max(1, round(page_width * scale)), max(1, round(page_height * scale))
    matrix = geometry.scaling(width / page_width, height / page_height)
    if pad == "square":
        width = height = long_side
    return View(matrix, _up(width), _up(height))


def _up(side: int) -> int:
    return -(-side // STRIDE) * STRIDE


@dataclass(frozen=True)
class Augment:
    """Ranges of the geometric augmentation, drawn from [-v, v]; the defaults change nothing."""

    rotate: float = 0.0  # degrees
    scale: tuple[float, float] = (1.0, 1.0)  # factors, log-uniform in [low, high]
    shift: float = 0.0  # share of the view's side, for each axis (whole pages only)
    shear: float = 0.0  # degrees
    perspective: float = 0.0  # how far the page's corners wander, as a share of its sides
    stretch: float = 0.0  # log2 of the aspect's change
    hflip: float = 0.0  # probability of a mirrored view
    vflip: float = 0.0  # and of an upside-down one
    p: float = 1.0  # probability that rotation, shear and perspective act at all

    def sample(self, rng: np.random.Generator, page_width: int, page_height: int) -> Matrix:
        """A random map about the page's centre, without shift."""
        cx, cy = page_width / 2, page_height / 2
        low, high = self.scale
        factor = math.exp(rng.uniform(math.log(low), math.log(high)))
        aspect = 2.0 ** (rng.uniform(-self.stretch, self.stretch) / 2)
        flips = rng.random(2) < (self.hflip, self.vflip)
        matrix = geometry.scaling(factor * aspect * (-1 if flips[0] else 1), factor / aspect * (-1 if flips[1] else 1))
        if rng.random() >= self.p:
            return geometry.about(matrix, cx, cy)
        shear = np.eye(3)
        shear[0, 1] = math.tan(math.radians(rng.uniform(-self.shear, self.shear)))
        matrix = geometry.about(geometry.rotation(rng.uniform(-self.rotate, self.rotate)) @ shear @ matrix, cx, cy)
        if self.perspective > 0:
            corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32)
            wander = rng.uniform(-self.perspective, self.perspective, (4, 2)).astype(np.float32)
            size = np.array([page_width, page_height], dtype=np.float32)
            matrix = matrix @ cv2.getPerspectiveTransform(corners * size, (corners + wander) * size)
        return matrix


def training_page(
    rng: np.random.Generator, page_width: int, page_height: int, long_side: int, augment: Augment
) -> View:
    """A whole page on a long_side x long_side canvas (rounded up to the stride), augmented about its centre."""
    side = _up(long_side)
    scale = long_side / max(page_width, page_height)
    matrix = augment.sample(rng, page_width, page_height)
    centre = geometry.transform(matrix, np.array([[page_width / 2, page_height / 2]]))[0]
    dx, dy = rng.uniform(-augment.shift, augment.shift, 2) * long_side
    to_view = geometry.translation(side / 2 + dx, side / 2 + dy) @ geometry.scaling(scale, scale)
    return View(to_view @ geometry.translation(-centre[0], -centre[1]) @ matrix, side, side)


def training_crop(
    rng: np.random.Generator,
    page_width: int,
    page_height: int,
    words: Polygons,
    *,
    crop: int,
    long_side: tuple[int, int],
    near_text: float,
    augment: Augment,
) -> View:
    """A crop x crop window of the page drawn at a long side log-uniform in ``long_side``, augmented.

    With probability ``near_text`` a random word lies in it, at a random place; else it lies anywhere on the page. It
    reaches beyond the page only where it must, or by a twentieth of its side.
    """
    scale = math.exp(rng.uniform(math.log(long_side[0]), math.log(long_side[1]))) / max(page_width, page_height)
    matrix = geometry.scaling(scale, scale) @ augment.sample(rng, page_width, page_height)
    if len(words) and rng.random() < near_text:
        anchor = words[int(rng.integers(len(words)))].mean(axis=0)
        anchor = geometry.clamp(anchor[None], page_width, page_height)[0]
        place = rng.uniform(0.1, 0.9, 2) * crop
    else:
        anchor = rng.uniform((0, 0), (page_width, page_height))
        place = np.array([crop / 2, crop / 2])
    at = geometry.transform(
        matrix, np.vstack([anchor, [[0, 0], [page_width, 0], [page_width, page_height], [0, page_height]]])
    )
    # Little of the window may show what lies beside the page: there is nothing to learn there.
    low, high = at[1:].min(axis=0) - 0.05 * crop, at[1:].max(axis=0) + 0.05 * crop - crop
    corner = np.where(
        low < high, np.clip(at[0] - place, low, high), rng.uniform(np.minimum(low, high), np.maximum(low, high))
    )
    return View(geometry.translation(-corner[0], -corner[1]) @ matrix, crop, crop)
