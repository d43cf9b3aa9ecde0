"""From a probability map to text polygons.

The steps, in order (``parameters`` explains each parameter):

1. ``thresh``: pixels above it are text, and text pixels that touch are a component.
2. ``box_thresh`` and ``min_size`` drop components that are unlikely or thin.
3. ``max_candidates`` keeps the best of them by score.
4. ``edge_level`` moves the sides of their rectangles to where the map falls to it.
5. ``unclip`` expands their rectangles, or, with ``use_polygon``, their outlines.
6. The polygons are moved from the map onto the page, and clipped to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.geometry import Matrix
from hmean.postprocess.components import HEIGHT, WIDTH, Components, Flags, Ints, MapArray, Rectangles, find_components
from hmean.postprocess.edges import fit_sides
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.unclip import UnclipRule, unclip_outlines, unclip_rectangles
from hmean.types import Detections, Look, Points, Polygons

Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PageMap:
    """The probability map of one page, with the way back to the page.

    Attributes:
        name: of the page's image.
        probability: (H, W), float32 in [0, 1] or uint8 in 0..255.
        to_page: 3 x 3 matrix from map pixels to page pixels (the inverse of the page's view).
        page_width: pixels.
        page_height: pixels.
        looks: the passes of the network that have led to the map, the last one over this view; empty: not known.
    """

    name: str
    probability: MapArray
    to_page: Matrix
    page_width: int
    page_height: int
    looks: tuple[Look, ...] = ()

    @property
    def scale(self) -> float:
        """Map pixels for a pixel of the page, along a line."""
        return 1 / math.sqrt(abs(float(np.linalg.det(self.to_page[:2, :2]))))


def detect(page: PageMap, params: PostprocessParams) -> Detections:
    """The text polygons of one page, in falling order of score, clipped to the page."""
    return detect_each(page, [params])[0]


def detect_pages(pages: Sequence[PageMap], params: PostprocessParams, *, threads: int = 1) -> list[Detections]:
    """``detect`` for many pages, which are divided among threads: most of the work is done without the GIL."""
    if threads == 1 or len(pages) < threads:
        return [detect(page, params) for page in pages]

    def detect_share(share: int) -> list[Detections]:
        first = share * len(pages) // threads
        stop = (share + 1) * len(pages) // threads
        return [detect(page, params) for page in pages[first:stop]]

    found = []
    with ThreadPoolExecutor(threads) as pool:
        for detections in pool.map(detect_share, range(threads)):
            found += detections
    return found


def detect_each(page: PageMap, settings: Sequence[PostprocessParams]) -> list[Detections]:
    """``detect`` at many settings (N): the map is read once, and components are found once for each ``thresh``."""
    thresholds = sorted({params.thresh for params in settings})
    by_threshold = dict(zip(thresholds, find_components(page.probability, thresholds), strict=True))
    return [_decode(page, by_threshold[params.thresh], params) for params in settings]


def _decode(page: PageMap, components: Components, params: PostprocessParams) -> Detections:
    """The text polygons of the components of one page."""
    kept = _filter(
        components.rectangles,
        components.scores,
        components.ranking,
        min_size=float(params.min_size),
        # In single precision, as scores are kept: tuning drops components by these.
        box_thresh=np.float32(params.box_thresh),
        max_candidates=params.max_candidates,
    )
    if not len(kept):
        return Detections.empty()
    rule = UnclipRule.of(params)
    if params.use_polygon:
        polygons = unclip_outlines(components.outlines, kept, rule)
    elif params.has_fitted_sides:
        fitted = fit_sides(page.probability, components.rectangles, kept, float(params.edge_level))
        polygons = unclip_rectangles(fitted, np.arange(len(kept)), rule)
    else:
        polygons = unclip_rectangles(components.rectangles, kept, rule)
    placed = _place(polygons.points, polygons.offsets, page.to_page, page.page_width, page.page_height)
    detections = Detections(Polygons(placed.points, polygons.offsets), components.scores[kept])
    if placed.has_area.all():
        return detections
    return detections.select(placed.has_area)


@njit(cache=True, nogil=True)
def _filter(
    rectangles: Rectangles,
    scores: Scores,
    ranking: Ints,
    min_size: float,
    box_thresh: np.float32,
    max_candidates: int,
) -> Ints:
    """The components that pass all filters (N,), best first."""
    kept = np.empty_like(ranking)
    count = 0
    for k in ranking:
        if count == max_candidates or scores[k] < box_thresh:
            break
        # Rectangles are measured between the centres of pixels: a whole pixel less.
        if min(rectangles[k, WIDTH], rectangles[k, HEIGHT]) + 1 >= min_size:
            kept[count] = k
            count += 1
    return kept[:count]


class _Placed(NamedTuple):
    """Outlines on the page (P, 2), clipped to it, and which of them (K,) have an area there."""

    points: Points
    has_area: Flags


@njit(cache=True, nogil=True)
def _place(points: Points, offsets: Ints, to_page: Matrix, width: int, height: int) -> _Placed:
    """Move K outlines onto the page, and clip them to it."""
    out = np.empty_like(points)
    has_area = np.zeros(len(offsets) - 1, dtype=np.bool_)
    for i in range(len(points)):
        x = points[i, 0]
        y = points[i, 1]
        depth = _row_times(to_page[2], x, y)
        page_x = _row_times(to_page[0], x, y) / depth
        page_y = _row_times(to_page[1], x, y) / depth
        out[i, 0] = min(max(page_x, 0.0), width)
        out[i, 1] = min(max(page_y, 0.0), height)
    for k in range(len(has_area)):
        has_area[k] = _twice_area(out[offsets[k] : offsets[k + 1]]) != 0
    return _Placed(out, has_area)


@njit(cache=True, nogil=True)
def _row_times(row: NDArray[np.float64], x: float, y: float) -> float:
    """A row of a matrix times the homogeneous point (x, y, 1)."""
    product: float = row[0] * x + row[1] * y + row[2]
    return product


@njit(cache=True, nogil=True)
def _twice_area(outline: Points) -> float:
    """Twice the signed area, by the shoelace formula as seen from the first point."""
    twice = 0.0
    before_x = outline[-1, 0] - outline[0, 0]
    before_y = outline[-1, 1] - outline[0, 1]
    for p in outline:
        x = p[0] - outline[0, 0]
        y = p[1] - outline[0, 1]
        twice += before_x * y - before_y * x
        before_x = x
        before_y = y
    return twice
