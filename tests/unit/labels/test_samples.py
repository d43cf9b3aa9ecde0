"""Small files as other tools write them: how each is read, and that damage to any of them ends in a clear message."""

import random
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hmean.errors import InputError
from hmean.labels import whole_file
from hmean.labels.formats import FORMATS, open_labels, recognised
from hmean.labels.peek import Peek
from support.damaged_labels import damaged

FILES = Path(__file__).parent / "files"
# A folder of files, what is opened in it, and its format.
SAMPLES = [
    ("ufo", "labels.json", "ufo"),
    ("jsonl", "labels.jsonl", "jsonl"),
    ("icdar13", ".", "icdar"),
    ("icdar15", ".", "icdar"),
    ("coco", "instances_default.json", "coco"),
    ("labelstudio", "project-1-at-2024-03-02.json", "labelstudio"),
    ("labelme", ".", "labelme"),
    ("via", "via_project_2Mar2024.json", "via"),
    ("via1", "via_region_data.json", "via"),
    ("paddle", "Label.txt", "paddle"),
    ("paddle", ".", "paddle"),
    ("doctr", "labels.json", "doctr"),
    ("cord", ".", "cord"),
    ("wildreceipt", "train.txt", "wildreceipt"),
    ("funsd", ".", "funsd"),
    ("xfund", "zh.val.json", "xfund"),
    ("yolo-obb", ".", "yolo-obb"),
    ("yolo", ".", "yolo-obb"),  # one reader for both
    ("csv", "submission.csv", "csv"),
    ("cvat", "annotations.xml", "cvat"),
    ("page", ".", "page"),
    ("alto", ".", "alto"),
    ("hocr", ".", "hocr"),
    ("hf", "metadata.jsonl", "hf"),
    ("hf-csv", "metadata.csv", "hf"),
    ("parquet", "train-00000-of-00001.parquet", "parquet"),
    ("parquet", ".", "parquet"),
    ("save_to_disk", ".", "parquet"),
]
QUADS = [[[20, 30], [100, 34], [99, 54], [19, 50]], [[140, 30], [180, 30], [180, 50], [140, 50]],
         [[20, 260], [90, 260], [90, 280], [20, 280]]]  # fmt: skip
IDS = [f"{folder}/{name}" for folder, name, _ in SAMPLES]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    PIL.Image.new("L", (200, 300)).save(folder / "receipt_1.png")
    PIL.Image.new("L", (300, 200)).save(folder / "receipt_2.png")
    return folder


def format_of(path):
    """The format of a file, or of those in a folder."""
    found = recognised(Peek.of(path))
    if found is None:
        found = recognised(Peek.of(min(path.iterdir())))
    return found


def test_every_format_has_a_sample():
    assert {name for _, _, name in SAMPLES} | {"yolo"} == {found.name for found in FORMATS}


@pytest.mark.parametrize(("folder", "name", "format_name"), SAMPLES, ids=IDS)
def test_samples_are_read(folder, name, format_name, images):
    path = FILES / folder / name
    keeps = format_of(path).keeps
    assert format_of(path).name == format_name
    labels = open_labels(path, images)
    assert sorted(labels.names) == ["receipt_1.png", "receipt_2.png"]
    first, second = (labels.page(list(labels.names).index(f"receipt_{k}.png")) for k in (1, 2))
    assert (first.width, first.height, second.width, second.height) == (200, 300, 300, 200)
    assert len(second.polygons) == 0
    assert second.words_known
    assert len(first.polygons) == 3
    are_boxes = keeps.outline == "box" or folder in ("yolo", "icdar13", "hf-csv", "parquet", "save_to_disk")
    for found, quad in zip(first.polygons, np.array(QUADS), strict=True):
        if are_boxes:
            quad = np.concatenate([quad.min(axis=0), quad.max(axis=0)])
            found = np.concatenate([found.min(axis=0), found.max(axis=0)])
        assert np.allclose(sorted(found.tolist()), sorted(quad.tolist()), atol=0.01)
    if keeps.texts:
        assert first.texts[:2] == ("COFFEE", "4.50")
        assert first.ignored.tolist() == [False, False, True]


@pytest.mark.parametrize(("folder", "name", "format_name"), SAMPLES, ids=IDS)
def test_pages_without_a_fault_are_the_same_by_the_short_way(folder, name, format_name, images, monkeypatch):
    def read():
        labels = open_labels(FILES / folder / name, images)
        return [labels.page(k) for k in range(len(labels.names))]

    short = read()
    monkeypatch.setattr(whole_file, "_sound_page", lambda *_: None)
    for a, b in zip(short, read(), strict=True):
        assert np.array_equal(a.polygons.points, b.polygons.points)
        assert np.array_equal(a.polygons.offsets, b.polygons.offsets)
        assert a.ignored.tolist() == b.ignored.tolist()
        for field in ("name", "width", "height", "ids", "texts", "group", "words_known"):
            assert getattr(a, field) == getattr(b, field)


@pytest.mark.parametrize(("folder", "name", "format_name"), SAMPLES, ids=IDS)
def test_each_sample_is_of_one_format(folder, name, format_name):
    peeks = [Peek.of(FILES / folder / name)]
    if name == ".":
        peeks += [Peek.of(file) for file in sorted((FILES / folder).iterdir())]
    for peek in peeks:
        assert len([found.name for found in FORMATS if found.recognises(peek)]) <= 1


@pytest.mark.parametrize(("folder", "name", "format_name"), SAMPLES, ids=IDS)
def test_damaged_files_end_in_a_message_or_are_read(folder, name, format_name, images, tmp_path, mutations):
    """The program parameter HMEAN_MUTATIONS makes it thorough."""
    generator = random.Random(f"{folder}/{name}")
    whole = tmp_path / folder
    shutil.copytree(FILES / folder, whole)
    files = sorted(file for file in whole.rglob("*") if file.is_file())
    for _ in range(mutations):
        file = generator.choice([file for file in files if file.stat().st_size])
        content = file.read_bytes()
        file.write_bytes(damaged(content, generator))
        assert len(message_about(whole / name, images)) < 20_000
        file.write_bytes(content)


def message_about(path, images):
    """What is wrong with labels; empty if they can be read."""
    faults = []
    try:
        labels = open_labels(path, images)
        for index in range(len(labels.names)):
            labels.page(index, faults)
    except InputError as error:
        return str(error)
    return "\n".join(faults)
