"""A probability map and ``PostprocessParams`` in, ``Detections`` out.

The knobs, in the order in which they act:

=================  ====================================================================================================
``thresh``         a pixel is text where P > thresh
``min_size``       components whose smallest rectangle has a shorter side than this many map pixels are dropped
``box_thresh``     components whose mean P inside the outline is lower are dropped
``max_candidates`` the best N by that score are kept
``use_polygon``    outline: the component's own simplified contour, instead of the smallest rectangle around it
``unclip``         how the shrunk outline grows back, by a distance D' from its area A' and perimeter L':
                   ``ratio``: D' = A' * ``unclip_ratio`` / L' (Liao et al. 2020, eq. 11);
                   ``inverse``: the D' that undoes the training shrink with r = ``inverse_r`` exactly
=================  ====================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.geometry import Matrix
from hmean.postprocess.components import Components, MapArray, find_components
from hmean.postprocess.offsets import grow
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Points, Polygons

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    ratio = params.unclip == "ratio"
    # How far outside of the outermost pixels' centres the shrunk text's edge is taken to lie. On average it is half a
    # pixel: what ``inverse`` starts from. ``ratio`` starts from the centres, as in every DBNet program, so that values
    # of ``unclip_ratio`` found elsewhere mean the same here.
    rule = (0.0, float(params.unclip_ratio), True) if ratio else (0.5, float(params.inverse_r), False)
    least = np.float32(params.box_thresh)  # single precision, as regions keep their scores: tuning drops by those
    kept, scores = _kept(found.boxes, found.scores, found.ranking, float(params.min_size), least, params.max_candidates)
    if not len(kept):
        return Detections.empty()
    if params.use_polygon:
        outlines = found.outlines
        grown = grow(outlines, kept, _distances(outlines.points, outlines.offsets, kept, *rule))
        points, offsets = grown.points, grown.offsets
    else:
        points, offsets = _rectangles(found.boxes, kept, *rule)
    points, alive = _onto_page(points, offsets, page.to_page, page.page_width, page.page_height)
    regions = Detections(Polygons(points, offsets), scores)
    return regions if alive.all() else regions.select(alive)


@njit(cache=True, nogil=True)
def growth_distance(shrunk_area: float, shrunk_perimeter: float, strength: float, ratio: bool) -> float:
    """Distance D' by which an outline of this area and perimeter grows (same unit).

    ``ratio``: as in the paper, of strength ``unclip_ratio``. Otherwise, of strength r = ``inverse_r``, it solves
    D = A s / L with s = 1 - r^2 for the *grown* outline, whose corners are mitred: with A = A' + L' D + 4 D^2 and
    L = L' + 8 D it is the positive root of (8 - 4s) D^2 + (1 - s) L' D - s A' = 0.
    """
    if ratio:
        return shrunk_area * strength / shrunk_perimeter if shrunk_perimeter > 0 else 0.0
    s = 1 - strength**2
    a, b, c = 8 - 4 * s, (1 - s) * shrunk_perimeter, -s * shrunk_area
    return (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)


@njit(cache=True, nogil=True)
def _kept(
    boxes: Floats, scores: NDArray[np.float32], ranking: Ints, min_size: float, box_thresh: np.float32, most: int
) -> tuple[Ints, NDArray[np.float32]]:
    """The components (N,) that pass all filters, best first, and their scores."""
    kept, kept_scores, n = np.empty_like(ranking), np.empty_like(scores), 0
    for k in ranking:
        if n == most or scores[k] < box_thresh:
            break
        if min(boxes[k, 2], boxes[k, 3]) + 1 >= min_size:
            kept[n], kept_scores[n] = k, scores[k]
            n += 1
    return kept[:n], kept_scores[:n]


@njit(cache=True, nogil=True)
def _rectangles(boxes: Floats, kept: Ints, margin: float, strength: float, ratio: bool) -> tuple[Points, Ints]:
    """Corners (4 N, 2) of grown rectangles, clockwise on the screen, the one nearest the page's top-left first."""
    out, offsets = np.empty((4 * len(kept), 2)), np.arange(len(kept) + 1) * 4
    for i in range(len(kept)):
        x, y, w, h, ux, uy = boxes[kept[i]]
        w, h = w + 2 * margin, h + 2 * margin
        d = growth_distance(w * h, 2 * (w + h), strength, ratio)
        for c in range(4):
            a = (w / 2 + d) * (-1 if c in (0, 3) else 1)
            b = (h / 2 + d) * (-1 if c < 2 else 1)
            out[4 * i + c, 0] = x + a * ux - b * uy
            out[4 * i + c, 1] = y + a * uy + b * ux
    return out, offsets


@njit(cache=True, nogil=True)
def _distances(points: Points, offsets: Ints, kept: Ints, margin: float, strength: float, ratio: bool) -> Floats:
    """By how much outlines grow (N,), the margin with them."""
    out = np.empty(len(kept))
    for i in range(len(kept)):
        start, end = offsets[kept[i]], offsets[kept[i] + 1]
        twice, length, before = 0.0, 0.0, points[end - 1]
        for p in points[start:end]:
            dx, dy = p[0] - before[0], p[1] - before[1]
            twice += (p[0] - points[start, 0]) * dy - (p[1] - points[start, 1]) * dx
            length += math.sqrt(dx * dx + dy * dy)
            before = p
        # An offset by the margin with mitred corners, as if all were square: exact for rectangles.
        area = abs(twice) / 2 + length * margin + 4 * margin**2
        out[i] = margin + growth_distance(area, length + 8 * margin, strength, ratio)
    return out


@njit(cache=True, nogil=True)
def _onto_page(
    points: Points, offsets: Ints, to_page: Matrix, width: int, height: int
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
