"""Words as label files state them: checked, then put together to a ``Page``. Every format uses this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from hmean.geometry import area
from hmean.types import Page, Points, Polygons

# The only transcription that marks an ignore region, as in the official program of CLEval.
IGNORED_TEXT = "###"
LONGEST_SIDE = 10**6  # pixels of a page
_FARTHEST = 1e8  # pixels from the page's corner; areas of what is farther off lose their precision
_LONGEST_SHOWN = 100  # characters of a value in a message


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


def check_side(name: str, key: str, side: Any, faults: list[str]) -> int:
    """Turn the width or height of a page, as a label file states it, into a number of pixels.

    Args:
        name: of the page, for the message.
        key: of the side in the file, for the message.
        side: whatever the file has in its place.
        faults: list to which a sentence is added if it is no such number.

    Returns:
        The side; if there is a fault, one that is so large that words can still be checked.
    """
    is_number = isinstance(side, int | float) and not isinstance(side, bool)
    if is_number and 1 <= side < LONGEST_SIDE and side == int(side):
        return int(side)
    faults.append(f"{name}: {key} is {shown(side)}, not the image's size in whole pixels")
    return LONGEST_SIDE


def shown(value: Any) -> str:
    """A value of a file in a message, cut off if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "a number of thousands of digits, or lists in lists"
    if len(text) > _LONGEST_SHOWN:
        return text[:_LONGEST_SHOWN] + "..."
    return text


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
    try:
        polygon = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        polygon = np.zeros(0)
    fault = polygon_fault(polygon, width, height)
    if fault is not None:
        faults.append(f"{where}: {fault}")
        return None
    return polygon


def are_sound(polygons: Polygons, width: int, height: int) -> bool:
    """Whether ``check_polygon`` finds no fault in the polygons of a page, and in much less time."""
    sound = np.diff(polygons.offsets) == 4
    corners = polygons.points[polygons.offsets[:-1][sound, None] + np.arange(4)]
    sound[sound] = are_convex_quads(corners, width, height)
    to_check = np.flatnonzero(~sound)
    return all(polygon_fault(polygons[k], width, height) is None for k in to_check.tolist())


def are_convex_quads(corners: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Which four corners (K, 4, 2) go round a convex quad on the page; in these, ``check_polygon`` finds no fault."""
    ring = corners.transpose(1, 0, 2)[[0, 1, 2, 3, 0, 1]]
    with np.errstate(over="ignore", invalid="ignore"):
        sides = ring[1:] - ring[:-1]
        turns = sides[:4, :, 0] * sides[1:, :, 1] - sides[:4, :, 1] * sides[1:, :, 0]
    # Four turns to the same side go round once: the quad is convex and its outline cannot cross itself.
    convex = (turns > 0).all(axis=0) | (turns < 0).all(axis=0)
    most = ring.max(axis=0)
    least = ring.min(axis=0)
    meets_page = (most > 0) & (most <= _FARTHEST) & (least < (width, height)) & (least >= -_FARTHEST)
    found: NDArray[np.bool_] = convex & meets_page.all(axis=1)
    return found


def polygon_fault(polygon: Points, width: int, height: int) -> str | None:  # noqa: PLR0911 - one fault after another
    """What is wrong with the outline of a word (n, 2) on a page, a part of a sentence; None: nothing."""
    if polygon.ndim != 2 or polygon.shape[1:] != (2,):
        return "points is not a list of [x, y] pairs"
    if len(polygon) < 3:
        return f"has {len(polygon)} points, a polygon needs 3 or more"
    if not np.isfinite(polygon).all():
        return "has a coordinate that is not a finite number"
    if np.abs(polygon).max() > _FARTHEST:
        return f"has a coordinate that is farther than {_FARTHEST:,.0f} pixels from the page"
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
