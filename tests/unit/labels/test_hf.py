"""Data sets of Hugging Face: how their columns and boxes are understood, and the images in their files."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmean.errors import InputError
from hmean.images import image_size
from hmean.labels.formats import format_of_name, open_labels, write_labels
from hmean.labels.hf_tables import write_images
from hmean.types import Page, Polygons

FILES = Path(__file__).parent / "files"
BOXES = [[20, 30, 100, 54], [140, 30, 180, 50], [20, 260, 90, 280]]
CORNERS = [[left, top] for left, top, _, _ in BOXES]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    PIL.Image.new("L", (200, 300)).save(folder / "a.png")
    PIL.Image.new("L", (200, 300)).save(folder / "b.png")
    return folder


def rows_file(tmp_path, *rows):
    path = tmp_path / "metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(boxes, name="a.png", key="bboxes", **others):
    return {"file_name": name, key: boxes, **others}


def sizes(boxes):
    return [[left, top, right - left, bottom - top] for left, top, right, bottom in boxes]


def of_page(boxes, by):
    return [
        [left * by / 200, top * by / 300, right * by / 200, bottom * by / 300] for left, top, right, bottom in boxes
    ]


# --- what boxes mean --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["right, bottom", "width, height"])
@pytest.mark.parametrize("unit", ["pixels", "thousandths of the page", "shares of the page"])
def test_the_numbers_say_how_boxes_are_written(tmp_path, images, shape, unit):
    boxes = BOXES
    if unit != "pixels":
        boxes = of_page(BOXES, 1000 if unit.startswith("thousandths") else 1)
    if shape == "width, height":
        boxes = sizes(boxes)
    labels = open_labels(rows_file(tmp_path, row(boxes)), images)
    expected = [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]] for x0, y0, x1, y1 in BOXES]
    for polygon, corners in zip(labels.page(0).polygons, expected, strict=True):
        assert np.allclose(polygon, corners)
    assert labels.remarks == [f"{tmp_path / 'metadata.jsonl'}: boxes are read as [left, top, {shape}] in {unit}"]


def test_large_pages_whose_boxes_end_at_1000_are_in_thousandths(tmp_path, images):
    PIL.Image.new("L", (1700, 2200)).save(images / "a.png")
    labels = open_labels(rows_file(tmp_path, row([[50, 40, 900, 60], [100, 900, 200, 950]])), images)
    assert labels.page(0).polygons[0].tolist()[2] == [900 * 1.7, 60 * 2.2]
    labels = open_labels(rows_file(tmp_path, row([[50, 40, 900, 60], [100, 900, 200, 1950]])), images)
    assert labels.page(0).polygons[0].tolist()[2] == [900, 60]


def test_a_few_wrong_boxes_do_not_decide(tmp_path, images):
    boxes = [[10, 5 * k + 20, 100, 5 * k + 24] for k in range(40)] + [[150, 20, 140, 24]]
    labels = open_labels(rows_file(tmp_path, row(boxes)), images)
    assert "right, bottom] in pixels" in labels.remarks[0]


def test_a_side_that_was_rounded_away_is_one_thousandth(tmp_path, images):
    boxes = [*of_page(BOXES, 1000), [500, 100, 500, 120]]
    page = open_labels(rows_file(tmp_path, row(boxes)), images).page(0)
    assert page.polygons[3].tolist() == [[100, 30], [100.2, 30], [100.2, 36], [100, 36]]


def test_words_in_one_box_are_one_word_and_boxes_of_nothing_are_none(tmp_path, images):
    boxes = [BOXES[0], BOXES[0], BOXES[1], [0, 0, 0, 0]]
    page = open_labels(rows_file(tmp_path, row(boxes, tokens=["CUP", "OF", "4.50", ""])), images).page(0)
    assert page.texts == ("CUP OF", "4.50")


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        row(BOXES, words=["A", "B", "C"], ignore=[False, True, False]),
        row(BOXES, key="boxes", texts=["A", "B", "C"], illegible=[0, 1, 0]),
        row(BOXES, key="objects") | {"objects": {"bbox": BOXES, "text": ["A", "B", "C"], "ignore": [0, 1, 0]}},
        row(BOXES, key="objects")
        | {"objects": [{"bbox": b, "text": t, "ignore": t == "B"} for b, t in zip(BOXES, "ABC", strict=True)]},
        row(
            [[[x, y], [x + 9, y], [x, y + 9]] for x, y in CORNERS],
            key="polygons",
            words=["A", "B", "C"],
            ignore=[0, 1, 0],
        ),
        row([[x, y, x + 9, y, x, y + 9] for x, y in CORNERS], key="quads", words=["A", "B", "C"], ignore=[0, 1, 0]),
    ],
)
def test_usual_columns(tmp_path, images, found):
    page = open_labels(rows_file(tmp_path, found), images).page(0)
    assert [polygon[0].tolist() for polygon in page.polygons] == CORNERS
    assert page.texts == ("A", "B", "C")
    assert page.ignored.tolist() == [False, True, False]


def test_faults_name_the_place(tmp_path, images):
    faults = []
    labels = open_labels(rows_file(tmp_path, row(BOXES, words=["A"]), row([*BOXES, ["x"]], "b.png")), images)
    labels.page(0, faults)
    labels.page(1, faults)
    assert faults[0] == "a.png: word 0001: line 1 has 3 boxes and 1 texts or flags"
    assert faults[1].startswith("b.png: word 0004: ")
    with pytest.raises(InputError, match="line 2 has no file_name"):
        open_labels(rows_file(tmp_path, row(BOXES), row(BOXES, None)), images)
    path = rows_file(tmp_path, row(BOXES))
    path.write_text(path.read_text() + "{")
    with pytest.raises(InputError, match="line 2: is not JSON"):
        open_labels(path, images)


def test_images_outside_of_the_folder_are_not_read(tmp_path, images):
    (images / "inner").mkdir()
    for written in (str(images / "b.png"), "../b.png"):
        labels = open_labels(rows_file(tmp_path, row(BOXES, written)), images / "inner")
        faults = []
        labels.page(0, faults)
        assert "no such image" in faults[0]


def test_rows_without_labels(tmp_path, images):
    labels = open_labels(rows_file(tmp_path, row([]), row(None, "b.png")), images)
    assert [labels.page(k).words_known for k in range(2)] == [True, False]


def test_images_lie_beside_their_metadata(tmp_path):
    for split in ("train", "test"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        PIL.Image.new("L", (200, 300)).save(folder / "0.png")
        rows_file(folder, row(BOXES, "0.png"))
    labels = open_labels(tmp_path / "data", tmp_path / "data")
    assert sorted(labels.names) == ["test/0.png", "train/0.png"]
    assert len(labels.remarks) == 2


# --- tables -----------------------------------------------------------------------------------------------------------


def test_images_in_a_file_are_written_out(tmp_path):
    path = FILES / "parquet" / "train-00000-of-00001.parquet"
    with pytest.raises(InputError, match=r"its images are in the file itself.*: hmean data convert .*parquet"):
        open_labels(path, tmp_path)
    assert write_images(path, tmp_path / "images") == 2
    labels = open_labels(path, tmp_path / "images")
    assert list(labels.names) == [f"train-00000-of-00001/receipt_{k}.png" for k in (1, 2)]
    assert len(labels.page(0).polygons) == 3
    assert image_size(tmp_path / "images" / labels.names[0]) == (200, 300)
    assert write_images(FILES / "save_to_disk", tmp_path / "disk") == 2
    assert len(open_labels(FILES / "save_to_disk", tmp_path / "disk").page(0).polygons) == 3
    assert write_images(FILES / "coco", tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()


def test_names_in_a_file_lead_nowhere_else(tmp_path):
    png = (tmp_path / "x.png", PIL.Image.new("L", (200, 300)))
    png[1].save(png[0])
    paths = ["../../a.png", "same.png", "same.png", "run.sh", None, "n" * 300 + ".png", "a\x00.png", "..", "d\\e.JPG"]
    images = [{"bytes": png[0].read_bytes(), "path": path} for path in paths]
    pq.write_table(pa.table({"image": images, "bboxes": [BOXES] * len(paths)}), tmp_path / "t.parquet")
    write_images(tmp_path / "t.parquet", tmp_path / "images")
    written = sorted(file.relative_to(tmp_path / "images").as_posix() for file in (tmp_path / "images").rglob("*.*"))
    assert written == sorted(["t/a.png", *(f"t/{k:06d}.png" for k in range(1, 8)), "t/000008.jpg"])
    assert len(open_labels(tmp_path / "t.parquet", tmp_path / "images").names) == len(paths)


def test_tables_with_names_of_images(tmp_path, images):
    table = pa.table({"image": ["a.png", "x/b.png"], "words": [["A", "B", "C"], []], "boxes": [BOXES, []]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    labels = open_labels(tmp_path / "a.arrow", images)
    assert list(labels.names) == ["a.png", "b.png"]
    assert labels.page(0).texts == ("A", "B", "C")


def test_tables_that_are_no_labels_say_so(tmp_path, images):
    pq.write_table(pa.table({"image": ["a.png"], "label": [3]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"no column of boxes; its columns are \['image', 'label'\]"):
        open_labels(tmp_path / "a.parquet", images)
    pq.write_table(pa.table({"boxes": [BOXES]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 0 has no file_name and no image"):
        open_labels(tmp_path / "a.parquet", images)


def test_a_small_file_that_claims_many_rows_is_refused(tmp_path, images):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": pa.array(["a.png"] * 2_000_001), "boxes": pa.nulls(2_000_001)}), path)
    assert path.stat().st_size < 20_000
    with pytest.raises(InputError, match="2,000,001 rows"):
        open_labels(path, images)


def test_files_that_datasets_left_there_are_no_labels(tmp_path, images):
    pq.write_table(pa.table({"image": ["a.png"], "boxes": [BOXES]}), tmp_path / "a.parquet")
    (tmp_path / "cache-1234.arrow").write_bytes(b"\xff\xff\xff\xff")
    assert list(open_labels(tmp_path, images).names) == ["a.png"]


def test_without_pyarrow_the_extra_is_named(tmp_path, images, monkeypatch):
    find = importlib.util.find_spec
    path = FILES / "parquet"
    monkeypatch.setattr("hmean.labels.hf_tables.find_spec", lambda name: None if name == "pyarrow" else find(name))
    with pytest.raises(InputError, match=r"pip install 'hmean\[parquet\]'"):
        open_labels(path, images)
    with pytest.raises(InputError, match=r"pip install 'hmean\[parquet\]'"):
        write_labels(tmp_path / "out", format_of_name("parquet"), [])


@pytest.mark.parametrize("name", ["hf", "parquet"])
def test_halves_of_characters_are_lost_and_told(tmp_path, images, name):
    page = Page("a.png", 200, 300, Polygons.of([[[1, 1], [9, 1], [9, 9]]]), texts=("a\ud800",))
    lost = write_labels(tmp_path / "labels", format_of_name(name), [page])
    assert lost.texts == 1
    assert open_labels(tmp_path / "labels", images).page(0).texts == (None,)
