"""The main job from end to end, on a tiny network and a few pages: through the same entry as a user."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from hmean.cli import main
from hmean.inference.checkpoints import Checkpoint, load_checkpoint
from hmean.runs.predictions import read_predictions
from support.pages import TINY

HMEAN = str(Path(sys.executable).parent / "hmean")
RUNNERS = Path(__file__).parents[2] / "runners"


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


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
    assert scores["interval95"]["macro"][0] <= scores["cleval"]["macro"]["h"] <= scores["interval95"]["macro"][1]


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


def test_a_killed_training_goes_on_as_if_unbroken(receipts, tmp_path):
    """SIGKILL in the middle of an epoch; with EMA, a schedule by steps and shuffled augmented views."""
    command = [HMEAN, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "trainer.max_epochs=3",
               "transforms.train.views_per_page=8", "dataloaders.train_dataloader={batch_size: 2, num_workers: 1}"]  # fmt: skip
    subprocess.run([*command, "exp_name=whole"], check=True, capture_output=True)
    run = tmp_path / "broken"
    process = subprocess.Popen(
        [*command, "exp_name=broken"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not ((run / "metrics.jsonl").exists() and (run / "checkpoints/last.ckpt").exists()):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (run / "scores.json").exists()
    subprocess.run([*command, "exp_name=broken", "resume=auto"], check=True, capture_output=True)
    whole, resumed = rows(tmp_path / "whole"), rows(run)
    assert [r["epoch"] for r in resumed] == [0, 1, 2]
    for key in ("train/loss", "val/hmean", "lr", "step"):
        assert [r[key] for r in resumed] == pytest.approx([r[key] for r in whole], rel=1e-5), key
    a, b = (load_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "broken"))
    assert all(torch.allclose(a.weights[k].double(), b.weights[k].double(), rtol=1e-4, atol=1e-6) for k in a.weights)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_says_how_to_go_on(receipts, tmp_path, stop):
    command = [HMEAN, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "exp_name=stopped",
               "trainer.max_epochs=500"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "stopped/checkpoints/last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(stop)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "resume=auto" in err
    assert "Traceback" not in err
    load_checkpoint(tmp_path / "stopped/checkpoints/last.ckpt")


def test_evaluate_and_predict_need_only_the_checkpoint(copy_of_run, receipts, tmp_path, capsys):
    checkpoint = f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}"
    assert main(["evaluate", checkpoint, f"dataset_base_path={receipts}", "evaluate_on=test"]) == 0
    assert capsys.readouterr().out.splitlines()[-4].startswith("macro\t")
    scores = json.loads((copy_of_run / "evaluate_test/scores.json").read_text())
    assert scores["long_side"] == 160  # the training's, not the preset's
    assert scores["influenced_by"] == {"trained": 0, "epoch_chosen": 0, "tuned": 0}
    assert main(["evaluate", checkpoint, f"dataset_base_path={receipts}", "evaluate_on=test"]) == 2
    assert "overwrite=true" in capsys.readouterr().err
    assert main(["evaluate", checkpoint, f"dataset_base_path={tmp_path}"]) == 2
    assert "hmean data synth" in capsys.readouterr().err


def test_predict_writes_a_row_for_every_image_and_skips_broken_ones(copy_of_run, receipts, tmp_path, capsys):
    folder = tmp_path / "스캔 1=2"
    folder.mkdir()
    source = min((receipts / "images").glob("*.jpg"))
    (folder / "a b=c.jpg").write_bytes(source.read_bytes())
    (folder / "broken.jpg").write_bytes(source.read_bytes()[:700])
    PIL.Image.new("L", (1, 1)).save(folder / "one.png")
    PIL.Image.new("RGB", (300, 200), "white").save(folder / "빈 종이.png")
    out = tmp_path / "found"
    code = main(["predict", f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}", f"output={out}",
                 "models.head.postprocess.thresh=0.05", "models.head.postprocess.box_thresh=0.0", "--", str(folder)])  # fmt: skip
    captured = capsys.readouterr()
    assert code == 2
    assert "1 images were skipped" in captured.err
    assert "broken.jpg: damaged" in captured.err
    with (out / "submission.csv").open(encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert table[0] == ["filename", "polygons"]
    assert [row[0] for row in table[1:]] == sorted(p.name for p in folder.iterdir())
    predictions = read_predictions(out / "predictions.json")
    for name, polygons in table[1:]:
        regions = [np.array(text.split(), int).reshape(-1, 2) for text in polygons.split("|")] if polygons else []
        assert len(regions) == len(predictions[name])
        for region, polygon in zip(regions, predictions[name].polygons, strict=True):
            assert np.abs(region - polygon).max() <= 0.51
    assert len(list((out / "overlays").iterdir())) == 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["postprocess"]["thresh"] == 0.05  # an override is possible, and recorded


def test_kept_maps_predict_again_without_the_network(copy_of_run, receipts, tmp_path, monkeypatch):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8nothing")
    out, images = tmp_path / "out", [str(receipts / "images"), str(broken)]
    command = ["predict", f"run={copy_of_run}", f"output={out}", "maps=true", "predict.overlays=0", "overwrite=true"]
    loose = ["models.head.postprocess.thresh=0.05", "models.head.postprocess.box_thresh=0.0"]
    assert main([*command, *loose, *images[:1]]) == 0
    first = (out / "predictions.json").read_text()
    assert len(list((out / "maps").iterdir())) == 11
    monkeypatch.setattr(Checkpoint, "start", None)  # it is not asked for
    assert main([*command, *loose, *images[:1]]) == 0
    assert (out / "predictions.json").read_text() == first
    assert main([*command, "models.head.postprocess.thresh=0.9", *images[:1]]) == 0
    assert (out / "predictions.json").read_text() != first
    monkeypatch.undo()
    assert main([*command, *loose, *images]) == 2  # the broken one is told, the rest is there
    assert len(read_predictions(out / "predictions.json")) == 12
    assert len(list((out / "maps").iterdir())) == 11


def test_maps_are_shared_by_the_jobs_of_a_run_and_those_of_earlier_weights_go(copy_of_run, receipts, monkeypatch):
    def maps():
        return {path.name: len(list(path.iterdir())) for path in (copy_of_run / "maps").iterdir()}

    command = ["evaluate", f"run={copy_of_run}", f"dataset_base_path={receipts}", "overwrite=true"]
    ((own, _),) = maps().items()
    (copy_of_run / "maps" / "best-0123456789ab").mkdir()
    (copy_of_run / "maps" / "last-0123456789ab").mkdir()
    assert main([*command, "evaluate_on=test"]) == 0
    assert maps() == {own: 5, "last-0123456789ab": 0}  # validation and test pages; another checkpoint's are not touched
    monkeypatch.setattr(Checkpoint, "start", None)
    assert main(command) == 0
    errors = json.loads((copy_of_run / "evaluate_val" / "errors.json").read_text())
    scores = json.loads((copy_of_run / "evaluate_val" / "scores.json").read_text())
    assert [page["name"] for page in errors["pages"]] == [page["name"] for page in scores["pages"]]
    assert [page["characters"] for page in errors["pages"]] == [page["counts"]["gt"] for page in scores["pages"]]


def test_tuned_values_travel_with_the_weights(copy_of_run, receipts, tmp_path, capsys):
    labels = json.loads((receipts / "jsons/val.json").read_text())
    for page in labels["images"].values():
        page.pop("group", None)  # each page its own
    (tmp_path / "val.json").write_text(json.dumps(labels))
    tune = ["tune", f"run={copy_of_run}", f"dataset_base_path={receipts}", f"datasets.val_dataset.annotation_path={tmp_path / 'val.json'}",
            "tune.thresh=[0.05,0.1,0.2]", "tune.box_thresh=[0.0,0.1]"]  # fmt: skip
    assert main([*tune, "tune.inverse_r=[]"]) == 0
    assert "cross-fitted" in capsys.readouterr().out
    tuned = json.loads((copy_of_run / "tuned.json").read_text())
    assert len(tuned["grid"]) == 7  # the present values and six others
    assert tuned["grid"][0]["macro"] == max(point["macro"] for point in tuned["grid"])
    assert len(tuned["cross_fitted"]["chosen"]) == 3  # pages, each its own group
    chosen, ends = tuned["after"]["postprocess"], {"thresh": (0.05, 0.2), "box_thresh": (0.0, 0.1)}
    assert tuned["at_list_ends"] == {knob: chosen[knob] for knob in ends if chosen[knob] in ends[knob]}
    assert "box_thresh" in tuned["at_list_ends"]  # a list of two has ends only
    checkpoint = load_checkpoint(copy_of_run / "checkpoints/best.ckpt")
    assert tuned["decision"] == ("kept" if tuned["cross_fitted"]["gain"] <= 0 else "adopted")
    kept = tuned["before" if tuned["decision"] == "kept" else "after"]
    assert checkpoint.postprocess.to_dict() == kept["postprocess"]
    if kept["postprocess"] != tuned["before"]["postprocess"]:
        assert checkpoint.history[0].postprocess.to_dict() == tuned["before"]["postprocess"]
    best = kept["score"]["cleval"]["macro"]["h"]
    assert main(["evaluate", f"checkpoint_path={checkpoint.path}", f"dataset_base_path={receipts}"]) == 0
    scores = json.loads((copy_of_run / "evaluate_val/scores.json").read_text())
    assert scores["cleval"]["macro"]["h"] == best
    assert len(list((copy_of_run / "maps").rglob("*.map"))) == 3  # made once, by the training; all jobs share them
    # Again: what was chosen on these pages is no beginning, so that the score on pages that did not choose stays one.
    before = json.loads((copy_of_run / "cross_fitted/scores.json").read_text())["pages"]
    assert main([*tune, "tune.inverse_r=[]"]) == 0
    assert json.loads((copy_of_run / "cross_fitted/scores.json").read_text())["pages"] == before
    again = json.loads((copy_of_run / "tuned.json").read_text())
    assert [again[part]["postprocess"] for part in ("before", "after")] == [
        tuned[p]["postprocess"] for p in ("before", "after")
    ]
    optimism = again["cross_fitted"]["optimism"]
    assert optimism["gain"] == pytest.approx(again["after"]["gain"] - again["cross_fitted"]["gain"])
    capsys.readouterr()
    many = [f"tune.thresh={[i / 1000 for i in range(600)]}", f"tune.box_thresh={[i / 100 for i in range(10)]}"]
    assert main([*tune, "tune.inverse_r=[0.5]", *many]) == 0
    tuned = json.loads((copy_of_run / "tuned.json").read_text())
    assert tuned["searched"]["settings"] == 6_000
    assert len(tuned["grid"]) < tuned["searched"]["scored"] < 5_000
    assert main(["report", str(copy_of_run)]) == 0
    html = (copy_of_run / "report.html").read_text()
    assert "6000 settings scored" in html
    assert html.count("Where the errors are") == 2  # of the training's evaluation, and of the later one
    assert html.count('class="sortable"') == 2
    assert not any(f'{asset}="http' in html for asset in ("src", "href"))  # it opens offline


def test_runners_run_as_the_documentation_says(receipts, tmp_path):
    """The B4 preset as written, at reduced size for one epoch; W&B without a key logs offline."""
    small = ["models.encoder.pretrained=false", "transforms.long_side=64", "transforms.train.long_side=[64,64]", "trainer.limit_train_batches=1",
             "dataloaders.train_dataloader={batch_size: 2, num_workers: 0}", "dataloaders.val_dataloader={batch_size: 1, num_workers: 0}",
             "dataloaders.predict_dataloader={batch_size: 1, num_workers: 0}"]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")} | {
        "HOME": str(tmp_path),
        "WANDB_SILENT": "true",
    }
    name = "efficientnet_b4_lr_0.0004"
    train = [sys.executable, RUNNERS / "train.py", "preset=efficientnet_b4_lr_optimized", f"exp_name={name}", "models.optimizer.lr=0.0004",
             "trainer.max_epochs=1", f"dataset_base_path={receipts}", "wandb=true", *small]  # fmt: skip
    done = subprocess.run(train, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "offline" in done.stdout
    predict = [sys.executable, RUNNERS / "predict.py", "preset=efficientnet_b4_lr_optimized", f"exp_name={name}_predict",
               f"checkpoint_path=outputs/{name}/checkpoints/best.ckpt", f"dataset_base_path={receipts}"]  # fmt: skip
    done = subprocess.run(predict, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / f"outputs/{name}_predict/submission.csv").read_text().splitlines()
    assert len(table) == 3


def evil_checkpoint(path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"hmean": {}, "state_dict": Evil()}, path)


def test_checkpoints_that_cannot_be_used(copy_of_run, receipts, tmp_path, capsys):
    def message(path):
        assert main(["evaluate", f"checkpoint_path={path}", f"dataset_base_path={receipts}"]) == 2
        return capsys.readouterr().err

    assert "checkpoint not found" in message(tmp_path / "none.ckpt")
    (tmp_path / "damaged.ckpt").write_bytes((copy_of_run / "checkpoints/best.ckpt").read_bytes()[:5000])
    assert "damaged" in message(tmp_path / "damaged.ckpt")
    evil_checkpoint(tmp_path / "evil.ckpt")
    assert "holds code, which is never run" in message(tmp_path / "evil.ckpt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.ckpt")
    assert "is not a checkpoint of hmean" in message(tmp_path / "other.ckpt")
    raw = torch.load(copy_of_run / "checkpoints/best.ckpt", weights_only=True)
    raw["hmean"]["config"]["models"]["decoder"]["_target_"] = "os.system"
    torch.save(raw, tmp_path / "sly.ckpt")
    assert "trusted_targets" in message(tmp_path / "sly.ckpt")
    assert main(["evaluate"]) == 2
    assert "checkpoint_path" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "damaged", "turned", "outside", "unlabelled", "both"])
def test_wrong_data_is_told_before_anything_is_trained(receipts, tmp_path, capsys, fault):
    import shutil

    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    path = data / "jsons/train.json"
    labels = json.loads(path.read_text())
    name, page = next(iter(labels["images"].items()))
    image = data / "images" / name
    expected = {"missing": "no such image", "damaged": "damaged", "turned": "turned upright", "outside": "outside of the page",
                "unlabelled": "unlabelled", "both": "both training and validation"}[fault]  # fmt: skip
    if fault == "missing":
        image.unlink()
    elif fault == "damaged":
        image.write_bytes(b"\xff\xd8nothing")
    elif fault == "turned":
        page["img_w"], page["img_h"] = page["img_h"] + 1, page["img_w"]
        page["words"] = {}
    elif fault == "outside":
        next(iter(page["words"].values()))["points"] = [[9000, 9000], [9100, 9000], [9100, 9050]]
    elif fault == "unlabelled":
        del page["words"]
    path.write_text(json.dumps(labels))
    if fault == "both":
        shutil.copy(path, data / "jsons/val.json")
    code = main(["train", *TINY, f"dataset_base_path={data}", f"output_dir={tmp_path / 'outputs'}", "exp_name=x"])
    assert code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_pages_without_text_train_and_score(receipts, tmp_path):
    import shutil

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


def test_a_diverging_loss_is_an_error_in_words(tiny, capsys):
    assert main(["train", *tiny, "models.optimizer.lr=1e30", "trainer.gradient_clip_val=null"]) == 2
    assert "training diverged at step" in capsys.readouterr().err


def test_data_check_and_synth(tmp_path, receipts, capsys):
    assert main(["data", "check", str(receipts / "jsons/train.json"), str(receipts / "images")]) == 0
    assert "6 pages, 0 faults" in capsys.readouterr().err
    out = tmp_path / "drawn"
    assert (
        main(["data", "synth", str(out), "--train", "1", "--val", "0", "--test", "0", "--long-side", "160", "200"]) == 0
    )
    (out / "images" / "00000.jpg").write_bytes(b"x")
    assert main(["data", "check", str(out / "jsons/train.json"), str(out / "images")]) == 2
    assert "00000.jpg: damaged" in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("keep")
    assert main(["data", "synth", str(tmp_path / "mine"), "--train", "1"]) == 2
    assert main(["data", "synth", str(out), "--train", "-1", "--long-side", "9", "5"]) == 2
    assert "--long-side" in capsys.readouterr().err


def test_score_refuses_other_images(receipts, trained_run, capsys):
    assert main(["score", str(receipts / "jsons/test.json"), str(trained_run / "predictions.json")]) == 2
    assert "has labels but no predictions" in capsys.readouterr().err


def test_the_last_epoch_is_always_validated(tiny, tmp_path):
    assert main(["train", *tiny, "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"]) == 0
    assert ["val/hmean" in row for row in rows(tmp_path / "outputs" / "tiny")] == [False, True, True]


def test_predictions_do_not_go_into_a_run(copy_of_run, receipts, capsys):
    checkpoint = copy_of_run / "checkpoints/best.ckpt"
    before = (copy_of_run / "manifest.json").read_text()
    image = str(next((receipts / "images").glob("*.jpg")))
    (copy_of_run / "predictions.json").unlink()
    assert main(["predict", image, f"checkpoint_path={checkpoint}", f"output={copy_of_run}"]) == 2
    assert "run folder of a training" in capsys.readouterr().err
    assert (copy_of_run / "manifest.json").read_text() == before


@pytest.mark.parametrize("job", ["evaluate", "tune"])
@pytest.mark.parametrize("fault", ["missing", "unlabelled"])
def test_wrong_pages_are_told_before_the_network_runs(copy_of_run, receipts, tmp_path, capsys, job, fault):
    import shutil

    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    labels = json.loads((data / "jsons/val.json").read_text())
    name = next(iter(labels["images"]))
    if fault == "missing":
        (data / "images" / name).unlink()
    else:
        del labels["images"][name]["words"]
        (data / "jsons/val.json").write_text(json.dumps(labels))
    assert main([job, f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}", f"dataset_base_path={data}"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    "images", ['{"a": null}', '{"a": {"words": [1]}}', '{"a": {"words": {"1": {"points": [[1,2,3],[4,5,6]]}}}}', "3"]
)
def test_wrong_prediction_files_are_told(receipts, tmp_path, capsys, images):
    (tmp_path / "p.json").write_text(f'{{"images": {images}}}')
    assert main(["score", str(receipts / "jsons/test.json"), str(tmp_path / "p.json")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("job", "override"),
    [("train", "output=x"), ("evaluate", "exp_name=x"), ("tune", "output=x")],
)
def test_a_key_that_a_job_does_not_read_is_refused(job, override, capsys):
    assert main([job, override]) == 2
    assert f"hmean {job} does not read {override}" in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_pages(copy_of_run, receipts, tmp_path, capsys):
    import shutil

    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    labels = json.loads((data / "jsons/train.json").read_text())
    next(iter(labels["images"].values()))["words"].popitem()
    (data / "jsons/train.json").write_text(json.dumps(labels))
    before = (copy_of_run / "config.yaml").read_text().replace(str(receipts), str(data))
    (copy_of_run / "config.yaml").write_text(before)  # as if labels were changed under a run
    command = ["train", *TINY, f"dataset_base_path={data}", f"output_dir={copy_of_run.parent}", "exp_name=tiny"]
    assert main([*command, "resume=auto", "trainer.max_epochs=3"]) == 2
    assert "was started with other train pages" in capsys.readouterr().err


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


def test_values_that_an_optimizer_refuses_leave_no_folder(tiny, tmp_path, capsys):
    assert main(["train", *tiny, "+models.optimizer.betas=[2,3]"]) == 2
    assert "models.optimizer: torch.optim.AdamW does not accept these arguments" in capsys.readouterr().err
    assert main(["train", *tiny, "models.decoder.inner_channels=-3"]) == 2
    assert "models.decoder" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_a_full_disk_ends_a_training_in_words(receipts, tmp_path):
    """Checkpoints larger than the disk has room for: here, than a file may be."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); from hmean.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "exp_name=full"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "ckpt: cannot be written (File too large); nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "full/checkpoints").iterdir()) == []


def test_two_processes_train_as_one_run(receipts, tmp_path):
    """DDP: each rank its share of the pages, one set of files, every page scored once."""
    command = [HMEAN, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "exp_name=two",
               "trainer.devices=2", "trainer.strategy=ddp"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in rows(tmp_path / "two")] == [0, 1]
    assert rows(tmp_path / "two")[0]["step"] == 1  # 6 pages, 2 processes, whole batches of 2
    assert json.loads((tmp_path / "two/scores.json").read_text())["images"] == 3


def test_manifests_hold_no_secret_and_no_path_of_the_machine(copy_of_run, tmp_path, monkeypatch):
    from hmean.runs.manifest import Manifest

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "/usr/bin/hmean",
            "train",
            f"dataset_base_path={tmp_path}/data",
            str(tmp_path / "x"),
            "wandb_api_key=1",
            "TOKEN=2",
        ],
    )
    assert Manifest.collect({}, {}, 0).machine.command == ["hmean", "train", "dataset_base_path=data", "x"]
    assert (
        main(
            [
                "predict",
                f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}",
                f"output={tmp_path / 'found'}",
                str(copy_of_run / "pictures"),
            ]
        )
        == 0
    )
    assert json.loads((tmp_path / "found/manifest.json").read_text())["checkpoint"][0] != "/"


def test_an_image_named_twice_is_read_once(copy_of_run, receipts, tmp_path):
    image = str(min((receipts / "images").glob("*.jpg")))
    common = ["predict", f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}", f"output={tmp_path / 'a=b, c'}"]
    assert main([*common, image, image, str(receipts / "images")]) == 0
    names = list(read_predictions(tmp_path / "a=b, c/predictions.json"))
    assert len(names) == len(set(names)) == 11
    assert Path(names[0]).name == Path(image).name


def test_scoring_a_folder_of_txt_labels(tmp_path, capsys):
    for name in ("images", "gt"):
        (tmp_path / name).mkdir()
    PIL.Image.new("RGB", (100, 50)).save(tmp_path / "images/a.jpg")
    (tmp_path / "gt/a.txt").write_text("10,10,60,10,60,30,10,30,TOTAL\n")
    (tmp_path / "p.json").write_text(
        '{"images": {"a.jpg": {"words": {"1": {"points": [[10,10],[60,10],[60,30],[10,30]]}}}}}'
    )
    assert main(["score", str(tmp_path / "gt"), str(tmp_path / "p.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cleval"]["macro"]["h"] == 1.0
    (tmp_path / "images").rename(tmp_path / "scans")
    assert main(["score", str(tmp_path / "gt"), str(tmp_path / "p.json"), "--images", str(tmp_path / "scans")]) == 0


def test_a_killed_tune_leaves_no_scores_of_values_that_the_checkpoint_lacks(tmp_path, monkeypatch):
    from unittest.mock import MagicMock

    from hmean.commands import tune
    from hmean.postprocess.parameters import PostprocessParams

    chosen, pages, order = PostprocessParams(thresh=0.123), MagicMock(), []
    pages.page_keys.return_value = np.arange(2)
    config, checkpoint = MagicMock(evaluate_on="val"), MagicMock(history=[])
    config.models.head.postprocess.params.return_value = PostprocessParams()
    result = MagicMock(decision="adopted", objective={"macro": 1.0})
    result.after.postprocess = chosen
    result.write = lambda path: order.append(path.name)
    for name in ("check_same_model", "require_sound", "require_distinct", "run_maps", "options_of", "Scores"):
        monkeypatch.setattr(tune, name, MagicMock())
    monkeypatch.setattr(tune, "run_of", lambda _: tmp_path)
    monkeypatch.setattr(tune, "open_pages", lambda _: pages)
    monkeypatch.setattr(tune, "about", lambda *_: {})
    monkeypatch.setattr(tune, "fit", lambda *_, **__: MagicMock(result=result))
    tune.Scores.collect.return_value.write = lambda path: order.append(path.name)
    checkpoint.write_postprocess = lambda params, *_: order.append(params)
    tune.run(config, checkpoint)
    assert order == [chosen, "tuned.json", "scores.json"]


def test_tune_refuses_what_would_spoil_the_checkpoint(copy_of_run, receipts, tmp_path, capsys):
    tune = ["tune", f"run={copy_of_run}", f"dataset_base_path={receipts}", "tune.thresh=[0.05,0.1]"]
    before = load_checkpoint(copy_of_run / "checkpoints/best.ckpt")
    for override in ("transforms.long_side=96", "models.head.postprocess.thresh=0.9"):
        assert main([*tune, override]) == 2
        assert override.partition("=")[0] in capsys.readouterr().err
    labels = json.loads((receipts / "jsons/val.json").read_text())
    name, page = next(iter(labels["images"].items()))
    (tmp_path / "one.json").write_text(json.dumps({"images": {name: page}}))
    assert main([*tune, f"datasets.val_dataset.annotation_path={tmp_path / 'one.json'}"]) == 0
    assert "keeps its values" in capsys.readouterr().out
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for copy in (name, "copy.jpg"):
        (data / "images" / copy).write_bytes((receipts / "images" / name).read_bytes())
    (data / "val.json").write_text(json.dumps({"images": {name: page, "copy.jpg": page}}))
    assert main([*tune, f"dataset_base_path={data}", f"datasets.val_dataset.annotation_path={data / 'val.json'}"]) == 2
    assert "are the same page" in capsys.readouterr().err
    after = load_checkpoint(copy_of_run / "checkpoints/best.ckpt")
    assert (after.history, after.training) == (before.history, before.training)
