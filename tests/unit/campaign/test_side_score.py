"""The score of a recipe: of one training as it stands in its file, of several the mean, with the spread of their seeds."""

import math

import pytest

from hmean.campaign.side_score import score_of_side
from hmean.metrics.seeds import student_t
from hmean.runs.sides import Side, open_result
from support import stand_in


def side_of(tmp_path, *hs):
    folders = [tmp_path / f"seed_{number}" for number in range(len(hs))]
    for folder, h in zip(folders, hs, strict=True):
        stand_in.scores(folder, h)
    return Side("base", [open_result(folder) for folder in folders])


def test_several_trainings_have_the_spread_of_their_seeds_in_the_interval(tmp_path):
    one = score_of_side(side_of(tmp_path, 0.95))
    three = score_of_side(side_of(tmp_path, 0.94, 0.95, 0.96))
    assert [one.prh.h, three.prh.h] == pytest.approx([0.95, 0.95])
    assert (one.trainings, one.seeds, three.trainings) == (1, None, 3)
    assert three.seeds.sd == pytest.approx(0.01)
    of_pages = (one.interval95.high - one.interval95.low) / 2
    of_seeds = student_t(2) * 0.01 / math.sqrt(3)
    assert (three.interval95.high - three.interval95.low) / 2 == pytest.approx(math.hypot(of_pages, of_seeds), rel=1e-6)
    assert one.grouping.pages == 40


def test_a_score_lies_within_0_and_1(tmp_path):
    assert score_of_side(side_of(tmp_path, 0.999, 0.9)).interval95.high == 1.0
