"""The numbers of a sweep's report."""

import pytest

from hmean.cli import main
from hmean.commands.sweep import open_sweep
from hmean.execute.queue import Task, TaskState
from hmean.files import read_json
from hmean.reports.sweep import write_report
from hmean.reports.sweep_record import STUDENT_T, SeedNoise, SweepReport, opponents
from hmean.search.records import TrialPayload, TrialResult
from support.html import english_phrases
from support.sweeps import DECAY, LR, PATIENT, make_folder

GIVEN = TrialPayload(params={LR: 0.0015})


def trial(number: int, value: float | None = None, payload: TrialPayload = GIVEN) -> Task:
    return Task(number, 0, TaskState.DONE, "", 1, payload, TrialResult(value=value))


@pytest.mark.parametrize(("order", "told"), [
    ((2, 1, 0), [(1, "the next"), (0, "the preset's own values")]),
    ((2, 0, 1), [(0, "the next, the preset's own values")]),
    ((0, 1, 2), [(1, "the next")]),
    ((2,), []),
])  # fmt: skip
def test_the_best_is_compared_with_the_next_and_the_preset(order, told):
    trials = {0: trial(0), 1: trial(1, payload=TrialPayload()), 2: trial(2, payload=TrialPayload())}
    best = [trials[number] for number in order]
    assert [(other.number, what) for other, what in opponents(best, is_grid=False)] == told


def test_a_grid_has_no_trial_of_the_presets_own_values():
    assert [what for _, what in opponents([trial(1), trial(2), trial(0)], is_grid=True)] == ["the next"]


def test_the_noise_of_seeds():
    trials = [trial(0, 0.90), trial(1, 0.80), trial(2, 0.91), trial(3, 0.83)]
    noise = SeedNoise.of(trials, {2: 0, 3: 1})
    assert noise.deviation == pytest.approx(((0.01**2 + 0.03**2) / 4) ** 0.5)
    assert noise.half_width() == pytest.approx(STUDENT_T[1] * 2**0.5 * noise.deviation)
    assert SeedNoise.of(trials, {}) is None


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
    assert report.seed_noise == pytest.approx(0.01 / 2**0.5)
    assert report.hours == pytest.approx(9 / 3600)
    (comparison,) = report.comparisons
    assert (comparison.best, comparison.other, comparison.what) == (1, 0, "the next, the preset's own values")
    assert comparison.verdict in ("better", "worse", "not distinguishable")
    assert comparison.interval95[0] <= comparison.difference <= comparison.interval95[1]
    assert html.count("<svg") == 4  # parallel coordinates, two slices, learning curves
    assert "Another seed moves" in html
    assert "repeats trial 1 with another seed" in html


def test_a_report_of_an_earlier_version_is_read(finished):
    path = write_report(finished).with_name("report.json")
    values = read_json(path)
    present = SweepReport.parse(values, path)
    values["runs"] = values.pop("trials")
    values["verdict"] = values.pop("comparisons")
    for row in values["runs"]:
        row["slot"] = row.pop("trial")
    for row in values["verdict"]:
        row["says"] = row.pop("verdict")
    assert SweepReport.parse(values, path) == present


def test_a_korean_report_has_no_english_sentence_and_lies_beside_the_english_one(finished):
    english, korean = (write_report(finished, lang) for lang in ("en", "ko"))
    assert [english.name, korean.name] == ["report.html", "report.ko.html"]
    assert len(english_phrases(english.read_text())) > 5
    assert english_phrases(korean.read_text()) == []
    assert "시도 4회" in korean.read_text()
