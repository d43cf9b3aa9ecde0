"""Random views of a page for training: which part, how large, and bent how."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator

from hmean import geometry
from hmean.data.paste import Paste
from hmean.data.photometric import Photometric
from hmean.data.views import MOST_ENLARGED, PageView, round_up_to_stride, text_heights
from hmean.geometry import Matrix
from hmean.types import Page, Points, Polygons

NARROW = 0.9  # a word is narrow if its width is under this share of its height
_BESIDE = 0.05  # share of a crop's side that may reach beyond the page: there is nothing to learn there


@dataclass(frozen=True)
class Augment:
    """Ranges of the geometric augmentation; the defaults change nothing.

    Attributes:
        rotate: largest rotation, degrees.
        scale: smallest and largest factor; drawn log-uniform.
        shift: largest shift, as a share of the view's side (whole pages only).
        shear: largest shear, degrees.
        perspective: how far the page's corners move, as a share of its sides.
        stretch: log2 of the largest change of the aspect.
        hflip: probability of a mirrored view.
        vflip: probability of an upside-down view.
        p: probability that rotation, shear and perspective act at all.
        turn: probability that the page is turned by 90, 180 or 270 degrees (each as likely), whatever else acts.
        tilt: largest further rotation, degrees.
        p_tilt: probability of it, whatever else acts.
    """

    rotate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    shear: float = 0.0
    perspective: float = 0.0
    stretch: float = 0.0
    hflip: float = 0.0
    vflip: float = 0.0
    p: float = 1.0
    turn: float = 0.0
    tilt: float = 45.0
    p_tilt: float = 0.0

    def sample(self, rng: Generator, page_width: int, page_height: int) -> Matrix:
        """A random map about the page's centre, without shift."""
        matrix = self._sample_upright(rng, page_width, page_height)
        # Nothing is drawn where the probability is 0: views without turns are those of earlier versions.
        if self.p_tilt > 0 and rng.random() < self.p_tilt:
            tilted = geometry.rotation(rng.uniform(-self.tilt, self.tilt))
            matrix = geometry.about(tilted, page_width / 2, page_height / 2) @ matrix
        if self.turn > 0 and rng.random() < self.turn:
            turned = geometry.quarter_turns(int(rng.integers(1, 4)))
            matrix = geometry.about(turned, page_width / 2, page_height / 2) @ matrix
        return matrix

    def _sample_upright(self, rng: Generator, page_width: int, page_height: int) -> Matrix:
        centre_x = page_width / 2
        centre_y = page_height / 2
        matrix = self._scale_and_flip(rng)
        if rng.random() >= self.p:
            return geometry.about(matrix, centre_x, centre_y)
        shear = np.eye(3)
        shear[0, 1] = math.tan(math.radians(rng.uniform(-self.shear, self.shear)))
        rotation = geometry.rotation(rng.uniform(-self.rotate, self.rotate))
        matrix = geometry.about(rotation @ shear @ matrix, centre_x, centre_y)
        if self.perspective > 0:
            matrix = matrix @ self._move_corners(rng, page_width, page_height)
        return matrix

    def _scale_and_flip(self, rng: Generator) -> Matrix:
        low, high = self.scale
        factor = math.exp(rng.uniform(math.log(low), math.log(high)))
        aspect = 2.0 ** (rng.uniform(-self.stretch, self.stretch) / 2)
        scale_x = factor * aspect
        scale_y = factor / aspect
        mirrored, upended = rng.random(2) < (self.hflip, self.vflip)
        if mirrored:
            scale_x = -scale_x
        if upended:
            scale_y = -scale_y
        return geometry.scaling(scale_x, scale_y)

    def _move_corners(self, rng: Generator, page_width: int, page_height: int) -> Matrix:
        corners = geometry.corners(1, 1).astype(np.float32)
        moves = rng.uniform(-self.perspective, self.perspective, (4, 2)).astype(np.float32)
        size = np.array([page_width, page_height], dtype=np.float32)
        moved = cv2.getPerspectiveTransform(corners * size, (corners + moves) * size)
        return np.asarray(moved, dtype=np.float64)


def training_page(
    rng: Generator,
    page_width: int,
    page_height: int,
    long_side: int,
    augment: Augment,
) -> PageView:
    """A whole page on a long_side x long_side canvas (rounded up to the stride), augmented about its centre."""
    side = round_up_to_stride(long_side)
    scale = long_side / max(page_width, page_height)
    matrix = augment.sample(rng, page_width, page_height)
    centre = geometry.transform(matrix, np.array([[page_width / 2, page_height / 2]]))[0]
    dx, dy = rng.uniform(-augment.shift, augment.shift, 2) * long_side
    to_origin = geometry.translation(-centre[0], -centre[1])
    to_view = geometry.translation(side / 2 + dx, side / 2 + dy) @ geometry.scaling(scale, scale)
    return PageView(to_view @ to_origin @ matrix, side, side)


def training_crop(
    rng: Generator,
    page_width: int,
    page_height: int,
    words: Polygons,
    *,
    crop: int,
    long_side: tuple[int, int],
    near_text: float,
    augment: Augment,
    text_height: tuple[float, float] | None = None,
    near_narrow: float = 0.0,
) -> PageView:
    """A crop x crop window of the page, augmented.

    It reaches beyond the page only where it must, or by a twentieth of its side.

    Args:
        rng: all chance.
        page_width: pixels.
        page_height: pixels.
        words: of the page.
        crop: side of the window, pixels.
        long_side: range of the page's long side, pixels; drawn log-uniform.
        text_height: range of the height of the page's typical text, pixels, which is drawn instead; None: ``long_side``
            is, as it is for a page without text.
        near_text: probability that a random word lies in the window, at a random place; else the window lies anywhere
            on the page.
        augment: ranges of the augmentation.
        near_narrow: of the crops with a random word, the share whose word is narrower than high, where there is one.
    """
    size: float = max(page_width, page_height)
    drawn_from: tuple[float, float] = long_side
    if text_height is not None and len(words) > 0:
        size = max(float(np.median(text_heights(list(words)))), 1.0)
        drawn_from = text_height
    low, high = drawn_from
    drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
    scale = min(drawn / size, MOST_ENLARGED)
    matrix = geometry.scaling(scale, scale) @ augment.sample(rng, page_width, page_height)
    anchor, place = _anchor(rng, page_width, page_height, words, crop, near_text, near_narrow)
    corners = geometry.corners(page_width, page_height)
    mapped = geometry.transform(matrix, np.vstack([anchor, corners]))
    page_low = mapped[1:].min(axis=0)
    page_high = mapped[1:].max(axis=0)
    # Where the window's top-left corner may be.
    lowest = page_low - _BESIDE * crop
    highest = page_high + _BESIDE * crop - crop
    wanted = np.clip(mapped[0] - place, lowest, highest)
    # Along a side that is shorter than the window, the page is anywhere in the window.
    anywhere = rng.uniform(np.minimum(lowest, highest), np.maximum(lowest, highest))
    corner = np.where(lowest < highest, wanted, anywhere)
    return PageView(geometry.translation(-corner[0], -corner[1]) @ matrix, crop, crop)


def _anchor(
    rng: Generator,
    page_width: int,
    page_height: int,
    words: Polygons,
    crop: int,
    near_text: float,
    near_narrow: float,
) -> tuple[Points, Points]:
    """A point of the page (2,), and where it is to lie in the window (2,)."""
    if len(words) > 0 and rng.random() < near_text:
        word = words[_random_word(rng, words, near_narrow)]
        centre = word.mean(axis=0)
        anchor = geometry.clamp(centre[None], page_width, page_height)[0]
        return anchor, rng.uniform(0.1, 0.9, 2) * crop
    anchor = rng.uniform((0, 0), (page_width, page_height))
    return anchor, np.array([crop / 2, crop / 2])


def _random_word(rng: Generator, words: Polygons, near_narrow: float) -> int:
    """Index of a random word; with this probability of one that is narrower than high, where there is one."""
    if near_narrow > 0 and rng.random() < near_narrow:
        sizes = np.array([np.ptp(word, axis=0) for word in words])
        narrow = np.flatnonzero(sizes[:, 0] < NARROW * sizes[:, 1])
        if len(narrow) > 0:
            return int(rng.choice(narrow))
    return int(rng.integers(len(words)))


@dataclass(frozen=True)
class TrainView:
    """How a training sample is cut from a page, and how it is changed.

    Attributes:
        long_side: range of the page's long side in the view, pixels.
        crop: side of a square crop, pixels; None: the whole page at the largest ``long_side``.
        near_text: probability that a crop holds some text.
        augment: changes of place.
        photometric: changes of colour and sharpness.
        text_height: range of the height of a page's typical text in a crop, pixels (see ``text_share``).
        text_share: share of the crops whose scale is drawn by ``text_height``; that of the others by ``long_side``.
        paste: words of other pages in free places.
        near_narrow: see ``training_crop``.
    """

    long_side: tuple[int, int]
    crop: int | None
    near_text: float
    augment: Augment
    photometric: Photometric
    text_height: tuple[float, float] = (14.0, 28.0)
    text_share: float = 0.0
    paste: Paste = field(default_factory=Paste)
    near_narrow: float = 0.0

    def sample(self, rng: Generator, page: Page) -> PageView:
        """A random view of the page."""
        if self.crop is None:
            return training_page(rng, page.width, page.height, self.long_side[1], self.augment)
        text_height = None
        if self.text_share > 0 and rng.random() < self.text_share:
            text_height = self.text_height
        return training_crop(
            rng,
            page.width,
            page.height,
            page.polygons,
            crop=self.crop,
            long_side=self.long_side,
            near_text=self.near_text,
            augment=self.augment,
            text_height=text_height,
            near_narrow=self.near_narrow,
        )
