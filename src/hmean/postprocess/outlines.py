"""Outer outlines of components, traced and simplified by OpenCV: what polygon mode starts from."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points

# How far a simplified outline may lie from the traced one, as a share of its length: the value of PaddleOCR and docTR.
TOLERANCE = 0.002


def trace_outlines(runs: NDArray[np.int32], first_runs: NDArray[np.int32]) -> list[Points | None]:
    """The simplified outer outline of each of K components, through the centres of its outermost pixels.

    Args:
        runs: row, first column, and column after the last one (R, 3), of all components.
        first_runs: the first run of each component in reading order (K, 3).

    Returns:
        Points (n, 2) in the frame of the map, or None for a component that encloses no area.
    """
    if not len(runs):
        return []
    contours, hierarchy = cv2.findContours(_draw(runs), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    by_first_pixel = {}
    for contour, links in zip(contours, hierarchy[0], strict=True):
        _next, _previous, _child, parent = links
        if parent < 0:  # the others are borders of holes
            x, y = contour[0, 0].tolist()
            by_first_pixel[y, x] = contour
    outlines = []
    for row, start, _stop in first_runs.tolist():
        outlines.append(_simplified(by_first_pixel[row, start]))
    return outlines


def _simplified(contour: NDArray[Any]) -> Points | None:
    if cv2.contourArea(contour) == 0:
        return None
    simple = cv2.approxPolyDP(contour, TOLERANCE * cv2.arcLength(contour, closed=True), closed=True)
    if len(simple) < 3:
        return None
    return np.asarray(simple[:, 0], dtype=np.float64) + 0.5


@njit(cache=True, nogil=True)
def _draw(runs: NDArray[np.int32]) -> NDArray[np.uint8]:
    """A bitmap in which the pixels of the runs are 1."""
    height = runs[:, 0].max() + 1
    width = runs[:, 2].max()
    bitmap = np.zeros((height, width), dtype=np.uint8)
    for r in range(len(runs)):
        bitmap[runs[r, 0], runs[r, 1] : runs[r, 2]] = 1
    return bitmap
