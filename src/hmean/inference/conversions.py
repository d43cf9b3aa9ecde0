"""What was found, for other programs: COCO, ICDAR, supervision (UFO: ``Detections.to_ufo``), and crops to be read.

Reading order is by lines, from top to bottom and left to right, as a page without columns of running text is read; what
is left and right follows from the words themselves, so that a page may lie askew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from hmean import geometry
from hmean.geometry import Image
from hmean.types import Detections, Points, Polygons

UPRIGHT = 2.5  # a region so many times as high as wide is text that runs down the page
LINE = 0.5  # share of the lower one's height by which two words of one line overlap


def to_coco(pages: Mapping[str, tuple[Detections, int, int]]) -> dict[str, Any]:
    """Regions, width and height of pages by name as a COCO data set whose annotations have a ``score``."""
    images, annotations = [], list[dict[str, Any]]()
    for number, (name, (found, width, height)) in enumerate(pages.items(), start=1):
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for polygon, score in zip(found.polygons, found.scores.tolist(), strict=True):
            (x, y), (w, h) = polygon.min(axis=0).tolist(), np.ptp(polygon, axis=0).tolist()
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "score": score,
                "segmentation": [polygon.flatten().tolist()], "bbox": [x, y, w, h], "area": geometry.area(polygon),
            })  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "text"}]}


def to_icdar(found: Detections, *, scores: bool = False) -> str:
    """The txt file of one page: ``x1,y1,x2,y2,...`` in whole pixels, a line each; with ``scores`` these follow."""
    rows = [
        ",".join([*(str(round(v)) for v in polygon.flatten().tolist()), *([f"{score:.5f}"] if scores else [])])
        for polygon, score in zip(found.polygons, found.scores.tolist(), strict=True)
    ]
    return "".join(f"{row}\n" for row in rows)


def to_supervision(found: Detections) -> Any:
    """``supervision.Detections``: boxes, scores, and corners as oriented boxes; needs ``pip install supervision``."""
    import supervision  # noqa: PLC0415 - not a dependency

    boxes = [np.concatenate([polygon.min(axis=0), polygon.max(axis=0)]) for polygon in found.polygons]
    corners = [_corners(polygon) for polygon in found.polygons]
    return supervision.Detections(
        xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        confidence=found.scores,
        class_id=np.zeros(len(found), dtype=int),
        data={"xyxyxyxy": np.array(corners, dtype=np.float32).reshape(-1, 4, 2)},
    )


def reading_order(polygons: Polygons) -> list[list[int]]:
    """Lines of a page from top to bottom, each the positions of its polygons from left to right.

    From left to right, each word joins the line whose last word it overlaps most in height, if by at least ``LINE``: so
    lines may bend. Lines are ordered by the mean height of their centres.
    """
    if not len(polygons):
        return []
    upright = geometry.transform(geometry.rotation(-text_angle(polygons)), polygons.points)
    spans = [(p[:, 0].mean(), p[:, 1].min(), p[:, 1].max()) for p in polygons.with_points(upright)]
    lines: list[list[int]] = []
    for i in sorted(range(len(spans)), key=lambda i: spans[i][0]):
        shares = [_shared(spans[i][1:], spans[line[-1]][1:]) for line in lines]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= LINE:
            lines[best].append(i)
        else:
            lines.append([i])
    return sorted(lines, key=lambda line: float(np.mean([sum(spans[i][1:]) / 2 for i in line])))


def crops(image: Image, found: Detections) -> list[Image]:
    """The pixels of each region, rectified and turned upright: in the regions' order, each as high as its text."""
    direction = math.radians(text_angle(found.polygons))
    return [_rectified(image, _corners(polygon), direction) for polygon in found.polygons]


def text_angle(polygons: Polygons) -> float:
    """Degrees by which text runs down to the right, in (-90, 90]: mean of the longer sides, longer words counting more.

    The mean is of doubled angles, so that both directions of a side are one (Mardia, Directional Statistics, 1.3).
    """
    corners = np.array([_corners(polygon) for polygon in polygons]).reshape(-1, 4, 2)
    across, down = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
    lengths = np.hypot(*across.T), np.hypot(*down.T)
    sides = np.where((lengths[0] >= lengths[1])[:, None], across, down)
    angles, weights = 2 * np.arctan2(sides[:, 1], sides[:, 0]), np.abs(lengths[0] - lengths[1])
    return math.degrees(math.atan2(float(weights @ np.sin(angles)), float(weights @ np.cos(angles))) / 2)


def _corners(polygon: Points) -> Points:
    """Four corners, clockwise on the screen: its own, or those of the smallest rectangle around it."""
    if len(polygon) != 4:
        polygon = cv2.boxPoints(geometry.min_area_rect(polygon)).astype(np.float64)
    x, y = polygon.T
    clockwise = x @ np.roll(y, -1) - y @ np.roll(x, -1) >= 0
    return polygon if clockwise else polygon[::-1]


def _shared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Overlap of two intervals, over the shorter."""
    return (min(a[1], b[1]) - max(a[0], b[0])) / max(1e-9, min(a[1] - a[0], b[1] - b[0]))


def _rectified(image: Image, corners: Points, direction: float) -> Image:
    sides = np.roll(corners, -1, axis=0) - corners
    first = int(np.argmax(sides @ (math.cos(direction), math.sin(direction))))
    lengths = np.roll(np.hypot(*sides.T), -first)
    if lengths[1] + lengths[3] > UPRIGHT * (lengths[0] + lengths[2]):
        first, lengths = first + 3, np.roll(lengths, 1)
    width, height = (max(1, round(float(max(lengths[k], lengths[k + 2])))) for k in (0, 1))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(np.roll(corners, -first, axis=0).astype(np.float32), target)
    return geometry.warp(image, np.asarray(matrix, dtype=np.float64), width, height)
