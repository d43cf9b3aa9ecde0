"""``ensemble.json``: parameters of votes and of means are told apart, and come back as they were."""

import json

import pytest

from hmean.ensemble.records import EnsembleRecord
from hmean.ensemble.voting import VotingParams
from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams

MEMBER = {"checkpoint": "best.ckpt", "weights_hash": "0", "long_side": 960}


@pytest.mark.parametrize("params", [PostprocessParams(thresh=0.2), VotingParams(votes=2, soft=True, floor=0.1)])
def test_parameters_come_back_as_they_were(tmp_path, params):
    record = EnsembleRecord(members=(MEMBER,), postprocess=params, tuned_on=[1, 2])
    record.write(tmp_path / "ensemble.json")
    assert json.loads((tmp_path / "ensemble.json").read_text())["postprocess"] == params.to_dict()
    read = EnsembleRecord.read(tmp_path / "ensemble.json")
    assert read.postprocess == params
    assert type(read.postprocess) is type(params)
    assert read.tuned_on.tolist() == [1, 2]


def test_old_names_of_parameters_are_read():
    old = {"growth": "inverse", "inverse_r": 0.6, "votes": 2}
    record = EnsembleRecord.parse({"members": [MEMBER], "postprocess": old, "tuned_on": []}, "ensemble.json")
    assert record.postprocess == VotingParams(unclip="inverse", inverse_r=0.6, votes=2)


def test_a_file_without_families_and_bases_opens():
    row = {
        "strategy": "single",
        "h": 0.9,
        "gain": 0.0,
        "interval95": [0.0, 0.0],
        "verdict": "base",
        "ms_a_page": 1.0,
        "times_single": 1.0,
        "mb": 1.0,
        "members": [],
        "postprocess": {},
    }
    old = {"members": [MEMBER], "postprocess": {}, "tuned_on": [], "pages": 9, "groups": 3, "strategies": [row]}
    record = EnsembleRecord.parse(old, "ensemble.json")
    assert record.grouping is None
    assert record.strategies[0].family95 is None
    assert record.strategies[0].over_all_pages is None
    assert record.strategies[0].minutes is None
    assert "not known" in record.summary()
    assert "over all pages" not in record.summary()


def test_wrong_parameters_are_named():
    with pytest.raises(InputError, match=r"postprocess: votes must be at least 1, got 0"):
        EnsembleRecord.parse({"members": [MEMBER], "postprocess": {"votes": 0}, "tuned_on": []}, "ensemble.json")
