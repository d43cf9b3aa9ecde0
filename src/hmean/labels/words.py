"""Words as label files state them: checked, then put together to a ``Page``. Every format uses this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from hmean.geometry import area
from hmean.types import Page, Points, Polygons

# Transcriptions that mark an ignore region.
IGNORED_TEXTS = frozenset({"###", "*"})


@dataclass(frozen=True, eq=False, slots=True)
class Word:
    """One labelled word."""

    id: str
    polygon: Points
    text: str | None
    ignore: bool


def make_page(
    name: str,
    width: int,
    height: int,
    words: Sequence[Word],
    *,
    group: str | None = None,
    words_known: bool = True,
) -> Page:
    """A page of words whose polygons were checked."""
    return Page(
        name,
        width,
        height,
        Polygons.of([word.polygon for word in words]),
        tuple(word.id for word in words),
        tuple(word.text for word in words),
        np.array([word.ignore for word in words], dtype=np.bool_),
        group,
        words_known=words_known,
    )


def check_polygon(
    where: str,
    points: Any,
    width: int,
    height: int,
    faults: list[str],
) -> Points | None:
    """Turn the points of a label file into a polygon (n, 2).

    Args:
        where: page and word, for the message.
        points: whatever the file has in their place.
        width: of the page, pixels.
        height: likewise.
        faults: list to which a sentence is added if they are not the outline of something on the page.

    Returns:
        The polygon, or None if there is a fault.
    """
    if _is_convex_quad_on_page(points, width, height):
        return np.array(points, dtype=np.float64)
    try:
        polygon = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        polygon = np.zeros(0)
    fault = _polygon_fault(polygon, width, height)
    if fault is not None:
        faults.append(f"{where}: {fault}")
        return None
    return polygon


def _polygon_fault(polygon: Points, width: int, height: int) -> str | None:  # noqa: PLR0911 - one fault after another
    if polygon.ndim != 2 or polygon.shape[1:] != (2,):
        return "points is not a list of [x, y] pairs"
    if len(polygon) < 3:
        return f"has {len(polygon)} points, a polygon needs 3 or more"
    if not np.isfinite(polygon).all():
        return "has a coordinate that is not a finite number"
    rounded = polygon.round(1).tolist()
    left, top = polygon.min(axis=0)
    right, bottom = polygon.max(axis=0)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return f"lies outside of the page ({width} x {height}): {rounded}"
    if area(polygon) <= 0:
        return f"has no area: {rounded}"
    if not shapely.LinearRing(polygon).is_simple:
        return f"its outline crosses itself (corners in a wrong order?): {rounded}"
    return None


def _is_convex_quad_on_page(points: Any, width: int, height: int) -> bool:
    """Whether nothing is wrong, as with nearly all words. Much quicker than the full check of a polygon."""
    try:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
        turns = (
            (bx - ax) * (cy - by) - (by - ay) * (cx - bx),
            (cx - bx) * (dy - cy) - (cy - by) * (dx - cx),
            (dx - cx) * (ay - dy) - (dy - cy) * (ax - dx),
            (ax - dx) * (by - ay) - (ay - dy) * (bx - ax),
        )
        # Four turns to the same side go round once: the quad is convex and its outline cannot cross itself.
        if not (min(turns) > 0 or max(turns) < 0):
            return False
        if not all(math.isfinite(turn) for turn in turns):
            return False
        right = max(ax, bx, cx, dx)
        bottom = max(ay, by, cy, dy)
        left = min(ax, bx, cx, dx)
        top = min(ay, by, cy, dy)
        return bool(right > 0 and bottom > 0 and left < width and top < height)
    except (TypeError, ValueError):
        return False
