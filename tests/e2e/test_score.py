"""``hmean score`` on prediction files."""

import json

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
