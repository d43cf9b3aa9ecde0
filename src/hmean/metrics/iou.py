"""IoU matching as in the evaluation of ICDAR 2015, Incidental Scene Text (Karatzas et al. 2015), in page coordinates.

Words and regions are paired one to one, greedily, word by word in the order given. A region that lies in one ignored
word by more than half of its area counts nowhere. Unlike that program, coordinates are not cut to whole pixels and an
IoU equal to the threshold is a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.metrics.cleval import Shapes, harmonic, overlap_areas
from hmean.types import PRH, Detections, Page

IGNORED_SHARE = 0.5  # a region covered by an ignored word by more than this is ignored too


@dataclass(frozen=True)
class MatchCounts:
    """Pairs found (``tp``) among ``gt`` words and ``det`` regions that count; sums of pages give the pooled result."""

    tp: int = 0
    gt: int = 0
    det: int = 0

    def __add__(self, other: MatchCounts) -> MatchCounts:
        return MatchCounts(self.tp + other.tp, self.gt + other.gt, self.det + other.det)

    @property
    def prh(self) -> PRH:
        """P = tp / det, R = tp / gt, H = 2PR / (P + R), each 0 where its denominator is."""
        return harmonic(self.tp / self.det if self.det else 0.0, self.tp / self.gt if self.gt else 0.0)


def match_counts(page: Page, detections: Detections, thresholds: Sequence[float]) -> tuple[MatchCounts, ...]:
    """Counts of one page at each IoU threshold (T,), all in (0, 1], from one pass over the areas.

    Raises:
        ValueError: if a threshold is not in (0, 1].
    """
    if not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"IoU thresholds must lie in (0, 1], got {list(thresholds)}")
    gt, det = Shapes.of(page.polygons), Shapes.of(detections.polygons)
    overlaps = overlap_areas(gt, det)
    union = gt.areas[:, None] + det.areas - overlaps
    iou = np.divide(overlaps, union, out=np.zeros_like(overlaps), where=union > 0)
    care = ~page.ignored
    det_care = ~(overlaps[page.ignored] > IGNORED_SHARE * det.areas).any(axis=0)
    iou = iou[np.ix_(care, det_care)]
    found = _greedy_pairs(iou, np.array(thresholds, dtype=np.float64))
    return tuple(MatchCounts(int(tp), *iou.shape) for tp in found)


@njit(cache=True, nogil=True)
def _greedy_pairs(iou: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of pairs at each threshold (T,) for IoU of words and regions (K, D)."""
    found = np.zeros(len(thresholds), dtype=np.int64)
    for t in range(len(thresholds)):
        free = np.ones(iou.shape[1], dtype=np.bool_)
        for g in range(iou.shape[0]):
            for d in range(iou.shape[1]):
                if free[d] and iou[g, d] >= thresholds[t]:
                    free[d] = False
                    found[t] += 1
                    break
    return found
