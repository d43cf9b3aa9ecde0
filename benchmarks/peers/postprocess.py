"""Post-processing: a textbook of polygon mode, and what OpenCV alone can do.

The textbook computes what PaddleOCR's ``box_type: poly`` and MMOCR's ``DBPostprocessor`` do. Written from Liao et al. 2020 and the documented behaviour: contours of the bitmap one by one, simplified, scored by
the mean under the polygon, grown with pyclipper by area x ratio / length, kept if their smallest rectangle is large
enough. The first 1,000 contours count.
"""

from __future__ import annotations

import cv2
import numpy as np
import pyclipper
from numpy.typing import NDArray


def polygons(
    probability: NDArray[np.float32], thresh: float, box_thresh: float, ratio: float
) -> list[tuple[NDArray[np.float64], float]]:
    """(polygon, score) of each region, in map pixels."""
    bitmap = (probability > thresh).astype(np.uint8)
    contours, _ = cv2.findContours(bitmap * 255, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:1000]:
        points = cv2.approxPolyDP(contour, 0.002 * cv2.arcLength(contour, closed=True), closed=True).reshape(-1, 2)
        if len(points) < 4:
            continue
        score = _score(probability, points)
        if score < box_thresh:
            continue
        length = cv2.arcLength(points, closed=True)
        offset = pyclipper.PyclipperOffset()
        offset.AddPath(points.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
        grown = offset.Execute(cv2.contourArea(points) * ratio / length)
        if len(grown) != 1:
            continue
        outline = np.array(grown[0], dtype=np.float64)
        if min(cv2.minAreaRect(outline.astype(np.float32))[1]) < 5:
            continue
        found.append((outline, score))
    return found


def _score(probability: NDArray[np.float32], points: NDArray[np.int32]) -> float:
    h, w = probability.shape
    x0, x1 = (int(np.clip(v, 0, w - 1)) for v in (points[:, 0].min(), points[:, 0].max()))
    y0, y1 = (int(np.clip(v, 0, h - 1)) for v in (points[:, 1].min(), points[:, 1].max()))
    mask = np.zeros((y1 - y0 + 1, x1 - x0 + 1), dtype=np.uint8)
    cv2.fillPoly(mask, [points - (x0, y0)], 1)
    return float(cv2.mean(probability[y0 : y1 + 1, x0 : x1 + 1], mask)[0])


def bare_quads(probability: NDArray[np.float32], thresh: float) -> list[tuple[object, object, float]]:
    """The rectangle of each component and nothing else: no score, no filter, no unclip, no place on the page."""
    bitmap = cv2.compare(probability, thresh, cv2.CMP_GT)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [cv2.minAreaRect(contour) for contour in contours]


def bare_polygons(probability: NDArray[np.float32], thresh: float) -> list[NDArray[np.int32]]:
    """The simplified outline of each component and nothing else: no score, no filter, no unclip."""
    bitmap = cv2.compare(probability, thresh, cv2.CMP_GT)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [cv2.approxPolyDP(c, 0.002 * cv2.arcLength(c, closed=True), closed=True) for c in contours]


def lean_quads(
    probability: NDArray[np.float32], thresh: float, box_thresh: float, ratio: float
) -> list[tuple[NDArray[np.float32], float]]:
    """Rotated boxes with scores, unclipped: one OpenCV call for each step, arithmetic in place of offset libraries."""
    bitmap = cv2.compare(probability, thresh, cv2.CMP_GT)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < 3:
            continue
        corners = cv2.boxPoints((centre, (width, height), angle))
        score = _score(probability, corners.astype(np.int32))
        if score < box_thresh:
            continue
        distance = width * height * ratio / (2 * (width + height))
        grown = (centre, (width + 2 * distance, height + 2 * distance), angle)
        found.append((cv2.boxPoints(grown), score))
    return found
