"""The trials of a sweep, without a training."""

import json
from pathlib import Path

import pytest
import yaml

from hmean.cli import main
from hmean.commands.sweep import open_sweep
from hmean.errors import InputError
from hmean.execute.queue import TaskState
from hmean.postprocess.parameters import PARAMETERS
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


POSTPROCESS = "models.head.postprocess"
SETS_THRESH = {**FILE, "parameters": {**FILE["parameters"], f"{POSTPROCESS}.thresh": {"value": 0.28}}}
TUNED = ["engine=optuna", "grace=0.3", "n=2", "agents=0"]


def commands_of_first_trial() -> list[list[str]]:
    """The commands of the first trial; its folder has what a training leaves."""
    sweep = open_sweep(["outputs/s"])
    attempt = TrialAttempt(sweep, sweep.queue.claim(60))
    attempt.folder.mkdir(parents=True, exist_ok=True)
    (attempt.folder / "config.yaml").write_text("models: {}\n")
    return [list(command) for command in attempt.commands()]


def test_what_the_sweep_sets_is_not_tuned(capsys):
    Path("s.yaml").write_text(yaml.safe_dump(SETS_THRESH))
    assert main(["sweep", "s.yaml", *TUNED]) == 0
    assert "thresh: the sweep sets or searches this, so the tuning of the trials keeps it" in capsys.readouterr().out
    assert open_sweep(["outputs/s"]).plan.kept == ["thresh"]
    _, tuning = commands_of_first_trial()
    assert tuning[-1] == "tune.thresh=[]"


def test_a_trial_with_nothing_left_to_tune_is_not_tuned(capsys):
    Path("s.yaml").write_text(yaml.safe_dump(SETS_THRESH))
    nothing = [f"tune.{name}=[]" for name in PARAMETERS if name != "thresh"]
    assert main(["sweep", "s.yaml", *TUNED, *nothing]) == 0
    assert "there is nothing else to tune: no trial is tuned" in capsys.readouterr().out
    plan = open_sweep(["outputs/s"]).plan
    assert (plan.tune_each, plan.kept) == (False, ["thresh"])
    assert len(commands_of_first_trial()) == 1


def test_a_sweep_of_an_earlier_version_goes_on_as_it_began():
    """It tuned what its file sets: trials of one sweep are scored alike."""
    Path("s.yaml").write_text(yaml.safe_dump(SETS_THRESH))
    assert main(["sweep", "s.yaml", *TUNED]) == 0
    sweep = open_sweep(["outputs/s"])
    plan = sweep.plan.to_json()
    del plan["kept"]
    with sweep.queue.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hmean_queue SET about = ?", (json.dumps(plan),))
    assert main(["sweep", "s.yaml", *TUNED]) == 0
    assert open_sweep(["outputs/s"]).plan.kept is None
    _, tuning = commands_of_first_trial()
    assert "tune.thresh=[]" not in tuning


@pytest.mark.parametrize(("options", "repeats", "told"), [
    (["n=12"], 3, "outputs/s: 12 trials and 3 repeats, 0 agents here"),
    (["n=6"], 3, "outputs/s: 6 trials and 3 repeats, 0 agents here"),
    (["n=5"], 0, "outputs/s: 5 trials, 0 agents here"),
    (["n=12", "confirm=0"], 0, "outputs/s: 12 trials, 0 agents here"),
    (["n=2", "confirm=1"], 1, "outputs/s: 2 trials and 1 repeat, 0 agents here"),
])  # fmt: skip
def test_the_best_are_repeated_and_the_cost_is_told(capsys, options, repeats, told):
    assert main(["sweep", "s.yaml", *BRISK, *options, "agents=0"]) == 0
    assert told in capsys.readouterr().out
    assert sum(trial.stage == 1 for trial in open_sweep(["outputs/s"]).trials()) == repeats


def test_a_plan_of_an_earlier_version():
    plan = create().plan
    values = plan.to_json()
    values["fixed"] = ["output_dir=outputs", *values.pop("overrides")]
    assert SweepPlan.parse(values, "test") == plan


def test_states_know_whether_they_are_final():
    ended = [state for state in TaskState if state.has_ended()]
    assert ended == ["done", "stopped", "failed"]
