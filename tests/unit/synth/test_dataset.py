from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from hmean.synth.dataset import STYLES, draw_receipt, write_dataset
from hmean.types import Polygons
from support import plane


@pytest.mark.parametrize("seed", range(6))
def test_same_seed_same_bytes(seed):
    image, page = draw_receipt(seed, long_side=480)
    draw_receipt(seed + 100, long_side=320)  # what was drawn between must not matter
    again, same = draw_receipt(seed, long_side=480)
    assert image.tobytes() == again.tobytes()
    assert page.polygons.points.tobytes() == same.polygons.points.tobytes()
    assert page.texts == same.texts
    assert image.dtype == np.uint8
    assert image.shape == (page.height, page.width, 3)
    assert max(image.shape) == 480


def test_seeds_differ():
    first, second = (draw_receipt(seed, long_side=320) for seed in (1, 2))
    assert first[1].texts != second[1].texts


@pytest.mark.parametrize("level", ["word", "line"])
def test_labels_lie_on_the_page_in_order(level):
    for seed in range(25):
        page = draw_receipt(seed, level=level, long_side=400)[1]
        assert len(page.polygons) > 3
        assert all(text and text.strip() == text for text in page.texts)
        low, high = page.polygons.points.min(axis=0), page.polygons.points.max(axis=0)
        assert (low >= 0).all()
        assert (high <= (page.width, page.height)).all()
        for quad in page.polygons:
            assert quad.shape == (4, 2)
            assert np.array_equal(plane.order_quad(quad), quad)


def test_line_polygons_hold_their_words():
    words, lines = (draw_receipt(3, level=level, long_side=600) for level in ("word", "line"))
    assert np.array_equal(words[0], lines[0])
    assert " ".join(map(str, words[1].texts)) == " ".join(map(str, lines[1].texts))
    assert len(lines[1].polygons) < len(words[1].polygons)
    at = 0
    for line, text in zip(lines[1].polygons, lines[1].texts, strict=True):
        for _ in text.split(" "):
            for corner in words[1].polygons[at]:
                assert cv2.pointPolygonTest(line.astype(np.float32), corner.tolist(), True) > -0.01
            at += 1


def test_labels_are_where_the_print_is():
    """In the finished picture the polygons differ from what lies between them."""
    darker = 0
    for seed in range(20):
        image, page = draw_receipt(seed, long_side=700)
        mask = np.zeros(image.shape[:2], dtype=np.uint8)
        for quad in page.polygons:
            cv2.fillConvexPoly(mask, np.round(quad).astype(np.int32), 1)
        ring = cv2.dilate(mask, np.ones((7, 7))) - mask
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        darker += gray[mask > 0].mean() < gray[ring > 0].mean() - 5
    assert darker >= 18


def test_dataset(tmp_path):
    seen = []
    splits = write_dataset(
        tmp_path / "a", train=5, val=2, test=1, seed=7, long_side=(300, 400), on_page=lambda i, n: seen.append((i, n))
    )
    assert seen == [(i, 8) for i in range(1, 9)]
    groups = {}
    for split, size in {"train": 5, "val": 2, "test": 1}.items():
        images = json.loads((tmp_path / "a" / "jsons" / f"{split}.json").read_text())["images"]
        assert len(images) == size == len(splits[split])
        groups[split] = {entry["group"] for entry in images.values()}
        for name, entry in images.items():
            picture = cv2.imread(str(tmp_path / "a" / "images" / name))
            assert picture.shape[:2] == (entry["img_h"], entry["img_w"])
            assert 300 <= max(picture.shape) <= 400
            quads = Polygons.of([word["points"] for word in entry["words"].values()])
            assert len(quads) == len(entry["words"]) > 3
            assert all(word["transcription"] for word in entry["words"].values())
    assert len(groups["train"]) == 2
    assert not groups["train"] & groups["val"]
    assert not groups["val"] & groups["test"]


def test_page_does_not_depend_on_the_count(tmp_path):
    write_dataset(tmp_path / "a", train=2, seed=7, long_side=(300, 400))
    write_dataset(tmp_path / "b", train=4, seed=7, long_side=(300, 400))
    for name in ("00000.jpg", "00001.jpg"):
        assert (tmp_path / "a" / "images" / name).read_bytes() == (tmp_path / "b" / "images" / name).read_bytes()
    a, b = (json.loads((tmp_path / k / "jsons" / "train.json").read_text())["images"] for k in "ab")
    assert a == {name: b[name] for name in a}


def test_refuses_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        write_dataset(tmp_path, train=1, long_side=(300, 300))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    write_dataset(tmp_path, train=2, long_side=(300, 300), overwrite=True)
    (tmp_path / "images" / "holiday.jpg").write_text("mine too")
    with pytest.raises(FileExistsError, match="holds a synthetic data set already"):
        write_dataset(tmp_path, train=1, long_side=(300, 300))
    (tmp_path / "jsons" / "test.json").unlink()
    write_dataset(tmp_path, train=1, long_side=(300, 300))  # one that was not finished: and the larger set is gone
    assert {path.name for path in (tmp_path / "images").iterdir()} == {"00000.jpg", "holiday.jpg"}
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("style", STYLES[1:])
def test_labels_of_every_style_lie_on_the_page_where_the_print_is(style):
    darker = 0
    for seed in range(6):
        image, page = draw_receipt(seed, style=style, long_side=900)
        again, same = draw_receipt(seed, style=style, long_side=900)
        assert np.array_equal(image, again)
        assert page.texts == same.texts
        low, high = page.polygons.points.min(axis=0), page.polygons.points.max(axis=0)
        assert (low >= -1).all()
        assert (high <= (page.width + 1, page.height + 1)).all()
        mask = np.zeros(image.shape[:2], dtype=np.uint8)
        for quad in page.polygons:
            cv2.fillConvexPoly(mask, np.round(quad).astype(np.int32), 1)
        ring = cv2.dilate(mask, np.ones((7, 7))) - mask
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        darker += gray[mask > 0].mean() < gray[ring > 0].mean() - 2
    assert darker >= 5


def test_forms_have_single_characters_and_headings_of_one_label():
    singles = 0
    spaced = 0
    for seed in range(6):
        page = draw_receipt(seed, style="form", long_side=900)[1]
        singles += sum(len(text) == 1 for text in page.texts)
        for text, quad in zip(page.texts, page.polygons, strict=True):
            width, height = np.ptp(quad, axis=0)
            spaced += len(text) > 2 and width > 1.2 * len(text) * height
    assert singles > 60
    assert spaced > 0


def test_receipts_are_those_of_before_there_were_styles(tmp_path):
    """The same draws as ever: the first page of a data set and of one that names its style."""
    write_dataset(tmp_path / "a", train=1, seed=7, long_side=(300, 400))
    write_dataset(tmp_path / "b", train=1, seed=7, long_side=(300, 400), styles=["receipt"])
    write_dataset(tmp_path / "c", train=1, seed=7, long_side=(300, 400), styles=["scan"])
    pictures = [(tmp_path / name / "images" / "00000.jpg").read_bytes() for name in "abc"]
    assert pictures[0] == pictures[1] != pictures[2]
