"""Words of one character: how many of them are found, each as a box of its own.

A lone "1" in a column of quantities is a small part of a page's characters, so that no other score notices whether it
is found. Found means here: a detection has an IoU of 0.5 or more with the word. (Of words that do not overlap, no two
can have that with one detection.) A detection that holds such a word together with its neighbours has not found it,
although CLEval says that its character is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hmean.metrics import kernels
from hmean.metrics.iou import MatchCounts
from hmean.metrics.kernels import Flags
from hmean.metrics.scorer import PageScore
from hmean.metrics.shapes import Shapes
from hmean.types import Detections, Page

SINGLE_IOU = 0.5


def is_single(page: Page) -> Flags:
    """The words (K,) whose text is one character, spaces around it aside, and that are not ignored."""
    is_one = [text is not None and len(text.strip()) == 1 for text in page.texts]
    return np.array(is_one, dtype=np.bool_) & ~page.ignored


def single_counts(page: Page, detections: Detections) -> MatchCounts:
    """Words of one character (``gt``) and how many of them are found (``tp``).

    ``det`` is 0, for a detection does not say how many characters it holds.
    """
    single = is_single(page)
    if not single.any():
        return MatchCounts()
    words = Shapes.of(page.polygons.select(single))
    found = Shapes.of(detections.polygons)
    first, detection, area = words.overlaps(found)
    iou = kernels.ious(first, detection, area, words.areas, found.areas)
    hits = 0
    for k in range(len(first) - 1):
        hits += int((iou[first[k] : first[k + 1]] >= SINGLE_IOU).any())
    return MatchCounts(tp=hits, gt=int(single.sum()))


def with_single(
    scores: Sequence[PageScore], pages: Sequence[Page], detections: Sequence[Detections]
) -> list[PageScore]:
    """The scores of pages (N) with what ``single_counts`` says of each."""
    counted = []
    for score, page, found in zip(scores, pages, detections, strict=True):
        counted.append(replace(score, single=single_counts(page, found)))
    return counted


def single_recall(scores: Sequence[PageScore]) -> float | None:
    """The share of all words of one character that is found; None where there are none, or nobody counted them."""
    total = sum((score.single for score in scores), MatchCounts())
    if total.gt == 0:
        return None
    return total.tp / total.gt
