"""A detector without torch: everything that is an image goes in, the batch plays no part, parameters are checked."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import hmean
from hmean.cli import main
from hmean.errors import InputError
from hmean.images import read_image
from hmean.inference import onnx_file
from hmean.inference.bundled import BUNDLED
from hmean.inference.metadata import ExportedMetadata, network_bytes, network_hash, read_metadata, write_metadata
from hmean.inference.opening import open_model
from hmean.labels.formats import open_labels
from hmean.metrics.scorer import Scorer
from hmean.synth.dataset import write_dataset
from support.pages import drawn_page


@pytest.fixture(scope="module")
def detector(ink):
    return hmean.load(ink, threads=1)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "page.png"
    drawn_page(7).save(path)
    return path


def same(a, b) -> bool:
    return np.array_equal(a.polygons.points, b.polygons.points) and np.array_equal(a.scores, b.scores)


def test_whatever_is_an_image_gives_the_same_regions(detector, photo):
    pixels = read_image(photo)
    found = detector(photo)
    assert len(found) == 7
    for source in (str(photo), photo.read_bytes(), PIL.Image.fromarray(pixels), pixels):
        assert same(detector(source), found)
    listed = detector([photo, pixels])
    assert isinstance(listed, list)
    assert all(same(one, found) for one in listed)
    assert detector([]) == []
    grey = pixels[..., 1]
    assert same(detector(grey), detector(np.repeat(grey[..., None], 3, axis=2)))
    for wrong in (pixels.astype(np.float32), pixels[..., :2], 7, b"nothing", "missing.jpg", pixels[:0]):
        with pytest.raises(InputError):
            detector(wrong)


def test_regions_do_not_depend_on_the_batch(detector, receipts, rng):
    pages = [read_image(file) for file in sorted((receipts / "images").glob("*.jpg"))]
    pages += [np.ascontiguousarray(page[: rng.integers(40, 150), : rng.integers(40, 150)]) for page in pages]
    assert len({(m.probability.shape) for m in detector.maps(pages)}) > 3  # canvases of different size
    together = detector.detect(pages)
    assert sum(map(len, together)) > 10
    for page, found in zip(pages, together, strict=True):
        assert same(detector.detect([page])[0], found)


def test_parameters_hold_for_one_call_and_are_checked(detector, photo):
    before = detector(photo)
    few = detector(photo, max_candidates=2)
    assert len(few) == 2
    assert same(few, before.select(np.arange(2)))
    assert same(detector(photo), before)
    with pytest.raises(InputError, match="tresh: unknown"):
        detector(photo, tresh=0.2)
    with pytest.raises(InputError, match="box_thresh must lie"):
        detector(photo, box_thresh=2)
    for wrong in ({"use_polygon": "false"}, {"max_candidates": 2.5}, {"unclip_ratio": float("inf")}, {"thresh": True}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            detector(photo, **wrong)


def test_the_unclip_mode_follows_its_value(detector, photo):
    """unclip_ratio and inverse_r belong to one rule each; a value that is not read would be obeyed by nobody."""
    assert detector.params.unclip == "inverse"
    assert same(detector(photo, unclip_ratio=2.0), detector(photo, unclip="ratio", unclip_ratio=2.0))
    assert not same(detector(photo, unclip_ratio=2.0), detector(photo))
    assert same(detector(photo, **detector.params.to_dict()), detector(photo))
    with pytest.raises(InputError, match="unclip_ratio is not read with unclip=inverse"):
        detector(photo, unclip="inverse", unclip_ratio=2.0)
    assert same(detector(photo, growth="ratio"), detector(photo, unclip="ratio"))  # its name in earlier versions


def test_a_changed_network_is_refused(ink, tmp_path):
    path = tmp_path / "flipped.onnx"
    data = bytearray(ink.read_bytes())
    at = data.index(np.float32(115).tobytes())
    data[at : at + 4] = np.float32(116).tobytes()
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged or changed"):
        hmean.load(path)


def test_metadata_is_replaced_and_the_network_is_not_touched(ink, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "a b.onnx"
    path.write_bytes(ink.read_bytes())
    metadata, network = read_metadata(path), network_bytes(path)
    params = replace(metadata.postprocess, thresh=0.41)
    changed = metadata.model_copy(update={"postprocess": params, "classes": ("글자" * 100,)})
    for _ in range(2):
        write_metadata(path, changed)
    assert read_metadata(path).to_json() == changed.to_json()
    assert hmean.load(path).params.thresh == 0.41
    model = onnx.load(path)  # the library reads what we wrote
    onnx.checker.check_model(model)
    (entry,) = model.metadata_props
    assert json.loads(entry.value) == {"format": 1, **changed.to_json()}
    del model.metadata_props[:]
    assert model.SerializeToString() == network
    assert network_bytes(path) == network == network_bytes(ink)


def test_the_bundled_model_is_as_it_was_exported():
    path = BUNDLED["receipts-lite"]
    metadata = read_metadata(path)
    assert network_hash(path) == metadata.network_hash
    assert metadata.postprocess.unclip == "inverse"
    assert metadata.provenance.scores.split == "val"
    assert metadata.check.same_boxes > 0.98
    training = metadata.provenance.training
    assert training.seed in (42, 1, 2)
    assert (training.schedule.epochs, training.schedule.batch_size) == (12, 4)
    assert not training.git.dirty
    assert not metadata.provenance.export.git.dirty
    (start,) = training.started_from
    assert (start.title, start.licence) == ("PP-OCRv6 small", "Apache-2.0")
    assert "PaddlePaddle" in start.holder


def test_metadata_of_an_earlier_version_tells_the_training_apart_from_the_export(ink):
    values = read_metadata(ink).to_json()
    values["config"]["seed"] = 5
    values["provenance"] = {
        "exported": "2026-11-26T02:39:24",
        "checkpoint_hash": "abc",
        "hmean": "0.0.9",
        "config_hash": "def",
        "data_hash": {"train": "123"},
        "git": {"commit": "456", "dirty": True},
        "versions": {"torch": "2.6"},
    }
    found = ExportedMetadata.parse(values, ink).provenance
    assert found.export.to_json() == {
        "hmean": "0.0.9",
        "git": {"commit": "456", "dirty": True},
        "versions": {"torch": "2.6"},
        "date": "2026-11-26T02:39:24",
        "seconds": None,
    }
    assert (found.training.seed, found.training.config_hash, found.training.data_hash) == (5, "def", {"train": "123"})
    assert found.training.git is found.training.versions is found.training.minutes is None
    del values["provenance"]["checkpoint_hash"]
    with pytest.raises(InputError, match=r"provenance\.checkpoint_hash"):
        ExportedMetadata.parse(values, ink)


def test_writing_needs_onnx_and_says_so(ink, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(ink.read_bytes())
    monkeypatch.setattr(onnx_file, "find_spec", lambda _: None)
    model = open_model(path)
    for write in (model.require_writable, lambda: model.write_postprocess(model.postprocess, "because", [1])):
        with pytest.raises(InputError, match=r"needs the onnx package; install it with: pip install 'hmean\[export\]'"):
            write()
    assert path.read_bytes() == ink.read_bytes()


def test_a_file_that_another_program_wrote_is_refused(ink, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    model = onnx.load(ink)
    onnx.helper.set_model_props(model, {p.key: p.value for p in model.metadata_props} | {"more": "x"})
    onnx.save(model, path)
    with pytest.raises(InputError, match="changed"):
        hmean.load(path)


def test_what_is_no_model_of_ours_is_told_in_one_message(ink, tmp_path):
    onnx = pytest.importorskip("onnx")
    cut, strange, plain = (tmp_path / f"{name}.onnx" for name in ("cut", "strange", "plain"))
    cut.write_bytes(ink.read_bytes()[:-40])
    strange.write_bytes(b"\x08\x08\x12\x01x")
    model = onnx.load(ink)
    del model.metadata_props[:]
    onnx.save(model, plain)
    none = tmp_path / "none.onnx"
    for path, message in ((cut, "damaged"), (strange, "damaged"), (plain, "hmean export"), (none, "not found")):
        with pytest.raises(InputError, match=message):
            hmean.load(path)
        with pytest.raises(InputError, match=message):
            open_model(path)


def test_what_is_no_export_says_what_to_do(tmp_path):
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(InputError, match=r"best.ckpt: is not an exported model .* hmean export checkpoint_path="):
        hmean.load(tmp_path / "best.ckpt")
    with pytest.raises(InputError, match="receipts-lite"):
        hmean.load("receipts_lite")
    with pytest.raises(InputError, match="threads"):
        hmean.load("receipts-lite", threads=0)


def test_the_bundled_model_finds_what_was_drawn_and_is_never_written_to(receipts, tmp_path, capsys):
    file = BUNDLED["receipts-lite"]
    before = file.read_bytes()
    assert len(before) < 10_000_000
    write_dataset(tmp_path / "drawn", train=0, val=0, test=3, seed=11, level="line", long_side=(800, 1000))
    pages = open_labels(tmp_path / "drawn" / "jsons" / "test.json", tmp_path / "drawn" / "images")
    scorer = Scorer("transcription")
    for i, name in enumerate(pages.names):
        scorer.update(pages.page(i), hmean.load("receipts-lite", threads=1)(tmp_path / "drawn" / "images" / name))
    assert scorer.compute().macro.h > 0.9
    assert main(["tune", "checkpoint_path=receipts-lite", f"dataset_base_path={receipts}", "evaluate_on=test"]) == 2
    assert "copy" in capsys.readouterr().err
    assert file.read_bytes() == before
