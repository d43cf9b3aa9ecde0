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


def test_the_groups_of_pages_are_kept_and_said(tmp_path):
    pages = [
        PageScore(str(i), Counts(10, 9), MatchCounts(1, 2, 3), MatchCounts(1, 2, 3), f"{i // 2}") for i in range(14)
    ]
    scores = Scores.collect(Scorer("aspect", pages))
    scores.write(tmp_path / "scores.json")
    again = Scores.read(tmp_path / "scores.json")
    assert again.page_scores() == pages
    assert (again.grouping.pages, again.grouping.groups, again.grouping.unit) == (14, 7, "group")
    assert "14 pages of 7 groups" in again.summary()
    assert "warning: only 7 groups" in again.summary()


def test_a_file_of_an_earlier_version_knows_no_groups(scorer):
    values = Scores.collect(scorer).to_json()
    del values["grouping"]
    for page in values["pages"]:
        del page["group"]
    assert Scores.parse(values, "scores.json").grouping is None
