"""IoU matching as in the evaluation of ICDAR 2015, Incidental Scene Text (Karatzas et al. 2015), in page coordinates.

Words and detections are paired one to one, greedily, word by word in the order given. A detection that lies in one
ignored word by more than half of its area counts nowhere. Unlike that program, coordinates are not cut to whole pixels
and an IoU equal to the threshold is a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmean.metrics import kernels
from hmean.metrics.cleval import harmonic
from hmean.metrics.kernels import MATCH_COLUMNS, Flags, Floats, Ints
from hmean.metrics.shapes import Shapes, pack
from hmean.types import PRH, Detections, Page


@dataclass(frozen=True)
class MatchCounts:
    """Matches of one page at one threshold; sums over pages give the pooled result.

    Attributes:
        tp: pairs found.
        gt: words that count.
        det: detections that count.
    """

    tp: int = 0
    gt: int = 0
    det: int = 0

    def __add__(self, other: MatchCounts) -> MatchCounts:
        return MatchCounts(self.tp + other.tp, self.gt + other.gt, self.det + other.det)

    @property
    def prh(self) -> PRH:
        """P = tp / det, R = tp / gt, H = 2PR / (P + R), each 0 where its denominator is."""
        precision = 0.0
        recall = 0.0
        if self.det:
            precision = self.tp / self.det
        if self.gt:
            recall = self.tp / self.gt
        return harmonic(precision, recall)


def match_counts(page: Page, detections: Detections, thresholds: Sequence[float]) -> list[MatchCounts]:
    """Matches of one page at each IoU threshold: see ``match_array``."""
    at_thresholds = match_array([page], [detections], thresholds)[0, 0]
    return [MatchCounts(*row) for row in at_thresholds.tolist()]


def match_array(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    thresholds: Sequence[float],
    *,
    min_scores: Sequence[float] = (0.0,),
) -> Ints:
    """Matches of many pages.

    Args:
        pages: with words, in page pixels.
        detections: of each page, in page pixels.
        thresholds: smallest IoU of a match.
        min_scores: T smallest scores of the detections that are kept.

    Returns:
        (pages, T, thresholds, 3): the columns are the fields of ``MatchCounts``.

    Raises:
        ValueError: if a threshold is not in (0, 1].
    """
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"IoU thresholds must lie in (0, 1], got {list(thresholds)}")
    limits = np.array(thresholds, dtype=np.float64)
    least = np.array(min_scores, dtype=np.float32)
    gt = pack([page.polygons for page in pages])
    det = pack([found.polygons for found in detections])
    care = ~np.concatenate([page.ignored for page in pages])
    keep = np.concatenate([found.scores for found in detections]) >= least[:, None]
    counts = np.zeros((len(pages), len(least), len(limits), MATCH_COLUMNS), dtype=np.int64)
    needs_shapely = kernels.match_pages(*gt, care, *det, keep, limits, counts)
    for i in np.flatnonzero(needs_shapely).tolist():
        words = Shapes.of(pages[i].polygons)
        found = Shapes.of(detections[i].polygons)
        _match_any_polygons(words, care[gt.of_page(i)], found, keep[:, det.of_page(i)], limits, counts[i])
    return counts


def _match_any_polygons(
    words: Shapes, care: Flags, found: Shapes, keep: Flags, thresholds: Floats, counts: Ints
) -> None:
    """As ``kernels.match_pages``, of one page with any polygons."""
    first, detection, area = words.overlaps(found)
    iou = kernels.ious(first, detection, area, words.areas, found.areas)
    counted = kernels.counted_detections(first, detection, area, found.areas, care)
    for t in range(len(keep)):
        kernels.pair_up(first, detection, iou, care, counted & keep[t], thresholds, counts[t])
