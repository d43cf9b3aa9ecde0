"""Folds: trained once, joined out of fold, taken over when they are there, refused when they are not what they claim."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from hmean.cli import main
from hmean.commands import crossval
from hmean.crossval.record import CrossvalRecord
from hmean.inference.checkpoints import load_checkpoint
from hmean.labels.formats import open_labels
from hmean.locks import locked
from hmean.metrics.scorer import Scorer
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import Manifest
from hmean.runs.metrics import read_epochs
from hmean.runs.predictions import read_predictions
from hmean.runs.scores import Scores
from hmean.tuning.result import TuneResult
from support.crossvals import crossval_command
from support.once import run_in_process

FOLDS = (0, 1, 2)


@pytest.fixture
def copied(crossval_folder, tmp_path, monkeypatch) -> Path:
    """A copy of the finished cross-validation; what is trained in it is trained in this process."""
    monkeypatch.setattr(crossval, "run_command", run_in_process)
    return Path(shutil.copytree(crossval_folder, tmp_path / "cv"))


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_out_of_fold_is_what_each_fold_found_on_its_own_pages(crossval_folder, twelve_pages):
    record = CrossvalRecord.read(crossval_folder / "crossval.json")
    assert Manifest.read(crossval_folder / "manifest.json").data_hash == {"train": record.made_of.data_hash}
    fold_of = read(crossval_folder / "splits.json")["fold"]
    inside = {name for name, fold in fold_of.items() if fold is not None}
    assert len(fold_of) - len(inside) == 3
    joined = read_predictions(crossval_folder / "predictions.json")
    for fold in FOLDS:
        run = crossval_folder / f"fold_{fold}"
        own = {name for name, f in fold_of.items() if f == fold}
        found = read_predictions(run / "predictions.json")
        assert set(found) == own
        assert all(np.array_equal(found[n].polygons.points, joined[n].polygons.points) for n in own)
        assert len(list((run / "maps").rglob("*.map"))) == len(own)
        assert {page.name for page in Scores.read(run / "scores.json").pages} == own
    assert set(joined) == inside
    labels = open_labels(twelve_pages / "jsons/train.json", twelve_pages / "images")
    scorer = Scorer(record.out_of_fold.cleval.characters)
    for i, name in enumerate(labels.names):
        if name in inside:
            scorer.update(labels.page(i), joined[name])
    score = scorer.compute()
    assert (record.out_of_fold.cleval.macro, record.out_of_fold.cleval.pooled) == (score.macro, score.pooled)
    macro = [Scores.read(crossval_folder / f"fold_{i}/scores.json").hmean("macro") for i in FOLDS]
    assert record.mean.macro == pytest.approx(np.mean(macro))
    assert record.sd.macro == pytest.approx(np.std(macro, ddof=1))
    low, high = record.out_of_fold.interval95["macro"]
    assert low <= record.out_of_fold.cleval.macro.h <= high


def test_one_setting_is_tuned_out_of_fold_for_all_folds(crossval_folder):
    tuned = TuneResult.read(crossval_folder / "tuned.json")
    chosen = tuned.after.postprocess if tuned.decision == "adopted" else tuned.before.postprocess
    for i in FOLDS:
        checkpoint = load_checkpoint(crossval_folder / f"fold_{i}/checkpoints/best.ckpt")
        assert checkpoint.postprocess == chosen
    assert tuned.pages == Scores.read(crossval_folder / "scores.json").images == 9
    crossed = Scores.read(crossval_folder / "cross_fitted/scores.json").hmean("macro")
    decided = tuned.before
    if tuned.rule is not None:
        decided = tuned.rule
    elif tuned.decision == "adopted":
        decided = tuned.cross_fitted
    assert crossed == decided.score.cleval.macro.h
    assert (tuned.decision == "adopted") == (tuned.reason == "gain shown")


def test_each_fold_has_its_settings_in_a_file(crossval_folder, twelve_pages):
    settings = yaml.safe_load((crossval_folder / "fold_1.yaml").read_text())
    assert settings["exp_name"] == "fold_1"
    for split in ("train", "val"):
        dataset = settings["datasets"][f"{split}_dataset"]
        assert dataset["annotation_path"] == f"{twelve_pages}/jsons/train.json"
        assert dataset["folds"]["file"] == str(crossval_folder / "splits.json")
        assert (dataset["folds"]["fold"], dataset["folds"]["split"]) == (1, split)


def test_the_base_has_the_pages_and_the_budget_of_all_folds(crossval_folder, twelve_pages):
    run = RunFolder(crossval_folder / "all")
    base = load_checkpoint(run.best)
    folds = [load_checkpoint(crossval_folder / f"fold_{i}/checkpoints/best.ckpt") for i in FOLDS]
    pages = np.unique(np.concatenate([fold.pages.train for fold in folds]))
    assert np.array_equal(np.unique(base.pages.train), pages)
    assert len(base.pages.val) == 0
    epochs = len(read_epochs(run.metrics))
    assert epochs * len(pages) == sum(len(fold.pages.train) for fold in folds)
    assert base.epoch == epochs - 1
    assert base.postprocess == folds[0].postprocess
    assert not run.scores.exists()


def test_a_base_is_added_to_folds_that_are_there(copied, crossval_folder, twelve_pages, capsys):
    shutil.rmtree(copied / "all")
    command = crossval_command(twelve_pages, copied.parent)
    assert main(command) == 0
    assert "4 models, 3 of them trained already" in capsys.readouterr().out
    again = load_checkpoint(copied / "all/checkpoints/best.ckpt")
    first = load_checkpoint(crossval_folder / "all/checkpoints/best.ckpt")
    assert again.weights_hash() == first.weights_hash()
    assert again.postprocess == first.postprocess
    assert main(command) == 0
    assert "4 models, 4 of them trained already" in capsys.readouterr().out
    assert main([*command, "models.optimizer.lr=0.0123"]) == 2
    assert "all: models.optimizer.lr: was" in capsys.readouterr().err


def test_a_finished_fold_is_never_trained_again(copied, crossval_folder, twelve_pages):
    """Also where it was trained elsewhere: splits.json and a fold folder are taken over, the rest is trained."""
    (copied / "crossval.json").unlink()
    shutil.rmtree(copied / "fold_1")
    kept = [copied / "fold_0" / name for name in ("metrics.jsonl", "scores.json", "checkpoints/last.ckpt")]
    before = [path.stat().st_mtime_ns for path in kept]
    splits = (copied / "splits.json").read_bytes()
    command = crossval_command(twelve_pages, copied.parent)
    assert main([*command, "crossval.seed=7"]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert (copied / "splits.json").read_bytes() == splits
    again = CrossvalRecord.read(copied / "crossval.json")
    first = CrossvalRecord.read(crossval_folder / "crossval.json")
    assert again.made_of == first.made_of  # the weights too: same seed, same model
    assert again.out_of_fold == first.out_of_fold
    stamp = (copied / "crossval.json").stat().st_mtime_ns
    assert main(command) == 0
    assert (copied / "crossval.json").stat().st_mtime_ns == stamp


def test_folds_that_are_one_model_or_leak_are_refused(copied, twelve_pages, capsys):
    shutil.rmtree(copied / "fold_1")
    shutil.copytree(copied / "fold_0", copied / "fold_1")
    assert main(crossval_command(twelve_pages, copied.parent)) == 2
    message = capsys.readouterr().err
    for part in ("has the weights of", "has the training pages of", "was trained on", "was validated on other pages"):
        assert part in message, part


def test_folds_of_another_recipe_are_not_joined(copied, twelve_pages, capsys):
    (copied / "crossval.json").unlink()
    command = crossval_command(twelve_pages, copied.parent)
    other = ["models.optimizer.lr=0.0123", "dataloaders.train_dataloader.batch_size=3"]
    assert main([*command, *other]) == 2
    message = capsys.readouterr().err
    for part in ("fold_0: models.optimizer.lr: was", "now 0.0123", "fold_1: dataloaders.train_dataloader.batch_size"):
        assert part in message, part
    rows = (copied / "fold_0/metrics.jsonl").read_text().splitlines()
    config = (copied / "fold_0/config.yaml").read_text()
    (copied / "fold_0/config.yaml").write_text(config.replace("max_epochs: 1", "max_epochs: 2"))
    epochs = [json.dumps({**json.loads(rows[-1]), "epoch": epoch}) + "\n" for epoch in (0, 1)]
    (copied / "fold_0/metrics.jsonl").write_text("".join(epochs))
    assert main(command) == 2
    assert "fold_0: trainer.max_epochs: was 2, now 1" in capsys.readouterr().err


def test_labels_corrected_between_folds_are_noticed(copied, twelve_pages, tmp_path, capsys):
    """A fold that was trained before the correction learned the old labels of the other folds' pages."""
    corrected = Path(shutil.copytree(twelve_pages, tmp_path / "pages"))
    file = corrected / "jsons/train.json"
    labels = read(file)
    fold_of = read(copied / "splits.json")["fold"]
    name = next(n for n, f in fold_of.items() if f == 1)
    words = labels["images"][name]["words"]
    words.pop(next(iter(words)))
    file.write_text(json.dumps(labels))
    assert main(crossval_command(corrected, copied.parent)) == 2
    message = capsys.readouterr().err
    assert "fold_0: was trained on other pages, or other labels" in message
    assert "fold_1: was validated on other pages, or other labels" in message


def test_one_failing_fold_does_not_end_the_others(copied, twelve_pages, capfd):
    """Side by side, as processes of their own."""
    for i in (0, 1):
        (copied / f"fold_{i}/scores.json").unlink()
    (copied / "fold_0/checkpoints/last.ckpt").write_bytes(b"damaged")
    assert main([*crossval_command(twelve_pages, copied.parent), "agents=2"]) == 2
    assert "fold_0: exit code 2: error: " in capfd.readouterr().err
    assert (copied / "fold_1/scores.json").exists()
    assert not (copied / "fold_0/scores.json").exists()


def test_wrong_splits_and_a_folder_in_use_are_refused(copied, twelve_pages, capsys):
    command = crossval_command(twelve_pages, copied.parent)
    assert main([*command, "crossval.k=4"]) == 2
    assert "another k than 4" in capsys.readouterr().err
    assert main([*command, "datasets.train_dataset.folds={k: 3, seed: 1, split: train}"]) == 2
    assert "crossval deals the pages itself; remove it" in capsys.readouterr().err
    more = "{image_path: images, annotation_path: more.json, folds: null}"
    assert main([*command, f"datasets.train_dataset.also=[{more}]"]) == 2
    assert "datasets.train_dataset.also: crossval deals the pages of one label file" in capsys.readouterr().err
    splits = read(copied / "splits.json")
    splits["fold"].popitem()
    (copied / "splits.json").write_text(json.dumps(splits))
    assert main(command) == 2
    assert "does not say the fold of 1 pages" in capsys.readouterr().err
    with locked(copied):
        assert main(command) == 2
    assert "another process is using this folder" in capsys.readouterr().err
