"""Hmeans of arrays of counts: many pages, settings or resamples at once.

Legend of shapes: N pages, S settings, B resamples.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hmean.metrics.kernels import (
    CLEVAL_FP,
    CLEVAL_GT,
    CLEVAL_OVERLAPPED,
    CLEVAL_PRECISION_PENALTY,
    CLEVAL_RECALL_PENALTY,
    CLEVAL_TP,
    MATCH_DET,
    MATCH_GT,
    MATCH_TP,
    Floats,
)
from hmean.types import Statistic

STATISTICS: tuple[Statistic, ...] = ("macro", "pooled", "iou50", "iou70")
Compared = Statistic | Literal["macro_p", "macro_r"]  # an hmean, or macro precision or recall
IOU_THRESHOLDS = (0.5, 0.7)  # the thresholds axis of every array of match counts, in this order
Counted = NDArray[np.integer[Any]]  # counts of either score


def page_prh(counts: Counted) -> Floats:
    """P, R and H (..., 3) of CLEval's counts (..., 8): ``Counts.prh`` of many pages."""
    precision = _share(np.maximum(_credited_in_precision(counts), 0), _claimed(counts))
    recall = _share(np.maximum(_credited_in_recall(counts), 0), counts[..., CLEVAL_GT])
    return np.stack([precision, recall, _harmonic_mean(precision, recall)], axis=-1)


def summands(counts: Counted, matches: Counted, statistic: Compared) -> Floats:
    """What is summed over pages before a statistic is computed from the sums with ``from_sums``.

    Args:
        counts: CLEval's counts (..., 8).
        matches: IoU matches at ``IOU_THRESHOLDS`` (..., 2, 3).
        statistic: which hmean, or macro precision or recall.

    Returns:
        For a macro statistic (..., 2): its value on the page, and 1. For the others (..., 4): numerator and
        denominator of precision, numerator and denominator of recall.
    """
    if statistic in ("macro_p", "macro_r", "macro"):
        value = page_prh(counts)[..., ("macro_p", "macro_r", "macro").index(statistic)]
        return np.stack([value, np.ones_like(value)], axis=-1)
    if statistic == "pooled":
        parts = (
            _credited_in_precision(counts),
            _claimed(counts),
            _credited_in_recall(counts),
            counts[..., CLEVAL_GT],
        )
    else:
        at_threshold = matches[..., ("iou50", "iou70").index(statistic), :]
        parts = (
            at_threshold[..., MATCH_TP],
            at_threshold[..., MATCH_DET],
            at_threshold[..., MATCH_TP],
            at_threshold[..., MATCH_GT],
        )
    return np.stack(parts, axis=-1).astype(np.float64)


def from_sums(sums: Floats) -> Floats:
    """The statistic (...) of summed ``summands`` (..., 2 or 4)."""
    shares = _share(np.maximum(sums[..., ::2], 0), sums[..., 1::2])
    if shares.shape[-1] == 1:
        mean: Floats = shares[..., 0]
        return mean
    return _harmonic_mean(shares[..., 0], shares[..., 1])


def _credited_in_precision(counts: Counted) -> Counted:
    """Characters found, less one for each further word of a detection; may be negative."""
    credited: Counted = counts[..., CLEVAL_TP] - counts[..., CLEVAL_PRECISION_PENALTY]
    return credited


def _credited_in_recall(counts: Counted) -> Counted:
    """Characters found, less one for each further detection of a word; may be negative."""
    credited: Counted = counts[..., CLEVAL_TP] - counts[..., CLEVAL_RECALL_PENALTY]
    return credited


def _claimed(counts: Counted) -> Counted:
    """Characters of the detections that count: the denominator of precision."""
    claimed: Counted = counts[..., CLEVAL_TP] + counts[..., CLEVAL_OVERLAPPED] + counts[..., CLEVAL_FP]
    return claimed


def _harmonic_mean(precision: Floats, recall: Floats) -> Floats:
    return _share(2 * precision * recall, precision + recall)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """``part / whole``, 0 where ``whole`` is not positive."""
    share: Floats = np.zeros(np.shape(whole))
    np.divide(part, whole, out=share, where=whole > 0)
    return share
