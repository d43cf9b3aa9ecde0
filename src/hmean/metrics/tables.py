"""Scores as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from hmean.metrics.bootstrap import Interval
from hmean.metrics.statistics import STATISTICS
from hmean.types import PRH, Score, Statistic


def score_table(score: Score, intervals: Mapping[Statistic, Interval]) -> str:
    """Tab-separated, in percent: the rule, P, R, H and the interval of H."""
    rows = ["\tP\tR\tH\t95 %"]
    for statistic in STATISTICS:
        prh: PRH = getattr(score, statistic)
        low, high = intervals[statistic]
        cells = [statistic, _percent(prh.p), _percent(prh.r), _percent(prh.h), f"{_percent(low)}-{_percent(high)}"]
        rows.append("\t".join(cells))
    return "\n".join(rows)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
