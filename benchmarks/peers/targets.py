"""Label generation of DBNet as it is usually done, and the fastest plain way.

The first is a textbook version, which stands for MMOCR, docTR and PaddleOCR. Those cannot be installed beside hmean. Written from Liao et al. 2020 (AAAI), section "Label generation", and from what
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


def make_targets_at_once(
    polygons: Polygons, ignore: NDArray[np.bool_], width: int, height: int, *, shrink_ratio: float, min_side: float
) -> Targets:
    """Nearly the same maps of quads, moved all at once, with one distance transform for the whole page instead of one a word.

    Where the bands of two words overlap, the distance to the nearer edge is divided by the D of the word drawn last. Words
    that vanish when they shrink are not looked for.
    """
    shrink = np.zeros((height, width), dtype=np.uint8)
    valid = np.ones((height, width), dtype=np.uint8)
    reach = np.zeros((height, width), dtype=np.float32)
    edges = np.full((height, width), 255, dtype=np.uint8)
    sides = np.array([[np.ptp(polygon[:, 0]), np.ptp(polygon[:, 1])] for polygon in polygons]).reshape(-1, 2)
    is_drawn = ~ignore & (sides.min(axis=1) >= min_side)
    quads = polygons.points.reshape(-1, 4, 2)[is_drawn]
    next_corners = np.roll(quads, -1, axis=1)
    doubled = (quads[..., 0] * next_corners[..., 1] - quads[..., 1] * next_corners[..., 0]).sum(axis=1)
    lengths = np.linalg.norm(next_corners - quads, axis=2).sum(axis=1)
    d = np.abs(doubled) / 2 * (1 - shrink_ratio**2) / lengths
    turn = np.sign(doubled)
    inner = np.round(_moved(quads, -d * turn)).astype(np.int32)
    outer = np.round(_moved(quads, d * turn)).astype(np.int32)
    outlines = np.round(quads).astype(np.int32)
    for i in range(len(quads)):
        cv2.fillConvexPoly(shrink, inner[i], 1)
        cv2.fillConvexPoly(reach, outer[i], float(d[i]))
    for polygon in np.round(polygons.points.reshape(-1, 4, 2)[~is_drawn]).astype(np.int32):
        cv2.fillConvexPoly(valid, polygon, 0)
    cv2.polylines(edges, list(outlines), isClosed=True, color=0)
    distance = cv2.distanceTransform(edges, cv2.DIST_L2, 3)
    band = (reach > 0).view(np.uint8)
    threshold = np.maximum(1 - distance / np.maximum(reach, 1e-6), 0)
    threshold *= 0.4
    threshold += 0.3
    return Targets(shrink, threshold, band, valid)


def _moved(quads: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quads (K, 4, 2) with all edges moved outwards by a distance (K,), negative for those that go the other way round."""
    edges = np.roll(quads, -1, axis=1) - quads
    edges /= np.maximum(np.linalg.norm(edges, axis=2, keepdims=True), 1e-9)
    before = np.roll(edges, 1, axis=1)
    # A corner moves along both normals; where two unit edges meet, by (before - edge) / sin of the angle between them.
    sine = before[..., 0] * edges[..., 1] - before[..., 1] * edges[..., 0]
    sine = np.where(np.abs(sine) < 0.1, 0.1, sine)
    return quads + distance[:, None, None] * (before - edges) / sine[..., None]
