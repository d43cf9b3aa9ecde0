"""What wears print, paper and receipts. Nothing here moves ink, so that labels stay exact."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmean.data import effects
from hmean.synth.chance import pick, smooth_noise
from hmean.synth.fonts import Ink

PLAIN_PAPER = 200  # brightness of paper without waves and stains

Brightness = NDArray[np.uint8]  # (H, W)
Floats = NDArray[np.float64]
_PEN_INK = 255
_STAMP_INK = 170


def wear_ink(rng: Generator, ink: Ink) -> Ink:
    """Ink with uneven heat, dead dots of the print head, and toner that did not stick."""
    strength = np.float32(rng.uniform(0, 0.25))
    unevenness = np.abs(smooth_noise(rng, ink.shape, ink.shape[0] / 90, 4))
    left = np.maximum(1 - strength * unevenness, 0.45)
    if rng.random() < 0.15:  # dead dots leave pale columns
        count = rng.integers(1, 4)
        for column in rng.integers(0, ink.shape[1], count):
            left[:, column : column + rng.integers(1, 5)] /= 4
    if rng.random() < 0.35:  # pale dots
        noise = rng.integers(0, 256, ink.shape, dtype=np.uint8)
        left[noise < rng.integers(10, 50)] /= 3
    return (ink * left).astype(np.uint8)


def crease_paper(rng: Generator, ink: Ink) -> Brightness:
    """The brightness of a paper with this print on it: waves, folds, a stain, and the print of the other side."""
    height = max(8, ink.shape[0] // 4)
    width = max(8, ink.shape[1] // 4)
    # Places on the paper, as shares of its height and width.
    rows = np.arange(height)[:, None] / height
    columns = np.arange(width)[None] / width
    waves = rng.uniform(0, 0.035)
    shade = 1 + waves * smooth_noise(rng, (height, width), height / 25, 4)
    for _ in range(pick(rng, (0, 0, 0, 0, 1, 2, 3))):
        shade = shade - _fold(rng, rows, columns)
    if rng.random() < 0.12:
        shade = shade - _cup_stain(rng, rows, columns)
    small = np.clip(shade * PLAIN_PAPER, 0, 255).astype(np.uint8)
    paper = cv2.resize(small, ink.shape[::-1])
    if rng.random() < 0.25:  # of the other side
        shift = rng.integers(len(ink))
        mirrored = np.roll(ink[:, ::-1], shift, axis=0)
        behind = cv2.blur(mirrored, (5, 5)) * rng.uniform(0.04, 0.12)
        paper = cv2.subtract(paper, behind.astype(np.uint8))
    return np.asarray(paper, dtype=np.uint8)


def _fold(rng: Generator, rows: Floats, columns: Floats) -> Floats:
    """The shade of a fold across or along the paper: a dark line beside a bright one."""
    if rng.random() < 0.75:
        place = rows + columns * rng.normal(0, 0.03)
    else:
        place = columns + rows * 0.02
    longest = max(rows.size, columns.size)
    away = (place - rng.uniform(0.1, 0.9)) * longest / 4
    depth = rng.uniform(0.02, 0.12)
    dark = np.exp(-(away**2) * 4)
    bright = 0.6 * np.exp(-((away - 0.8) ** 2))
    fold: Floats = depth * (dark - bright)
    return fold


def _cup_stain(rng: Generator, rows: Floats, columns: Floats) -> Floats:
    """The shade of the ring that a cup left, and of what is inside it."""
    from_middle_y = rows - rng.random()
    from_middle_x = (columns - rng.random()) * columns.size / rows.size
    distance = np.hypot(from_middle_y, from_middle_x)
    ring = 0.12 * np.exp(-(((distance - 0.12) * 60) ** 2))
    stain: Floats = ring + 0.04 * (distance < 0.12)
    return stain


def scribble(rng: Generator, shape: tuple[int, ...]) -> Ink:
    """Strokes of a pen, and stamps without letters, over everything."""
    ink = np.zeros(shape, dtype=np.uint8)
    height, width = shape
    centre = rng.uniform(0.2, 0.8, 2) * (width, height)
    if rng.random() < 0.18:
        path = np.round(centre + _pen_stroke(rng)).astype(np.int32)
        thickness = int(rng.integers(2, 5))
        cv2.polylines(ink, [path], False, (_PEN_INK,), thickness, cv2.LINE_AA)
    if rng.random() < 0.08:
        size = int(rng.integers(40, 160))
        middle = centre.astype(int).tolist()
        for radius in (size + 25, size + 17, size // 2):
            axes = (radius, int(radius * 0.7))
            cv2.ellipse(ink, middle, axes, 20, 0, 360, (_STAMP_INK,), 3, cv2.LINE_AA)
    return ink


def _pen_stroke(rng: Generator) -> Floats:
    """A line of loops, from its centre (90, 2)."""
    t = np.linspace(0, rng.uniform(6, 14), 90)
    x = np.cos(t * rng.uniform(0.8, 2)) + t * 0.25
    y = np.sin(t * rng.uniform(0.8, 2)) * 0.7
    size = rng.uniform(14, 50)
    flatness = rng.uniform(0.4, 1)
    stroke: Floats = np.stack([x, y], axis=1) * size * (1, flatness)
    return stroke


def crumple_paper(rng: Generator, paper: Brightness) -> Brightness:
    """Paper that was folded, or crumpled and smoothed again."""
    height, width = paper.shape
    count = pick(rng, (1, 2, 3, 8, 15, 25))
    factors = effects.creases(rng, height, width, count=count, depth=rng.uniform(0.1, 0.4))
    return np.asarray(cv2.multiply(paper, factors, dtype=cv2.CV_8U), dtype=np.uint8)


def fade_ink(rng: Generator, ink: Ink) -> Ink:
    """Thermal print that has bleached in places, as it does in wallets and in the sun."""
    if rng.random() < 0.5:
        return ink
    height, width = ink.shape
    left = 1 - np.float32(rng.uniform(0.2, 0.75)) * effects.smooth_field(rng, height, width)
    return (ink * left).astype(np.uint8)


def handwrite(rng: Generator, shape: tuple[int, ...]) -> Ink:
    """Lines of letters that nobody can read, over everything: notes by hand have no label."""
    ink = np.zeros(shape, dtype=np.uint8)
    height, width = shape
    for _ in range(pick(rng, (0, 1, 1, 2, 3))):
        size = width * rng.uniform(0.025, 0.08)
        slope = rng.normal(0, 0.1)
        start = rng.uniform(0, 0.8, 2) * (width, height)
        letters = int(rng.integers(2, 14))
        thickness = max(1, round(size * rng.uniform(0.05, 0.1)))
        path = _written(rng, letters) * size
        path[:, 1] += path[:, 0] * slope
        points = np.round(path + start).astype(np.int32)
        pieces = np.split(points, np.sort(rng.integers(1, len(points), letters // 4)))
        for piece in pieces:
            cv2.polylines(ink, [piece[:-1]], False, (_PEN_INK,), thickness, cv2.LINE_AA)
    return ink


def _written(rng: Generator, letters: int) -> Floats:
    """A line of writing: strokes up and down that move to the right, some of them tall or with a loop (n, 2)."""
    knots = [(0.0, 0.0)]
    x = 0.0
    for _ in range(letters):
        tall = pick(rng, (0.5, 0.5, 0.5, 1.2, -0.6))
        for _ in range(int(rng.integers(1, 4))):
            knots.append((x + rng.uniform(-0.15, 0.3), -tall * rng.uniform(0.7, 1.1)))
            x += rng.uniform(0.15, 0.35)
            knots.append((x, rng.uniform(-0.1, 0.1)))
    along = np.arange(len(knots))
    fine = np.linspace(0, len(knots) - 1, 8 * len(knots))
    knot_array = np.array(knots)
    steps = fine[:, None] - along
    weights = np.sinc(steps) * np.exp(-((steps / 2) ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    written: Floats = weights @ knot_array
    return written
