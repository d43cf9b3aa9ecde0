import json
import shutil

import PIL.Image
import pytest

from hmean.data.check import check_page, check_pages, label_faults, require_sound
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.labels.formats import open_labels


def test_sound_pages_have_no_faults(pages):
    assert check_pages(pages) == check_pages(pages, decode=True) == label_faults(pages) == []
    require_sound(pages)


def test_every_fault_is_listed_with_its_file_or_word(receipts, tmp_path):
    shutil.copytree(receipts, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "jsons" / "train.json"
    content = json.loads(path.read_text())
    names = list(content["images"])
    next(iter(content["images"][names[0]]["words"].values()))["points"] = [[0, 0]]
    content["images"][names[1]]["img_w"] += 1
    content["images"][names[2]]["img_w"] = "wide"
    del content["images"][names[3]]["words"]
    path.write_text(json.dumps(content))
    (tmp_path / "images" / names[4]).unlink()
    damaged = tmp_path / "images" / names[5]
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    labels = open_labels(path, tmp_path / "images")
    pages = LabelledImages(labels, tmp_path / "images", range(len(names)))
    faults = check_pages(pages)
    assert len(faults) == 4, faults
    assert f"{names[0]}: word" in faults[0]
    assert f"{names[1]}: the labels say" in faults[1]
    assert f"{names[2]}: img_w is 'wide'" in faults[2]
    assert f"{names[4]}: no such image" in faults[3]
    assert len(check_pages(pages, decode=True)) == 5  # the header of a damaged image is whole
    assert f"1 image is unlabelled (no words), first {names[3]}" in label_faults(pages)[-1]
    with pytest.raises(InputError, match="The data set has faults"):
        require_sound(pages)


def test_the_same_fault_of_every_page_is_listed(tmp_path):
    for name, size in (("good.png", (40, 24)), ("turned.png", (24, 40))):
        PIL.Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "bad.png").write_text("x")
    entry = '{"img_w": 40, "img_h": 24, "words": {"1": {"points": [[0,0],[1,1]]}}}'
    names = ("good.png", "turned.png", "bad.png", "missing.png")
    (tmp_path / "labels.json").write_text('{"images": {' + ",".join(f'"{n}": {entry}' for n in names) + "}}")
    faults = check_pages(LabelledImages(open_labels(tmp_path / "labels.json", tmp_path), tmp_path, range(4)))
    assert sum("has 2 points" in f for f in faults) == 4
    assert sum("labels say 40 x 24, the image, turned upright, is 24 x 40" in f for f in faults) == 1
    assert sum("bad.png: damaged" in f for f in faults) == 1
    assert sum("missing.png: no such image" in f for f in faults) == 1


def test_a_word_may_stick_out_of_the_page_by_half(tmp_path):
    PIL.Image.new("RGB", (40, 24)).save(tmp_path / "a.png")

    def box(left, right):
        return {"points": [[left, 4], [right, 4], [right, 12], [left, 12]]}

    words = {"inside": box(0, 40), "half": box(30, 50), "beside": box(29, 52), "left": box(-12, 9), "in": box(2, 9)}
    (tmp_path / "labels.json").write_text(json.dumps({"images": {"a.png": {"img_w": 40, "img_h": 24, "words": words}}}))
    pages = LabelledImages(open_labels(tmp_path / "labels.json", tmp_path), tmp_path, range(1))
    checked = check_page(pages, 0, decode=False)
    assert checked.page.ids == ("inside", "half", "in")
    assert len(checked.page.polygons) == 3
    assert [fault.partition(" of it")[0] for fault in checked.faults] == [
        "a.png: word beside: 52%",
        "a.png: word left: 57%",
    ]
    assert "lies outside of the page (40 x 24)" in checked.faults[0]
    with pytest.raises(InputError, match="word beside"):
        require_sound(pages)
