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

import math
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from hmean.geometry import Matrix, area, clamp, min_area_rect, perimeter, rect_corners, transform
from hmean.types import Detections, Points, Polygons, PostprocessParams

# Simplification of contours in polygon mode, as a share of their length (the value that PaddleOCR and docTR use).
CONTOUR_TOLERANCE = 0.002
MapArray = NDArray[np.float32] | NDArray[np.uint8]


def detect(
    probability: MapArray, params: PostprocessParams, *, to_page: Matrix, page_width: int, page_height: int
) -> Detections:
    """Find the text regions of one page.

    Args:
        probability: (H, W), float32 in [0, 1] or uint8 in 0..255 (a cached map).
        params: the knobs.
        to_page: 3 x 3 matrix from map pixels to page pixels (the inverse of the page's view).
        page_width: pixels; regions are clipped to the page.
        page_height: pixels.

    Returns:
        Regions in falling order of score.
    """
    unit = 255.0 if probability.dtype == np.uint8 else 1.0
    bitmap = (probability > params.thresh * unit).astype(np.uint8)
    contours, hierarchy = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return Detections.empty()
    found: list[tuple[float, Points]] = []
    for contour, links in zip(contours, hierarchy.reshape(-1, 4), strict=True):
        if links[3] >= 0:  # the edge of a hole, not a component
            continue
        (cx, cy), (w, h), angle = min_area_rect(contour[:, 0])
        if min(w, h) + 1 < params.min_size:
            continue
        score = _mean_inside(probability, contour) / unit
        if score < params.box_thresh:
            continue
        # OpenCV's outline runs through pixel centres, counted from 0. The text's true edge lies, on average, half a
        # pixel outside of the last centre that is text: + 0.5 to our frame, + 1 to each side of the rectangle.
        if params.use_polygon:
            outline = _grow_polygon(contour, params)
        else:
            d = growth_distance((w + 1) * (h + 1), 2 * (w + h + 2), params)
            outline = rect_corners(cx + 0.5, cy + 0.5, w + 1 + 2 * d, h + 1 + 2 * d, angle)
        if outline is not None:
            found.append((score, outline))
    found.sort(key=lambda item: -item[0])
    kept = [(score, clamp(transform(to_page, outline), page_width, page_height))
            for score, outline in found[: params.max_candidates]]  # fmt: skip
    kept = [(score, outline) for score, outline in kept if area(outline) > 0]
    scores = np.array([score for score, _ in kept], dtype=np.float32)
    return Detections(Polygons.of([outline for _, outline in kept]), np.clip(scores, 0, 1))


def growth_distance(shrunk_area: float, shrunk_perimeter: float, params: PostprocessParams) -> float:
    """Distance D' by which an outline of this area and perimeter grows (same unit).

    ``inverse`` solves D = A s / L with s = 1 - r^2 for the *grown* outline, whose corners are mitred: with
    A = A' + L' D + 4 D^2 and L = L' + 8 D it is the positive root of (8 - 4s) D^2 + (1 - s) L' D - s A' = 0.
    """
    if params.growth == "ratio":
        return shrunk_area * params.unclip_ratio / shrunk_perimeter
    s = 1 - params.inverse_r**2
    a, b, c = 8 - 4 * s, (1 - s) * shrunk_perimeter, -s * shrunk_area
    return (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)


def _mean_inside(probability: MapArray, contour: NDArray[Any]) -> float:
    x, y, w, h = cv2.boundingRect(contour)
    mask = np.zeros((h, w), dtype=np.uint8)
    cv2.drawContours(mask, [contour], -1, 1, cv2.FILLED, offset=(-x, -y))
    return float(cv2.mean(probability[y : y + h, x : x + w], mask)[0])


def _grow_polygon(contour: NDArray[Any], params: PostprocessParams) -> Points | None:
    """The contour, simplified and grown; None if nothing with an area comes out of it."""
    points = contour[:, 0].astype(np.float64) + 0.5
    tolerance = CONTOUR_TOLERANCE * perimeter(points)
    simple = cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0].astype(np.float64) + 0.5
    if len(simple) < 3 or area(simple) == 0:
        (cx, cy), (w, h), angle = min_area_rect(contour[:, 0])
        simple = rect_corners(cx + 0.5, cy + 0.5, max(w, 0.01), max(h, 0.01), angle)
    inner_area, inner_perimeter = area(simple), perimeter(simple)
    # The half pixel of the outline (see ``detect``), as an offset with mitred corners.
    full_area, full_perimeter = inner_area + inner_perimeter / 2 + 1, inner_perimeter + 4
    d = growth_distance(full_area, full_perimeter, params) + 0.5
    grown = shapely.buffer(shapely.Polygon(simple), d, join_style="mitre", mitre_limit=2.0)
    if grown.geom_type == "MultiPolygon":
        grown = max(grown.geoms, key=lambda part: part.area)
    outline = np.asarray(grown.exterior.coords)[:-1]
    return np.ascontiguousarray(outline, dtype=np.float64) if len(outline) >= 3 else None
