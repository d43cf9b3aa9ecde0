"""``hmean score`` and the command line of the official CLEval program on the same words and detections, through files."""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("torch")  # the official package imports it

from hmean.cli import main
from hmean.labels.formats import open_labels
from hmean.labels.ufo import UfoLabels, write_ufo
from hmean.metrics.cleval import Counts
from hmean.runs.scoring import score_files
from support.cleval import KINDS, rect, rotated

SIZE = 200
TEXTS = [
    "TOTAL", "RM 1,234.00", "*", "**", "###", "#", "####", "*###", "a,b,,c", "1998", "1,2,3,4", '"quoted"', '"###"',
    r'"say \"a\" \\"', " spaces ", "가나다", "é", "-", "x" * 40,
]  # fmt: skip


def write_pages(folder: Path, words: dict[str, list[str]], found: dict[str, list[str]]) -> None:
    """The lines of each page, as files of hmean and of the official program."""
    (folder / "gt").mkdir()
    with zipfile.ZipFile(folder / "gt.zip", "w") as truth, zipfile.ZipFile(folder / "det.zip", "w") as submission:
        for i, name in enumerate(words):
            end = ("\n", "\r\n")[i % 2]
            text = "".join(f"{line}{end}" for line in words[name]).encode()
            (folder / "gt" / f"gt_{name}.txt").write_bytes(text)
            truth.writestr(f"gt_{name}.txt", text)
            submission.writestr(f"res_{name}.txt", "\n".join(found[name]))


def write_prediction_file(path: Path, found: dict[str, list[list[list[int]]]]) -> None:
    entries = {}
    for name, polygons in found.items():
        entries[name] = {"words": {str(k): {"points": points} for k, points in enumerate(polygons)}}
    path.write_text(json.dumps({"images": entries}))


def official(folder: Path, monkeypatch, *options: str) -> tuple[list[dict], dict]:
    """What the ``cleval`` command writes of each page, and of all."""
    (command,) = entry_points(group="console_scripts", name="cleval")
    files = ["-g", str(folder / "gt.zip"), "-s", str(folder / "det.zip"), "-o", str(folder / "out")]
    monkeypatch.setattr(sys, "argv", ["cleval", *files, "-t", "1", "--DUMP_SAMPLE_RESULT", *options])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba on reflected lists
        command.load()()
    pages = json.loads((folder / "out" / "sample_wise.json").read_text())["sample_results"]
    return [page["stats"] for page in pages], json.loads((folder / "out" / "results.json").read_text())["all"]


def counters(stats: dict) -> Counts:
    core = stats["det"]
    assert core["num_char_det"] == core["num_char_tp_recall"] + stats["num_char_overlapped"] + core["num_char_fp"]
    return Counts(
        gt=core["num_char_gt"],
        tp=core["num_char_tp_recall"],
        overlapped=stats["num_char_overlapped"],
        fp=core["num_char_fp"],
        recall_penalty=core["gran_score_recall"],
        precision_penalty=core["gran_score_precision"],
        split=stats["num_splitted"],
        merged=stats["num_merged"],
    )


def assert_same(truth: Path, predictions: Path, official_pages: list[dict], official_all: dict, capsys, *options: str):
    """``hmean score`` prints the scores of the official program, and counts what it counts on each page."""
    capsys.readouterr()
    assert main(["score", str(truth), str(predictions), "--json", *options]) == 0
    score = json.loads(capsys.readouterr().out)["cleval"]
    assert score["characters"] == "transcription"
    parts = ("precision", "recall", "hmean")
    ours = [score[rule][part[0]] for rule in ("macro", "pooled") for part in parts]
    theirs = [np.mean([page["det"][part] for page in official_pages]) for part in parts]
    theirs += [official_all["det"][part] for part in parts]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    images = None
    if options:
        images = Path(options[-1])
    pages = score_files(truth, predictions, images=images).pages
    assert [page.counts for page in pages] == [counters(page) for page in official_pages]
    assert sum((page.counts for page in pages), Counts()) == counters(official_all)


@pytest.mark.parametrize("box_type", ["QUAD", "LTRB"])
def test_files_with_every_kind_of_text(tmp_path, monkeypatch, capsys, box_type):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    words, found, predictions = {}, {}, {}
    for i in range(12):
        name = f"page {i:02d}"
        PIL.Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "images" / f"{name}.png")
        if box_type == "LTRB":
            drawn = [rect(*rng.integers(0, 150, 2), *rng.integers(5, 60, 2)) for _ in range(19)]
        else:
            drawn = [rotated(rng, SIZE) for _ in range(19)]
        drawn = [quad for quad in drawn if i and (quad > 0).all() and (quad < SIZE).all()]  # the first page is empty
        detected = []
        if i % 5:  # pages without detections, with and without words
            detected = [np.clip(np.round(quad), 0, SIZE) for quad in KINDS[i % len(KINDS)](drawn, rng)]
        if box_type == "LTRB":
            detected = [rect(*quad.min(axis=0), *np.ptp(quad, axis=0)) for quad in detected]
        texts = rng.permutation(TEXTS)
        words[name] = [f"{numbers(quad, box_type)},{text}" for quad, text in zip(drawn, texts, strict=False)]
        found[name] = [numbers(quad, box_type) for quad in detected]
        predictions[f"{name}.png"] = [np.trunc(quad).tolist() for quad in detected]
    write_pages(tmp_path, words, found)
    write_prediction_file(tmp_path / "predictions.json", predictions)
    pages, of_all = official(tmp_path, monkeypatch, "--BOX_TYPE", box_type)
    assert of_all["num_splitted"] > 0
    assert of_all["num_merged"] > 0
    assert of_all["det"]["num_char_fp"] > 0
    assert_same(tmp_path / "gt", tmp_path / "predictions.json", pages, of_all, capsys)
    # The same words as a UFO file.
    labels = open_labels(tmp_path / "gt", tmp_path / "images")
    write_ufo(tmp_path / "labels.json", ((name, labels.page(i).to_ufo()) for i, name in enumerate(labels.names)))
    assert_same(tmp_path / "labels.json", tmp_path / "predictions.json", pages, of_all, capsys)


def numbers(quad, box_type: str) -> str:
    corners = np.trunc(quad).astype(int)
    if box_type == "LTRB":
        corners = corners[[0, 2]]
    return ",".join(map(str, corners.ravel().tolist()))


def test_receipts(tmp_path, monkeypatch, capsys, sroie):
    labels = UfoLabels(sroie / "labels.json")
    with_star = [i for i in range(len(labels.names)) if "*" in labels.page(i).texts]
    chosen = sorted({*with_star[:2], *range(0, 60, 15)})
    rng = np.random.default_rng(0)
    words, found, predictions, entries = {}, {}, {}, []
    for k, i in enumerate(chosen):
        page = labels.page(i)
        name = Path(page.name).stem
        entry = page.to_ufo()
        if k % 2:
            list(entry["words"].values())[3]["transcription"] = "###"
        lines = []
        for word in entry["words"].values():
            word["points"] = np.round(word["points"]).tolist()  # the official program reads whole pixels only
            lines.append(f"{numbers(np.array(word['points']), 'QUAD')},{word['transcription']}")
        entries.append((page.name, entry))
        words[name] = lines
        detected = [np.round(quad) for quad in KINDS[k % len(KINDS)](page.polygons, rng)]
        found[name] = [numbers(quad, "QUAD") for quad in detected]
        predictions[page.name] = [quad.tolist() for quad in detected]
    write_pages(tmp_path, words, found)
    write_ufo(tmp_path / "labels.json", entries)
    write_prediction_file(tmp_path / "predictions.json", predictions)
    pages, of_all = official(tmp_path, monkeypatch)
    assert_same(tmp_path / "labels.json", tmp_path / "predictions.json", pages, of_all, capsys)
    in_order = [stats for _, stats in sorted(zip(words, pages, strict=True), key=lambda pair: pair[0])]
    assert_same(
        tmp_path / "gt", tmp_path / "predictions.json", in_order, of_all, capsys, "--images", str(sroie / "images")
    )
