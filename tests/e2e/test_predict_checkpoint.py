"""``hmean predict`` with the checkpoint of a training."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image

from hmean.cli import main
from hmean.inference.checkpoints import Checkpoint
from hmean.runs.predictions import read_predictions


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


def test_predictions_do_not_go_into_a_run(copy_of_run, receipts, capsys):
    checkpoint = copy_of_run / "checkpoints/best.ckpt"
    before = (copy_of_run / "manifest.json").read_text()
    image = str(next((receipts / "images").glob("*.jpg")))
    (copy_of_run / "predictions.json").unlink()
    assert main(["predict", image, f"checkpoint_path={checkpoint}", f"output={copy_of_run}"]) == 2
    assert "run folder of a training" in capsys.readouterr().err
    assert (copy_of_run / "manifest.json").read_text() == before


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
