"""Prediction of many files, by an exported model: what goes in, what a kill leaves, shards, and memory."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from hmean.cli import main
from hmean.commands import predict
from hmean.ensemble.members import Ensemble
from hmean.images import page_paths, read_image
from hmean.inference import prediction
from hmean.inference.exported import ExportedModel
from hmean.inference.metadata import read_metadata, write_metadata
from hmean.inference.prediction import ModelPredictor
from hmean.inference.trained import PageFile
from hmean.postprocess.decoding import PageMap
from hmean.settings.overrides import Arguments, split_arguments
from hmean.types import Detections
from support.models import write_ensemble
from support.pages import count_found as found
from support.pages import drawn_page as drawn


def test_pages_of_tiff_and_pdf_files_have_names_of_their_own(ink, scans, tmp_path):
    pytest.importorskip("pypdfium2")
    drawn(1).save(scans / "letter.pdf", save_all=True, append_images=[drawn(6)], resolution=150)
    assert main(["predict", f"checkpoint_path={ink}", f"output={tmp_path / 'a'}", str(scans)]) == 0
    book = {f"more/book.tif#page={i}": i + 1 for i in (1, 2, 3)}
    pdf = {"letter.pdf#page=1": 1, "letter.pdf#page=2": 6}
    assert found(tmp_path / "a") == {**{f"{i}.png": i for i in range(1, 7)}, **pdf, **book, "more/one.tif": 5}
    assert read_image(scans / "letter.pdf").shape == read_image(scans / "1.png").shape  # 150 dpi
    assert np.array_equal(read_image(scans / "more" / "book.tif#page=2"), np.asarray(drawn(3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", None)  # a page is read without the rest of its file
        assert np.array_equal(read_image(scans / "letter.pdf#page=1"), read_image(scans / "letter.pdf"))
        assert len(page_paths(scans / "letter.pdf")) == 2
    assert read_image(io.BytesIO((scans / "letter.pdf").read_bytes())).shape == read_image(scans / "1.png").shape
    with pytest.raises(predict.InputError, match="9"):
        read_image(scans / "letter.pdf#page=9")
    (scans / "odd#page=2.png").write_bytes((scans / "3.png").read_bytes())  # a file of this name is itself
    assert page_paths(scans / "odd#page=2.png") == [scans / "odd#page=2.png"]
    assert np.array_equal(read_image(scans / "odd#page=2.png"), np.asarray(drawn(3)))
    one = [
        "predict",
        f"checkpoint_path={ink}",
        f"output={tmp_path / 'b'}",
        "maps=true",
        str(scans / "more" / "book.tif#page=3"),
        str(scans / "odd#page=2.png"),
    ]
    assert main(one) == 0
    assert found(tmp_path / "b") == {"book.tif#page=3": 4, "odd#page=2.png": 3}
    assert split_arguments(["a=b" * 99, "~key", "--", "c=d"]) == Arguments(("c=d",), ("a=b" * 99, "~key"))


def test_globs_and_lists(ink, scans, tmp_path, monkeypatch, capsys):
    told = ["predict", f"checkpoint_path={ink}", "predict.overlays=0"]
    assert main([*told, f"output={tmp_path / 'a'}", str(scans / "**" / "*.tif"), str(scans / "[12].png")]) == 0
    assert found(tmp_path / "a") == {
        "book.tif#page=1": 2,
        "book.tif#page=2": 3,
        "book.tif#page=3": 4,
        "one.tif": 5,
        "1.png": 1,
        "2.png": 2,
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{scans / '4.png'}\n\n{scans / '3.png'}\n{scans / '4.png'}\n"))
    assert main([*told, f"output={tmp_path / 'b'}", "-"]) == 0
    assert list(found(tmp_path / "b")) == ["4.png", "3.png"]
    monkeypatch.setattr(
        sys,
        "stdin",
        io.StringIO(f"{scans / '4.png'}\n{scans / 'gone.png'}\n{scans / 'book.pdf'}\n{tmp_path / 'bare'}\n"),
    )
    (tmp_path / "bare").mkdir()
    assert main([*told, f"output={tmp_path / 'd'}", "maps=true", "-"]) == 2
    assert found(tmp_path / "d") == {"4.png": 4, "gone.png": 0, "book.pdf": 0, "bare": 0}
    skipped = json.loads((tmp_path / "d/manifest.json").read_text())["skipped"]
    assert skipped[:2] == [f"{scans / name}: no such image" for name in ("gone.png", "book.pdf")]
    assert skipped[2:] == [f"{tmp_path / 'bare'}: is a folder that holds no images"]
    assert "3 images were skipped" in capsys.readouterr().err
    assert main([*told, f"output={tmp_path / 'c'}", str(scans / "*.jpg"), "none"]) == 2
    assert capsys.readouterr().err.count("not found, neither as a file or folder") == 2


def test_the_images_of_a_label_file_are_beside_it(ink, scans, tmp_path, monkeypatch, capsys):
    entry = {"img_w": 120, "img_h": 200, "words": {}}
    (scans / "labels.json").write_text(json.dumps({"images": {"1.png": entry, "3.png": entry}}))
    told = ["predict", f"checkpoint_path={ink}", str(scans / "labels.json")]
    assert main([*told, f"output={tmp_path / 'a'}"]) == 0
    assert found(tmp_path / "a") == {"1.png": 1, "3.png": 3}
    assert main(["score", str(scans / "labels.json"), str(tmp_path / "a/predictions.json")]) == 0
    (tmp_path / "other").mkdir()
    drawn(6).save(tmp_path / "other" / "1.png")
    key = "datasets.predict_dataset.image_path"
    assert main([*told, f"output={tmp_path / 'b'}", f"{key}={tmp_path / 'other'}"]) == 2  # 3.png is skipped
    assert found(tmp_path / "b")["1.png"] == 6
    assert main([*told, f"output={tmp_path / 'c'}", f"{key}={tmp_path}"]) == 2
    assert f"none of its images is in {tmp_path}; set {key}=FOLDER" in capsys.readouterr().err


def test_shards_are_disjoint_and_complete_and_are_joined(ink, scans, tmp_path, capsys, monkeypatch):
    (scans / "0.png").write_bytes(b"broken")
    told = ["predict", f"checkpoint_path={ink}", "predict.overlays=0", str(scans)]
    out = tmp_path / "out"
    assert main([*told, f"output={tmp_path / 'whole'}"]) == 2
    for i in (3, 1, 2):
        assert main([*told, f"output={out}", f"shard={i}/3"]) == 0
    assert not (out / "predictions.json").exists()
    shards = [
        [json.loads(line)["page"][0] for line in path.read_text().splitlines()[1:]]
        for path in sorted((out / "journal").iterdir())
    ]
    assert len(shards) == 3
    assert sorted(name for shard in shards for name in shard) == sorted(
        found(tmp_path / "whole")
    )  # none is missing, none is there twice
    other = [*told, f"output={out}", "models.head.postprocess.thresh=0.9"]
    assert main(other) == 2
    assert "other values" in capsys.readouterr().err
    asked = []  # what is left for the network: what could not be read
    real = ModelPredictor.maps
    monkeypatch.setattr(ModelPredictor, "maps", lambda self, pages, how: asked.extend(pages) or real(self, pages, how))
    assert main([*told, f"output={out}"]) == 2
    assert asked == [("0.png", scans / "0.png")]
    assert "0.png" in capsys.readouterr().err
    for name in ("predictions.json", "submission.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (out / "journal").exists()
    monkeypatch.undo()
    for wrong in ("4/3", "0/3", "x"):
        assert main([*told, f"output={out}", f"shard={wrong}"]) == 2
        assert "shard" in capsys.readouterr().err


def test_an_ensemble_predicts_as_one_model_does(ink, scans, tmp_path, monkeypatch, capsys):
    """In shards, with a journal, overlays and a manifest."""
    write_ensemble(tmp_path, ink, [160, 192])
    (scans / "0.png").write_bytes(b"broken")
    told = ["predict", f"checkpoint_path={tmp_path / 'ensemble.json'}", str(scans)]
    out = tmp_path / "out"
    assert main([*told, f"output={out}", "shard=2/2"]) == 0
    assert main([*told, f"output={out}", "shard=1/2"]) == 0
    assert "5 pages" in capsys.readouterr().out
    asked = []  # what is left for the networks: what could not be read
    real = Ensemble.maps
    with monkeypatch.context() as patch:
        patch.setattr(Ensemble, "maps", lambda self, pages, **how: asked.extend(pages) or real(self, pages, **how))
        assert main([*told, f"output={out}"]) == 2
    assert asked == [("0.png", scans / "0.png")]
    assert main([*told, f"output={tmp_path / 'whole'}"]) == 2
    assert (out / "predictions.json").read_bytes() == (tmp_path / "whole" / "predictions.json").read_bytes()
    assert sum(found(out).values()) == 21 + 9 + 5
    assert len(list((tmp_path / "whole" / "overlays").iterdir())) == 10
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["checkpoint"] == "../ensemble.json"
    assert [member["long_side"] for member in manifest["members"]] == [160, 192]
    assert len(manifest["skipped"]) == 1
    assert main([*told, f"output={tmp_path / 'maps'}", "maps=true"]) == 2
    assert "maps=true" in capsys.readouterr().err
    assert main([*told, f"output={tmp_path / 'other'}", "models.head.postprocess.thresh=0.1"]) == 2
    assert "has its own models, sizes and thresholds; remove models.head.postprocess.thresh" in capsys.readouterr().err
    assert main([*told, f"output={tmp_path / 'other'}", "++models.head.postprocess.thresh=0.1"]) == 2
    assert main(["tune", f"checkpoint_path={tmp_path / 'ensemble.json'}"]) == 2
    assert "everything else is done with its members" in capsys.readouterr().err
    # A model that cannot be started leaves nothing that stands in another's way.
    (tmp_path / "ink.onnx").write_bytes(ink.read_bytes())
    write_metadata(tmp_path / "ink.onnx", read_metadata(ink).model_copy(update={"network_hash": None}))
    again = ["predict", str(scans), f"output={tmp_path / 'again'}"]
    assert main([*again, f"checkpoint_path={tmp_path / 'ink.onnx'}"]) == 2
    assert "export the model again" in capsys.readouterr().err
    assert main([*again, f"checkpoint_path={ink}"]) == 2
    assert "1 images were skipped" in capsys.readouterr().err
    assert main(["score", str(tmp_path / "again/predictions.json"), str(tmp_path / "again/predictions.json")]) == 2
    assert "the image could not be read at prediction" in capsys.readouterr().err


def test_nothing_to_read_is_no_success(ink, scans, tmp_path, monkeypatch, capsys):
    os.mkfifo(tmp_path / "pipe.png")
    told = ["predict", f"checkpoint_path={ink}", f"output={tmp_path / 'out'}"]
    for argument, reason in ((str(scans / "m*"), "matches files"), (str(tmp_path / "pipe.png"), "not found"), ("-", "lists no image")):  # fmt: skip
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
        assert main([*told, argument]) == 2
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_read_are_counted(ink, scans, tmp_path, capsys):
    for name in ("a.heic", "b.HEIC", "c.jp2", "more/thumbs.db", ".d.heic"):
        (scans / name).write_bytes(b"")
    (scans / "gone.png").symlink_to(tmp_path / "nowhere")
    drawn(6).save(scans / "e.gif")
    told = ["predict", f"checkpoint_path={ink}", f"output={tmp_path / 'out'}"]
    assert main([*told, str(scans)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert "11 of 11 images (4 files left out: .heic 2, .jp2 1, broken link 1): " in said
    assert found(tmp_path / "out")["e.gif"] == 6
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "a.heic").write_bytes(b"")
    assert main([*told, "overwrite=true", str(tmp_path / "phone")]) == 2
    assert "holds no images (1 files left out: .heic 1)" in capsys.readouterr().err


def test_overlays_are_numbered_by_all_that_was_asked_for(ink, scans, tmp_path):
    told = ["predict", f"checkpoint_path={ink}", f"output={tmp_path / 'out'}"]
    overlays = tmp_path / "out" / "overlays"
    assert main([*told, str(scans / "1.png"), str(scans / "2.png"), "shard=1/2"]) == 0  # as if killed after 1.png
    assert main([*told, *(str(scans / f"{i}.png") for i in (1, 2, 3))]) == 0
    assert sorted(p.name for p in overlays.iterdir()) == ["000001_2.jpg", "000002_3.jpg"]
    assert main([*told, str(scans / "4.png"), "overwrite=true"]) == 0
    assert [p.name for p in overlays.iterdir()] == ["000000_4.jpg"]


def test_memory_stays_flat_over_100_000_files(ink, tmp_path, monkeypatch):
    """By a detector that finds nothing; what grows is measured between a tenth of the way and its end."""
    files = 100_000
    asked = [(f"{i:06d}.png", Path(f"/nowhere/{i:06d}.png")) for i in range(2 * files)]
    page = np.zeros((32, 32), np.uint8)
    resident: list[int] = []

    def run(images, *, batch_size, workers):
        for position, (name, _) in enumerate(images):
            if position in (files // 10, files - 1):
                resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            yield PageMap(name, page, np.eye(3), 32, 32)

    monkeypatch.setattr(predict, "input_files", lambda _: [PageFile(*page) for page in asked])
    monkeypatch.setattr(ExportedModel, "start", lambda *_: run)
    nothing = Detections.empty()
    monkeypatch.setattr(prediction, "detect", lambda *_: nothing)
    assert main(["predict", f"checkpoint_path={ink}", f"output={tmp_path}", "predict.overlays=0", "shard=2/2"]) == 0
    assert resident[1] - resident[0] < 20e6  # 220 bytes a page would be that
    with (tmp_path / "journal" / "2-of-2.jsonl").open() as file:
        assert sum(1 for _ in file) == files + 1
