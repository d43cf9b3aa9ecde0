"""Training targets of DBNet: polygons in, shrink map, threshold map and masks out.

Liao et al. 2020, "Real-time Scene Text Detection with Differentiable Binarization" (AAAI), section "Label generation".
One pass of signed distance sd (negative inside) per word gives all three exactly: with D = A (1 - r^2) / L the shrunk
text is {sd <= -D}, the threshold map is 1 - |sd| / D, and its band is {sd <= D}. The usual route (integer polygon
offsets, distances to the nearest edge's end points) makes shrink maps too large and is wrong near corners.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.types import Polygons

# Range of the threshold map (paper: "the range of the threshold map is scaled to [0.3, 0.7]").
THRESHOLD_LOW, THRESHOLD_HIGH = 0.3, 0.7


@dataclass(frozen=True, eq=False)
class Targets:
    """Maps of one view, each (H, W).

    Attributes:
        shrink: uint8, 1 where the shrunk text is.
        threshold: float32 in [0.3, 0.7], meaningful where ``band`` is 1.
        band: uint8, 1 inside the dilated text: where the threshold loss counts.
        valid: uint8, 0 in ignored regions: where no loss counts.
    """

    shrink: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    band: NDArray[np.uint8]
    valid: NDArray[np.uint8]


def make_targets(
    polygons: Polygons, ignore: NDArray[np.bool_], width: int, height: int, *, shrink_ratio: float, min_side: float
) -> Targets:
    """Draw the targets of K words given in view pixels; words may reach beyond the view, or lie outside it.

    Args:
        polygons: K polygons.
        ignore: (K,), words that must not count.
        width: of the view, pixels.
        height: of the view, pixels.
        shrink_ratio: r of the paper, in (0, 1].
        min_side: a word whose short side is under this many pixels is ignored instead: its shrunk text would have no
            pixel of its own.
    """
    shrink = np.zeros((height, width), dtype=np.uint8)
    closeness = np.zeros((height, width), dtype=np.float32)
    band = np.zeros((height, width), dtype=np.uint8)
    valid = np.ones((height, width), dtype=np.uint8)
    _draw(polygons.points, polygons.offsets, ignore, shrink_ratio, min_side, shrink, closeness, band, valid)
    threshold = THRESHOLD_LOW + (THRESHOLD_HIGH - THRESHOLD_LOW) * closeness
    return Targets(shrink, threshold.astype(np.float32), band, valid)


@njit(cache=True, nogil=True)
def _draw(  # noqa: C901, PLR0912 - one compiled pass
    points: NDArray[np.float64],
    offsets: NDArray[np.int64],
    ignore: NDArray[np.bool_],
    r: float,
    min_side: float,
    shrink: NDArray[np.uint8],
    closeness: NDArray[np.float32],
    band: NDArray[np.uint8],
    valid: NDArray[np.uint8],
) -> None:
    height, width = shrink.shape
    for drawing_words in (False, True):  # ignored regions first, so that text wins where the two overlap
        for k in range(len(offsets) - 1):
            polygon = points[offsets[k] : offsets[k + 1]]
            n = len(polygon)
            twice_area, length = 0.0, 0.0
            x0, y0, x1, y1 = math.inf, math.inf, -math.inf, -math.inf
            for i in range(n):
                ax, ay = polygon[i]
                bx, by = polygon[(i + 1) % n]
                twice_area += (ax - polygon[0, 0]) * (by - polygon[0, 1]) - (bx - polygon[0, 0]) * (ay - polygon[0, 1])
                length += math.hypot(bx - ax, by - ay)
                x0, y0, x1, y1 = min(x0, ax), min(y0, ay), max(x1, ax), max(y1, ay)
            area = abs(twice_area) / 2
            if length == 0.0:
                continue
            # Short side of the rectangle of this area and perimeter.
            half = length / 2
            short = (half - math.sqrt(max(half * half - 4 * area, 0.0))) / 2
            is_word = not ignore[k] and short >= min_side
            if is_word != drawing_words:
                continue
            d = area * (1 - r * r) / length if is_word else 0.0
            left, right = max(math.floor(x0 - d), 0), min(math.ceil(x1 + d) + 1, width)
            top, bottom = max(math.floor(y0 - d), 0), min(math.ceil(y1 + d) + 1, height)
            for row in range(top, bottom):
                py = row + 0.5
                for column in range(left, right):
                    px = column + 0.5
                    nearest, inside = math.inf, False
                    ax, ay = polygon[n - 1]
                    for i in range(n):
                        bx, by = polygon[i]
                        ex, ey = bx - ax, by - ay
                        wx, wy = px - ax, py - ay
                        norm = ex * ex + ey * ey
                        t = 0.0 if norm == 0.0 else min(max((wx * ex + wy * ey) / norm, 0.0), 1.0)
                        dx, dy = wx - t * ex, wy - t * ey
                        nearest = min(nearest, dx * dx + dy * dy)
                        if (ay > py) != (by > py) and px < ax + ex * (py - ay) / ey:
                            inside = not inside
                        ax, ay = bx, by
                    distance = math.sqrt(nearest)
                    if not is_word:
                        if inside:
                            valid[row, column] = 0
                        continue
                    if not inside and distance > d:
                        continue
                    band[row, column] = 1
                    if d > 0.0:
                        closeness[row, column] = max(closeness[row, column], 1.0 - distance / d)
                    if inside:
                        valid[row, column] = 1
                        if distance >= d:
                            shrink[row, column] = 1
