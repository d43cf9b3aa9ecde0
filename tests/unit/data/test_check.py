import json
import shutil

import pytest

from hmean.data.check import check_pages, label_faults, require_sound
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
    assert f"1 images are unlabelled (no words), first {names[3]}" in label_faults(pages)[-1]
    with pytest.raises(InputError, match="The data set has faults"):
        require_sound(pages)
