"""The numbers of a sweep's report."""

import pytest

from hmean.cli import main
from hmean.commands.sweep import open_sweep
from hmean.execute.queue import TaskState
from hmean.files import read_json
from hmean.reports.sweep import write_report
from hmean.reports.sweep_record import SweepReport
from hmean.search.overview import status
from hmean.search.records import TrialResult
from support.html import english_phrases
from support.sweeps import DECAY, LR, PATIENT, make_folder


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A sweep of three trials and a repeat of the best; the pages behind their scores differ a little."""
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path)
    assert main(["sweep", "s.yaml", *PATIENT, "n=3", "agents=0", "confirm=1"]) == 0
    sweep = open_sweep(["outputs/s"])
    for value in (0.90, 0.93, None, 0.92):
        task = sweep.queue.claim(60)
        if value is None:
            sweep.queue.end(task, TaskState.FAILED, TrialResult(params={LR: 0.001, DECAY: 0.5}, reason="out of memory"))
            continue
        rows = [{"epoch": epoch, "val/hmean": value - 0.01 * (2 - epoch), "seconds": 1.0} for epoch in range(3)]
        pages = []
        for page in range(6):
            found = round(100 * value) - page
            counts = [found, 100 - found, 0, 100, 0, 0, 0, 100]
            pages.append({"name": f"{page}.jpg", "counts": counts, "iou50": [found, 100, 100], "iou70": [1, 1, 1]})
        values = {
            "params": {LR: 0.001 + task.number / 1000, DECAY: 0.5},
            "rows": rows,
            "value": value,
            "untuned": value - 0.005,
            "seconds": 3.0,
            "scored": {"cleval": {"characters": "aspect"}, "pages": pages},  # as an earlier version wrote them
        }
        result = TrialResult.parse(values, "test")
        assert sweep.queue.end(task, TaskState.DONE, result)
    return sweep


def test_a_report_says_what_it_can_and_cannot_say(finished):
    path = write_report(finished)
    html = path.read_text()
    report = SweepReport.read(path.with_name("report.json"))
    assert [entry.trial for entry in report.trials] == [1, 0, 2, 3]  # a repeat is never first
    assert [entry.repeats for entry in report.trials] == [None, None, None, 1]
    assert [entry.note for entry in report.trials] == ["", "", "out of memory", ""]
    assert report.trials[0].curve[-1] == (3, 0.93)
    assert report.hours == pytest.approx(9 / 3600)
    best, other = report.trials[:2]
    assert (report.best, best.seeds, best.mean, best.sd) == (1, 2, pytest.approx(0.925), pytest.approx(0.01 / 2**0.5))
    assert (other.seeds, other.mean, other.sd) == (1, None, None)
    assert (report.spread.sd, report.spread.degrees_of_freedom) == (pytest.approx(0.01 / 2**0.5), 1)
    assert (report.grouping.pages, report.grouping.groups) == (6, 6)
    (comparison,) = report.comparisons
    assert (comparison.trial, comparison.base, comparison.what) == (1, 0, "the preset's own values")
    assert comparison.verdict == "not distinguishable"
    assert comparison.family95 == comparison.interval95  # a family of one
    assert comparison.interval95.low < comparison.difference < comparison.interval95.high
    assert html.count("<svg") == 4  # parallel coordinates, two slices, learning curves
    assert "The best is trial 1, 0.9250 on average over 2 seeds" in html
    assert "Another seed moves" in html
    assert "repeats trial 1 with another seed" in html
    assert "not repeated" in html
    assert "6 pages, each a group of its own." in html
    assert "only 6 groups of pages" in html


def test_the_table_of_a_sweep_says_what_is_the_best_and_what_it_is_worth(finished):
    lines = status(finished).splitlines()
    rows = {line.split("\t")[0]: line.split("\t") for line in lines[:5]}
    assert (rows["1"][3:5], rows["0"][4], rows["2"][4]) == (["0.9300", "0.9250 of 2"], "not repeated", "")
    assert lines[5] == "best: trial 1, 0.9250 on average over 2 seeds"
    assert lines[6] == "against trial 0 (the preset's own values)"
    assert lines[8].split("\t")[::4] == ["1", "not distinguishable"]
    assert lines[9:] == [
        "6 pages, each a group of its own",
        "warning: only 6 groups of pages: intervals are wide, and rest on few shops or documents",
    ]


def test_a_report_of_an_earlier_version_is_read(finished):
    path = write_report(finished).with_name("report.json")
    values = read_json(path)
    present = SweepReport.parse(values, path)
    new = ("best", "kept", "grouping", "spread")
    values["seed_noise"] = values["spread"]["sd"]
    values["runs"] = values.pop("trials")
    values["verdict"] = values.pop("comparisons")
    for name in new:
        del values[name]
    for row in values["runs"]:
        row["slot"] = row.pop("trial")
        for name in ("seeds", "mean", "sd"):
            del row[name]
    for row in values["verdict"]:
        row["best"] = row.pop("trial")
        row["other"] = row.pop("base")
        row["says"] = row.pop("verdict")
        del row["family95"]
    read = SweepReport.parse(values, path)
    assert read.spread == present.spread
    assert [row.trial for row in read.trials] == [row.trial for row in present.trials]
    assert [row.interval95 for row in read.comparisons] == [row.interval95 for row in present.comparisons]
    assert (read.comparisons[0].trial, read.comparisons[0].base) == (1, 0)
    assert SweepReport.parse({**values, "seed_noise": None}, path).spread is None


def test_a_korean_report_has_no_english_sentence_and_lies_beside_the_english_one(finished):
    english, korean = (write_report(finished, lang) for lang in ("en", "ko"))
    assert [english.name, korean.name] == ["report.html", "report.ko.html"]
    assert len(english_phrases(english.read_text())) > 5
    assert english_phrases(korean.read_text()) == []
    assert "시도 4회" in korean.read_text()
