"""docs/benchmarks.md: it is what its program makes of its numbers, and says which aims were missed."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = {
    "item": "Quads",
    "peer": "RapidOCR",
    "ratio": 6.54,
    "low": 5.0,
    "high": 9.0,
    "pairs": 36,
    "ours_ms": 2.0,
    "peer_ms": 13.0,
    "target": 8.0,
    "exact": "shown elsewhere",
}
ENVIRONMENT = {"processor": "x", "cores": 2, "python": "3.11", "versions": {}}


@pytest.fixture
def run(monkeypatch):
    """The module benchmarks/run.py."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import run as module

    yield module
    for name in ("run", "harness"):
        sys.modules.pop(name, None)


def test_the_page_is_what_the_program_makes_of_the_numbers(run):
    record = json.loads((ROOT / "docs/benchmarks.json").read_text())
    assert (ROOT / "docs/benchmarks.md").read_text() == run.table(record)


def test_a_missed_aim_is_marked_as_missed(run):
    assert run.aim(ROW) == "8 x: **MISSED**"
    assert run.aim(ROW | {"target": 6.0}) == "6 x: reached"
    assert run.aim(ROW | {"target": None}) == ""
    assert run.aim(ROW | {"target": None, "most_ms": 1.5}) == "at most 1.5 ms: **MISSED**"
    part = {"about": "", "program": run.program("postprocess"), "environment": ENVIRONMENT, "results": [ROW]}
    page = run.table({"postprocess": part})
    assert "| 8 x: **MISSED** |" in page
    assert "Missed aims: postprocess: Quads, against RapidOCR." in page


def test_the_strongest_neighbour_stands_beside_the_usual_peer(run):
    neighbour = ROW | {"peer": "bare OpenCV", "ratio": 1.6, "target": None, "strongest": True}
    part = {"about": "", "program": run.program("postprocess"), "environment": ENVIRONMENT, "results": [ROW, neighbour]}
    page = run.table({"postprocess": part})
    assert "| postprocess | Quads | **6.5** RapidOCR | **1.6** bare OpenCV |" in page
    assert "| Quads | **strongest neighbour**: bare OpenCV | **1.6** [5.0, 9.0] |" in page


def test_rows_of_an_earlier_program_say_so(run):
    part = {"about": "", "environment": ENVIRONMENT, "results": [ROW]}
    assert "was not recorded which version of `benchmarks/postprocess.py`" in run.table({"postprocess": part})
    earlier = part | {"program": "0"}
    assert "an earlier version of `benchmarks/postprocess.py`" in run.table({"postprocess": earlier})
    now = part | {"program": run.program("postprocess")}
    assert "an earlier version" not in run.table({"postprocess": now})


def test_every_part_has_a_program(run):
    for name in run.PARTS:
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_both_sides_are_timed_in_turn_until_the_time_is_long_enough(run, monkeypatch):
    import harness

    now = 0.0
    calls = []

    def clock():
        return now

    def taking(name, seconds):
        def call(_):
            nonlocal now
            now += seconds
            calls.append(name)

        return call

    monkeypatch.setattr(harness.time, "process_time", clock)
    found = harness.compare(
        "x", "y", [None], taking("ours", 1 / 512), taking("theirs", 3 / 512), exact="", rounds=2, cpu=True
    )
    assert found.ratio == pytest.approx(3)
    assert found.ours_ms == pytest.approx(1000 / 512)
    # Each once untimed, then the pairs: theirs first, ours first; 2 ms at least on each side.
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "ours", "ours", "theirs"]
