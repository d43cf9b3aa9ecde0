"""The trials of a sweep, without a training."""

import json
from pathlib import Path

import pytest
import yaml

from hmean.cli import main
from hmean.commands.sweep import open_sweep
from hmean.errors import InputError
from hmean.execute.queue import TaskState
from hmean.search.records import SweepPlan, trial_folder, trial_folders
from hmean.search.trials import Sweep, TrialAttempt, read_rows
from support.sweeps import BRISK, FILE, make_folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path)
    return tmp_path


def create(**changes) -> Sweep:
    Path("s.yaml").write_text(yaml.safe_dump({**FILE, **changes}))
    assert main(["sweep", "s.yaml", *BRISK, "n=2", "agents=0", "floor=0.5"]) == 0
    return open_sweep(["outputs/s"])


def test_a_failed_trial_has_no_values_of_the_trial_before(monkeypatch):
    sweep = create()
    propose = sweep.propose

    def refuse_the_second(trial):
        if trial.number:
            raise InputError("no values")
        return propose(trial)

    monkeypatch.setattr(sweep, "propose", refuse_the_second)
    sweep.work()
    first, second = sweep.trials()
    assert (first.state, second.state) == ("done", "failed")
    assert (second.result.rows, second.result.params, second.result.reason) == ([], {}, "no values")


def test_a_floor_holds_for_what_is_minimized_too():
    """A loss of 0.3 is better than the floor of 0.5, one of 0.9 is not; the record has what was measured."""
    sweep = create(metric={"name": "train/loss", "goal": "minimize"})
    trial = sweep.queue.claim(60)
    attempt = TrialAttempt(sweep, trial)
    attempt.folder.mkdir(parents=True)
    for loss, stopped in ((0.3, False), (0.9, True)):
        rows = [json.dumps({"epoch": epoch, "train/loss": loss}) for epoch in range(3)]
        (attempt.folder / "metrics.jsonl").write_text("\n".join(rows))
        assert attempt.must_stop() == stopped
    stop = attempt.result(was_stopped=True).stop
    assert (stop.rule, stop.value, stop.threshold) == ("floor", 0.9, 0.5)
    assert attempt.result(was_stopped=False).stop is None


def test_a_trial_that_has_its_epochs_is_not_stopped():
    sweep = create()
    attempt = TrialAttempt(sweep, sweep.queue.claim(60))
    attempt.folder.mkdir(parents=True)
    rows = [json.dumps({"epoch": epoch, "val/hmean": 0.01}) for epoch in range(4)]
    (attempt.folder / "metrics.jsonl").write_text("\n".join(rows))
    assert not attempt.must_stop()


def test_a_training_without_a_finite_score_has_no_result():
    sweep = create()
    attempt = TrialAttempt(sweep, sweep.queue.claim(60))
    with pytest.raises(InputError, match="no finite val/hmean"):
        attempt.result(was_stopped=False)


def test_rows_that_another_process_is_writing(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_rows(path) == []
    path.write_text('{"epoch": 0, "val/hmean": NaN, "train/loss": 0.5, "note": "x"}\n{"epoch": 1, "val/hm')
    (row,) = read_rows(path)
    assert (row.epoch, row.metrics, row.seconds) == (0, {"train/loss": 0.5}, 0.0)


def test_folders_of_an_earlier_version_are_kept(tmp_path):
    (tmp_path / "slot_00").mkdir()
    (tmp_path / "trial_01").mkdir()
    assert trial_folder(tmp_path, 0).name == "slot_00"
    assert trial_folder(tmp_path, 2).name == "trial_02"
    assert [folder.name for folder in trial_folders(tmp_path)] == ["slot_00", "trial_01"]


def test_a_plan_of_an_earlier_version():
    plan = create().plan
    values = plan.to_json()
    values["fixed"] = ["output_dir=outputs", *values.pop("overrides")]
    assert SweepPlan.parse(values, "test") == plan


def test_states_know_whether_they_are_final():
    ended = [state for state in TaskState if state.has_ended()]
    assert ended == ["done", "stopped", "failed"]
