import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.labels.ufo import UfoLabels, parse_page, write_ufo

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
    words = {"1": word(illegibility=True), "2": word(transcription="###"), "3": word(transcription="*")}
    path = ufo(
        tmp_path,
        {
            "영수증 a=1.jpg": page(words) | {"group": "shop"},
            "empty.jpg": page({}),
            "unlabelled.jpg": {"img_w": 5, "img_h": 6, "group": ""},
            "numbered.jpg": page({}) | {"group": 7},
        },
    )
    labels = open_labels(path, tmp_path)
    assert list(labels.names) == ["영수증 a=1.jpg", "empty.jpg", "unlabelled.jpg", "numbered.jpg"]
    assert list(labels.groups) == ["shop", None, None, "7"]
    first = labels.page(0)
    assert first.ignored.tolist() == [True, True, False]
    assert first.polygons[0].tolist() == SQUARE
    assert (labels.page(1).words_known, labels.page(2).words_known) == (True, False)
    assert len(labels.page(2).polygons) == 0
    assert labels.page(3).group == "7"
    assert labels.page(2).group is None


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_each_page_is_found_at_its_place_in_the_file(tmp_path, mark):
    images = {
        f"{i}_가나{'é' * (i % 5)}.jpg": page({str(k): word(transcription="텍스트" * k) for k in range(i % 7)})
        for i in range(60)
    }
    content = {"info": {"n": 1.25}, "images": images, "more": [1, 2, 345]}
    path = tmp_path / "labels.json"
    path.write_text(mark + json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    labels = UfoLabels(path)
    assert list(labels.names) == list(images)
    for i, name in enumerate(images):
        assert labels.page(i).texts == tuple(w["transcription"] for w in images[name]["words"].values())


def test_only_names_and_places_stay_in_memory(tmp_path):
    path = tmp_path / "labels.json"
    words = {str(i): word() for i in range(100)}
    write_ufo(path, ((f"{i:06d}.jpg", page(words)) for i in range(1000)))
    size = path.stat().st_size
    tracemalloc.start()
    labels = UfoLabels(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 5e6
    assert held < 0.3e6
    assert peak < 4e6  # nor is the file ever whole in memory
    assert labels.page(999).name == "000999.jpg"


# A loader process: forked, it reads every page, and tells by how many MB of memory of its own it has grown.
LOADER = """
import os, re, sys
from pathlib import Path
from hmean.labels.ufo import UfoLabels

def own_memory():
    sizes = re.findall(r"Private_Dirty: *(\\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    return sum(map(int, sizes)) / 1e3

labels = UfoLabels(Path(sys.argv[1]))
labels.page(0)
if os.fork() == 0:
    before = own_memory()
    for i in range(len(labels.names)):
        labels.page(i)
    print(own_memory() - before)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_pages_does_not_make_a_loader_process_grow(tmp_path):
    entry = page({f"{i:04d}": word(transcription="TOTAL") for i in range(3)}) | {"group": "shop"}
    write_ufo(tmp_path / "labels.json", ((f"receipts/{i:06d}.jpg", entry) for i in range(10_000)))
    command = [sys.executable, "-u", "-c", LOADER, str(tmp_path / "labels.json")]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 5  # MB; the labels as Python objects take ten times that


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (page({"w7": word([[0, 0], [1, 1]])}), "a.jpg: word w7: has 2 points"),
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
        ({"img_w": None, "img_h": None, "words": {}}, "a.jpg: has no size, because the image could not be read"),
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


def test_a_coordinate_beyond_all_numbers_names_the_word(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text('{"images": {"a.jpg": {"img_w": 9, "img_h": 9, "words": {"w7": {"points": [[1, 1e999]]}}}}}')
    with pytest.raises(InputError, match=r"a\.jpg: .*out of range"):
        open_labels(path, tmp_path).page(0)


def test_a_wrong_word_leaves_the_others_in_their_places(tmp_path):
    words = {"1": word(), "2": word([[0, 0]]), "3": word(transcription="C")}
    labels = open_labels(ufo(tmp_path, {"a.jpg": page(words)}), tmp_path)
    found = labels.page(0, [])
    assert (found.ids, found.texts) == (("1", "3"), ("A", "C"))


@pytest.mark.parametrize("text", ["*", "**", "#", "##", "####", " ###", "", "-", None])
def test_no_other_text_is_ignored(tmp_path, text):
    assert not UfoLabels(ufo(tmp_path, {"a.jpg": page({"1": word(transcription=text)})})).page(0).ignored.any()


def test_a_page_without_a_fault_is_the_same_by_the_short_way(tmp_path):
    shapes = {
        "square": word(),
        "turned back": word(SQUARE[::-1], illegibility=True),
        "triangle": word([[1, 1], [9.5, 1], [5, 5.25]], transcription="###"),
        "concave": word([[1, 1], [5, 3], [9, 1], [5, 9]], transcription=None),
        "six": word([[1, 1], [5, 0.5], [9, 1], [9, 5], [5, 5.5], [1, 5]], transcription="é"),
        "half outside": word([[-5, -5], [9, -5], [9, 5], [-5, 5]], orientation="Horizontal", illegibility=None),
    }
    for entry in (page(shapes), page({}) | {"group": 7}, {"img_w": 5, "img_h": 6, "words": None, "group": ""}):
        path = ufo(tmp_path, {"a.jpg": entry})
        short = UfoLabels(path).page(0)
        faults = []
        full = parse_page("a.jpg", entry, faults)
        assert not faults
        assert np.array_equal(short.polygons.points, full.polygons.points)
        assert np.array_equal(short.polygons.offsets, full.polygons.offsets)
        for field in ("name", "width", "height", "ids", "texts", "group", "words_known"):
            assert getattr(short, field) == getattr(full, field)
        assert short.ignored.tolist() == full.ignored.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"images": {"a": {}, }}', "not JSON"),
        ('{"images": {"a": {}}', "not JSON"),
        ('{"images": {"a": {"img_w": NaN}}}', "not JSON.*NaN"),
        ('{"images": {}} x', "not JSON.*trailing"),
        ('{"images": []}', "looks like a UFO file, but images is wrong.*expected `object`"),
        ("[]", "looks like a UFO file, but the whole file is wrong.*expected `object`"),
        ("{}", "looks like a UFO file, but has no images"),
        ('{"images": {"a": {}, "a": {}}}', "images are listed twice"),
    ],
)
def test_files_that_are_not_ufo(tmp_path, text, message):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        UfoLabels(path)


def test_a_file_that_changed_or_is_not_utf8_names_the_page(tmp_path):
    path = ufo(tmp_path, {"a.jpg": page({}), "b.jpg": page({"1": word(transcription="é")})})
    labels = open_labels(path, tmp_path)
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xe9\xe9"))
    labels.page(0)
    with pytest.raises(InputError, match=r"b\.jpg: its entry cannot be read"):
        labels.page(1)


def test_round_trip(tmp_path, sroie):
    labels = UfoLabels(sroie / "labels.json")
    write_ufo(tmp_path / "copy.json", ((labels.names[i], labels.page(i).to_ufo()) for i in range(20)))
    again = UfoLabels(tmp_path / "copy.json")
    for i in range(20):
        a, b = labels.page(i), again.page(i)
        assert np.array_equal(a.polygons.points, b.polygons.points)
        assert (a.texts, a.group, a.width) == (b.texts, b.group, b.width)
