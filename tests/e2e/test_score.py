"""``hmean score`` on prediction files."""

import json
from pathlib import Path

import PIL.Image
import pytest

from hmean.cli import main


def test_score_refuses_other_images(receipts, trained_run, capsys):
    assert main(["score", str(receipts / "jsons/test.json"), str(trained_run / "predictions.json")]) == 2
    assert "has labels but no predictions" in capsys.readouterr().err


@pytest.mark.parametrize(
    "images", ['{"a": null}', '{"a": {"words": [1]}}', '{"a": {"words": {"1": {"points": [[1,2,3],[4,5,6]]}}}}', "3"]
)
def test_wrong_prediction_files_are_told(receipts, tmp_path, capsys, images):
    (tmp_path / "p.json").write_text(f'{{"images": {images}}}')
    assert main(["score", str(receipts / "jsons/test.json"), str(tmp_path / "p.json")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_scoring_a_folder_of_txt_labels(tmp_path, capsys):
    for name in ("images", "gt"):
        (tmp_path / name).mkdir()
    PIL.Image.new("RGB", (100, 50)).save(tmp_path / "images/a.jpg")
    (tmp_path / "gt/a.txt").write_text("10,10,60,10,60,30,10,30,TOTAL\n")
    (tmp_path / "p.json").write_text(
        '{"images": {"a.jpg": {"words": {"1": {"points": [[10,10],[60,10],[60,30],[10,30]]}}}}}'
    )
    assert main(["score", str(tmp_path / "gt"), str(tmp_path / "p.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cleval"]["macro"]["h"] == 1.0
    (tmp_path / "images").rename(tmp_path / "scans")
    assert main(["score", str(tmp_path / "gt"), str(tmp_path / "p.json"), "--images", str(tmp_path / "scans")]) == 0


def labels_with_groups(folder: Path, *, groups: int) -> tuple[str, str]:
    """A label file of 8 pages of so many groups (0: none), and predictions of all of their words but one."""
    labels = {}
    found = {}
    for i in range(8):
        words = {str(w): {"points": [[10, y], [60, y], [60, y + 9], [10, y + 9]]} for w, y in enumerate((10, 30))}
        labels[f"{i}.jpg"] = {"img_w": 100, "img_h": 50, "words": words}
        if groups:
            labels[f"{i}.jpg"]["group"] = f"shop {i % groups}"
        found[f"{i}.jpg"] = {"words": words}
    found["0.jpg"] = {"words": {"0": found["0.jpg"]["words"]["0"]}}
    for name, images in (("labels.json", labels), ("found.json", found)):
        (folder / name).write_text(json.dumps({"images": images}))
    return str(folder / "labels.json"), str(folder / "found.json")


def test_the_groups_of_a_label_file_are_the_units_of_the_intervals(tmp_path, capsys):
    files = labels_with_groups(tmp_path, groups=7)
    assert main(["score", *files, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert list(record) == ["images", "cleval", "iou50", "iou70", "interval95", "grouping"]
    assert record["grouping"] == {
        "pages": 8, "groups": 7, "unit": "group", "largest_share": 0.25, "effective": pytest.approx(64 / 10), "known": True
    }  # fmt: skip
    low, high = record["interval95"]["macro"]
    assert low < record["cleval"]["macro"]["h"] < high == 1.0
    assert main(["score", *files]) == 0
    *_, grouping, warning = capsys.readouterr().out.splitlines()
    assert grouping == "8 pages of 7 groups, the largest with 25 % of them; 6.4 effective groups"
    assert warning.startswith("warning: only 7 groups of pages")


def test_too_few_groups_have_no_interval(tmp_path, capsys):
    files = labels_with_groups(tmp_path, groups=4)
    assert main(["score", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["interval95"]["macro"] is None
    assert main(["score", *files]) == 0
    assert "\ttoo few groups\n" in capsys.readouterr().out


def test_labels_without_groups_make_each_page_one_of_its_own(tmp_path, capsys):
    assert main(["score", *labels_with_groups(tmp_path, groups=0)]) == 0
    assert "8 pages, each a group of its own" in capsys.readouterr().out
