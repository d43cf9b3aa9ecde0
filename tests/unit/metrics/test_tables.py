"""A score in JSON and as a table."""

from hmean.metrics.intervals import Interval
from hmean.metrics.record import ScoreRecord
from hmean.metrics.statistics import STATISTICS
from hmean.metrics.tables import score_table
from hmean.types import PRH, Score

SCORE = Score(
    images=3,
    macro=PRH(0.9, 0.8, 0.84),
    pooled=PRH(0.91, 0.81, 0.85),
    characters="aspect",
    iou50=PRH(0.7, 0.6, 0.65),
    iou70=PRH(0.5, 0.4, 0.44444),
)


def test_the_table_is_in_percent_with_intervals():
    intervals = {statistic: Interval(0.1, 0.2) for statistic in STATISTICS}
    assert score_table(SCORE, intervals).splitlines() == [
        "\tP\tR\tH\t95 %",
        "macro\t90.00\t80.00\t84.00\t10.00-20.00",
        "pooled\t91.00\t81.00\t85.00\t10.00-20.00",
        "iou50\t70.00\t60.00\t65.00\t10.00-20.00",
        "iou70\t50.00\t40.00\t44.44\t10.00-20.00",
    ]


def test_the_record_has_the_layout_that_hmean_score_prints():
    record = ScoreRecord.of(SCORE)
    assert record.to_json() == SCORE.to_dict()
    assert ScoreRecord.parse(SCORE.to_dict(), "a file") == record
    assert [record.prh(statistic) for statistic in STATISTICS] == [SCORE.macro, SCORE.pooled, SCORE.iou50, SCORE.iou70]
