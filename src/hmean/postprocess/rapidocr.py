"""RapidOCR's way from a probability map to boxes, so that values can be chosen that hold in RapidOCR.

Its scores and its growth are not ours (``decoding``): components are outlined between the centres of pixels, holes are
components, too, corners are cut to whole pixels before the mean under them is taken and before they are moved, and
boxes are whole pixels of the page. A ``box_thresh`` that is right here may lose much of the text there.

Written after the behaviour of ``DBPostProcess`` in rapidocr 3.10.0 (Apache-2.0), with its ``score_mode: fast``. The
round outline that it offsets with pyclipper has the smallest rectangle of the box itself, wider and higher by twice the
distance. A test holds the two beside each other: as many boxes, equal scores, corners within a pixel or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Polygons

LEAST_SIDE = 3  # pixels of the map; a grown box needs 2 more
LEAST_ON_PAGE = 3  # pixels of the page, which both sides must exceed
STRIDE = 32
Rectangle = tuple[tuple[float, float], tuple[float, float], float]  # centre, size, degrees, as OpenCV has it

# What it does unless it is told otherwise. Dilation is off in all that is chosen here: it only widens boxes.
STOCK = PostprocessParams(thresh=0.3, box_thresh=0.5, unclip="ratio", unclip_ratio=1.6, max_candidates=1000)


@dataclass(frozen=True)
class RapidOcrView:
    """How RapidOCR scales a page.

    Attributes:
        limit_side_len: pixels.
        limit_type: ``max``: a longer page is scaled down to it; ``min``: a page whose shorter side is less is enlarged.
    """

    limit_side_len: int
    limit_type: str

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the network's input: multiples of 32, at least one."""
        ratio = 1.0
        if self.limit_type == "max" and max(width, height) > self.limit_side_len:
            ratio = self.limit_side_len / max(width, height)
        if self.limit_type == "min" and min(width, height) < self.limit_side_len:
            ratio = self.limit_side_len / min(width, height)
        return _multiple(int(width * ratio)), _multiple(int(height * ratio))

    def image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """An image (h, w, 3) as RapidOCR shows it to a network: (1, 3, H, W), blue first, from -1 to 1."""
        height, width = rgb.shape[:2]
        scaled = cv2.resize(rgb[:, :, ::-1], self.size(width, height))
        planes = (scaled.astype(np.float32) / 255 - 0.5) / 0.5
        return np.ascontiguousarray(planes.transpose(2, 0, 1)[None])


def _multiple(length: int) -> int:
    return max(round(length / STRIDE), 1) * STRIDE


class _Box(NamedTuple):
    """A component before it is grown.

    Attributes:
        corners: of its smallest rectangle (4, 2), cut to whole pixels.
        reach: area of that rectangle over its perimeter, before corners are cut.
        score: the mean of P under it.
    """

    corners: NDArray[np.int32]
    reach: float
    score: float


def detect_each(page: PageMap, settings: Sequence[PostprocessParams]) -> list[Detections]:
    """The boxes of a page at each of many settings, of which ``thresh``, ``box_thresh`` and ``unclip_ratio`` are read.

    The map spans the whole page, as RapidOCR's does.
    """
    probability: NDArray[np.float32] = page.probability.astype(np.float32)
    if page.probability.dtype == np.uint8:
        probability /= 255
    by_thresh = {}
    for thresh in sorted({setting.thresh for setting in settings}):
        by_thresh[thresh] = _find_boxes(probability, thresh)
    grown: dict[PostprocessParams, Detections] = {}
    answers = []
    for setting in settings:
        key = replace(setting, box_thresh=0.0)
        if key not in grown:
            grown[key] = _place(by_thresh[setting.thresh], setting.unclip_ratio, page)
        found = grown[key]
        answers.append(found.select(found.scores >= np.float32(setting.box_thresh)))
    return answers


def _find_boxes(probability: NDArray[np.float32], thresh: float) -> list[_Box]:
    bitmap = (probability > thresh).astype(np.uint8)
    outlines, _ = cv2.findContours(bitmap * 255, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for outline in outlines[: STOCK.max_candidates]:
        rectangle = cv2.minAreaRect(outline)
        width, height = rectangle[1]
        if min(width, height) < LEAST_SIDE:
            continue
        reach = width * height / (2 * (width + height))
        corners = np.asarray(cv2.boxPoints(rectangle), dtype=np.float32)
        boxes.append(_Box(corners.astype(np.int32), reach, _score(probability, corners)))
    return boxes


def _score(probability: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """The mean under a box whose corners are cut to whole pixels, from the left and upper end of its bounds on."""
    height, width = probability.shape
    last = (width - 1, height - 1)
    low = np.floor(corners.min(axis=0))
    high = np.ceil(corners.max(axis=0))
    x0, y0 = low.astype(int).clip(0, last)
    x1, y1 = high.astype(int).clip(0, last)
    mask = np.zeros((y1 - y0 + 1, x1 - x0 + 1), dtype=np.uint8)
    cv2.fillPoly(mask, [(corners - (x0, y0)).astype(np.int32)], 1)
    return float(cv2.mean(probability[y0 : y1 + 1, x0 : x1 + 1], mask)[0])


def _place(boxes: Sequence[_Box], unclip_ratio: float, page: PageMap) -> Detections:
    """Boxes grown and put on the page, as whole pixels."""
    height, width = page.probability.shape
    scale = np.array([page.page_width / width, page.page_height / height])
    last = np.array([page.page_width - 1, page.page_height - 1])
    polygons = []
    scores = []
    for box in boxes:
        grown = _grow(box.corners, box.reach * unclip_ratio)
        if grown is None:
            continue
        corners = np.round(grown * scale).astype(np.int64).clip(0, last)
        edges = corners - np.roll(corners, -1, axis=0)
        sides = np.linalg.norm(edges, axis=1).astype(int)
        if min(sides[:2]) <= LEAST_ON_PAGE:
            continue
        polygons.append(corners.astype(np.float64))
        scores.append(min(max(box.score, 0.0), 1.0))
    return Detections(Polygons.of(polygons), np.array(scores, dtype=np.float32))


def _grow(corners: NDArray[np.int32], distance: float) -> NDArray[np.float32] | None:
    """The corners of the rectangle that is wider and higher by twice the distance (4, 2); None if it is too small."""
    centre, (width, height), degrees = cv2.minAreaRect(corners)
    if min(width, height) + 2 * distance < LEAST_SIDE + 2:
        return None
    points = cv2.boxPoints((centre, (width + 2 * distance, height + 2 * distance), degrees))
    whole: NDArray[np.float32] = np.floor(np.asarray(points, dtype=np.float32) + 0.5)  # as pyclipper's outline is
    return whole
