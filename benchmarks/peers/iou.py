"""A textbook IoU evaluator, as PaddleOCR and the programs it comes from compute it: every pair through shapely, in Python.

Written from the description of ICDAR 2015, challenge 4 (Karatzas et al. 2015), and the documented behaviour: regions
that an ignored word covers by more than half are ignored; words and regions pair greedily, word by word, one to one.
"""

from __future__ import annotations

import numpy as np
from shapely.geometry import Polygon

from hmean.types import Detections, Page


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
