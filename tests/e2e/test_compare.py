"""hmean compare: which of two results is better, and whether that can be said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmean.cli import main
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer
from hmean.runs.comparison import compare
from hmean.runs.predictions import write_predictions
from hmean.runs.scores import Scores
from hmean.runs.sides import open_result
from hmean.types import Detections


def predictions(data: Path, path: Path, *, drop: int) -> Path:
    """The labels of the training pages as found regions, every drop-th left out."""
    labels = open_labels(data / "jsons/train.json", data / "images")
    with write_predictions(path) as writer:
        for page in map(labels.page, range(len(labels.names))):
            kept = np.arange(len(page.polygons)) % drop != 0
            found = page.polygons.select(kept)
            writer.write(page.name, Detections(found, np.ones(len(found), np.float32)), page.width, page.height)
    return path


def test_prediction_files(twelve_pages, tmp_path, capsys):
    good, bad = (predictions(twelve_pages, tmp_path / f"{n}.json", drop=n) for n in (40, 3))
    command = ["compare", str(bad), str(good), str(bad), "--truth", str(twelve_pages / "jsons/train.json")]
    assert main([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    better, same = record["comparisons"]
    recall = [result["macro"]["r"] for result in record["results"]]
    assert better["macro_r"]["difference"] == pytest.approx(recall[1] - recall[0])
    assert better["macro_r"]["verdict"] == "better"
    assert better["macro_p"]["difference"] == pytest.approx(0, abs=0.01)  # neither finds anything false
    for statistic in ("macro", "pooled", "iou50", "iou70"):
        assert better[statistic]["verdict"] == "better"
        for low, high in (better[statistic]["interval95"], better[statistic]["family95"]):
            assert 0 < low < better[statistic]["difference"] < high
        assert better[statistic]["runs"] == [1, 1]
        h = [result[statistic]["h"] for result in record["results"]]
        assert better[statistic]["difference"] == pytest.approx(h[1] - h[0])
        assert same[statistic]["difference"] == 0.0
        assert same[statistic]["interval95"] == same[statistic]["family95"] == [0.0, 0.0]
        assert same[statistic]["verdict"] == "not distinguishable"
    assert record["grouping"] == {"pages": 12, "groups": 12, "unit": "page", "largest_share": 1 / 12, "effective": 12}
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "minus" in out
    assert "\tbetter (one training a side: another seed may say otherwise)" in out
    assert "12 pages, each a group of its own\nwarning: only 12 groups of pages" in out


def scored(folder: Path, scorer: Scorer, **about) -> Path:
    folder.mkdir()
    Scores.collect(scorer, **{"data_hash": "a", **about}).write(folder / "scores.json")
    return folder


def scorer_of(names, characters="transcription"):
    scorer = Scorer(characters)
    scorer.pages = [PageScore(name, Counts(10, 9), MatchCounts(1, 2, 3), MatchCounts(1, 2, 3)) for name in names]
    return scorer


def test_results_of_other_pages_are_refused(tmp_path, capsys):
    a = scored(tmp_path / "a", scorer_of("xyz"))
    others = {
        "b": (scored(tmp_path / "b", scorer_of("xy")), "only one of them has z"),
        "c": (scored(tmp_path / "c", scorer_of("zyx")), "the order differs"),
        "d": (scored(tmp_path / "d", scorer_of("xyz"), data_hash="b"), "other labels or images"),
        "e": (scored(tmp_path / "e", scorer_of("xyz", "aspect")), "counts characters by"),
    }
    for other, message in others.values():
        assert main(["compare", str(a), str(other)]) == 2
        assert message in capsys.readouterr().err
        with pytest.raises(InputError, match=message):  # for the jobs that compare by themselves, too
            compare(open_result(a), open_result(other))
    assert main(["compare", str(a)]) == 2
    assert main(["compare", str(a), str(tmp_path)]) == 2
    assert "scores.json" in capsys.readouterr().err
    (a / "scores.json").write_text('{"pages": [{}], "cleval": {"characters": "aspect"}}')
    assert main(["compare", str(a), str(a)]) == 2
    assert "run hmean evaluate again" in capsys.readouterr().err


def test_configs_are_told_apart(tmp_path, capsys):
    a = scored(tmp_path / "a", scorer_of("xyz"))
    b = Path(shutil.copytree(a, tmp_path / "b"))
    (a / "config.yaml").write_text("models: {optimizer: {lr: 0.1}}")
    (b / "config.yaml").write_text("models: {optimizer: {lr: 0.2}}")
    assert main(["compare", str(a), str(b)]) == 0
    assert "config\tmodels.optimizer.lr: was 0.1, now 0.2" in capsys.readouterr().out


def test_what_was_renamed_since_is_no_difference_and_no_config_is_none(tmp_path, capsys):
    a = scored(tmp_path / "a", scorer_of("xyz"))
    b = Path(shutil.copytree(a, tmp_path / "b"))
    (a / "config.yaml").write_text("{evaluate_on: val, models: {loss: {_target_: hmean.losses.DBLoss}}}")
    (b / "config.yaml").write_text("models: {loss: {_target_: hmean.network.losses.DBLoss}}")
    assert main(["compare", str(a), str(b)]) == 0
    assert "config" not in capsys.readouterr().out
    (b / "config.yaml").unlink()
    assert main(["compare", str(a), str(b)]) == 0
    assert "config" not in capsys.readouterr().out
