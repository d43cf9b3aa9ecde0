"""IoU matching as in the evaluation of ICDAR 2015, Incidental Scene Text (Karatzas et al. 2015), in page coordinates.

Words and regions are paired one to one, greedily, word by word in the order given. A region that lies in one ignored
word by more than half of its area counts nowhere. Unlike that program, coordinates are not cut to whole pixels and an
IoU equal to the threshold is a match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmean.metrics import kernels
from hmean.metrics.cleval import harmonic
from hmean.metrics.kernels import Flags, Floats, Ints
from hmean.metrics.shapes import Shapes, pack
from hmean.types import PRH, Detections, Page


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


def match_counts(page: Page, detections: Detections, thresholds: Sequence[float]) -> list[MatchCounts]:
    """Counts of one page at each IoU threshold: see ``match_array``."""
    return [MatchCounts(*row) for row in match_array([page], [detections], thresholds)[0, 0].tolist()]


def match_array(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    thresholds: Sequence[float],
    *,
    min_scores: Sequence[float] = (0.0,),
) -> Ints:
    """The fields of ``MatchCounts`` (N, T, thresholds, 3), keeping the regions of at least each score.

    Raises:
        ValueError: if a threshold is not in (0, 1].
    """
    if not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"IoU thresholds must lie in (0, 1], got {list(thresholds)}")
    limits, least = np.array(thresholds, dtype=np.float64), np.array(min_scores, dtype=np.float32)
    gt, det = pack([page.polygons for page in pages]), pack([found.polygons for found in detections])
    care = ~np.concatenate([page.ignored for page in pages])
    keep = np.concatenate([found.scores for found in detections]) >= least[:, None]
    counts = np.zeros((len(pages), len(least), len(limits), 3), dtype=np.int64)
    exotic = kernels.match_pages(*gt, care, *det, keep, limits, counts)
    for i in np.flatnonzero(exotic).tolist():
        words, found = Shapes.of(pages[i].polygons), Shapes.of(detections[i].polygons)
        here = care[gt[2][i] : gt[2][i + 1]], keep[:, det[2][i] : det[2][i + 1]]
        _match_exotic(words, here[0], found, here[1], limits, counts[i])
    return counts


def _match_exotic(words: Shapes, care: Flags, found: Shapes, keep: Flags, thresholds: Floats, counts: Ints) -> None:
    """As ``kernels.match_pages``, of one page with any polygons."""
    first, region, area = words.overlaps(found)
    iou = kernels.ious(first, region, area, words.areas, found.areas)
    counted = kernels.counted_regions(first, region, area, found.areas, care)
    for t in range(len(keep)):
        kernels.pair_up(first, region, iou, care, counted & keep[t], thresholds, counts[t])
