"""Views of a page: every resize, crop, flip and augmentation is one 3 x 3 matrix from page to view pixels.

The image is warped once with it, the words are multiplied by it, predictions by its inverse. Words are never dropped
or re-ordered here: one that leaves the view is not drawn, and the others keep their places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmean import geometry
from hmean.geometry import Image, Matrix
from hmean.images import Pixels
from hmean.types import Pad, Points, Polygons

STRIDE = 32  # pixels of a view for each of the encoder's deepest level
MARGIN = 2.0  # what a view of the text shows beside it, in heights of typical text
MOST_ENLARGED = 4.0  # view pixels for a pixel of the page, along a line: beyond it there is nothing more to see


@dataclass(frozen=True, eq=False)
class PageView:
    """A view of one page.

    Attributes:
        matrix: from page pixels to the view's pixels.
        width: of the view, pixels.
        height: likewise.
    """

    matrix: Matrix
    width: int
    height: int

    @property
    def to_page(self) -> Matrix:
        """The inverse matrix: view pixels to page pixels."""
        return np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)

    @property
    def scale(self) -> float:
        """View pixels for a pixel of the page, along a line; near its origin, if the matrix bends it."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:2, :2]))))

    @property
    def shrink(self) -> int:
        """How far a page may be shrunk when decoded (1, 2, 4 or 8) and still be finer than the view everywhere."""
        to_page = self.to_page
        on_page = geometry.homogeneous_corners(self.width, self.height) @ to_page.T
        depth = on_page[:, 2, None, None]
        if depth.min() <= geometry.HORIZON:
            return 1
        # The derivative of page pixels by view pixels at each corner (4, 2, 2); its least singular value is the number
        # of page pixels for a view pixel in the direction where they are fewest.
        derivative = (to_page[:2, :2] - on_page[:, :2, None] / depth * to_page[2, :2]) / depth
        fewest = float(np.linalg.svd(derivative, compute_uv=False).min()) / geometry.FINER
        for shrink in (8, 4, 2):
            if shrink <= fewest:
                return shrink
        return 1

    def image(self, page: Pixels, fill: tuple[int, int, int]) -> Image:
        """The page's pixels in this view (height, width, 3); ``fill`` is the colour beside the page."""
        matrix = self.matrix @ geometry.scaling(page.shrink, page.shrink)
        return geometry.warp(page.image, matrix, self.width, self.height, fill)

    def polygons(self, polygons: Polygons) -> Polygons:
        """The page's polygons in this view's pixels: as many, in the same order, also those outside of it."""
        return polygons.with_points(geometry.transform(self.matrix, polygons.points))


def letterbox(page_width: int, page_height: int, long_side: int, pad: Pad) -> PageView:
    """The whole page with its longest side at ``long_side``, in the top-left corner of the view.

    The page's size is rounded to whole pixels and the matrix says so (its two scales differ by under 0.1 % for
    documents), so that it is resampled once and the way back is exact.

    Args:
        page_width: pixels.
        page_height: pixels.
        long_side: of the page in the view, pixels.
        pad: ``square`` pads to long_side x long_side (rounded up to the stride), ``stride`` only to the next multiple
            of the stride: less work for long receipts.
    """
    scale = long_side / max(page_width, page_height)
    width = max(1, round(page_width * scale))
    height = max(1, round(page_height * scale))
    matrix = geometry.scaling(width / page_width, height / page_height)
    if pad == "square":
        width = long_side
        height = long_side
    return PageView(matrix, round_up_to_stride(width), round_up_to_stride(height))


@dataclass(frozen=True, eq=False)
class TextPlace:
    """Where the text of a page is, and how tall.

    Attributes:
        low: left and top end of all text (2,), in pixels of the page.
        high: right and bottom end (2,).
        height: of typical text, in pixels of the page.
    """

    low: Points
    high: Points
    height: float

    @classmethod
    def of(cls, words: Sequence[Points]) -> TextPlace | None:
        """Of the text polygons of a page: the ends of all, and the median of their shorter sides. None: no text."""
        if len(words) == 0:
            return None
        points = np.concatenate(list(words))
        height = float(np.median(text_heights(words)))
        return cls(points.min(axis=0), points.max(axis=0), height)

    def reaching(self, other: TextPlace) -> TextPlace:
        """The same height of text, in all places where this or the other has some."""
        low = np.minimum(self.low, other.low)
        high = np.maximum(self.high, other.high)
        return TextPlace(low, high, self.height)


def text_heights(words: Sequence[Points]) -> NDArray[np.float64]:
    """The shorter side of the smallest rectangle around each of K polygons (K,)."""
    heights = np.zeros(len(words))
    for k, word in enumerate(words):
        heights[k] = min(geometry.min_area_rect(word).size)
    return heights


def text_view(page_width: int, page_height: int, text: TextPlace, height: float, long_side: int) -> PageView:
    """The part of a page that has text, scaled so that typical text is ``height`` pixels tall.

    It is cut along whole pixels of the page and scaled to whole pixels, as ``letterbox`` is. It is smaller if it would
    otherwise have more pixels than a square of ``long_side``, the bound of memory and time.

    Args:
        page_width: pixels.
        page_height: pixels.
        text: on the page.
        height: of typical text in the view, pixels.
        long_side: of a square that has as many pixels as a view may have.
    """
    size = np.array([page_width, page_height])
    margin = MARGIN * text.height
    low = np.floor(text.low - margin)
    high = np.ceil(text.high + margin)
    left, top = np.clip(low, 0, size - 1).astype(int).tolist()
    right, bottom = np.clip(high, (left + 1, top + 1), size).astype(int).tolist()
    bound = long_side / math.sqrt((right - left) * (bottom - top))
    scale = min(height / max(text.height, 1.0), bound, MOST_ENLARGED)
    width = max(1, round((right - left) * scale))
    height_in_view = max(1, round((bottom - top) * scale))
    to_view = geometry.scaling(width / (right - left), height_in_view / (bottom - top))
    matrix = to_view @ geometry.translation(-left, -top)
    return PageView(matrix, round_up_to_stride(width), round_up_to_stride(height_in_view))


def same_size(views: Sequence[PageView], most: int) -> Iterator[list[int]]:
    """Positions of views of one size, at most so many together: no page is padded beyond its own view."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for position, view in enumerate(views):
        by_size.setdefault((view.width, view.height), []).append(position)
    for positions in by_size.values():
        for start in range(0, len(positions), most):
            yield positions[start : start + most]


def round_up_to_stride(side: int) -> int:
    """The next multiple of the stride."""
    return -(-side // STRIDE) * STRIDE


def samples_of_epoch(pages: int, views_per_page: int, min_samples: int) -> int:
    """Training samples of one epoch: ``views_per_page`` of each page, and no fewer than ``min_samples``."""
    if pages == 0:
        return 0
    return max(pages * views_per_page, min_samples)
