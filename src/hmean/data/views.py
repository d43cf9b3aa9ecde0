"""Views of a page: every resize, crop, flip and augmentation is one 3 x 3 matrix from page to view pixels.

The image is warped once with it, the words are multiplied by it, predictions by its inverse. Words are never dropped
or re-ordered here: one that leaves the view is not drawn, and the others keep their places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmean import geometry
from hmean.geometry import Image, Matrix
from hmean.images import Pixels
from hmean.types import Pad, Polygons

STRIDE = 32  # pixels of a view for each of the encoder's deepest level


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


def round_up_to_stride(side: int) -> int:
    """The next multiple of the stride."""
    return -(-side // STRIDE) * STRIDE


def views_of_each_page(pages: int, views_per_page: int, min_samples: int) -> int:
    """Samples of each page in one epoch: ``views_per_page``, or more where the epoch would have too few samples."""
    if pages == 0:
        return views_per_page
    needed = -(-min_samples // pages)  # rounded up
    return max(views_per_page, needed)
