"""A fine-tuned model beside its start: differences that hold together, what they say, and what to do."""

from pathlib import Path

import pytest

from hmean.metrics.intervals import Contributions, contributions, interval_pairs, page_groups
from hmean.metrics.scorer import Scorer
from hmean.runs.folder import RunFolder
from hmean.runs.start import (
    JUDGED,
    StartRecord,
    conclude,
    differences_to_start,
    warning_of_start,
    winner_of,
)
from support.starts import record, scored


def test_the_three_intervals_hold_together():
    start = scored(0, 0.9, 0.7)
    trained = scored(1, 0.91, 0.75)
    found = differences_to_start(start, trained)
    groups = page_groups(start)
    of_start = contributions(start, JUDGED, groups)
    of_trained = contributions(trained, JUDGED, groups)
    pairs = interval_pairs(Contributions.stacked([of_trained[s].minus(of_start[s]) for s in JUDGED]))
    assert [found[statistic].family95 for statistic in JUDGED] == pairs.family
    assert [found[statistic].interval95 for statistic in JUDGED] == pairs.single
    for statistic in JUDGED:
        h = [Scorer("transcription", pages).compute() for pages in (start, trained)]
        difference = getattr(h[1], statistic).h - getattr(h[0], statistic).h
        assert found[statistic].difference == pytest.approx(difference, abs=1e-12)


@pytest.mark.parametrize(
    ("verdicts", "outcome", "winner"),
    [
        (["better", "not distinguishable", "not distinguishable"], "better", "trained"),
        (["not distinguishable", "better", "better"], "better", "trained"),
        (["not distinguishable"] * 3, "not distinguishable", "start"),
        (["worse", "not distinguishable", "not distinguishable"], "worse", "start"),
        (["worse", "better", "better"], "mixed", "start"),
        (["too few groups"] * 3, "too few groups", "start"),
    ],
)
def test_the_start_wins_unless_it_is_beaten(verdicts, outcome, winner):
    assert conclude(verdicts) == outcome
    assert winner_of(outcome) == winner


def test_a_start_that_is_not_better_is_hardly_ever_said_to_be_beaten():
    beaten = 0
    for seed in range(200):
        found = differences_to_start(scored(seed, 0.9, 0.7), scored(1000 + seed, 0.9, 0.7))
        beaten += conclude([found[statistic].verdict for statistic in JUDGED]) == "better"
    assert beaten / 200 <= 0.05


def test_the_start_comes_first_and_the_last_line_says_which_checkpoint_to_use():
    better = record(scored(0, 0.9, 0.7), scored(1, 0.9, 0.85))
    lines = better.summary(Path("outputs/mine")).splitlines()
    assert lines[0].startswith("fine-tuned against its start, pp-ocrv6-small")
    assert lines[1].split("\t")[:3] == ["", "start", "fine-tuned"]
    iou70 = next(line for line in lines if line.startswith("iou70 H")).split("\t")
    assert float(iou70[2]) > float(iou70[1])
    assert iou70[-1] == "better"
    assert "36 pages of 12 groups" in lines[5]
    assert "note: one fine-tuning: another seed may say otherwise" in lines
    assert lines[-1] == "better than its start: use outputs/mine/checkpoints/best.ckpt"

    worse = record(scored(1, 0.9, 0.85), scored(0, 0.9, 0.7), epochs_compared=3)
    lines = worse.summary(Path("outputs/mine")).splitlines()
    assert lines[-1].startswith("worse than its start: use outputs/mine/checkpoints/start.ckpt, the start with")
    assert "models.optimizer.lr" in lines[-1]
    assert any("chose the best of 3 epochs" in line for line in lines)

    few = record(scored(0, 0.9, 0.7)[:5], scored(1, 0.9, 0.85)[:5])
    assert few.winner == "start"
    assert "too few groups of pages to tell" in few.summary(Path("x"))
    assert StartRecord.parse(few.to_json(), "a file") == few


def test_a_model_that_has_not_beaten_its_start_is_used_with_a_warning(tmp_path):
    run = RunFolder(tmp_path / "mine")
    assert warning_of_start(run.best) is None  # it started from no detector
    record(scored(0, 0.9, 0.7), scored(1, 0.9, 0.85)).write(run.start_record)
    assert warning_of_start(run.best) is None
    record(scored(1, 0.9, 0.85), scored(0, 0.9, 0.7)).write(run.start_record)
    warning = warning_of_start(run.best)
    assert "worse than its start; to use the start: checkpoint_path=" in warning
    assert warning_of_start(run.start) is None
    assert warning_of_start(tmp_path / "model.onnx") is None
