"""From a printed sheet to a picture of it: where it lies, and what a desk, a lamp and a camera do.

One 3 x 3 matrix takes the sheet to the picture, so that labels are boxes on the sheet, mapped through that matrix.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmean import geometry
from hmean.data.augment import Augment
from hmean.data.photometric import Photometric
from hmean.data.views import PageView
from hmean.geometry import Image
from hmean.synth.chance import FloatImage, pick, smooth_noise
from hmean.synth.damage import PLAIN_PAPER, crease_paper, crumple_paper, fade_ink, handwrite, scribble, wear_ink
from hmean.synth.sheet import Sheet
from hmean.synth.shop import Colour, Shop

# Scanned and cut to the print, scanned on a white or a dark lid, or photographed on a desk; held into a camera askew,
# crumpled and in bad light; scanned on an A4 glass of which it takes a part.
Kind = Literal["crop", "page", "dark", "desk", "photo", "a4"]
KINDS: tuple[Kind, ...] = (
    *("crop", "crop", "crop", "crop"),
    *("desk", "desk", "desk"),
    *("dark", "dark"),
    "page",
)

# How much of the surroundings is in the picture, as a share of the sheet.
_SPARE: dict[Kind, tuple[float, float]] = {
    "crop": (0.01, 0.07),
    "page": (0.1, 0.6),
    "dark": (0.005, 0.12),
    "desk": (0.01, 0.25),
    "photo": (0.02, 0.5),
    "a4": (0.0, 0.0),
}
_LEAST_LETTER = 7  # pixels of the picture
_A4 = 297 / 210  # height by width
_ON_A_DESK = Augment(rotate=5, shear=2, perspective=0.05)
_IN_A_HAND = Augment(rotate=20, shear=4, perspective=0.1)
_ON_A_SCANNER = Augment(rotate=1.5, shear=0.3)
_COMMON = Photometric(
    p_noise=0.7,
    blur=0.9,
    p_blur=0.5,
    p_sharpen=0.1,
    jpeg=35,
    p_jpeg=0.5,
    p_gray=0.3,
)
_CAMERA = replace(
    _COMMON,
    brightness=0.15,
    contrast=0.15,
    hue=0.02,
    p_color=0.6,
    noise=0.027,
    p_shadow=0.3,
)
_BAD_LIGHT = replace(
    _CAMERA,
    brightness=0.25,
    contrast=0.25,
    p_shadow=0.5,
    light=0.6,
    p_light=0.5,
    dark=0.25,
    p_dark=0.25,
    gamma=1.8,
    p_gamma=0.2,
    motion=5.0,
    p_motion=0.15,
    blur=1.5,
)
_SCANNER = replace(_COMMON, brightness=0.06, contrast=0.4, p_color=0.5, noise=0.016)
_PENS: tuple[Colour, ...] = (
    (40, 50, 140),
    (170, 40, 50),
    (30, 30, 35),
    (40, 110, 60),
)
_DESKS: tuple[Colour, ...] = (
    (150, 105, 65),
    (190, 150, 110),
    (95, 65, 45),
    (120, 120, 125),
    (60, 65, 75),
    (205, 200, 190),
    (70, 95, 120),
)


def place(rng: Generator, sheet: Sheet, letter: float, kind: Kind, long_side: int) -> PageView:
    """Turn, shear and tilt a sheet, and choose how much of its surroundings is in the picture.

    Args:
        rng: all chance.
        sheet: what is in the picture.
        letter: size of its letters, printer dots.
        kind: of the picture.
        long_side: of the picture, pixels.
    """
    lies = _ON_A_SCANNER
    if kind == "desk":
        lies = replace(_ON_A_DESK, rotate=pick(rng, (5, 5, 5, 15)))
    elif kind == "photo":
        lies = _IN_A_HAND
    base = lies.sample(rng, sheet.width, sheet.height)
    if kind == "crop":  # the scanner may cut the edge of the paper, but no text
        shown = sheet.labels("line")[0].points
    else:
        shown = geometry.corners(sheet.width, sheet.height)
    seen = geometry.transform(base, shown)
    width, height = np.ptp(seen, axis=0)
    spare = rng.uniform(*_SPARE[kind], (2, 2)) * (width, height)  # at the left and top, at the right and bottom
    if kind == "a4":
        spare = _rest_of_a4(rng, width, height)
    elif (height + spare[:, 1].sum()) * _LEAST_LETTER > long_side * letter:  # come closer, so that it can be read
        spare[:] = 0.02 * width
    size = spare.sum(axis=0) + np.ptp(seen, axis=0)
    scale = long_side / size.max()
    to_origin = geometry.translation(*(spare[0] - seen.min(axis=0)))
    matrix = geometry.scaling(scale, scale) @ to_origin @ base
    width, height = np.maximum(np.round(size * scale), 1).astype(int).tolist()
    return PageView(matrix, width, height)


def _rest_of_a4(rng: Generator, width: float, height: float) -> NDArray[np.float64]:
    """What is beside a receipt on the glass of a scanner: at the left and top, at the right and bottom (2, 2)."""
    share = rng.uniform(0.15, 0.6)
    glass_height = max(height, math.sqrt(width * height / share * _A4))
    glass_width = max(width, glass_height / _A4)
    rest = np.array([glass_width - width, glass_height - height])
    before = rest * rng.uniform(0, 1, 2)
    return np.stack([before, rest - before])


def photograph(rng: Generator, sheet: Sheet, shop: Shop, kind: Kind, view: PageView) -> Image:
    """A picture of a sheet: print and paper through the matrix at once, then light and camera.

    Colours are planes (3, H, W), on which numpy is several times faster than on triples.
    """
    ink = sheet.ink()
    print_layer = wear_ink(rng, ink)
    paper_layer = crease_paper(rng, ink)
    pen_layer = scribble(rng, ink.shape)
    if kind == "photo":
        paper_layer = crumple_paper(rng, paper_layer)
        print_layer = fade_ink(rng, print_layer)
    if kind in ("photo", "a4"):
        pen_layer = np.maximum(pen_layer, handwrite(rng, ink.shape))
    layers = np.dstack([print_layer, paper_layer, pen_layer])
    beside = (0, PLAIN_PAPER, 0)
    warped = geometry.warp(layers, view.matrix, view.width, view.height, fill=beside)
    seen = warped.astype(np.float32)
    strength = np.ascontiguousarray(seen[..., 0])
    shade = np.ascontiguousarray(seen[..., 1])
    pen = np.ascontiguousarray(seen[..., 2])
    # The share of each pixel that is paper.
    all_paper = geometry.warp(np.full_like(layers, 255), view.matrix, view.width, view.height)
    cover = np.asarray(all_paper[..., 0] / np.float32(255), dtype=np.float32)
    strength *= rng.uniform(0.75, 1.0) / 255
    light = _background(rng, cover.shape, kind)
    if kind in ("desk", "photo"):
        light *= _shadow_of_the_paper(rng, cover)
    white = rng.uniform(225, 254) / PLAIN_PAPER
    pen_colour = pick(rng, _PENS)
    for plane, tint, black, stroke in zip(light, shop.tint, shop.ink, pen_colour, strict=True):
        paper = shade * np.float32(white * tint)
        paper += strength * (black - paper)
        paper += pen * (0.8 / 255) * (np.minimum(stroke, paper) - paper)
        plane += cover * (paper - plane)
    camera = _SCANNER
    if kind in ("desk", "photo"):
        _light_by_a_lamp(rng, light)
        camera = _CAMERA
    if kind == "photo":
        camera = _BAD_LIGHT
    planes = np.clip(light, 0, 255).astype(np.uint8)
    picture = cv2.merge(list(planes))
    return camera(np.asarray(picture, dtype=np.uint8), rng)


def _shadow_of_the_paper(rng: Generator, cover: FloatImage) -> NDArray[np.float32]:
    """Brightness factors (H, W)."""
    shift = rng.integers(-6, 7, 2)
    shadow = cv2.blur(np.roll(cover, shift, (0, 1)), (9, 9))
    darkness = np.float32(rng.uniform(0.1, 0.45))
    return np.asarray(1 - darkness * shadow, dtype=np.float32)


def _light_by_a_lamp(rng: Generator, light: FloatImage) -> None:
    """Light planes (3, H, W) by a lamp of some colour that is not above the middle."""
    light *= rng.uniform(0.88, 1.04, (3, 1, 1)).astype(np.float32)
    strength = np.float32(rng.uniform(0, 0.18))
    light *= 1 + strength * smooth_noise(rng, light.shape[1:], 2, 2)


def _background(rng: Generator, shape: tuple[int, ...], kind: Kind) -> FloatImage:
    """What the sheet lies on (3, H, W): the lid of a scanner, or a desk."""
    if kind in ("desk", "photo"):
        return desk(rng, shape)
    if kind == "dark":
        level = rng.uniform(8, 55)
    else:
        level = rng.uniform(236, 255)
    height, width = shape
    lid = np.full((3, height, width), level, dtype=np.float32)
    lid *= rng.uniform(0.96, 1, (3, 1, 1)).astype(np.float32)
    count = rng.integers(0, 60)
    specks = rng.integers(0, [[height], [width]], (2, count))
    lid[:, *specks] = 255 - level
    return lid


def desk(rng: Generator, shape: tuple[int, ...]) -> FloatImage:
    """A desk of wood, cloth or stone (3, H, W), with the edges of other things on it."""
    height, width = shape
    grains = (
        (height / 4, width / 90),
        (height / 70, width / 3),
        (height / 2, width / 2),
        (height / 6, width / 6),
        (3, 3),
    )
    rows, columns = pick(rng, grains)
    texture = smooth_noise(rng, shape, rows, columns)
    texture = texture + 0.7 * smooth_noise(rng, shape, rows / 3, columns / 3)
    if rng.random() < 0.3:  # woven
        texture += smooth_noise(rng, shape, columns * height / width, rows * width / height)
    brightness = rng.uniform(0.7, 1.15)
    contrast = rng.uniform(0.01, 0.1)
    texture = brightness * (1 + contrast * texture)
    colour = np.reshape(pick(rng, _DESKS), (3, 1, 1))
    desk: FloatImage = np.multiply(colour, texture, dtype=np.float32)
    for _ in range(rng.integers(0, 3)):
        corners = rng.uniform(-0.1, 1.1, (4, 2)) * (width, height)
        thing = cv2.convexHull(corners.astype(np.int32))
        thing_colour = np.array(pick(rng, _DESKS)) * rng.uniform(0.3, 1.2)
        for plane, value in zip(desk, thing_colour, strict=True):
            cv2.fillConvexPoly(plane, thing, (float(value),), cv2.LINE_AA)
    return desk
