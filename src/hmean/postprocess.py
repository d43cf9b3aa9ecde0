"""A probability map and ``PostprocessParams`` in, ``Detections`` out.

The knobs, in the order in which they act:

=================  ====================================================================================================
``thresh``         a pixel is text where P > thresh
``min_size``       components whose smallest rectangle has a shorter side than this many map pixels are dropped
``box_thresh``     components whose mean P inside the outline is lower are dropped
``max_candidates`` the best N by that score are kept
``use_polygon``    outline: the component's own simplified contour, instead of the smallest rectangle around it
``growth``         how the shrunk outline grows back, by a distance D' from its area A' and perimeter L':
                   ``ratio``: D' = A' * ``unclip_ratio`` / L' (Liao et al. 2020, eq. 11);
                   ``inverse``: the D' that undoes the training shrink with r = ``inverse_r`` exactly
=================  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.components import Components, MapArray, find_components
from hmean.geometry import Matrix, areas, perimeters
from hmean.offsets import grow
from hmean.types import Detections, Points, Polygons, PostprocessParams

# Simplification of contours in polygon mode, as a share of their length (the value that PaddleOCR and docTR use).
CONTOUR_TOLERANCE = 0.002
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PageMap:
    """The probability map of one page, with the way back to the page.

    Attributes:
        name: of the page's image.
        probability: (H, W), float32 in [0, 1] or uint8 in 0..255.
        to_page: 3 x 3 matrix from map pixels to page pixels (the inverse of the page's view).
        page_width: pixels.
        page_height: pixels.
    """

    name: str
    probability: MapArray
    to_page: Matrix
    page_width: int
    page_height: int


def detect(page: PageMap, params: PostprocessParams) -> Detections:
    """Text regions of one page, in falling order of score, clipped to the page."""
    return detect_each(page, [params])[0]


def detect_pages(pages: Sequence[PageMap], params: PostprocessParams, *, threads: int = 1) -> list[Detections]:
    """``detect`` of many pages, shared among threads: most of it runs without the GIL."""
    if threads == 1 or len(pages) < threads:
        return [detect(page, params) for page in pages]
    shares = [pages[i * len(pages) // threads : (i + 1) * len(pages) // threads] for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        done = pool.map(lambda share: [detect(page, params) for page in share], shares)
        return [found for share in done for found in share]


def detect_each(page: PageMap, many: Sequence[PostprocessParams]) -> list[Detections]:
    """``detect`` at many settings (N): the map is read once, components are found once for each ``thresh``."""
    thresholds = sorted({params.thresh for params in many})
    found = dict(zip(thresholds, find_components(page.probability, thresholds), strict=True))
    return [_regions(page, found[params.thresh], params) for params in many]


def _regions(page: PageMap, found: Components, params: PostprocessParams) -> Detections:
    large = found.sizes.min(axis=1, initial=np.inf) + 1 >= params.min_size
    # Single precision on both sides, as regions keep their scores: tuning drops by those.
    scores = np.minimum(found.scores, 1).astype(np.float32)
    kept = np.flatnonzero(large & (scores >= np.float32(params.box_thresh)))
    kept = kept[np.argsort(-scores[kept], kind="stable")][: params.max_candidates]
    if not len(kept):
        return Detections.empty()
    if params.use_polygon:
        grown = _grown_contours(page.probability.shape, found, kept, params)
        outlines = grown.points, grown.offsets
    else:
        sizes = found.sizes[kept] + 2 * _margin(params)
        sizes += 2 * growth_distance(sizes[:, 0] * sizes[:, 1], 2 * (sizes[:, 0] + sizes[:, 1]), params)[:, None]
        corners = _rectangle_corners(found.centres[kept], sizes, found.axes[kept])
        outlines = corners, np.arange(len(kept) + 1) * 4
    points, alive = _onto_page(*outlines, page.to_page, page.page_width, page.page_height)
    regions = Detections(Polygons(points, outlines[1]), scores[kept])
    return regions if alive.all() else regions.select(alive)


@njit(cache=True, nogil=True)
def _onto_page(
    points: Points, offsets: NDArray[np.int64], to_page: Matrix, width: int, height: int
) -> tuple[Points, NDArray[np.bool_]]:
    """Outlines (P, 2) on the page, clipped to it, and which of them (K,) have an area there."""
    out, alive = np.empty_like(points), np.zeros(len(offsets) - 1, dtype=np.bool_)
    for k in range(len(alive)):
        twice = 0.0
        for i in range(offsets[k], offsets[k + 1]):
            x, y = points[i, 0], points[i, 1]
            depth = to_page[2, 0] * x + to_page[2, 1] * y + to_page[2, 2]
            out[i, 0] = min(max((to_page[0, 0] * x + to_page[0, 1] * y + to_page[0, 2]) / depth, 0.0), width)
            out[i, 1] = min(max((to_page[1, 0] * x + to_page[1, 1] * y + to_page[1, 2]) / depth, 0.0), height)
        first, before = out[offsets[k]], out[offsets[k + 1] - 1]
        for i in range(offsets[k], offsets[k + 1]):
            twice += (before[0] - first[0]) * (out[i, 1] - first[1]) - (before[1] - first[1]) * (out[i, 0] - first[0])
            before = out[i]
        alive[k] = twice != 0
    return out, alive


@njit(cache=True, nogil=True)
def _rectangle_corners(centres: Points, sizes: Floats, axes: Floats) -> Points:
    """Corners (4 K, 2) of rectangles, clockwise on the screen, the one nearest the page's top-left first."""
    out = np.empty((4 * len(centres), 2))
    for k in range(len(centres)):
        ux, uy = axes[k, 0], axes[k, 1]
        for c in range(4):
            w = sizes[k, 0] / 2 * (-1 if c in (0, 3) else 1)
            h = sizes[k, 1] / 2 * (-1 if c < 2 else 1)
            out[4 * k + c, 0] = centres[k, 0] + w * ux - h * uy
            out[4 * k + c, 1] = centres[k, 1] + w * uy + h * ux
    return out


def growth_distance(shrunk_area: Floats, shrunk_perimeter: Floats, params: PostprocessParams) -> Floats:
    """Distance D' by which outlines of these areas and perimeters (K,) grow (same unit).

    ``inverse`` solves D = A s / L with s = 1 - r^2 for the *grown* outline, whose corners are mitred: with
    A = A' + L' D + 4 D^2 and L = L' + 8 D it is the positive root of (8 - 4s) D^2 + (1 - s) L' D - s A' = 0.
    """
    if params.growth == "ratio":
        none: Floats = np.zeros_like(shrunk_area)
        return np.divide(shrunk_area * params.unclip_ratio, shrunk_perimeter, out=none, where=shrunk_perimeter > 0)
    s = 1 - params.inverse_r**2
    a, b, c = 8 - 4 * s, (1 - s) * shrunk_perimeter, -s * shrunk_area
    return (np.sqrt(b * b - 4 * a * c) - b) / (2 * a)


def _grown_contours(
    shape: tuple[int, ...], found: Components, kept: NDArray[np.int64], params: PostprocessParams
) -> Polygons:
    """Outlines of components, simplified and grown."""
    contours = found.contours(shape, kept)
    simple = Polygons.of(_simplified(found, k, contour) for k, contour in zip(kept.tolist(), contours, strict=True))
    inner, lengths, margin = areas(simple), perimeters(simple), _margin(params)
    # An offset by the margin with mitred corners, as if all were square: exact for rectangles.
    d = growth_distance(inner + lengths * margin + 4 * margin**2, lengths + 8 * margin, params)
    return grow(simple, d + margin)


def _margin(params: PostprocessParams) -> float:
    """How far outside of the outermost pixels' centres the shrunk text's edge is taken to lie.

    On average it is half a pixel: what ``inverse`` starts from. ``ratio`` starts from the centres, as in every DBNet
    program, so that values of ``unclip_ratio`` found elsewhere mean the same here.
    """
    return 0.5 if params.growth == "inverse" else 0.0


def _simplified(found: Components, k: int, contour: NDArray[np.int32]) -> Points:
    tolerance = CONTOUR_TOLERANCE * cv2.arcLength(contour, closed=True)
    simple: Points = cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0].astype(np.float64) + 0.5
    if len(simple) >= 3 and cv2.contourArea(contour) > 0:
        return simple
    w, h = np.maximum(found.sizes[k], 0.01)[:, None] / 2 * [found.axes[k], found.axes[k, ::-1] * (-1, 1)]
    corners: Points = found.centres[k] + np.stack([-w - h, w - h, w + h, h - w])
    return corners
