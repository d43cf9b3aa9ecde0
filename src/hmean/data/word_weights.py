"""How much each pixel of a view counts in the loss, so that a narrow character weighs more beside long words.

Cross-entropy and dice are sums over pixels: a word counts by its area, and a "1" next to a line of capitals hardly
counts at all. Here the pixels in and around a word weigh (median area / area of the word)^exponent, where the median is
that of the view's words: with the exponent 1 all words weigh alike, with 0 all pixels do.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.geometry import min_area_rect
from hmean.types import Polygons

LEAST = 0.25  # weight of a pixel
MOST = 4.0
MARGIN = 0.3  # how far around a word its weight reaches, as a share of its shorter side
SUBPIXEL_BITS = 4  # OpenCV draws corners at sixteenths of a pixel


def draw_word_weights(
    polygons: Polygons,
    ignore: NDArray[np.bool_],
    width: int,
    height: int,
    *,
    exponent: float,
    min_side: float,
) -> NDArray[np.float32]:
    """The weight of each pixel of a view (height, width): 1 away from words.

    Where words overlap, the smallest of them says the weight.

    Args:
        polygons: K words in view pixels.
        ignore: (K,), words that must not count.
        width: of the view, pixels.
        height: of the view, pixels.
        exponent: 0..1.
        min_side: words that are thinner than this many pixels have no part, as in ``targets.make_targets``.
    """
    weights = np.ones((height, width), dtype=np.float32)
    areas = []
    outlines = []
    for polygon, ignored in zip(polygons, ignore.tolist(), strict=True):
        if ignored:
            continue
        centre, (along, across), angle = min_area_rect(polygon)
        short_side = min(along, across)
        if short_side < max(min_side, 1.0):
            continue
        margin = MARGIN * short_side
        sides = (along + 2 * margin, across + 2 * margin)
        areas.append(along * across)
        outlines.append(cv2.boxPoints((centre, sides, angle)))
    if not areas:
        return weights
    median = float(np.median(areas))
    for i in np.argsort(areas)[::-1].tolist():
        weight = min(max((median / areas[i]) ** exponent, LEAST), MOST)
        # OpenCV has the centre of the first pixel at (0, 0).
        corners = np.round((outlines[i] - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(weights, [corners], weight, shift=SUBPIXEL_BITS)
    return weights
