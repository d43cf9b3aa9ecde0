"""The pages of results are made of what cross-validations leave behind."""

import json
import sys
from pathlib import Path

import pytest

from hmean.crossval.record import CrossvalRecord
from hmean.metrics.scorer import Scorer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sroie(monkeypatch):
    """The module of benchmarks/."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import sroie

    yield sroie
    del sys.modules["sroie"]


@pytest.fixture
def data(twelve_pages, tmp_path) -> Path:
    """The pages of the cross-validation, laid out as the data sets of the results are."""
    (tmp_path / "images").symlink_to(twelve_pages / "images")
    labels = json.loads((twelve_pages / "jsons/train.json").read_text())
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    return tmp_path


def test_out_of_fold_maps_give_the_scores_of_the_cross_validation(sroie, data, crossval_folder):
    pages = sroie.out_of_fold(data, sroie.crossval_runs(crossval_folder))
    assert len(pages.truth) == 9
    assert pages.relabelled == 0
    score = Scorer(sroie.CHARACTERS, pages.score_with(pages.postprocess)).compute()
    assert score.macro == CrossvalRecord.read(crossval_folder / "crossval.json").out_of_fold.cleval.macro


def test_pages_whose_labels_have_changed_are_counted(sroie, data, crossval_folder):
    names = [page.name for page in sroie.out_of_fold(data, sroie.crossval_runs(crossval_folder)).truth]
    labels = json.loads((data / "labels.json").read_text())
    word = next(iter(labels["images"][names[0]]["words"].values()))
    word["illegibility"] = not word["illegibility"]
    (data / "labels.json").write_text(json.dumps(labels))
    pages = sroie.out_of_fold(data, sroie.crossval_runs(crossval_folder))
    assert pages.relabelled == 1
    assert "labels of 1 of these pages" in sroie.describe_relabelled(1)


def test_a_fold_that_has_seen_its_pages_is_refused(sroie, data, crossval_folder, tmp_path):
    for name in ("fold_0", "fold_1", "fold_2"):
        (tmp_path / "cv").mkdir(exist_ok=True)
        (tmp_path / "cv" / name).symlink_to(crossval_folder / name)
    splits = json.loads((crossval_folder / "splits.json").read_text())
    splits["fold"] = {name: fold and 3 - fold for name, fold in splits["fold"].items()}  # 1 and 2 change places
    (tmp_path / "cv/splits.json").write_text(json.dumps(splits))
    with pytest.raises(ValueError, match="fold_1: was trained on pages that it is to be scored on"):
        sroie.out_of_fold(data, sroie.crossval_runs(tmp_path / "cv"))
