"""What is particular about single formats."""

import json

import numpy as np
import PIL.Image
import pytest

from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.runs.journal import Journal, PageKey
from hmean.types import Detections, Polygons

SQUARE = [[10, 10], [30, 10], [30, 20], [10, 20]]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "shop").mkdir(parents=True)
    for name in ("a.png", "shop/b.png"):
        PIL.Image.new("L", (100, 50)).save(folder / name)
    return folder


def opened(tmp_path, images, content, name="labels.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return open_labels(path, images)


# --- paths of images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("C:\\scans\\a.png", "a.png"),
        ("/home/me/shop/b.png", "shop/b.png"),
        ("../../etc/shop/b.png", "shop/b.png"),
        ("shop\\b.png", "shop/b.png"),
        ("/home/me/none.png", "home/me/none.png"),
        ("../none.png", "none.png"),
    ],
)
def test_paths_of_other_machines_are_found_in_the_folder_and_never_outside(tmp_path, images, written, name):
    labels = opened(tmp_path, images, f"{written}\t[]\n")
    assert list(labels.names) == [name]


def test_a_name_of_nothing_or_of_a_whole_book_is_refused(tmp_path, images):
    with pytest.raises(InputError, match="names an image with an empty text"):
        opened(tmp_path, images, {"images": [{"id": 1, "file_name": ".."}]})
    with pytest.raises(InputError, match="names an image with 5,000 characters"):
        opened(tmp_path, images, {"images": [{"id": 1, "file_name": "n" * 5000}]})


# --- Label Studio -----------------------------------------------------------------------------------------------------


def task(value, image="/data/local-files/?d=a.png", **more):
    result = {
        "id": "r",
        "original_width": 100,
        "original_height": 50,
        "value": value,
        "type": "rectanglelabels",
        **more,
    }
    return [{"data": {"image": image}, "annotations": [{"result": [result]}]}]


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/0a1b2c3d-a.png",
        "/data/local-files/?d=any%2Ffolder/a.png",
        "https://bucket.example/x/a.png?X-Amz-Signature=77",
        "s3://bucket/x/a.png",
        "a.png",
    ],
)
def test_label_studio_images(tmp_path, images, image):
    labels = opened(tmp_path, images, task({"x": 10, "y": 20, "width": 20, "height": 20}, image))
    assert list(labels.names) == ["a.png"]
    assert np.allclose(labels.page(0).polygons[0], SQUARE)


@pytest.mark.parametrize(
    ("value", "more", "fault"),
    [
        ({"x": 10, "y": 20, "width": "20", "height": 20}, {}, "x, y, width and height are"),
        ({"points": [[10], [20], [15]]}, {}, "points is not a list"),
        ({"points": [[1, 2], [2]]}, {}, "points is "),
        ({"x": 10, "y": 20, "radiusX": 20, "radiusY": 20}, {"type": "ellipselabels"}, "is of the type ellipselabels"),
        ({"x": 1, "y": 2, "width": 9, "height": 9}, {"image_rotation": 90}, "was drawn on a turned image"),
    ],
)
def test_label_studio_faults(tmp_path, images, value, more, fault):
    with pytest.raises(InputError, match=rf"a\.png: word r: {fault}"):
        opened(tmp_path, images, task(value, **more)).page(0)


def test_label_studio_tasks_without_annotations_are_unlabelled(tmp_path, images):
    prediction = {"result": task({"x": 1, "y": 1, "width": 9, "height": 9})[0]["annotations"][0]["result"]}
    one = {"data": {"ocr": "a.png", "group": "shop"}, "predictions": [prediction]}
    page = opened(tmp_path, images, one).page(0)
    assert (page.words_known, page.group, page.width) == (False, "shop", 100)
    with pytest.raises(InputError, match=r"the data of task 1 names no image: .*'text': 'hello'"):
        opened(tmp_path, images, {"data": {"text": "hello"}})


# --- others -----------------------------------------------------------------------------------------------------------


def test_labelme_shapes_that_are_no_outlines_are_faults(tmp_path, images):
    shapes = [
        {"label": "A", "points": [[5, 5], [9, 9]], "shape_type": "circle"},
        {"label": "B", "shape_type": "polygon"},
        {"label": "text", "points": SQUARE, "shape_type": "polygon"},
    ]
    labels = opened(tmp_path, images, {"shapes": shapes, "imagePath": "a.png", "imageWidth": 100, "imageHeight": 50})
    faults = []
    assert labels.page(0, faults).texts == (None,)  # "text" is what it is, not what it reads
    assert faults == [
        "a.png: word 0001: is a circle; hmean reads polygons and rectangles",
        "a.png: word 0002: points of the shape 'B' are missing",
    ]


def test_via_shapes_that_are_no_outlines_are_faults(tmp_path, images):
    regions = [
        {"shape_attributes": {"name": "ellipse", "cx": 1}, "region_attributes": {}},
        {"shape_attributes": {"name": "polygon", "all_points_x": [1], "all_points_y": []}, "region_attributes": {}},
        {"shape_attributes": {"name": "rect", "x": 1}, "region_attributes": {}},
    ]
    faults = []
    opened(tmp_path, images, {"a.png1": {"filename": "a.png", "regions": regions}}).page(0, faults)
    assert [fault[fault.index("word") :] for fault in faults] == [
        "word 0001: is of the shape 'ellipse'; hmean reads polygons and rectangles",
        "word 0002: all_points_x and all_points_y are not two lists of one length",
        "word 0003: x, y, width and height are [1, None, None, None]",
    ]


def test_the_journal_of_a_prediction_is_read(tmp_path, images):
    with Journal(tmp_path / "journal.jsonl", {"weights_hash": "77"}) as journal:
        journal.write(PageKey("a.png", 1, 2), Detections(Polygons.of([SQUARE]), np.ones(1, np.float32)), 100, 50)
        journal.skip(PageKey("shop/b.png", 1, 2), "is damaged")
    labels = open_labels(tmp_path / "journal.jsonl", images)
    assert list(labels.names) == ["a.png"]
    assert labels.page(0).polygons[0].tolist() == SQUARE


def test_yolo_lines_of_all_kinds(tmp_path, images):
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a.txt").write_text(
        "0 0.2 0.3 0.2 0.2\n0 0.2 0.3 0.2 0.2 0.98\n0 .1 .2 .3 .2 .3 .4 .1 .4\n0 .1 .2 .3 .2 .3 .4 .1 .4 0.9\n0 .1 .2 .3 .2 .3 .4\n"
    )
    page = open_labels(folder, images).page(0)
    for polygon in list(page.polygons)[:4]:
        assert np.allclose(polygon, SQUARE)
    assert len(page.polygons[4]) == 3
    (folder / "a.txt").write_text("0 0.2 0.3 0.2 0.2\n0 0.2 x 0.2 0.2\n")
    with pytest.raises(
        InputError, match=r"a\.png: word 0002: line 2 is '0 0.2 x 0.2 0.2', not a class and the numbers"
    ):
        open_labels(folder, images).page(0)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("filename,polygons\na.png\n", r"line 2 has no polygons: \['a\.png'\]"),
        ('filename,polygons\na.png,"1 2 x"\n', "word 0001: is '1 2 x', not x y x y"),
        ("filename,polygons\na.png,1 2 3 4 5\n", "word 0001: has 5 numbers, not pairs"),
        ("a.png\t[]\nb.png []\n", "looks like a PaddleOCR label file, but line 2 has no tab"),
        ('a.png\t[{"transcription": "A"}]\n', r"line 1: looks like a PaddleOCR label file, but \[0\] has no points"),
        ('{"name": "a.png", "img_w": 9, "img_h": 9}\n{"img_w": 9}\n', "line 2 has no name"),
        ('{"valid_line": [{"words": [{"quad": 5}]}]}', 'quad is 5, not {"x1"'),
        ('{"a.png": {"polygons": 5}}', "looks like a docTR label file, but"),
        ('{"file_name": "a.png", "annotations": [{}]}', "bbox is None"),
    ],
)
def test_faults_of_lines_and_keys(tmp_path, images, content, fault):
    name = "a.json"
    with pytest.raises(InputError, match=fault):
        opened(tmp_path, images, content, name).page(0)


def test_several_polygons_by_class_in_doctr(tmp_path, images):
    labels = opened(tmp_path, images, {"a.png": {"polygons": {"words": [SQUARE], "dates": [[10, 10, 30, 20]]}}})
    assert [polygon.tolist() for polygon in labels.page(0).polygons] == [SQUARE, SQUARE]
