"""Copy-paste: words of other pages in free places of a training view, with their labels.

A word comes at the scale and direction of the view's own text. Only its ink is transferred: the paper below darkens by
as much as the word's own paper does where the ink is, so that no edge of a patch can be seen and learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmean import geometry
from hmean.data.views import PageView
from hmean.geometry import Image, Matrix
from hmean.images import Pixels
from hmean.types import Page, Points, Polygons

Flags = NDArray[np.bool_]

_SHORT_WORD = 2  # characters at most: what detectors miss most, and what half of the pasted words are
_SHORT_SHARE = 0.5
_SCALE = (0.7, 1.4)  # of a word, against the view's
_LEAST_SIDE = 5  # pixels of a pasted word
_LARGEST_SHARE = 0.6  # of the view's side
_GAP = 0.4  # to other words, as a share of the short side; at least _LEAST_GAP
_LEAST_GAP = 3  # pixels
_PLACES = 12  # tried for a word
_PLAIN = 12  # largest standard deviation of a free place: no picture, no handwriting without a label
_BRIGHT = 100  # least brightness of paper, also of the word's own
_VISIBLE = 0.75  # ink darkens paper at least to this share somewhere
_MARGIN = 1.5  # pixels around a word's polygon that are ink of it


@dataclass(frozen=True)
class Paste:
    """How often and how much.

    Attributes:
        p: probability that a view gets words of another page.
        words: most words that it gets.
    """

    p: float = 0.0
    words: int = 12


@dataclass(frozen=True, eq=False)
class SeenWords:
    """A training view so far: its image and the words in it.

    Attributes:
        image: (H, W, 3).
        polygons: of the words, view pixels (K).
        ignored: which of them do not count (K,).
    """

    image: Image
    polygons: Polygons
    ignored: Flags


def source_matrix(rng: Generator, view: PageView, page: Page, source: Page) -> Matrix:
    """From pixels of the page that words come from to view pixels, but for a shift.

    The direction is that of the view, and so is the scale, for pages of one size, times a random factor.
    """
    linear = view.matrix[:2, :2] / view.matrix[2, 2]
    factor = math.exp(rng.uniform(*np.log(_SCALE)))
    factor *= max(page.width, page.height) / max(source.width, source.height)
    matrix = np.eye(3)
    matrix[:2, :2] = factor * linear
    return matrix


def paste_words(
    rng: Generator, into: SeenWords, page_corners: Points, pixels: Pixels, source: Page, matrix: Matrix, most: int
) -> SeenWords:
    """Put up to ``most`` words of another page into free places.

    Args:
        rng: all chance.
        into: the view.
        page_corners: of its page (4, 2), view pixels: nothing is put beside it.
        pixels: of the other page.
        source: its labels.
        matrix: from its pixels to view pixels, but for a shift (``source_matrix``).
        most: number of words.
    """
    free = _free_places(into, page_corners)
    image = into.image.copy()
    pasted = []
    for index in _chosen_words(rng, source, most):
        quad = geometry.transform(matrix, source.polygons[index])
        placed = _paste_word(rng, image, free, pixels, quad, matrix)
        if placed is not None:
            pasted.append(placed)
    if not pasted:
        return into
    return replace(
        into,
        image=image,
        polygons=Polygons.of([*into.polygons, *pasted]),
        ignored=np.concatenate([into.ignored, np.zeros(len(pasted), dtype=np.bool_)]),
    )


def _chosen_words(rng: Generator, source: Page, most: int) -> list[int]:
    """Words of a page in random order; short ones come first as often as ``_SHORT_SHARE``."""
    count = int(rng.integers(1, most + 1))
    short = []
    other = []
    for index in rng.permutation(len(source.polygons)).tolist():
        if source.ignored[index]:
            continue
        text = source.texts[index]
        if text is not None and len(text) <= _SHORT_WORD:
            short.append(index)
        else:
            other.append(index)
    of_short = min(len(short), round(count * _SHORT_SHARE))
    return [*short[:of_short], *other[: count - of_short]]


def _free_places(view: SeenWords, page_corners: Points) -> NDArray[np.uint8]:
    """255 where nothing is (H, W)."""
    height, width = view.image.shape[:2]
    free = np.zeros((height, width), dtype=np.uint8)
    cv2.fillConvexPoly(free, np.round(page_corners).astype(np.int32), (255,))
    for polygon in view.polygons:
        cv2.fillPoly(free, [np.round(polygon).astype(np.int32)], (0,))
    return free


def _paste_word(
    rng: Generator, image: Image, free: NDArray[np.uint8], pixels: Pixels, quad: Points, matrix: Matrix
) -> Points | None:
    """Draw a word into the image and take its place; its polygon, or None where there is no room or nothing to see."""
    low = np.floor(quad.min(axis=0) - _MARGIN)
    size = np.ceil(quad.max(axis=0) + _MARGIN) - low
    width, height = size.astype(int).tolist()
    sides = np.ptp(quad, axis=0)
    largest = _LARGEST_SHARE * np.array(image.shape[1::-1])
    if sides.min() < _LEAST_SIDE or (sides > largest).any():
        return None
    in_patch = quad - low
    ink = _ink(pixels, geometry.translation(-low[0], -low[1]) @ matrix, in_patch, width, height)
    if ink is None:
        return None
    gap = max(_LEAST_GAP, round(_GAP * float(sides.min())))
    corner = _find_place(rng, image, free, width, height, gap)
    if corner is None:
        return None
    left, top = corner
    under = image[top : top + height, left : left + width]
    under[:] = cv2.multiply(under, ink, dtype=cv2.CV_8U)
    free[top : top + height, left : left + width] = 0
    placed: Points = in_patch + np.array([left, top])
    return placed


def _ink(pixels: Pixels, matrix: Matrix, quad: Points, width: int, height: int) -> NDArray[np.float32] | None:
    """By what the word darkens paper (height, width, 3), 1 beside its polygon; None if it is not dark on bright."""
    patch = PageView(matrix, width, height).image(pixels, (255, 255, 255))
    inside = np.zeros((height, width), dtype=np.uint8)
    outline = np.round(quad).astype(np.int32)
    cv2.fillPoly(inside, [outline], (1,))
    paper = np.median(patch[inside == 1], axis=0) if inside.any() else np.zeros(3)
    if paper.mean() < _BRIGHT:
        return None
    cv2.polylines(inside, [outline], True, (1,), math.ceil(2 * _MARGIN))
    brightest = np.maximum(paper, 1).astype(np.float32)
    darkened = np.minimum(patch.astype(np.float32) / brightest, np.float32(1))
    darkened[inside == 0] = 1
    if darkened.min() > _VISIBLE:
        return None
    return darkened


def _find_place(
    rng: Generator, image: Image, free: NDArray[np.uint8], width: int, height: int, gap: int
) -> tuple[int, int] | None:
    """Left and top of a free place of plain bright paper; None if none was met."""
    rows, columns = free.shape
    if width + 2 * gap >= columns or height + 2 * gap >= rows:
        return None
    for _ in range(_PLACES):
        left = int(rng.integers(gap, columns - width - gap))
        top = int(rng.integers(gap, rows - height - gap))
        around = (slice(top - gap, top + height + gap), slice(left - gap, left + width + gap))
        if not free[around].all():
            continue
        mean, deviation = cv2.meanStdDev(image[around])
        if mean.mean() >= _BRIGHT and deviation.max() <= _PLAIN:
            return left, top
    return None
