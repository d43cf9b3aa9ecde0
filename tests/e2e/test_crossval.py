"""Folds: trained once, joined out of fold, taken over when they are there, refused when they are not what they say."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint
from hmean.labels.formats import open_labels
from hmean.metrics.scorer import Scorer
from hmean.runs.predictions import read_predictions
from hmean.synth.dataset import write_dataset
from support.pages import TINY

GRID = ["tune.thresh=[0.02,0.2]", "tune.box_thresh=[0.0]", "tune.inverse_r=[0.5]"]


def command(data, outputs):
    return ["crossval", *TINY, *GRID, f"dataset_base_path={data}", f"output_dir={outputs}", "exp_name=cv",
            "trainer.max_epochs=1", "k=2", "crossval.holdout=0.3", "agents=2"]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pages"
    write_dataset(folder, train=12, val=2, seed=3, long_side=(160, 200))
    return folder


@pytest.fixture(scope="module")
def folds(data, tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("cv")
    assert main(command(data, outputs)) == 0
    return outputs / "cv"


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_out_of_fold_is_what_each_fold_found_on_its_own_pages(folds, data):
    record, fold_of = read(folds / "crossval.json"), read(folds / "splits.json")["fold"]
    inside = {name for name, fold in fold_of.items() if fold is not None}
    assert 1 <= len(fold_of) - len(inside) <= 6
    joined, pages = read_predictions(folds / "predictions.json"), {}
    labels = open_labels(data / "jsons/train.json", data / "images")
    for fold in (0, 1):
        own = {name for name, f in fold_of.items() if f == fold}
        found = read_predictions(folds / f"fold_{fold}/predictions.json")
        assert set(found) == own
        assert all(np.array_equal(found[n].polygons.points, joined[n].polygons.points) for n in own)
        assert len(list((folds / f"fold_{fold}/maps").rglob("*.map"))) == len(own)
        assert {p["name"] for p in read(folds / f"fold_{fold}/scores.json")["pages"]} == own
    assert set(joined) == inside
    scorer = Scorer(record["out_of_fold"]["cleval"]["characters"])
    for i, name in enumerate(labels.names):
        if name in inside:
            pages[name] = scorer.update(labels.page(i), joined[name])
    assert record["out_of_fold"]["cleval"] == scorer.compute().to_dict()["cleval"]
    macro = [read(folds / f"fold_{i}/scores.json")["cleval"]["macro"]["h"] for i in (0, 1)]
    assert record["mean"]["macro"] == pytest.approx(np.mean(macro))
    assert record["sd"]["macro"] == pytest.approx(abs(macro[0] - macro[1]) / 2**0.5)
    low, high = record["out_of_fold"]["interval95"]["macro"]
    assert low <= record["out_of_fold"]["cleval"]["macro"]["h"] <= high


def test_one_setting_is_tuned_out_of_fold_for_all_members(folds):
    tuned = read(folds / "tuned.json")
    chosen = tuned["before" if tuned["decision"] == "kept" else "after"]["postprocess"]
    for i in (0, 1):
        checkpoint = load_checkpoint(folds / f"fold_{i}/checkpoints/best.ckpt")
        assert checkpoint.postprocess.to_dict() == chosen
    assert tuned["pages"] == read(folds / "scores.json")["images"]
    crossed = read(folds / "cross_fitted/scores.json")["cleval"]["macro"]["h"]
    assert (
        crossed == tuned["before" if tuned["decision"] == "kept" else "cross_fitted"]["score"]["cleval"]["macro"]["h"]
    )


def test_a_finished_fold_is_never_trained_again(folds, data, tmp_path):
    """Also where it was trained elsewhere: splits.json and a fold folder are taken over, the rest is trained."""
    copied = Path(shutil.copytree(folds, tmp_path / "cv"))
    (copied / "crossval.json").unlink()
    shutil.rmtree(copied / "fold_1")
    kept = [copied / "fold_0" / name for name in ("metrics.jsonl", "scores.json", "checkpoints/last.ckpt")]
    before = [path.stat().st_mtime_ns for path in kept]
    splits = (copied / "splits.json").read_bytes()
    assert main([*command(data, tmp_path), "crossval.seed=7"]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert (copied / "splits.json").read_bytes() == splits
    again, first = read(copied / "crossval.json"), read(folds / "crossval.json")
    assert again["made_of"] == first["made_of"]  # the weights too: same seed, same model
    assert again["out_of_fold"]["cleval"] == first["out_of_fold"]["cleval"]
    stamp = (copied / "crossval.json").stat().st_mtime_ns
    assert main(command(data, tmp_path)) == 0
    assert (copied / "crossval.json").stat().st_mtime_ns == stamp


def test_members_that_are_one_model_or_leak_stop_the_job(folds, data, tmp_path, capsys):
    copied = Path(shutil.copytree(folds, tmp_path / "cv"))
    shutil.rmtree(copied / "fold_1")
    shutil.copytree(copied / "fold_0", copied / "fold_1")
    assert main(command(data, tmp_path)) == 2
    message = capsys.readouterr().err
    for part in ("has the weights of", "has the training pages of", "was trained on", "was validated on other pages"):
        assert part in message, part


def test_folds_of_another_recipe_or_of_other_labels_are_not_joined(folds, data, tmp_path, capsys):
    copied = Path(shutil.copytree(folds, tmp_path / "cv"))
    (copied / "crossval.json").unlink()
    other = ["models.optimizer.lr=0.0123", "dataloaders.train_dataloader.batch_size=3"]
    assert main([*command(data, tmp_path), *other]) == 2
    message = capsys.readouterr().err
    for part in ("fold_0: models.optimizer.lr: was", "now 0.0123", "fold_1: dataloaders.train_dataloader.batch_size"):
        assert part in message, part
    rows = (copied / "fold_0/metrics.jsonl").read_text().splitlines()
    config = (copied / "fold_0/config.yaml").read_text()
    (copied / "fold_0/config.yaml").write_text(config.replace("max_epochs: 1", "max_epochs: 2"))
    (copied / "fold_0/metrics.jsonl").write_text(
        "".join(json.dumps({**json.loads(rows[-1]), "epoch": e}) + "\n" for e in (0, 1))
    )
    assert main(command(data, tmp_path)) == 2
    assert "fold_0: trainer.max_epochs: was 2, now 1" in capsys.readouterr().err


def test_labels_corrected_between_folds_are_noticed(folds, data, tmp_path, capsys):
    """A fold that was trained before the correction learned the old labels of the other folds' pages."""
    shutil.copytree(folds, tmp_path / "cv")
    corrected = Path(shutil.copytree(data, tmp_path / "pages"))
    file = corrected / "jsons/train.json"
    labels = read(file)
    fold_of = read(folds / "splits.json")["fold"]
    name = next(n for n, f in fold_of.items() if f == 1)
    words = labels["images"][name]["words"]
    words.pop(next(iter(words)))
    file.write_text(json.dumps(labels))
    assert main(command(corrected, tmp_path)) == 2
    message = capsys.readouterr().err
    assert "fold_0: was trained on other pages, or other labels" in message
    assert "fold_1: was validated on other pages, or other labels" in message


def test_one_failing_fold_does_not_end_the_others(folds, data, tmp_path, capfd):
    copied = Path(shutil.copytree(folds, tmp_path / "cv"))
    for i in (0, 1):
        (copied / f"fold_{i}/scores.json").unlink()
    (copied / "fold_0/checkpoints/last.ckpt").write_bytes(b"damaged")
    assert main(command(data, tmp_path)) == 2
    assert "fold_0: exit code 2: error: " in capfd.readouterr().err
    assert (copied / "fold_1/scores.json").exists()
    assert not (copied / "fold_0/scores.json").exists()


def test_wrong_splits_and_a_folder_at_work_are_said_at_once(folds, data, tmp_path, capsys):
    copied = Path(shutil.copytree(folds, tmp_path / "cv"))
    assert main([*command(data, tmp_path), "crossval.k=3"]) == 2
    assert "another k than 3" in capsys.readouterr().err
    splits = read(copied / "splits.json")
    splits["fold"].popitem()
    (copied / "splits.json").write_text(json.dumps(splits))
    assert main(command(data, tmp_path)) == 2
    assert "does not say the fold of 1 pages" in capsys.readouterr().err
    from hmean.locks import locked

    with locked(copied):
        assert main(command(data, tmp_path)) == 2
    assert "another process is using this folder" in capsys.readouterr().err
