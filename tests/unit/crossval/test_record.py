"""``crossval.json``: round trip, summary, and what earlier versions wrote."""

import numpy as np
import pytest

from hmean.crossval.record import CrossvalRecord, MadeOf
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.scores import Scores
from hmean.tuning.choose import Floors
from hmean.tuning.fit import TuneOptions


def scores(*found):
    """Of pages of 10 characters, so many of which were found."""
    pages = []
    for i, tp in enumerate(found):
        matches = MatchCounts(tp=tp, gt=10, det=10)
        pages.append(PageScore(f"{i}.jpg", Counts(gt=10, tp=tp, fp=10 - tp), matches, matches))
    return Scores.collect(Scorer("aspect", pages))


@pytest.fixture
def record():
    options = TuneOptions(lists={"thresh": [0.2, 0.3], "use_polygon": [True]}, floors=Floors(precision=0.5))
    made_of = MadeOf(
        data_hash="d", weights_hash=("a", "b"), long_side=960, postprocess=PostprocessParams(), tune=options
    )
    return CrossvalRecord.collect(made_of, [scores(5, 7), scores(8)], scores(5, 7, 8), scores(6, 8, 9))


def test_mean_and_deviation_are_over_folds(record):
    assert [fold.pages for fold in record.folds] == [2, 1]
    assert [fold.macro for fold in record.folds] == pytest.approx([0.6, 0.8])
    assert record.mean.macro == pytest.approx(0.7)
    assert record.sd.macro == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert record.out_of_fold.images == 3
    assert record.out_of_fold.prh("macro").h == pytest.approx(2 / 3)
    assert record.cross_fitted.prh("macro").h == pytest.approx(23 / 30)
    assert record.out_of_fold.interval95["macro"] is None  # three pages are too few


def test_it_comes_back_as_it_was(record, tmp_path):
    record.write(tmp_path / "crossval.json")
    again = CrossvalRecord.read(tmp_path / "crossval.json")
    assert again == record
    assert again.made_of == record.made_of


def test_the_summary_is_a_table_in_percent(record):
    lines = [line.split("\t") for line in record.summary().splitlines()]
    assert lines[0] == ["", "macro", "pooled", "iou50", "iou70"]
    assert lines[1][:2] == ["fold 0", "60.00"]
    assert lines[3][:2] == ["mean ± sd", "70.00 ± 14.14"]
    assert lines[4][0] == "out of fold"
    assert lines[4][1].startswith("66.67 [")
    assert lines[5][0] == "cross-fitted"


def test_files_of_earlier_versions_are_read_and_taken_for_stale(record):
    old = record.to_json()
    old["made_of"] = {"exp_name": "cv", "part": "out of fold", "tune": {"growth": []}}
    read = CrossvalRecord.parse(old, "crossval.json")
    assert read.made_of is None
    assert read.folds == record.folds
