"""Label generation of DBNet as it is usually done: a textbook version, which stands for MMOCR, docTR and PaddleOCR.

Those cannot be installed beside hmean. Written from Liao et al. 2020 (AAAI), section "Label generation", and from what
their documents say of it; no line is copied. Per word: an integer polygon offset by -D (pyclipper), filled (OpenCV), is
the shrink map; the offset by +D, filled, is the band; in its bounding box, the distance of each pixel to the nearest
edge gives 1 - distance / D, and the maximum over words is the threshold map. What they do in more steps is done in fewer
here, so that no peer is faster: areas by OpenCV instead of shapely, float32, open grids instead of full ones, one square
root a word instead of three an edge, and distances to segments by projection instead of the law of cosines.
"""

from __future__ import annotations

import cv2
import numpy as np
import pyclipper
from numpy.typing import NDArray

from hmean.data.targets import Targets
from hmean.types import Polygons


def make_targets(
    polygons: Polygons, ignore: NDArray[np.bool_], width: int, height: int, *, shrink_ratio: float, min_side: float
) -> Targets:
    """The same maps as ``hmean.data.targets.make_targets``, with the errors of integer offsets and filled borders."""
    shrink = np.zeros((height, width), dtype=np.uint8)
    band = np.zeros((height, width), dtype=np.uint8)
    valid = np.ones((height, width), dtype=np.uint8)
    closeness = np.zeros((height, width), dtype=np.float32)
    for polygon, skip in zip(polygons, ignore, strict=True):
        points = polygon.astype(np.float32)
        whole = np.round(polygon).astype(np.int32)
        short = min(np.ptp(points[:, 0]), np.ptp(points[:, 1]))
        if skip or short < min_side:
            cv2.fillPoly(valid, [whole], 0)
            continue
        d = cv2.contourArea(points) * (1 - shrink_ratio**2) / cv2.arcLength(points, closed=True)
        offset = pyclipper.PyclipperOffset()
        offset.AddPath(whole.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
        inner = offset.Execute(-d)
        if not inner:
            cv2.fillPoly(valid, [whole], 0)
            continue
        cv2.fillPoly(shrink, [np.array(part, dtype=np.int32) for part in inner], 1)
        _draw_border(points, np.array(offset.Execute(d)[0], dtype=np.int32), d, closeness, band)
    return Targets(shrink, (0.3 + 0.4 * closeness).astype(np.float32), band, valid)


def _draw_border(
    points: NDArray[np.float32],
    outer: NDArray[np.int32],
    d: float,
    closeness: NDArray[np.float32],
    band: NDArray[np.uint8],
) -> None:
    height, width = band.shape
    cv2.fillPoly(band, [outer], 1)
    (x0, y0), (x1, y1) = np.maximum(outer.min(axis=0), 0), np.minimum(outer.max(axis=0) + 1, (width, height))
    if x0 >= x1 or y0 >= y1:
        return
    xs, ys = np.arange(x0, x1, dtype=np.float32)[None, :], np.arange(y0, y1, dtype=np.float32)[:, None]
    nearest = np.full((y1 - y0, x1 - x0), np.inf, dtype=np.float32)
    for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
        edge = b - a
        wx, wy = xs - a[0], ys - a[1]
        along = (wx * edge[0] + wy * edge[1]) / max(float(edge @ edge), 1e-6)
        np.clip(along, 0, 1, out=along)
        dx, dy = wx - along * edge[0], wy - along * edge[1]
        dx *= dx
        dy *= dy
        dx += dy
        np.minimum(nearest, dx, out=nearest)
    np.sqrt(nearest, out=nearest)
    nearest *= -1 / d
    nearest += 1
    part = closeness[y0:y1, x0:x1]
    np.maximum(part, nearest, out=part)
