import json
import tracemalloc

import numpy as np
import PIL.Image
import pytest

from hmean.errors import InputError
from hmean.labels import annotations
from hmean.labels.annotations import UfoLabels, open_labels, write_ufo

SQUARE = [[1, 1], [9, 1], [9, 5], [1, 5]]


def ufo(tmp_path, images, name="labels.json"):
    path = tmp_path / name
    path.write_text(json.dumps({"images": images}, ensure_ascii=False), encoding="utf-8")
    return path


def word(points=SQUARE, **more):
    return {"points": points, "transcription": "A", **more}


def page(words, w=20, h=10):
    return {"img_w": w, "img_h": h, "words": words}


def test_ufo_is_read(tmp_path):
    path = ufo(tmp_path, {
        "영수증 a=1.jpg": page({"1": word(illegibility=True), "2": word(transcription="###"), "3": word(transcription="x")}) | {"group": "shop"},
        "empty.jpg": page({}),
        "unlabelled.jpg": {"img_w": 5, "img_h": 6},
    })  # fmt: skip
    labels = open_labels(path, tmp_path)
    assert list(labels.names) == ["영수증 a=1.jpg", "empty.jpg", "unlabelled.jpg"]
    assert list(labels.groups) == ["shop", None, None]
    first = labels.page(0)
    assert first.ignored.tolist() == [True, True, False]
    assert first.polygons[0].tolist() == SQUARE
    assert (labels.page(1).words_known, labels.page(2).words_known) == (True, False)
    assert len(labels.page(2).polygons) == 0


@pytest.mark.parametrize("chunk", [7, 64, 1000])
def test_pages_are_found_across_the_borders_of_what_is_read(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(annotations, "_CHUNK", chunk)
    images = {
        f"{i}_가나{'é' * (i % 5)}.jpg": page({str(k): word(transcription="텍스트" * k) for k in range(i % 7)})
        for i in range(60)
    }
    path = tmp_path / "labels.json"
    path.write_text(
        "\ufeff"
        + json.dumps({"info": {"n": 1.25}, "images": images, "more": [1, 2, 345]}, ensure_ascii=False, indent=1),
        encoding="utf-8",
    )
    labels = UfoLabels(path)
    assert list(labels.names) == list(images)
    for i, name in enumerate(images):
        assert labels.page(i).texts == tuple(w["transcription"] for w in images[name]["words"].values())


def test_labels_are_not_held_in_memory(tmp_path):
    path = tmp_path / "labels.json"
    words = {str(i): word() for i in range(100)}
    write_ufo(path, ((f"{i:06d}.jpg", page(words)) for i in range(3000)))
    size = path.stat().st_size
    tracemalloc.start()
    labels = UfoLabels(path)
    peak = tracemalloc.get_traced_memory()[1]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size > 15e6
    assert held < 1e6
    assert peak < 12e6  # the window that is read, as text and as bytes, not the file
    assert labels.page(2999).name == "002999.jpg"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (page({"w7": word([[0, 0], [1, 1]])}), "a.jpg: word w7: has 2 points"),
        (
            page({"w7": word([[0, 0], [1, float("nan")], [3, 3]])}),
            "a.jpg: word w7: has a coordinate that is not a finite number",
        ),
        (page({"w7": word([[30, 30], [40, 30], [40, 40]])}), r"a.jpg: word w7: lies outside of the page \(20 x 10\)"),
        (page({"w7": word([[1, 1], [5, 5], [9, 9]])}), "a.jpg: word w7: has no area"),
        (page({"w7": word([[1, 1], [9, 1], [3, 9], [9, 9]])}), "a.jpg: word w7: its outline crosses itself"),
        (page({"w7": word([["x", 1], [5, 5], [9, 9]])}), "a.jpg: word w7: points is not a list"),
        (page({"w7": word([1, 2, 3])}), "a.jpg: word w7: points is not a list"),
        (page({"w7": {"transcription": "A"}}), "a.jpg: word w7: points is not a list"),
        (page({"w7": word(transcription=5)}), "a.jpg: word w7: transcription is 5"),
        (page({"w7": 3}), "a.jpg: word w7: is not an object"),
        (page([]), "a.jpg: words is not an object"),
        (page({}, w=0), "a.jpg: img_w is 0"),
        (page({}, w=20.5), "a.jpg: img_w is 20.5, not the image's size in whole pixels"),
        (page({}, h="ten"), "a.jpg: img_h is 'ten'"),
        (4, "a.jpg: the entry is not an object"),
    ],
)
def test_wrong_labels_name_file_and_word(tmp_path, entry, message):
    labels = open_labels(ufo(tmp_path, {"a.jpg": entry}), tmp_path)
    with pytest.raises(InputError, match=message):
        labels.page(0)
    faults = []
    labels.page(0, faults)
    assert len(faults) == 1


def test_a_wrong_word_leaves_the_others_in_their_places(tmp_path):
    labels = open_labels(
        ufo(tmp_path, {"a.jpg": page({"1": word(), "2": word([[0, 0]]), "3": word(transcription="C")})}), tmp_path
    )
    found = labels.page(0, [])
    assert (found.ids, found.texts) == (("1", "3"), ("A", "C"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"images": {"a": {}, }}', "not JSON"),
        ('{"images": {"a": {}}', "not JSON"),
        ('{"images": []}', "not an object"),
        ("{}", 'has no key "images"'),
        ('{"images": {}} x', "something follows"),
        ('{"images": {"a": {}, "a": {}}}', "listed twice"),
    ],
)
def test_files_that_are_not_ufo(tmp_path, text, message):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        open_labels(path, tmp_path)


def test_a_missing_data_set_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="hmean data synth"):
        open_labels(tmp_path / "jsons" / "train.json", tmp_path)


def test_sroie_and_icdar_text_files(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for name in ("a.jpg", "b b.png"):
        PIL.Image.new("RGB", (100, 50)).save(images / name)
    (labels / "a.txt").write_text(
        "1,2,30,2,30,12,1,12,TOTAL, RM 1,234.00\n\n5,20,40,20,40,30,5,30,###\n", encoding="utf-8-sig"
    )
    (labels / "gt_b b.txt").write_text('10,5,60,25,"7 Eleven"\n10,30,60,45,12,5\n')
    read = open_labels(labels, images)
    assert list(read.names) == ["a.jpg", "b b.png"]
    a, b = read.page(0), read.page(1)
    assert a.texts == ("TOTAL, RM 1,234.00", "###")
    assert a.ignored.tolist() == [False, True]
    assert a.polygons[0].tolist() == [[1, 2], [30, 2], [30, 12], [1, 12]]
    assert b.texts == ("7 Eleven", "12,5")
    assert b.polygons[0].tolist() == [[10, 5], [60, 5], [60, 25], [10, 25]]
    assert (b.width, b.height) == (100, 50)
    (labels / "a.txt").write_text("1,2,nothing\n")
    with pytest.raises(InputError, match=r"a\.jpg: line 1: '1,2,nothing' is not left,top,right,bottom,text"):
        read.page(0)
    (labels / "a.txt").write_text("1,2,30,2,30,12,1,12,A\n5,20,40,20,40,30,5,B\n1,32,30,32,30,42,1,42,7\n")
    with pytest.raises(InputError, match=r"a\.jpg: line 2: '5,20,40,20,40,30,5,B' is not x1,y1,...,x4,y4,text"):
        read.page(0)  # not a rectangle of an ICDAR 2013 file
    (labels / "c.txt").write_text("")
    with pytest.raises(InputError, match=r"c\.txt: no image"):
        open_labels(labels, images)


def test_round_trip(tmp_path, sroie):
    labels = UfoLabels(sroie / "labels.json")
    write_ufo(tmp_path / "copy.json", ((labels.names[i], labels.page(i).to_ufo()) for i in range(20)))
    again = UfoLabels(tmp_path / "copy.json")
    for i in range(20):
        a, b = labels.page(i), again.page(i)
        assert np.array_equal(a.polygons.points, b.polygons.points)
        assert (a.texts, a.group, a.width) == (b.texts, b.group, b.width)
