"""What wears print, paper and receipts. Nothing here moves ink, so that labels stay exact."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

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
