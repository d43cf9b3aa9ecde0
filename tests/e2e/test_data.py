"""``hmean data`` from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hmean.cli import main
from hmean.settings.build import open_dataset
from hmean.settings.sections import Dataset, Folds

WORDS = {"1": {"points": [[10, 10], [60, 10], [60, 30], [10, 30]], "transcription": "TOTAL"}}


def label_file(tmp_path, pages=40, shops=12):
    images = {}
    for i in range(pages):
        images[f"{i}.jpg"] = {"img_w": 600 + 40 * i, "img_h": 800, "group": f"shop {i % shops}", "words": WORDS}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"images": images}))
    return path, set(images)


def test_split_writes_what_the_settings_read(tmp_path, capsys):
    labels, names = label_file(tmp_path)
    splits = tmp_path / "splits.json"
    assert main(["data", "split", str(labels), str(splits), "-k", "3", "--holdout", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["fold 0", "fold 1", "fold 2", "held out"]
    assert sum(int(line.partition("\t")[2]) for line in lines) == len(names)
    seen = {}
    for fold in range(3):
        for split in ("train", "val", "holdout"):
            folds = Folds(file=str(splits), fold=fold, split=split)
            pages = open_dataset(Dataset(image_path=str(tmp_path), annotation_path=str(labels), folds=folds))
            seen[fold, split] = {pages.name(i) for i in range(len(pages))}
        parts = [seen[fold, split] for split in ("train", "val", "holdout")]
        assert set.union(*parts) == names
        assert sum(map(len, parts)) == len(names)
        assert seen[fold, "holdout"] == seen[0, "holdout"]


def test_split_refuses_what_it_cannot_do(tmp_path, capsys):
    labels, _ = label_file(tmp_path)
    splits = tmp_path / "splits.json"
    assert main(["data", "split", str(labels), str(splits), "-k", "30"]) == 2
    assert "30 folds need as many groups of pages, there are 12" in capsys.readouterr().err
    assert main(["data", "split", str(labels), str(splits), "--holdout", "1"]) == 2
    assert "--holdout 1.0: must be a share" in capsys.readouterr().err
    assert main(["data", "split", str(labels), str(splits), "-k", "1"]) == 2
    assert "-k 1: must be at least 2" in capsys.readouterr().err
    assert not splits.exists()
    splits.write_text("mine")
    assert main(["data", "split", str(labels), str(splits)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert splits.read_text() == "mine"
    assert main(["data", "split", str(labels), str(splits), "--overwrite"]) == 0


def test_check_lists_faults_and_ends_with_2(receipts, tmp_path, capsys):
    command = ["data", "check", str(receipts / "jsons" / "train.json")]
    assert main([*command, str(receipts / "images")]) == 0
    labels = json.loads((receipts / "jsons" / "train.json").read_text())
    words = sum(len(page["words"]) for page in labels["images"].values())
    assert capsys.readouterr() == ("", f"6 pages, {words} words (0 of them ignored), 0 faults\n")
    assert main([*command, str(tmp_path)]) == 2
    listed = capsys.readouterr()
    assert listed.out.count("no such image") == 6
    assert listed.err.endswith("6 faults\n")


def test_check_counts_ignored_words_of_text_files(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "gt").mkdir()
    PIL.Image.new("RGB", (100, 50)).save(tmp_path / "images" / "a.jpg")
    (tmp_path / "gt" / "gt_a.txt").write_text("4,4,24,12,1998\n4,20,24,30,*\n40,20,60,30,###\n")
    assert main(["data", "check", str(tmp_path / "gt"), str(tmp_path / "images")]) == 0
    assert capsys.readouterr().err == "1 page, 3 words (1 of them ignored), 0 faults\n"


def test_synth_says_all_that_is_wrong_with_its_options(tmp_path, capsys):
    command = ["data", "synth", str(tmp_path / "out"), "--train", "0", "--val", "0", "--test", "0", "--seed", "-1"]
    assert main([*command, "--long-side", "900", "800", "--fonts", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    for option in ("--train 0", "--seed -1", "--long-side 900 800", f"--fonts {tmp_path}"):
        assert option in message
    assert not (tmp_path / "out").exists()


def test_data_check_and_synth(tmp_path, receipts, capsys):
    assert main(["data", "check", str(receipts / "jsons/train.json"), str(receipts / "images")]) == 0
    assert "6 pages, " in capsys.readouterr().err
    out = tmp_path / "drawn"
    assert (
        main(["data", "synth", str(out), "--train", "1", "--val", "0", "--test", "0", "--long-side", "160", "200"]) == 0
    )
    assert main(["data", "synth", str(out), "--train", "1"]) == 2
    assert "holds a synthetic data set already; choose another folder, or add --overwrite" in capsys.readouterr().err
    (out / "images" / "00000.jpg").write_bytes(b"x")
    assert main(["data", "check", str(out / "jsons/train.json"), str(out / "images")]) == 2
    assert "00000.jpg: damaged" in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("keep")
    assert main(["data", "synth", str(tmp_path / "mine"), "--train", "1"]) == 2
    assert main(["data", "synth", str(out), "--train", "-1", "--long-side", "9", "5"]) == 2
    assert "--long-side" in capsys.readouterr().err


def test_convert_says_what_a_format_cannot_hold(receipts, tmp_path, capsys):
    train, val = receipts / "jsons/train.json", receipts / "jsons/val.json"
    out = tmp_path / "coco.json"
    assert (
        main(["data", "convert", str(train), str(val), str(out), "format=coco", "--images", str(receipts / "images")])
        == 0
    )
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert captured.err.startswith("9 pages, ")
    assert "cannot hold" not in captured.err
    both = Dataset(image_path=str(receipts / "images"), annotation_path=[str(train), str(val)], folds=None)
    one = both.model_copy(update={"annotation_path": str(out)})
    assert open_dataset(both).fingerprint() == open_dataset(one).fingerprint()
    assert main(["data", "convert", str(out), str(out), "format=coco"]) == 2
    assert "exists already" in capsys.readouterr().err
    yolo = tmp_path / "yolo"
    assert main(["data", "convert", str(out), str(yolo), "format=yolo"]) == 0
    assert "words lost their texts" in capsys.readouterr().err
    assert len(list(yolo.rglob("*.txt"))) == 9
    assert main(["data", "convert", str(out), str(tmp_path / "x"), "format=word"]) == 2
    assert "format=word: is not one of alto, coco, cord" in capsys.readouterr().err


def test_convert_writes_out_the_images_of_a_parquet_file(tmp_path, capsys):
    source = Path(__file__).parents[1] / "unit/labels/files/parquet/train-00000-of-00001.parquet"
    out = tmp_path / "new" / "labels.json"
    assert main(["data", "convert", str(source), str(out), "format=ufo"]) == 0
    error = capsys.readouterr().err
    assert f"2 images that were in the label files are in {tmp_path / 'new/images'}" in error
    assert "boxes are read as [left, top, width, height] in pixels" in error
    assert main(["data", "check", str(out), str(tmp_path / "new/images")]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(source), str(tmp_path / "new/images")]) == 0
    assert "boxes are read as" in capsys.readouterr().err


def test_nothing_is_converted_if_labels_have_faults(receipts, tmp_path, capsys):
    labels = json.loads((receipts / "jsons/train.json").read_text())
    first = next(iter(labels["images"].values()))
    first["words"]["bad"] = {"points": [[1, 1], [2, 2]]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    assert main(["data", "convert", str(tmp_path / "labels.json"), str(tmp_path / "out.json"), "format=coco"]) == 2
    assert "word bad: has 2 points" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_check_reads_all_splits_and_names_what_they_share(receipts, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(receipts, data)
    assert main(["data", "check", str(data)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["train: 6 pages", "val: 3 pages", "test: 2 pages"]

    train = json.loads((data / "jsons/train.json").read_text())
    val = json.loads((data / "jsons/val.json").read_text())
    name = next(iter(train["images"]))
    PIL.Image.open(data / "images" / name).save(data / "images" / "copy.png")
    val["images"]["copy.png"] = {**train["images"][name], "group": "shop 7"}
    for page in train["images"].values():
        page["group"] = "shop 7"
    broken = next(iter(val["images"]))
    next(iter(val["images"][broken]["words"].values()))["points"] = [[0, 0], [5, 5]]
    (data / "jsons/train.json").write_text(json.dumps(train))
    (data / "jsons/val.json").write_text(json.dumps(val))
    (data / "jsons/test.json").write_text("{")

    assert main(["data", "check", str(data), "--workers", "1"]) == 2
    told = capsys.readouterr()
    assert f"val: {broken}: word 0001: has 2 points" in told.out
    assert f"test: {data / 'jsons/test.json'}: " in told.out
    assert f"train: {name} and val: copy.png show the same page" in told.out
    assert "remark: group 'shop 7' is in train (6 pages) and val (1 page)" in told.err

    assert main(["data", "check", "--json", f"dataset_base_path={data}", "--workers", "1", "preset=resnet50"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert [split["name"] for split in report["splits"]] == ["train", "val"]
    assert {"split": "val", "page": broken, "fault": told.out.splitlines()[1].removeprefix("val: ")} in report["faults"]
    assert report["leaks"]["groups"] == [{"group": "shop 7", "pages": {"train": 6, "val": 1}}]
    assert report["leaks"]["pages"][0]["pages"][1] == {"split": "val", "page": "copy.png"}


def test_check_says_what_to_name(tmp_path, receipts, capsys):
    assert main(["data", "check"]) == 2
    assert "Name a data set" in capsys.readouterr().err
    assert main(["data", "check", "a", "b", "c"]) == 2
    assert "c: is one path too many" in capsys.readouterr().err
    assert main(["data", "check", f"dataset_base_path={tmp_path}"]) == 2
    assert "no data set is there; not found: " in capsys.readouterr().err
    typed = f"datasets.val_dataset.annotation_path={tmp_path / 'none.json'}"
    assert main(["data", "check", str(receipts), typed]) == 2
    assert "none.json: not found" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["data", "check", str(receipts), "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_stats_says_what_a_data_set_is_made_of(receipts, tmp_path, capsys):
    command = ["data", "stats", str(receipts), "--workers", "1"]
    page = tmp_path / "stats.html"
    assert main([*command, "--html", str(page)]) == 0
    told = capsys.readouterr()
    assert "What a model sees of whole pages, longest side 960 pixels" in told.out
    assert told.err.endswith(f"{page}\n")
    assert "<svg" in page.read_text()

    assert (
        main(
            [
                *command,
                "--json",
                "transforms.long_side=160",
                "transforms.view=text",
                "transforms.text_height=12",
                "transforms.first_look=160",
            ]
        )
        == 0
    )
    statistics = json.loads(capsys.readouterr().out)
    assert [(split["name"], split["pages"]) for split in statistics["splits"]] == [
        ("train", 6), ("val", 3), ("test", 2), ("all", 11),
    ]  # fmt: skip
    assert (statistics["view"], statistics["long_side"], statistics["text_height"]) == ("text", 160, 12)
    labels = json.loads((receipts / "jsons" / "train.json").read_text())
    words = sum(len(page["words"]) for page in labels["images"].values())
    assert statistics["splits"][0]["words"] == words

    assert main(["data", "stats", str(receipts / "jsons/val.json"), str(receipts / "images"), "--json"]) == 0
    assert [split["name"] for split in json.loads(capsys.readouterr().out)["splits"]] == ["val"]


def test_stats_refuses_labels_that_cannot_be_read(receipts, tmp_path, capsys):
    shutil.copytree(receipts, tmp_path / "data")
    (tmp_path / "data/jsons/val.json").write_text("{")
    assert main(["data", "stats", str(tmp_path / "data")]) == 2
    assert "These labels cannot be read:" in capsys.readouterr().err


def test_view_draws_the_same_sheet_for_the_same_seed(receipts, tmp_path, capsys):
    def drawn(name, *words):
        command = ["data", "view", str(receipts), "--output", str(tmp_path / name), "--pages", "3", "--side", "96"]
        assert main([*command, *words]) == 0
        assert capsys.readouterr().out == f"{tmp_path / name}\n"
        return (tmp_path / name).read_bytes()

    assert drawn("a.png") == drawn("b.png", "seed=42")
    assert drawn("c.png", "seed=5") != drawn("d.png")
    assert drawn("e.png", "--split", "val") != drawn("f.png")
    assert drawn("g.png", "--texts") != drawn("h.png")


def test_view_shows_what_a_training_sees(receipts, tmp_path, capsys):
    pytest.importorskip("torch")
    from support.pages import TINY

    def drawn(name, *words):
        command = ["data", "view", "--pages", "3", str(receipts), "--output", str(tmp_path / name), "--augment"]
        assert main([*command, *TINY, *words]) == 0
        with PIL.Image.open(tmp_path / name) as sheet:
            return np.array(sheet)

    sheet = drawn("a.png")
    assert np.array_equal(sheet, drawn("b.png"))
    assert not np.array_equal(sheet, drawn("c.png", "seed=5"))
    assert drawn("d.png", "transforms.train.crop=128").shape[0] == len(sheet) + 64
    capsys.readouterr()


def test_view_says_all_that_is_wrong_with_its_options(receipts, tmp_path, capsys):
    taken = tmp_path / "mine.png"
    taken.write_text("mine")
    command = ["data", "view", str(receipts), "--output", str(taken), "--augment", "--texts", "--split", "val"]
    assert main([*command, "--pages", "0", "--columns", "0", "--side", "9"]) == 2
    message = capsys.readouterr().err
    for option in ("--pages 0", "--columns 0", "--side 9", f"{taken}: exists already", "--split val", "--texts"):
        assert option in message
    assert taken.read_text() == "mine"
    assert main(["data", "view", str(receipts / "jsons/val.json"), str(receipts / "images"), "--split", "test"]) == 2
    assert "--split test: there is no such split; there is val" in capsys.readouterr().err
    assert main(["data", "view", str(receipts), "--output", str(taken), "--overwrite", "--side", "96"]) == 0


@pytest.mark.parametrize("name", ["check", "stats", "view"])
def test_help_teaches_by_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        main(["data", name, "--help"])
    assert end.value.code == 0
    assert f"examples:\n  hmean data {name} data" in capsys.readouterr().out


def test_convert_takes_images_as_a_word_and_names_unknown_keys(receipts, tmp_path, capsys):
    train = str(receipts / "jsons/train.json")
    out = tmp_path / "coco.json"
    assert main(["data", "convert", train, str(out), f"images={receipts / 'images'}", "format=coco"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    other = str(tmp_path / "other.json")
    assert main(["data", "convert", train, other, "format=coco", "colour=red"]) == 2
    assert "colour=red: colour is not supported" in capsys.readouterr().err
    assert main(["data", "convert", train, "images=x", "format=coco", "--images", "y"]) == 2
    told = capsys.readouterr().err
    assert "images=x: the folder of the images is named twice" in told
    assert "name the labels, and the file or folder to write" in told
    assert main(["data", "convert", train, other, "images=x"]) == 2
    assert "format=NAME is required" in capsys.readouterr().err
    assert main(["data", "convert", train, other, "coco"]) == 0


def test_convert_compares_pages_with_their_images(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    PIL.Image.new("RGB", (50, 25)).save(tmp_path / "images" / "a.png")
    entry = {"img_w": 100, "img_h": 50, "words": WORDS}
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"images": {"a.png": entry, "b.png": entry, "c.png": entry}}))
    assert main(["data", "convert", str(labels), str(tmp_path / "coco.json"), "format=coco"]) == 0
    told = capsys.readouterr().err
    assert f"warning: images that are missing or damaged: 2, first {tmp_path / 'images/b.png'}: no such image" in told
    assert "pages of another size than their images: 1, first a.png: 100 x 50, and its image 50 x 25" in told
    for name in ("yolo", "yolo-obb", "labelstudio"):
        assert main(["data", "convert", str(labels), str(tmp_path / name), f"format={name}"]) == 2
        assert f"{name}: holds shares of the page, and 1 of 3 pages" in capsys.readouterr().err
        assert not (tmp_path / name).exists()


def test_convert_says_nothing_of_images_where_there_are_none(tmp_path, capsys):
    labels, _ = label_file(tmp_path, pages=1)
    assert main(["data", "convert", str(labels), str(tmp_path / "a.json"), "format=coco"]) == 0
    assert "missing" not in capsys.readouterr().err
    command = ["data", "convert", str(labels), str(tmp_path / "b.json"), "format=coco", f"images={tmp_path}"]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert told.startswith("1 page, 1 word\n")
    assert "images that are missing or damaged: 1" in told


def test_view_warns_of_labels_for_another_size(tmp_path, capsys):
    PIL.Image.new("RGB", (50, 25)).save(tmp_path / "a.png")
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"images": {"a.png": {"img_w": 100, "img_h": 50, "words": WORDS}}}))
    sheet = tmp_path / "sheet.png"
    assert main(["data", "view", str(labels), str(tmp_path), "--output", str(sheet), "--side", "96"]) == 0
    told = capsys.readouterr().err
    assert f"warning: {tmp_path / 'a.png'}: the labels say 100 x 50, the image, turned upright, is 50 x 25" in told


def test_stats_says_first_that_there_are_faults(receipts, tmp_path, capsys):
    shutil.copytree(receipts, tmp_path / "data")
    next((tmp_path / "data/images").glob("*.jpg")).write_bytes(b"x")
    assert main(["data", "stats", str(tmp_path / "data"), "--workers", "1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Faults of labels and images: 1.")
    assert told.count("Faults of labels and images") == 1
    assert "higher than wide" in told
