"""``hmean train`` on a tiny network and a few pages."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import hmean
from hmean.cli import main
from hmean.commands.train import TrainResult
from hmean.inference.checkpoints import Checkpoint, load_checkpoint
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import Manifest
from hmean.runs.scores import Scores
from support.pages import TINY
from support.runs import rows

HMEAN = str(Path(sys.executable).parent / "hmean")


def test_a_run_leaves_what_was_promised(trained_run):
    for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "config.yaml", "manifest.json", "metrics.jsonl", "scores.json",
                 "predictions.json", "report.html", "pictures/worst_1.jpg"):  # fmt: skip
        assert (trained_run / name).stat().st_size > 0, name
    assert len(list((trained_run / "maps").rglob("*.map"))) == 3
    assert [row["epoch"] for row in rows(trained_run)] == [0, 1]
    assert {"train/loss", "val/hmean", "val/precision", "val/recall", "lr", "seconds"} <= set(rows(trained_run)[0])
    manifest = json.loads((trained_run / "manifest.json").read_text())
    assert {"config_hash", "data_hash", "git", "seed", "versions", "machine"} <= set(manifest)
    assert "=" not in "".join(p.name for p in trained_run.rglob("*"))
    scores = json.loads((trained_run / "scores.json").read_text())
    assert scores["images"] == 3
    assert scores["influenced_by"] == {"trained": 0, "epoch_chosen": 3, "tuned": 0}
    assert scores["interval95"]["macro"] is None  # three pages are too few
    assert scores["grouping"]["pages"] == 3


def test_the_score_in_training_is_the_score_of_the_files(trained_run, receipts, capsys):
    """val/hmean, scores.json and ``hmean score`` on predictions.json are one number (maps on disk have 8 bits)."""
    best = max(row["val/hmean"] for row in rows(trained_run))
    scores = json.loads((trained_run / "scores.json").read_text())
    assert main(["score", str(receipts / "jsons/val.json"), str(trained_run / "predictions.json"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["cleval"] == scores["cleval"]
    assert printed["cleval"]["macro"]["h"] == pytest.approx(best, abs=0.02)


def test_same_seed_same_losses(trained_run, tiny, tmp_path):
    assert main(["train", *tiny]) == 0
    again = rows(tmp_path / "outputs" / "tiny")
    assert [r["train/loss"] for r in again] == pytest.approx([r["train/loss"] for r in rows(trained_run)], rel=1e-5)


def test_a_removed_key_is_refused(tiny, capsys):
    assert main(["train", *tiny, "models.targets.device=true"]) == 2
    assert "models.targets.device: was removed" in capsys.readouterr().err


def test_one_override_makes_targets_soft(trained_run, tiny, tmp_path):
    assert main(["train", *tiny, "models.targets.antialias=true", "trainer.max_epochs=1"]) == 0
    soft = rows(tmp_path / "outputs" / "tiny")[0]["train/loss"]
    assert soft != pytest.approx(rows(trained_run)[0]["train/loss"], rel=1e-3)
    assert np.isfinite(soft)


def test_words_that_count_alike_change_the_loss(trained_run, tiny, tmp_path):
    options = ["models.targets.word_balance=0.5", "transforms.train.near_narrow=0.5"]
    assert main(["train", *tiny, *options, "trainer.max_epochs=1"]) == 0
    balanced = rows(tmp_path / "outputs" / "tiny")[0]["train/loss"]
    assert balanced != pytest.approx(rows(trained_run)[0]["train/loss"], rel=1e-3)
    assert np.isfinite(balanced)


def test_a_second_run_never_overwrites_a_first(copy_of_run, receipts, capsys):
    command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={copy_of_run.parent}", "exp_name=tiny"]
    before = (copy_of_run / "checkpoints/best.ckpt").read_bytes()
    assert main(command) == 2
    message = capsys.readouterr().err
    assert "resume=auto" in message
    assert "overwrite=true" in message
    assert (copy_of_run / "checkpoints/best.ckpt").read_bytes() == before
    assert main([*command, "resume=auto", "models.optimizer.lr=0.1"]) == 2
    assert "models.optimizer.lr: was 0.0015, now 0.1" in capsys.readouterr().err
    (copy_of_run.parent / "notes").mkdir()
    (copy_of_run.parent / "notes" / "mine.txt").write_text("keep")
    assert main([*command[:-1], "exp_name=notes", "overwrite=true"]) == 2
    assert (copy_of_run.parent / "notes" / "mine.txt").exists()


def test_a_training_ends_with_its_scores_and_what_to_do_next(trained_run):
    folder = RunFolder(trained_run)
    scores = Scores.read(folder.scores)
    text = TrainResult(folder, scores, folder.report, data="pages").summary()
    first, *rest = text.splitlines()
    assert first.startswith("trained 2 epochs in 0.")
    assert first.endswith(f" minutes; the best epoch, {scores.epoch + 1}, is kept; on 3 val pages:")
    assert scores.summary() in text
    assert f"report: {trained_run}/report.html" in rest
    assert f"next: hmean tune run={trained_run} dataset_base_path=pages " in text


def test_a_finished_run_says_its_score_and_the_next_command(copy_of_run, receipts, capsys, monkeypatch):
    monkeypatch.setattr(Checkpoint, "start", None)  # the network does not run
    command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={copy_of_run.parent}", "exp_name=tiny",
               "resume=auto"]  # fmt: skip
    assert main(command) == 0
    scores = json.loads((copy_of_run / "scores.json").read_text())
    h = 100 * scores["cleval"]["macro"]["h"]
    start = f"{copy_of_run} is finished (2 epochs, macro H {h:.2f} on 3 val pages); next: "
    assert capsys.readouterr().out == f"{start}hmean tune run={copy_of_run} dataset_base_path={receipts}\n"
    (copy_of_run / "tuned.json").write_text("{}")
    assert main(command) == 0
    assert capsys.readouterr().out == f"{start}hmean predict IMAGES run={copy_of_run}\n"


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_what_an_interruption_after_the_last_epoch_has_left_out_is_done(copy_of_run, receipts, capsys):
    command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={copy_of_run.parent}", "exp_name=tiny",
               "resume=auto"]  # fmt: skip
    scores = json.loads((copy_of_run / "scores.json").read_text())
    (copy_of_run / "scores.json").write_text(json.dumps({**scores, "weights_hash": "of fewer epochs"}))
    assert main(command) == 0
    assert "is finished" not in capsys.readouterr().out
    assert json.loads((copy_of_run / "scores.json").read_text())["weights_hash"] == scores["weights_hash"]


def test_the_last_epoch_is_always_validated(tiny, tmp_path):
    assert main(["train", *tiny, "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"]) == 0
    assert ["val/hmean" in row for row in rows(tmp_path / "outputs" / "tiny")] == [False, True, True]


def test_pages_without_text_train_and_score(receipts, tmp_path):

    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    for part in ("train", "val"):
        path = data / f"jsons/{part}.json"
        labels = json.loads(path.read_text())
        for page in labels["images"].values():
            page["words"] = {}
        path.write_text(json.dumps(labels))
    assert (
        main(
            [
                "train",
                *TINY,
                f"dataset_base_path={data}",
                f"output_dir={tmp_path}",
                "exp_name=blank",
                "trainer.max_epochs=1",
            ]
        )
        == 0
    )
    assert np.isfinite(rows(tmp_path / "blank")[0]["train/loss"])


def test_a_run_starts_from_the_weights_of_another_and_owns_up_to_its_pages(trained_run, tiny, tmp_path, capsys):
    start = f"checkpoint_path={trained_run / 'checkpoints/best.ckpt'}"
    assert main(["train", *tiny, start]) == 2  # its epoch was chosen on these validation pages
    assert "of the 3 validation pages, 0 were used to train it, 3 to choose its epoch" in capsys.readouterr().err
    assert main(["train", *tiny, start, "preset/models/decoder=dbnetpp"]) == 2
    assert "do not fit the network of the config" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()
    others = ["datasets.val_dataset.annotation_path=${dataset_base_path}/jsons/test.json", "trainer.max_epochs=1"]
    assert main(["train", *tiny, start, *others, "models.optimizer.lr=1e-9", "trainer.ema_decay=null"]) == 0
    before, after = (load_checkpoint(run / "checkpoints/best.ckpt") for run in (trained_run, tmp_path / "outputs/tiny"))
    learned = [name for name in after.weights if "running" not in name and "num_batches" not in name]
    assert max(float((before.weights[n] - after.weights[n]).abs().max()) for n in learned) < 1e-5
    assert set(before.pages.all().tolist()) == set(after.pages.train.tolist())


def test_two_processes_train_as_one_run(receipts, tmp_path):
    """DDP: each rank its share of the pages, one set of files, every page scored once."""
    command = [HMEAN, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "exp_name=two",
               "trainer.devices=2", "trainer.strategy=ddp"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in rows(tmp_path / "two")] == [0, 1]
    assert rows(tmp_path / "two")[0]["step"] == 1  # 6 pages, 2 processes, whole batches of 2
    assert json.loads((tmp_path / "two/scores.json").read_text())["images"] == 3


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_of_an_earlier_version_is_resumed(copy_of_run, receipts):
    """Its config.yaml has keys and components by other names, and keys that are gone."""
    path = copy_of_run / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for dataset in config["datasets"].values():
        dataset["split"] = dataset.pop("folds")
    config["models"]["targets"]["device"] = "auto"
    postprocess = config["models"]["head"]["postprocess"]
    postprocess["growth"] = postprocess.pop("unclip")
    config["models"]["encoder"]["_target_"] = "hmean.models.encoder.TimmEncoder"
    config["models"]["loss"]["_target_"] = "hmean.losses.DBLoss"
    config["evaluate_on"] = "val"
    config["predict"] = {"overlays": 16, "csv": True}
    path.write_text(yaml.safe_dump(config))
    command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={copy_of_run.parent}", "exp_name=tiny"]
    assert main([*command, "resume=auto", "trainer.max_epochs=3"]) == 0
    assert [row["epoch"] for row in rows(copy_of_run)] == [0, 1, 2]
    training = load_checkpoint(copy_of_run / "checkpoints/last.ckpt").carried.provenance.training
    assert training.starts == 2
    before = sum(row["seconds"] for row in rows(copy_of_run)[:2])
    rounding = 0.3  # minutes have two digits
    assert 60 * training.minutes + rounding > 0.9 * before  # the clock goes on


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_resumed_run_does_not_invent_the_minutes_that_an_earlier_version_did_not_record(copy_of_run, receipts):
    last = copy_of_run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    del content["hmean"]["provenance"]
    torch.save(content, last)
    assert load_checkpoint(last).carried.provenance.training is None
    command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={copy_of_run.parent}", "exp_name=tiny"]
    assert main([*command, "resume=auto", "trainer.max_epochs=3"]) == 0
    training = load_checkpoint(last).carried.provenance.training
    assert training.minutes is None
    assert training.starts == 2


def test_checkpoints_say_how_they_were_trained(trained_run, capsys):
    manifest = Manifest.read(trained_run / "manifest.json")
    for name in ("best", "last"):
        training = load_checkpoint(trained_run / f"checkpoints/{name}.ckpt").carried.provenance.training
        assert training.data_hash == manifest.data_hash
        assert training.config_hash == manifest.config_hash
        assert training.git == manifest.git
        assert training.versions == manifest.versions
        assert training.command == manifest.machine.command
        assert (training.seed, training.schedule.epochs, training.schedule.lr) == (42, 2, 0.0015)
        assert training.saved > "2020"
        assert training.starts == 1
    epochs = sum(row["seconds"] for row in rows(trained_run))
    assert 60 * training.minutes == pytest.approx(epochs, rel=0.2, abs=0.7)


def test_a_tracker_gets_the_metrics(tiny, tmp_path):
    assert main(["train", *tiny, "logger=csv"]) == 0
    run = tmp_path / "outputs" / "tiny"
    with (run / "csv/version_0/metrics.csv").open() as file:
        logged = [row["val/hmean"] for row in csv.DictReader(file) if row["val/hmean"]]
    assert [float(value) for value in logged] == [row["val/hmean"] for row in rows(run)]


def test_training_from_a_program_is_the_command(receipts, tmp_path):
    result = hmean.train(
        preset="receipts_lite",
        exp_name="tiny",
        dataset_base_path=receipts,
        output_dir=tmp_path,
        models={
            "encoder": {"model_name": "test_efficientnet", "pretrained": False},
            "decoder": {"inner_channels": 16, "output_channels": 8},
        },
        transforms={"long_side": 96, "train": {"crop": 64, "long_side": [96, 96]}},
        dataloaders={
            "train_dataloader": {"batch_size": 2, "num_workers": 0},
            "val_dataloader": {"batch_size": 2, "num_workers": 0},
        },
        trainer={"max_epochs": 1, "accelerator": "cpu"},
    )
    assert result.folder.best.exists()
    assert result.scores.images == 3
