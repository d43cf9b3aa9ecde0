"""Sides of rectangles between pixels: where the mean probability across a side falls to a level.

The smallest rectangle around a component touches its outermost pixels: one pixel that sticks out moves a whole side,
and the sides of an upright word lie at whole pixels. Here a side lies where the map, averaged along it, crosses the
level, whatever ``thresh`` made the component: a high threshold keeps neighbours apart, a lower level finds their sides.

All kernels of this module are in this file: see ``components``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from hmean.postprocess.components import (
    AXIS_X,
    AXIS_Y,
    CENTRE_X,
    CENTRE_Y,
    HEIGHT,
    WIDTH,
    Ints,
    MapArray,
    Rectangles,
)

SAMPLES = 9  # places along a side, over which the map is averaged
REACH = 0.4  # of them the first and the last, as a share of the side from its middle: corners are round
STEP = 0.5  # pixels from one place across a side to the next
FARTHEST = 1.0  # how far outwards a side may move, as a share of the rectangle's shorter side


def fit_sides(probability: MapArray, rectangles: Rectangles, which: Ints, level: float) -> Rectangles:
    """Move the sides of rectangles to where the map falls to a level.

    Args:
        probability: (H, W), float32 in [0, 1] or uint8 in 0..255.
        rectangles: of the K components of the map (K, 6), see ``components``.
        which: those of them to fit (N,).
        level: above 0.

    Returns:
        The N rectangles (N, 6), whose sides are the edges of the shrunk text themselves: none goes through the centres
        of pixels. A side stays half a pixel outside of the outermost pixels where the map does not cross the level
        between the middle of the rectangle and ``FARTHEST`` of its shorter side outside.
    """
    scale = 1.0
    if probability.dtype == np.uint8:
        scale = 255.0
    return _fit(probability, rectangles, which, level * scale)


@njit(cache=True, nogil=True)
def _fit(probability: MapArray, rectangles: Rectangles, which: Ints, limit: float) -> Rectangles:
    out = np.empty((len(which), rectangles.shape[1]))
    for i in range(len(which)):
        rectangle = rectangles[which[i]]
        x = rectangle[CENTRE_X]
        y = rectangle[CENTRE_Y]
        ux = rectangle[AXIS_X]
        uy = rectangle[AXIS_Y]
        # Half a pixel outside of the centres of the outermost pixels.
        width = rectangle[WIDTH] + 1
        height = rectangle[HEIGHT] + 1
        farthest = FARTHEST * min(width, height)
        left = _edge(probability, x, y, -ux, -uy, width / 2, height, farthest, limit)
        right = _edge(probability, x, y, ux, uy, width / 2, height, farthest, limit)
        top = _edge(probability, x, y, uy, -ux, height / 2, width, farthest, limit)
        bottom = _edge(probability, x, y, -uy, ux, height / 2, width, farthest, limit)
        along = (right - left) / 2
        across = (bottom - top) / 2
        out[i, CENTRE_X] = x + along * ux - across * uy
        out[i, CENTRE_Y] = y + along * uy + across * ux
        out[i, WIDTH] = left + right
        out[i, HEIGHT] = top + bottom
        out[i, AXIS_X] = ux
        out[i, AXIS_Y] = uy
    return out


@njit(cache=True, nogil=True)
def _edge(
    probability: MapArray,
    x: float,
    y: float,
    out_x: float,
    out_y: float,
    distance: float,
    length: float,
    farthest: float,
    limit: float,
) -> float:
    """The distance of a side from the centre, found from where it is now: outwards or inwards, step by step.

    Args:
        probability: (H, W).
        x: of the rectangle's centre.
        y: of the rectangle's centre.
        out_x: of the unit vector outwards, across the side.
        out_y: likewise.
        distance: of the side now.
        length: of the side.
        farthest: how far outwards it may move.
        limit: the level, in values of the map.
    """
    value = _mean_along(probability, x, y, out_x, out_y, distance, length)
    step = STEP
    end = distance + farthest
    if value <= limit:
        step = -STEP
        end = 0.0
    here = distance
    while abs(here - end) >= STEP:
        ahead = _mean_along(probability, x, y, out_x, out_y, here + step, length)
        if (ahead <= limit) != (value <= limit):
            return here + step * (value - limit) / (value - ahead)
        here += step
        value = ahead
    return distance


@njit(cache=True, nogil=True)
def _mean_along(
    probability: MapArray,
    x: float,
    y: float,
    out_x: float,
    out_y: float,
    distance: float,
    length: float,
) -> float:
    """The mean of the map along a line at a distance from the centre (x, y), at a right angle to ``out``."""
    total = 0.0
    for i in range(SAMPLES):
        along = length * REACH * (2 * i / (SAMPLES - 1) - 1)
        total += _value_at(probability, x + distance * out_x - along * out_y, y + distance * out_y + along * out_x)
    return total / SAMPLES


@njit(cache=True, nogil=True)
def _value_at(probability: MapArray, x: float, y: float) -> float:
    """The map between the centres of four pixels, bilinear; it is 0 beyond its borders."""
    height, width = probability.shape
    # The centre of the first pixel is (0.5, 0.5).
    column = math.floor(x - 0.5)
    row = math.floor(y - 0.5)
    share_x = x - 0.5 - column
    share_y = y - 0.5 - row
    total = 0.0
    for down in range(2):
        for right in range(2):
            if 0 <= row + down < height and 0 <= column + right < width:
                weight_x = 1 - share_x
                if right == 1:
                    weight_x = share_x
                weight_y = 1 - share_y
                if down == 1:
                    weight_y = share_y
                total += weight_x * weight_y * probability[row + down, column + right]
    return total
