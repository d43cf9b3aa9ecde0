"""scores.json: named counts of each page, and the files of earlier versions."""

import json

import pytest

from hmean.errors import InputError
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer
from hmean.runs.carried import Influence
from hmean.runs.scores import Scores


@pytest.fixture
def scorer() -> Scorer:
    pages = [PageScore(name, Counts(10, 9), MatchCounts(1, 2, 3), MatchCounts(1, 2, 3)) for name in "xyz"]
    return Scorer("aspect", pages)


def test_scores_come_back(scorer, tmp_path):
    scores = Scores.collect(scorer, split="val", data_hash="a", influenced_by=Influence(trained=2))
    scores.write(tmp_path / "scores.json")
    again = Scores.read(tmp_path / "scores.json")
    assert again == scores
    assert again.page_scores() == scorer.pages
    assert again.hmean("iou50") == scorer.compute().iou50.h
    page = json.loads((tmp_path / "scores.json").read_text())["pages"][0]
    assert page["counts"]["gt"] == 10
    assert (page["p"], page["r"], page["h"]) == (1.0, 0.9, scorer.pages[0].prh.h)


def test_lists_and_names_of_earlier_versions_are_read(scorer):
    values = Scores.collect(scorer, split="val").to_json()
    values["part"] = values.pop("split")
    for page in values["pages"]:
        page["counts"] = list(page["counts"].values())
        page["iou50"] = list(page["iou50"].values())
        page["iou70"] = list(page["iou70"].values())
    again = Scores.parse(values, "scores.json")
    assert again.split == "val"
    assert again.page_scores() == scorer.pages


def test_scores_without_pages_are_refused(scorer):
    values = {**Scores.collect(scorer).to_json(), "pages": []}
    with pytest.raises(InputError, match="pages"):
        Scores.parse(values, "scores.json")
