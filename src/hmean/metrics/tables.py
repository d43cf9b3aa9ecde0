"""Scores as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval
from hmean.metrics.statistics import STATISTICS
from hmean.types import PRH, Score, Statistic


def score_table(score: Score, intervals: Mapping[Statistic, Interval | None], grouping: Grouping | None = None) -> str:
    """Tab-separated, in percent: the rule, P, R, H and the interval of H; then what the intervals rest on."""
    rows = ["\tP\tR\tH\t95 %"]
    for statistic in STATISTICS:
        prh: PRH = getattr(score, statistic)
        percents = [_percent(value) for value in (prh.p, prh.r, prh.h)]
        rows.append("\t".join([statistic, *percents, range_text(intervals[statistic])]))
    if grouping is not None:
        rows += grouping_lines(grouping)
    return "\n".join(rows)


def grouping_lines(grouping: Grouping) -> list[str]:
    """What intervals rest on, and what to be careful about, a line each."""
    lines = [grouping.text()]
    warning = grouping.warning()
    if warning is not None:
        lines.append(f"warning: {warning}")
    return lines


def range_text(interval: Interval | None) -> str:
    """An interval of a score, in percent."""
    if interval is None:
        return "too few groups"
    return f"{_percent(interval.low)}-{_percent(interval.high)}"


def change_text(interval: Interval | None) -> str:
    """An interval of a difference, in points."""
    if interval is None:
        return "[too few groups]"
    return f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def change_cell(interval: Interval | None) -> str:
    """An interval of a difference in a table with a verdict, which says that there are too few groups."""
    if interval is None:
        return "-"
    return change_text(interval)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
