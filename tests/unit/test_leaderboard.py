"""The leaderboard: other people's detectors as programs of their own, and tables of what they find."""

import importlib
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.provenance import StartProvenance, TrainingProvenance
from hmean.types import Detections, Page, Polygons

ROOT = Path(__file__).parents[2]
DETECTOR = '''"""Finds one box, and says how often it ran."""
# /// script
# requires-python = ">=3.11"
# dependencies = ["nothing==1.0"]
# [tool.leaderboard]
# title = "One box"
# kind = "maps"
# input = "as it is"
# postprocess = { thresh = 0.3, unclip = "ratio", unclip_ratio = 1.5 }
# ///
import numpy as np
import runner


def make(threads):
    def detect(image):
        if image.shape[0] == 13:
            raise ValueError("thirteen rows")
        probability = np.zeros((image.shape[0] // 2, image.shape[1] // 2))
        probability[2:6, 4:20] = 0.9
        print("chatter")
        return runner.Found([[[8, 4], [40, 4], [40, 12], [8, 12]]], [0.9], probability)

    return detect


if __name__ == "__main__":
    runner.main(make)
'''


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of benchmarks/."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if "/benchmarks/" in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def one_box(benchmark, tmp_path, monkeypatch):
    """A detector in a folder of its own, which this Python runs."""
    detectors = benchmark("peer_detectors")
    folder = tmp_path / "detectors"
    folder.mkdir()
    shutil.copy(detectors.FOLDER / "runner.py", folder)
    (folder / "one_box.py").write_text(DETECTOR)
    monkeypatch.setattr(detectors, "FOLDER", folder)
    monkeypatch.setattr(detectors, "install", lambda _peer, _cache: Path(sys.executable))
    return detectors, detectors.read_peer(folder / "one_box.py")


def page_of(tmp_path, name, height=20, value=255):
    file = tmp_path / name
    cv2.imwrite(str(file), np.full((height, 60, 3), value, dtype=np.uint8))
    return Page(name, 60, height, Polygons.of([])), file


def test_every_detector_says_what_it_is_and_pins_all_that_it_needs(benchmark):
    detectors = benchmark("peer_detectors").peers()
    assert {"craft", "doctr", "onnxtr", "pp_ocrv4_mobile", "pp_ocrv5_mobile", "pp_ocrv6_small", "pp_ocrv6_tiny",
            "tesseract"} <= {peer.name for peer in detectors}  # fmt: skip
    for peer in detectors:
        for requirement in peer.requirements:
            assert re.fullmatch(r"[\w-]+==[\w.]+", requirement), (peer.name, requirement)
        assert not any(word.startswith("opencv-python==") for word in peer.requirements), peer.name
        assert (peer.kind == "maps") == (peer.postprocess is not None), peer.name


def test_a_detector_without_a_head_is_refused(benchmark, tmp_path):
    (tmp_path / "x.py").write_text("1")
    with pytest.raises(InputError, match="no head"):
        benchmark("peer_detectors").read_peer(tmp_path / "x.py")


def test_what_was_found_is_kept_and_the_rest_is_found_later(one_box, tmp_path):
    detectors, peer = one_box
    pages = [page_of(tmp_path, "a.png"), page_of(tmp_path, "b.png", value=200)]
    done = []
    detectors.find(peer, pages[:1], tmp_path / "out", tmp_path, on_page=done.append)
    journal = tmp_path / "out" / "found.jsonl"
    with journal.open("a") as file:
        file.write('{"name": "b.png", "key')  # as a kill leaves it
    found = detectors.find(peer, pages, tmp_path / "out", tmp_path, on_page=done.append)
    assert done == ["a.png", "b.png"]
    np.testing.assert_allclose(found["b.png"].detections.polygons[0], [[8, 4], [40, 4], [40, 12], [8, 12]])
    read = detectors.read_map(pages[0][0], found["a.png"].map_file)
    assert read.probability[3, 5] == round(0.9 * 255)
    np.testing.assert_allclose(read.to_page @ [20, 6, 1], [40, 12, 1])
    assert set(json.loads((tmp_path / "out/predictions.json").read_text())["images"]) == {"a.png", "b.png"}
    # An image that has changed is found again.
    pages[0] = page_of(tmp_path, "a.png", value=100)
    detectors.find(peer, pages, tmp_path / "out", tmp_path, on_page=done.append)
    assert done == ["a.png", "b.png", "a.png"]


def test_a_detector_that_fails_says_why_and_keeps_what_it_found(one_box, tmp_path):
    detectors, peer = one_box
    pages = [page_of(tmp_path, "a.png"), page_of(tmp_path, "b.png", height=13)]
    with pytest.raises(detectors.NotAvailableError, match="thirteen rows"):
        detectors.find(peer, pages, tmp_path / "out", tmp_path, on_page=lambda _: None)
    found = detectors.find(peer, pages[:1], tmp_path / "out", tmp_path, on_page=pytest.fail)
    assert set(found) == {"a.png"}


def test_a_program_that_is_not_there_is_said(benchmark, tmp_path):
    detectors = benchmark("peer_detectors")
    peer = detectors.read_peer(detectors.FOLDER / "tesseract.py").model_copy(update={"program": "no-such-program"})
    with pytest.raises(detectors.NotAvailableError, match="no-such-program is not installed"):
        detectors.install(peer, tmp_path)


def test_a_detector_takes_its_turn_in_its_own_process(one_box, tmp_path):
    detectors, peer = one_box
    _, file = page_of(tmp_path, "a.png")
    with detectors.timer(peer, tmp_path, 1) as milliseconds:
        assert milliseconds(file) >= 0


# --- boards -----------------------------------------------------------------------------------------------------------


def box(x, y, width, height, grow=0.0):
    return [
        [x - grow, y - grow],
        [x + width + grow, y - grow],
        [x + width + grow, y + height + grow],
        [x - grow, y + height + grow],
    ]


def candidate_of(leaderboard, pages, folder, title, grow):
    """A detector whose boxes are the words, grown; tuning can undo that."""
    found = {}
    for page in pages:
        boxes = [box(*page.polygons[i][0], *(page.polygons[i][2] - page.polygons[i][0]), grow) for i in range(3)]
        found[page.name] = Detections(Polygons.of(boxes), np.full(3, 0.9, dtype=np.float32))
    return leaderboard.Candidate(
        title, found, lambda page: found[page.name], leaderboard.grown, leaderboard.AS_FOUND, leaderboard.BOX_AXES, title,
        folder / title, frozenset(found),
    )  # fmt: skip


@pytest.fixture
def receipts():
    """Pages of 12 shops with a word of one character each."""
    pages = []
    rng = np.random.default_rng(0)
    for i in range(24):
        words = [box(10, 10, 60, 10), box(10, 30, 50 + rng.integers(20), 10), box(120, 30, 10, 10)]
        pages.append(
            Page(f"{i}.jpg", 200, 60, Polygons.of(words), texts=("total", "change", "1"), group=f"shop {i // 2}")
        )
    return pages


def test_a_board_shows_each_detector_as_it_comes_and_tuned(benchmark, receipts, tmp_path):
    leaderboard = benchmark("leaderboard")
    pages = leaderboard.DataSet("some", None, receipts)
    good = candidate_of(leaderboard, receipts, tmp_path, "Good", 0.0)
    wide = candidate_of(leaderboard, receipts, tmp_path, "Wide", 2.5)
    (board,) = leaderboard.boards_of(pages, [wide, good], {}, "Good")
    rows = {(row.model, row.values): row.scores for row in board.rows}
    assert rows["Good", "its defaults"]["single"].value == 1
    assert rows["Wide", "its defaults"]["iou70"].value < 0.5
    assert rows["Wide", "its defaults"]["single"].value == 0
    assert rows["Wide", "tuned, cross-fitted"]["iou70"].value > 0.9
    assert [row.scores["macro"].value for row in board.rows] == sorted(
        [row.scores["macro"].value for row in board.rows], reverse=True
    )
    assert board.base == "Good, tuned, cross-fitted"
    worse = next(row for row in board.differences if row.name == "Wide, its defaults")
    assert worse.scores["iou70"].verdict == "worse"
    text = leaderboard.board_text(board)
    assert "| some (24) | Wide | tuned, cross-fitted |" in text
    assert "single characters R" in text


def test_values_are_chosen_once_and_kept(benchmark, receipts, tmp_path, monkeypatch):
    leaderboard = benchmark("leaderboard")
    wide = candidate_of(leaderboard, receipts, tmp_path, "Wide", 2.5)
    chosen = leaderboard.tuned(wide, receipts)
    assert chosen.on_all.unclip_ratio < 1
    assert len(chosen.by_fold) == 5
    monkeypatch.setattr(leaderboard, "score_settings", pytest.fail)
    assert leaderboard.tuned(wide, receipts) == chosen
    found = leaderboard.cross_fitted(wide, receipts, chosen)
    assert set(found) == {page.name for page in receipts}


def test_a_model_is_scored_only_on_pages_of_shops_that_it_has_not_seen(benchmark, receipts, tmp_path):
    leaderboard = benchmark("leaderboard")
    pages = leaderboard.DataSet("some", None, receipts)
    ours = candidate_of(leaderboard, receipts, tmp_path, "Ours", 0.0)
    ours = replace(ours, names=frozenset(page.name for page in receipts[:12]))
    wide = candidate_of(leaderboard, receipts, tmp_path, "Wide", 2.5)
    everywhere, part = leaderboard.boards_of(pages, [wide, ours], {}, "Wide")
    assert {row.model for row in everywhere.rows} == {"Wide"}
    assert part.pages == "some, shops that Ours has not seen"
    assert {row.model for row in part.rows} == {"Wide", "Ours"}
    assert {row.grouping.pages for row in part.rows} == {12}


def test_nothing_is_chosen_on_pages_that_are_for_evaluation_only(benchmark, receipts, tmp_path):
    leaderboard = benchmark("leaderboard")
    pages = leaderboard.DataSet("receipts_de", None, receipts)
    wide = candidate_of(leaderboard, receipts, tmp_path, "Wide", 2.5)
    lines = list(leaderboard.lines_of(wide, pages, {}))
    assert [line.values for line in lines] == ["its defaults"]
    elsewhere = leaderboard.tuned(wide, receipts)
    _, line = leaderboard.lines_of(wide, pages, {"Wide": elsewhere})
    assert line.values == "tuned on sroie"
    assert line.postprocess == [elsewhere.on_all]


def test_a_model_that_descends_from_a_published_one_says_so(benchmark):
    leaderboard = benchmark("leaderboard")
    starts = (StartProvenance(name="best.ckpt", of_ours=True), StartProvenance(name="x", title="PP-OCRv6 small"))
    training = TrainingProvenance(started_from=starts)
    assert leaderboard.with_parent("mine", training) == "mine (from PP-OCRv6 small)"
    assert leaderboard.with_parent("mine", TrainingProvenance()) == "mine"
    assert leaderboard.with_parent("mine", None) == "mine"


def test_growing_moves_each_side_by_a_share_of_area_over_perimeter(benchmark):
    leaderboard = benchmark("leaderboard")
    found = Detections(Polygons.of([box(10, 10, 40, 10), box(80, 10, 40, 10)]), np.array([0.9, 0.3], np.float32))
    as_it_is, wider = leaderboard.grown(
        found,
        [PostprocessParams(unclip_ratio=1.0, box_thresh=0.0), PostprocessParams(unclip_ratio=1.5, box_thresh=0.5)],
    )
    assert as_it_is.polygons.points.tolist() == found.polygons.points.tolist()
    assert len(wider) == 1
    distance = 0.5 * 400 / 100
    corners = wider.polygons[0]
    np.testing.assert_allclose(corners.min(axis=0), [10 - distance, 10 - distance], atol=1e-4)
    np.testing.assert_allclose(corners.max(axis=0), [50 + distance, 20 + distance], atol=1e-4)


def test_of_some_detectors_alone_the_published_page_stays_as_it_is(benchmark, receipts, tmp_path, monkeypatch, capsys):
    leaderboard = benchmark("leaderboard")
    wide = candidate_of(leaderboard, receipts, tmp_path, "Wide", 2.5)
    pages = leaderboard.DataSet("some", None, receipts)

    def unavailable(peer, *_):
        if peer.name == "tesseract":
            raise leaderboard.NotAvailableError("not here")
        return wide

    monkeypatch.setattr(leaderboard, "data_sets", lambda *_: [pages])
    monkeypatch.setattr(leaderboard, "peer_candidate", unavailable)
    monkeypatch.setattr(leaderboard, "own_candidates", lambda *_: [])
    monkeypatch.setattr(leaderboard, "PAGE", tmp_path / "docs" / "leaderboard.md")
    monkeypatch.setattr(leaderboard.readme, "write_results", lambda *_: pytest.fail("README written"))
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", "DATA", str(tmp_path), "detectors=tesseract,craft"])
    leaderboard.main()
    assert "skipped: not here" in capsys.readouterr().out
    written = tmp_path / "leaderboard/leaderboard.md"
    record = leaderboard.Leaderboard.read(written.with_suffix(".json"))
    assert written.read_text() == leaderboard.page(record)
    assert "- Tesseract 5, some: not here" in written.read_text()
    assert not (tmp_path / "docs").exists()
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", "DATA", str(tmp_path), "nonsense=1"])
    with pytest.raises(SystemExit, match="nonsense: no such option"):
        leaderboard.main()
