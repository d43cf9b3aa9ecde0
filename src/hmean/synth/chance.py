"""Random choices and textures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

T = TypeVar("T")
FloatImage = NDArray[np.float32]


def pick(rng: Generator, options: Sequence[T]) -> T:
    """One of the options, each as likely as the others; options that are to be likelier are given several times."""
    return options[int(rng.integers(len(options)))]


def smooth_noise(rng: Generator, shape: tuple[int, ...], rows: float, columns: float) -> FloatImage:
    """Smooth noise (H, W) of mean 0 and deviation 1, with about this many waves down and across."""
    coarse = (max(2, int(rows)), max(2, int(columns)))
    grid = rng.standard_normal(coarse, dtype=np.float32)
    height, width = shape
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, dtype=np.float32)
