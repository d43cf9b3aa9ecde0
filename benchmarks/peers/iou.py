"""IoU evaluators: a textbook one, as PaddleOCR and the programs it comes from compute it, and the fastest plain one.

The textbook takes every pair through shapely, in Python; the other makes one shapely call for all pairs that touch.

Written from the description of ICDAR 2015, challenge 4 (Karatzas et al. 2015), and the documented behaviour: regions
that an ignored word covers by more than half are ignored; words and regions pair greedily, word by word, one to one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from hmean.types import Detections, Page, Polygons


def evaluate(page: Page, detections: Detections, threshold: float) -> tuple[int, int, int]:
    """(pairs, words, regions) that count."""
    words = [p for p in page.polygons if Polygon(p).is_valid]
    found = [p for p in detections.polygons if Polygon(p).is_valid]
    skip_words = [i for i, ignored in enumerate(page.ignored) if ignored]
    skip_found = set()
    for j, region in enumerate(found):
        for i in skip_words:
            inter = Polygon(words[i]).intersection(Polygon(region)).area
            if Polygon(region).area and inter / Polygon(region).area > 0.5:
                skip_found.add(j)
                break
    iou = np.empty((len(words), len(found)))
    for i, word in enumerate(words):
        for j, region in enumerate(found):
            inter = Polygon(word).intersection(Polygon(region)).area
            union = Polygon(word).union(Polygon(region)).area
            iou[i, j] = inter / union if union else 0.0
    pairs, used = 0, set()
    for i in range(len(words)):
        for j in range(len(found)):
            if i in skip_words or j in skip_found or j in used:
                continue
            if iou[i, j] >= threshold:
                used.add(j)
                pairs += 1
                break
    return pairs, len(words) - len(skip_words), len(found) - len(skip_found)


def evaluate_vectorised(page: Page, detections: Detections, thresholds: Sequence[float]) -> list[tuple[int, int, int]]:
    """The same at several thresholds: a tree finds the pairs that touch, and one call intersects all of them."""
    words, ignored = _valid(page.polygons, page.ignored)
    found, _ = _valid(detections.polygons, np.zeros(len(detections), dtype=np.bool_))
    of_found, of_words = shapely.STRtree(words).query(found, predicate="intersects")
    inter = shapely.area(shapely.intersection(words[of_words], found[of_found]))
    word_areas, found_areas = shapely.area(words), shapely.area(found)
    covered = inter / np.maximum(found_areas[of_found], 1e-12)
    skip_found = np.zeros(len(found), dtype=np.bool_)
    skip_found[of_found[ignored[of_words] & (covered > 0.5)]] = True
    iou = inter / (word_areas[of_words] + found_areas[of_found] - inter)
    counts = []
    for threshold in thresholds:
        may_pair = (iou >= threshold) & ~ignored[of_words] & ~skip_found[of_found]
        i, j = of_words[may_pair], of_found[may_pair]
        order = np.lexsort((j, i))
        pairs = _greedy(i[order].tolist(), j[order].tolist())
        counts.append((pairs, int((~ignored).sum()), int((~skip_found).sum())))
    return counts


def crosses_nowhere(polygons: Polygons) -> bool:
    """Whether no outline crosses itself."""
    return all(Polygon(polygon).is_valid for polygon in polygons)


def _valid(polygons: Polygons, flags: NDArray[np.bool_]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Polygons as shapely has them, without those that cross themselves."""
    rings = np.repeat(np.arange(len(polygons)), np.diff(polygons.offsets))
    made = shapely.polygons(shapely.linearrings(polygons.points, indices=rings))
    valid = shapely.is_valid(made)
    return made[valid], flags[valid]


def _greedy(words: list[int], found: list[int]) -> int:
    """How many pairs of words and regions, word by word."""
    paired_words, paired_found = set(), set()
    for i, j in zip(words, found, strict=True):
        if i not in paired_words and j not in paired_found:
            paired_words.add(i)
            paired_found.add(j)
    return len(paired_words)
