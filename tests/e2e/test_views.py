"""Views of the text: set once, carried by checkpoints and exported files, obeyed by every command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmean.cli import main
from hmean.data.views import text_heights
from hmean.inference.checkpoints import Checkpoint, load_checkpoint
from hmean.inference.exported import ExportedModel
from hmean.inference.metadata import read_metadata
from hmean.runs.maps import MapStore, map_settings, read_map
from hmean.runs.predictions import read_predictions
from hmean.types import TextView, View
from support.models import write_ensemble
from support.once import made_once
from support.pages import TINY, count_found
from support.studio import studio_of

TEXT = ["transforms.view=text", "transforms.text_height=12", "transforms.first_look=96"]
VIEW = View(160, "stride", TextView(12, 96))


@pytest.fixture(scope="session")
def text_run(receipts, tmp_path_factory):
    """A run that was trained on crops by the height of text, and validated with views of the text. Only read it."""

    def make(outputs):
        crops = ["transforms.train.text_share=0.5", "transforms.train.text_height=[8,16]", "trainer.max_epochs=1"]
        command = ["train", *TINY, *TEXT, *crops, f"dataset_base_path={receipts}", f"output_dir={outputs}"]
        assert main([*command, "exp_name=tiny"]) == 0

    return made_once(tmp_path_factory, "text_run", make) / "tiny"


def test_a_training_carries_its_view_and_evaluates_with_it(text_run, receipts):
    model = load_checkpoint(text_run / "checkpoints/best.ckpt")
    assert model.view == VIEW
    scores = json.loads((text_run / "scores.json").read_text())
    assert scores["long_side"] == 160
    assert scores["text"] == {"height": 12.0, "first_look": 96}
    assert scores["looks"]["pages"] == 3
    assert scores["looks"]["first_megapixels"] <= 0.0097
    maps = MapStore(
        text_run / "maps" / f"best-{model.weights_hash()[:12]}-text",
        map_settings(model.weights_hash(), VIEW),
        {path.name: path for path in (receipts / "images").glob("*.jpg")},
    )
    of_val = json.loads((receipts / "jsons/val.json").read_text())["images"]
    for name in of_val:
        assert len(maps.read(name).looks) >= 1


def test_maps_of_views_of_the_text_are_tuned_without_the_network(text_run, receipts, tmp_path, monkeypatch):
    from shutil import copytree

    run = copytree(text_run, tmp_path / "tiny")
    monkeypatch.setattr(Checkpoint, "start", None)
    assert main(["evaluate", f"run={run}", f"dataset_base_path={receipts}"]) == 0  # the maps of the training
    assert (
        main(["tune", f"run={run}", f"dataset_base_path={receipts}", "tune.thresh=[0.3]", "tune.inverse_r=[0.6]"]) == 0
    )
    with pytest.raises(TypeError):  # another view has other maps
        main(["evaluate", f"run={run}", f"dataset_base_path={receipts}", "transforms.view=page", f"output={tmp_path}"])


def test_the_exported_file_finds_what_the_checkpoint_finds(copy_of_run, receipts, tmp_path):
    pytest.importorskip("onnx")
    import hmean

    file = tmp_path / "text.onnx"
    loose = ["models.head.postprocess.box_thresh=0.0", "models.head.postprocess.min_size=1"]
    assert main(["export", f"run={copy_of_run}", f"output={file}", *TEXT, *loose]) == 0
    metadata = read_metadata(file)
    assert metadata.preprocess.view == ExportedModel(file).view == VIEW
    assert metadata.config["transforms"]["view"] == "text"
    assert metadata.check.same_boxes >= 0.995
    detector = hmean.load(file, threads=1)
    out = tmp_path / "checkpoint"
    images = sorted((receipts / "images").glob("*.jpg"))
    told = ["predict", f"run={copy_of_run}", f"output={out}", "predict.overlays=0", *TEXT, *loose]
    assert main([*told, *map(str, images)]) == 0
    theirs = read_predictions(out / "predictions.json")
    for image, found in zip(images, detector(images), strict=True):
        alone = detector(image)
        assert np.array_equal(alone.polygons.points, found.polygons.points)
        expected = theirs[image.name]
        assert len(found) == len(expected)
        order = np.argsort(-found.scores, kind="stable")
        assert np.allclose(found.scores[order], expected.scores, atol=1e-3)


def test_views_of_pages_and_of_text_lie_apart(text_run, receipts, tmp_path, capsys):
    run = Path(shutil.copytree(text_run, tmp_path / "tiny"))
    told = ["evaluate", f"run={run}", f"dataset_base_path={receipts}", f"output={tmp_path / 'out'}"]
    assert main([*told, "transforms.view=page"]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.json")}
    assert main(told) == 2  # with the model's view, of the text
    assert "out: holds an evaluation already, with view=page and long_side=160; set output=" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.json")} == before
    weights = load_checkpoint(run / "checkpoints/best.ckpt").weights_hash()[:12]
    made = {folder.name: len(list(folder.iterdir())) for folder in (run / "maps").iterdir()}
    assert made == {f"best-{weights}": 3, f"best-{weights}-text": 3}


def test_text_in_a_corner_is_found_and_the_cost_is_told(ink, scans, tmp_path, capsys):
    """Small words in a corner of a large sheet, which a view of the sheet is too coarse for."""
    import PIL.Image

    sheet = PIL.Image.new("RGB", (2000, 2400), (255, 255, 255))
    sheet.paste(PIL.Image.open(scans / "5.png"), (1500, 100))
    sheet.save(tmp_path / "sheet.png")
    told = ["predict", f"checkpoint_path={ink}", str(tmp_path / "sheet.png"), "predict.overlays=0", "maps=true"]
    text = [
        "transforms.view=text",
        "transforms.text_height=14",
        "transforms.first_look=480",
        "transforms.long_side=480",
    ]
    assert main([*told, *text, f"output={tmp_path / 'text'}"]) == 0
    assert "a page costs " in capsys.readouterr().out
    assert count_found(tmp_path / "text") == {"sheet.png": 5}
    found = read_predictions(tmp_path / "text/predictions.json")["sheet.png"]
    centres = np.array(sorted((box.mean(axis=0).tolist() for box in found.polygons), key=lambda centre: centre[1]))
    assert np.abs(centres - [[1550, 115 + 24 * i] for i in range(5)]).max() < 3
    (file,) = (tmp_path / "text/maps").glob("*.map")
    kept = read_map(file, "sheet.png")
    assert len(kept.looks) in (2, 3)
    assert kept.to_page[0, 2] > 1400  # the view is cut
    manifest = json.loads((tmp_path / "text/manifest.json").read_text())
    assert manifest["text"] == {"height": 14.0, "first_look": 480}


def test_members_of_an_ensemble_may_see_pages_in_other_ways(ink, scans, tmp_path):
    from hmean.ensemble.members import Ensemble, MemberView, open_ensemble
    from hmean.inference.opening import open_model
    from hmean.inference.trained import PageFile

    path = write_ensemble(tmp_path, ink, [160, 160])
    record = json.loads(path.read_text())
    record["members"][1]["text"] = {"height": 14.0, "first_look": 96}
    path.write_text(json.dumps(record))
    ensemble = open_ensemble(path)
    assert [member.view.text for member in ensemble.members] == [None, TextView(14, 96)]
    assert "text" not in ensemble.made_by["members"][0]
    assert main(["predict", f"checkpoint_path={path}", f"output={tmp_path / 'out'}", str(scans / "5.png")]) == 0
    assert count_found(tmp_path / "out") == {"5.png": 5}
    text = MemberView(open_model(ink), View(160, "stride", TextView(14, 96)))
    swapped = Ensemble(path, (text, text.at(160)), ensemble.params, ensemble.tuned_on)
    (found,) = swapped.find([PageFile("5.png", scans / "5.png")])
    assert len(found.detections) == 5


def test_a_view_of_the_text_has_no_fixed_size(ink, scans, tmp_path, capsys):
    told = ["predict", f"checkpoint_path={ink}", f"output={tmp_path / 'out'}", str(scans / "1.png")]
    assert main([*told, "transforms.view=text", "transforms.pad=square"]) == 2
    assert "set pad=stride" in capsys.readouterr().err


def test_the_studio_shows_maps_of_views_of_the_text(text_run):
    studio = studio_of(text_run)
    for page, about in zip(studio._truth, studio.about().pages, strict=True):
        shown = studio.runs[0].scores.map(page)
        assert shown.looks
        in_view = np.median(text_heights(list(page.polygons))) * shown.scale
        assert about.text_height == pytest.approx(in_view, abs=0.1)
