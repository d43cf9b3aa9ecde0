"""The same page under two names, found by what its images show: a copy that was saved again has other bytes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.geometry import Image

Print = NDArray[np.int8]  # (SIDE * SIDE,): a page, small enough to compare with all others

SIDE = 64  # pixels of a page in its print, whatever the page's aspect
SAME = (
    0.97  # between different receipts of one printed form and one page saved again (tests/unit/data/test_likeness.py)
)
_PAPER = SIDE / 16  # standard deviation of what counts as paper around a pixel of the print, in such pixels
_BLANK = 0.5  # grey levels: what is on a page with less contrast is noise
_BLOCK = 512  # prints compared with all others at a time


def print_of(image: Image) -> Print:
    """What a page (H, W, 3) looks like from afar: grey, small, and without the brightness of its paper.

    Cut or turned copies have other prints.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    ink = small - cv2.GaussianBlur(small, (0, 0), _PAPER)
    ink -= ink.mean()
    if float(ink.std()) < _BLANK:
        return np.zeros(SIDE * SIDE, dtype=np.int8)
    scaled = ink * (127 / np.abs(ink).max())
    found: Print = np.round(scaled).astype(np.int8).ravel()
    return found


def likeness(a: Print, b: Print) -> float:
    """The correlation of two prints, up to 1; 0 for blank pages, which are all alike."""
    return float(_unit(a[None])[0] @ _unit(b[None])[0])


def same_pages(prints: Sequence[Print | None]) -> list[list[int]]:
    """Which of N pages show the same, in sets of two and more, by their places in ``prints``.

    A page is in a set if it is ``SAME`` as any other of it. None is an image that could not be read.
    """
    places = [i for i, found in enumerate(prints) if found is not None]
    units = _unit(np.array([found for found in prints if found is not None]).reshape(-1, SIDE * SIDE))
    first = list(range(len(prints)))  # the first page of the set of each
    for start in range(0, len(places), _BLOCK):
        block = units[start : start + _BLOCK]
        for row, column in np.argwhere(block @ units[start:].T > SAME).tolist():
            if row < column:
                _join(first, places[start + row], places[start + column])
    sets: dict[int, list[int]] = {}
    for i in range(len(prints)):
        sets.setdefault(_first_of(first, i), []).append(i)
    return [found for found in sets.values() if len(found) > 1]


def _unit(prints: NDArray[np.int8]) -> NDArray[np.float32]:
    values = prints.astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float32] = values / np.maximum(lengths, 1)
    return unit


def _first_of(first: list[int], page: int) -> int:
    while first[page] != page:
        page = first[page]
    return page


def _join(first: list[int], a: int, b: int) -> None:
    low, high = sorted((_first_of(first, a), _first_of(first, b)))
    first[high] = low
