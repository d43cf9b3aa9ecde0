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
    assert record["grouping"] == {
        "pages": 12,
        "groups": 12,
        "unit": "page",
        "known": True,
        "largest_share": 1 / 12,
        "effective": 12,
    }
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "minus" in out
    assert "\tbetter (one training a side: another seed may say otherwise)" in out
    assert "12 pages, each a group of its own\nwarning: only 12 groups of pages" in out
    assert "interval of the paired difference; its unit is the page (docs/concepts/intervals.md)" in out
    assert f"{bad} and {bad} are the same result: it is compared with itself" in out


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
        "d": (scored(tmp_path / "d", scorer_of("xyz"), data_hash="b"), "read by different versions of hmean"),
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


def repeats(folder: Path, name: str, seeds: range, *, lr: float, gain: int) -> str:
    """Runs of one recipe on 8 pages of 7 shops, as an argument of ``hmean compare``."""
    paths = []
    for seed in seeds:
        pages = []
        for i in range(8):
            counts = Counts(gt=200, tp=150 + 2 * i + gain + seed)
            pages.append(PageScore(str(i), counts, MatchCounts(1, 2, 3), MatchCounts(1, 2, 3), f"shop {i % 7}"))
        path = scored(folder / f"{name}{seed}", Scorer("transcription", pages), weights_hash=f"{name}{seed}")
        config = f"{{seed: {seed}, exp_name: {name}{seed}, models: {{optimizer: {{lr: {lr}}}}}}}"
        (path / "config.yaml").write_text(config)
        paths.append(str(path))
    return f"{name}={','.join(paths)}"


def test_several_trainings_a_side(tmp_path, capsys):
    sides = [
        repeats(tmp_path, "A", range(3), lr=0.1, gain=0),
        repeats(tmp_path, "B", range(2), lr=0.2, gain=30),
        repeats(tmp_path, "C", range(1), lr=0.3, gain=3),
    ]
    assert main(["compare", *sides, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    a, b, c = record["results"]
    assert [row["name"] for row in (a, b, c)] == ["A", "B", "C"]
    assert [len(row["runs"]) for row in (a, b, c)] == [3, 2, 1]
    assert a["macro"]["h"] == pytest.approx(sum(run["macro"]["h"] for run in a["runs"]) / 3)
    better, alike = record["comparisons"]
    assert better["macro"]["runs"] == [2, 3]
    assert better["macro"]["seeds"]["degrees_of_freedom"] == 3
    assert better["macro"]["verdict"] == "better"
    assert better["macro"]["family95"][0] < better["macro"]["interval95"][0]
    assert alike["macro"]["verdict"] == "not distinguishable"
    assert alike["notes"] == ["C is one training: the spread of its seeds is taken from A, B"]
    assert better["config"] == ["models.optimizer.lr: was 0.1, now 0.2"]
    assert record["grouping"]["groups"] == 7

    assert main(["compare", *sides]) == 0
    out = capsys.readouterr().out
    assert "\tA (mean of 3)\tB (mean of 2)\tC\n" in out
    assert "\tdifference\t95 %\t95 %, family of 2\tsd of seeds\tverdict\n" in out
    assert "8 pages of 7 groups" in out
    assert "family: corrected for 2 comparisons with A: all intervals of a row hold together with 95 %" in out
    assert "so few runs" not in out  # three degrees of freedom
    assert "note: C is one training" in out
    assert "another seed may say otherwise" not in out

    assert main(["compare", *sides[:2]]) == 0
    assert "family" not in capsys.readouterr().out

    assert main(["compare", sides[1], sides[2]]) == 0
    out = capsys.readouterr().out
    assert "seeds: B has 2 runs, C has 1 run: a spread from so few runs is hardly known" in out
    assert "one more run a side narrows them" in out


def test_a_side_that_is_not_of_repeats_is_refused(tmp_path, capsys):
    a = repeats(tmp_path, "A", range(2), lr=0.1, gain=0)
    b = repeats(tmp_path, "B", range(2, 3), lr=0.2, gain=0)
    assert main(["compare", f"{a},{b.removeprefix('B=')}", b]) == 2
    err = capsys.readouterr().err
    assert "is not a repeat of" in err
    assert "models.optimizer.lr: was 0.1, now 0.2" in err
    assert main(["compare", f"{a},{tmp_path / 'A1'}", b]) == 2
    assert "have the same weights; give each training once" in capsys.readouterr().err
    assert main(["compare", a, a]) == 2
    assert "A: names two sides" in capsys.readouterr().err


def test_a_malformed_side_is_refused_in_one_message(tmp_path, capsys):
    there = scored(tmp_path / "there", scorer_of("xyz"))
    refused = {
        "": "a side is empty; write PATH",
        "A=": "A=: names no result; write NAME=PATH",
        f"={there}": "has no name before the =; write NAME=",
        f"A={there},": "has a comma too many",
        "A=,": "has a comma too many",
        f"A={there},{there}x": f"there is no {there}x, and no file or folder of the whole name",
        f"{there}/lr=0.1": "there is no 0.1, and no file or folder of the whole name",
        f"{there}x": f"{there}x: there is no such file or folder",
    }
    for side, message in refused.items():
        assert main(["compare", str(there), side]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


def test_a_path_may_hold_what_separates_names_and_paths(tmp_path, capsys, monkeypatch):
    scored(tmp_path / "lr=0.1,wd=0", scorer_of("xyz"))
    scored(tmp_path / "lr=0.2", scorer_of("xyz"))
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--json", "--", "lr=0.1,wd=0", "lr=0.2", "named=lr=0.1,wd=0"]) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)["results"]]
    assert names == ["lr=0.1,wd=0", "lr=0.2", "named"]


def test_a_run_is_no_repeat_of_itself(trained_run, tmp_path, capsys):
    assert main(["compare", f"twice={trained_run},{trained_run}", str(trained_run)]) == 2
    assert "have the same weights" in capsys.readouterr().err
    assert main(["compare", str(trained_run), str(trained_run)]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["macro H", "+0.00", "-", "too few groups"] in rows  # three pages; said once
