"""``hmean sweep`` as a user types it. The trainings are a script that ends at once, but for one that is real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import optuna_dashboard
import pytest
import yaml

from hmean.cli import main
from hmean.commands import sweep
from hmean.search import proposals
from hmean.search.records import OBJECTIVES
from hmean.settings.compose import read_settings
from hmean.settings.training import TrainSettings
from hmean.settings.trials import check_trials, preset_point
from support.pages import TINY
from support.sweeps import (
    BRISK,
    DECAY,
    FILE,
    LR,
    PATIENT,
    ROOT,
    check_ended,
    make_folder,
    plan,
    read_sweep,
    starts,
    trials_of,
    wait_for,
    work,
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with a sweep file and its trainer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    make_folder(tmp_path)
    return tmp_path


def write_sweep(name: str = "s.yaml", **changes) -> None:
    Path(name).write_text(yaml.safe_dump({**FILE, **changes}))


def study_of_sweep():
    queue = trials_of()
    return proposals.open_study(queue.database, "s", read_sweep(Path("s.yaml")))


def test_a_sweep_with_trainings_that_misbehave(capfd):
    plan(trial_01="nan", trial_02="fail", trial_03="low")
    create = ["sweep", "s.yaml", *BRISK, "n=6", "agents=0", "confirm=0"]
    assert main(create) == 0
    assert work() == 0
    queue = trials_of()
    found = check_ended(queue, 6, {1: "failed", 2: "failed", 3: "stopped"})
    assert found[0].result.params == {LR: 0.0015, DECAY: 0.6}  # the preset's own values come first
    assert found[0].result.value == pytest.approx(0.903)
    assert "no finite val/hmean" in found[1].result.reason
    assert (starts(2), found[2].attempt) == ([0, 1, 1], 3)
    assert "it cannot be done" in found[2].result.reason
    stop = found[3].result.stop
    assert (stop.rule, stop.value, stop.threshold) == ("floor", 0.01, 0.1)
    assert stop.validations == 3  # 60 % of 4 epochs
    assert all(starts(number) == [0] for number in (0, 1, 3, 4, 5))
    (first,) = (trial for trial in study_of_sweep().trials if proposals.trial_number(trial) == 0)
    assert len(first.intermediate_values) == 4

    capfd.readouterr()
    before = Path("starts.txt").read_text()
    assert main(create) == 0  # nothing is left to do
    assert work() == 0
    assert Path("starts.txt").read_text() == before
    told = capfd.readouterr().out
    assert "0.9030" in told
    assert "stopped by floor: its best value was 0.01, and 0.1 was required" in told
    assert main([*create, "n=7"]) == 2
    assert "n: was 6, now 7" in capfd.readouterr().err
    assert main(["sweep", "doctor", "outputs/s"]) == 0
    assert "trial 2: failed" in capfd.readouterr().out

    assert main([*create, "confirm=2"]) == 0
    assert work() == 0
    best = [trial for trial in queue.tasks() if trial.stage == 0 and trial.state == "done"]
    best.sort(key=lambda trial: -trial.result.value)
    repeats = queue.tasks()[6:]
    assert [trial.result.params for trial in repeats] == [trial.result.params for trial in best[:2]]
    assert [line.split()[2] for line in Path("starts.txt").read_text().splitlines()[-2:]] == ["43", "43"]
    assert len(study_of_sweep().trials) == 6
    assert main([*create, "confirm=2"]) == 0
    ranking = json.loads(Path("outputs/s/ranking.json").read_text())
    assert [len(row["scores"]) for row in ranking["trials"]] == [2, 2, 1]
    assert ranking["trials"][0]["trial"] == best[0].number

    dashboard = webtest(optuna_dashboard.wsgi("sqlite:///outputs/s/sweep.db"))
    (summary,) = dashboard("/api/studies")["study_summaries"]
    assert summary["study_name"] == "s"
    trials_shown = dashboard(f"/api/studies/{summary['study_id']}?after=0")["trials"]
    assert sorted(trial["state"] for trial in trials_shown) == ["Complete"] * 3 + ["Fail"] * 2 + ["Pruned"]


def webtest(app):
    """JSON of a WSGI application's pages."""

    def get(address):
        return json.loads(b"".join(app(environ(address), lambda status, *_: status)))

    def environ(address):
        path, _, query = address.partition("?")
        found = {"PATH_INFO": path, "QUERY_STRING": query}
        setup_testing_defaults(found)
        return found

    return get


def test_only_what_has_a_score_is_repeated(capfd):
    assert main(["sweep", "s.yaml", *PATIENT, "n=2", "confirm=3"]) == 2
    assert "confirm=3: there are only 2 trials to repeat" in capfd.readouterr().err
    plan(trial_01="fail")
    assert main(["sweep", "s.yaml", *PATIENT, "n=2", "agents=1", "confirm=2"]) == 0
    assert [trial.state for trial in trials_of().tasks()] == ["done", "failed", "done", "stopped"]
    assert "reason: no trial to repeat: only 1 with a score" in capfd.readouterr().out


# --- before anything runs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sweep_efficientnet_b4_lr_optimized", "sweep_receipts_lite"])
def test_every_range_of_a_shipped_sweep_reaches_the_config(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = read_sweep(ROOT / f"configs/{name}.yaml")
    preset = check_trials(found, [], tune_each=True)
    assert set(preset_point(found, preset)) == set(found.space)  # the preset is inside of the ranges


@pytest.mark.parametrize(("change", "told"), [
    ({"parameters": {LR: {"values": [0.001, -1.0]}}}, f"parameters.{LR} = -1.0: {LR}: input should be greater than 0"),
    ({"parameters": {"models.optimizer.beta": {"values": [1]}}}, "models.optimizer.beta"),
    ({"parameters": {LR: {"values": [0.001]}, "datasets.val_dataset.annotation_path": {"values": [None]}}}, "annotation_path: None reaches the training as 'None'"),
    ({"parameters": {LR: {"distribution": "q_uniform", "min": 0.001, "max": 0.002, "q": 0}}}, "q above 0"),
    ({"parameters": {LR: {"min": 0.001, "max": float("inf")}}}, "must be finite"),
    ({"command": None}, "command: None is not of type"),
    ({"metric": {"name": "val/f1", "goal": "maximize"}}, "val/f1 is not measured"),
    ({"program": "absent.py"}, "absent.py was not found"),
    ({"program": 3}, "program: 3 is not of type 'string'"),
    ({"command": ["${program}", "${args}"]}, "use ${args_no_hyphens}"),
])  # fmt: skip
def test_faults_are_told_before_anything_runs(capsys, change, told):
    write_sweep(**change)
    assert main(["sweep", "s.yaml", *PATIENT, "agents=1"]) == 2
    assert told in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_all_faults_come_in_one_message(capsys):
    """Of the options; then of the file, what holds for every training, and the parameters; each once."""
    write_sweep(method="tpe", parameters={LR: {"values": [0.001, -1.0]}, DECAY: {"min": 2.0, "max": 1.0}})
    overrides = ["trainer.max_epochs=x", "nonsense=1", "crossval.k=3"]
    assert main(["sweep", "s.yaml", "engine=optuna", "n=none", "agents=-1", *overrides]) == 2
    told = capsys.readouterr().err
    assert "n: input should be a valid integer" in told
    assert "agents: input should be greater than or equal to 0" in told
    assert main(["sweep", "s.yaml", "engine=optuna", *overrides]) == 2
    told = capsys.readouterr().err
    for part in (
        "s.yaml: method: ",
        f"s.yaml: parameters.{DECAY}: ",
        "trainer.max_epochs: ",
        "nonsense: unknown key",
        "crossval.k: this command does not read it",
        f"parameters.{LR} = -1.0: ",
    ):
        assert sum(told[i - 1] in " \n" for i in range(1, len(told)) if told.startswith(part, i)) == 1, (part, told)


def test_overrides_of_the_tuning_are_checked_too(capsys):
    assert main(["sweep", "s.yaml", "engine=optuna", "agents=0", "tune.thresh=[2.0]", "tune.nonsense=1"]) == 2
    told = capsys.readouterr().err
    assert "\n  - tune.nonsense: unknown key" in told
    assert "tune.thresh.0: input should be less than or equal to 1" in told
    assert main(["sweep", "s.yaml", *PATIENT, "agents=0", "tune.folds=2"]) == 2
    assert "tune.folds=2: no trial is tuned with tune_each=false" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "told"), [
    (["status", "sqlite:///nope/x.db", "foo"], "no sweep 'foo'"),
    (["agent", "sqlite:///x.db"], "hmean sweep agent takes URL and NAME"),
    (["import", "x.csv"], "hmean sweep import takes FOLDER and TABLE.csv"),
])  # fmt: skip
def test_a_wrong_command_says_so_at_once_and_makes_nothing(here, capsys, words, told):
    before, start = sorted(here.iterdir()), time.monotonic()
    assert main(["sweep", *words]) == 2
    assert told in capsys.readouterr().err
    assert time.monotonic() - start < 4
    assert sorted(here.iterdir()) == before


def test_a_changed_file_names_what_changed_and_nothing_done_is_no_report(capsys):
    assert main(["sweep", "s.yaml", *PATIENT, "agents=0"]) == 0
    write_sweep(method="random")
    assert main(["sweep", "s.yaml", *PATIENT, "agents=0"]) == 2
    told = capsys.readouterr().err
    assert "sweep.method: was 'bayes', now 'random'" in told
    assert LR not in told
    assert main(["sweep", "report", "outputs/s"]) == 2
    assert "no trial has a score yet" in capsys.readouterr().err


def test_a_grid_is_run_whole_or_says_where_it_is_cut(capsys):
    grid = {
        **FILE,
        "method": "grid",
        "parameters": {LR: {"values": [0.001, 0.002, 0.003, 0.004]}, DECAY: {"values": [0.4, 0.5, 0.6, 0.7]}},
    }
    del grid["run_cap"]
    Path("s.yaml").write_text(yaml.safe_dump(grid))
    assert main(["sweep", "s.yaml", *PATIENT, "agents=0"]) == 0
    assert [trial.stage for trial in trials_of().tasks()] == [0] * 16 + [1] * 3  # the best are repeated
    assert main(["sweep", "s.yaml", *PATIENT, "agents=0", "n=5", "name=cut"]) == 0
    assert "5 of the 16 points" in capsys.readouterr().out


# --- what came of it ------------------------------------------------------------------------------------------------


def test_a_sweep_of_which_nothing_came_is_no_success(here, capsys, monkeypatch):
    plan(trial_00="fail")
    create = ["sweep", "s.yaml", *BRISK, "n=1", "agents=0"]
    assert main(create) == 0
    assert work() == 0
    assert main(create) == 2
    assert "every trial failed" in capsys.readouterr().err
    monkeypatch.chdir("/")  # a sweep's folder is found from anywhere
    assert main(["sweep", "status", str(here / "outputs/s")]) == 0
    opened = sweep.open_sweep([str(here / "outputs/s")])
    assert opened.trial_folder(opened.trials()[0]).is_dir()
    assert main(["sweep", "status", str(here)]) == 2
    assert "has no sweep.db" in capsys.readouterr().err


def test_trials_of_a_table_warm_the_search(capsys):
    assert main(["sweep", "s.yaml", *PATIENT, "agents=0"]) == 0
    Path("good.csv").write_text(f"\ufeff{LR},{DECAY},val/hmean\n1e-3,0.5,0.91\n0.002,0.6,0.93\n0.002,0.6,0.93\n")
    Path("bad.csv").write_text(f"{LR},{DECAY},val/hmean\n0.1,0.5,0.91\n0.001,0.6,96.4\n")
    assert main(["sweep", "import", "outputs/s", "bad.csv"]) == 2
    told = capsys.readouterr().err
    assert f"line 2: {LR} 0.1 is out of range" in told
    assert "line 3: val/hmean 96.4 is not a score" in told
    write_sweep("loss.yaml", metric={"name": "train/loss", "goal": "minimize"})
    assert main(["sweep", "loss.yaml", *PATIENT, "agents=0"]) == 0
    Path("nan.csv").write_text(f"{LR},{DECAY},train/loss\n0.001,0.5,nan\n0.001,0.6,inf\n0.001,0.6,0.5\n")
    assert main(["sweep", "import", "outputs/loss", "nan.csv"]) == 2
    told = capsys.readouterr().err
    assert "line 2: train/loss nan is not a finite number" in told
    assert "line 3: train/loss inf is not a finite number" in told
    Path("short.csv").write_text(f"{LR};val/hmean\n0.001;[1\n")
    assert main(["sweep", "import", "outputs/s", "short.csv"]) == 2
    assert f"has no column {LR}, {DECAY}, val/hmean" in capsys.readouterr().err
    for told in ("2 trials imported, 1 were known", "0 trials imported, 3 were known"):
        capsys.readouterr()
        assert main(["sweep", "import", "outputs/s", "good.csv"]) == 0
        assert told in capsys.readouterr().out
    trials = study_of_sweep().trials
    assert [(trial.value, trial.user_attrs["imported"]) for trial in trials] == [(0.91, "good.csv"), (0.93, "good.csv")]


def test_a_trial_of_real_commands_with_tuned_thresholds(receipts, capsys):
    """A training of the tiny network and its tuning: the score is cross-fitted, the report shows both."""
    parameters = {LR: {"values": [0.001, 0.002]}}
    command = ["${env}", "${interpreter}", "${program}", "preset=receipts_lite", "${args_no_hyphens}"]
    write_sweep(
        "real.yaml", program=str(ROOT / "runners/train.py"), method="grid", parameters=parameters, command=command
    )
    overrides = [
        *(word for word in TINY[1:] if not word.startswith("dataloaders.predict")),
        f"dataset_base_path={receipts}",
        "tune.thresh=[0.2,0.3]",
        "tune.box_thresh=[0.3]",
        "tune.inverse_r=[]",
        "tune.unclip_ratio=[1.0,1.5]",
        "tune.folds=2",
    ]
    assert main(["sweep", "real.yaml", "engine=optuna", "n=1", "agents=0", *overrides]) == 0
    assert work("sqlite:///outputs/real/sweep.db", "real") == 0
    (trial,) = trials_of("sqlite:///outputs/real/sweep.db", "real").tasks()
    result = trial.result
    assert trial.state == "done", result.reason
    run = Path("outputs/real/trial_00")
    crossed = json.loads((run / "cross_fitted" / "scores.json").read_text())
    assert result.value == crossed["cleval"]["macro"]["h"]
    assert result.untuned == max(row.metrics["val/hmean"] for row in result.rows)
    assert {*OBJECTIVES} <= set(result.rows[0].metrics)  # what may be named as objective is measured
    assert len(result.scored.pages) == 3
    tuned = json.loads((run / "tuned.json").read_text())
    assert {row["postprocess"]["thresh"] for row in tuned["grid"]} >= {0.2, 0.3}  # the sweep's own lists
    capsys.readouterr()
    assert main(["sweep", "report", "outputs/real"]) == 0
    html = Path(capsys.readouterr().out.strip()).read_text()
    assert html.count("<svg") == 3
    assert "Fewer than two trials have a score" in html
    report = json.loads(Path("outputs/real/report.json").read_text())
    assert (report["trials"][0]["value"], report["trials"][0]["untuned"]) == (result.value, result.untuned)


# --- W&B, and the script --------------------------------------------------------------------------------------------


def test_wandbs_own_agent_runs_the_shipped_command(monkeypatch):
    """W&B's agent code, offline: each run of a sweep gets a folder of its own (its ${envvar:...} would not)."""
    wandb_agent = pytest.importorskip("wandb.wandb_agent")
    for name in ("sweep_efficientnet_b4_lr_optimized", "sweep_receipts_lite"):
        shipped = read_sweep(ROOT / f"configs/{name}.yaml")
        Path("echo.py").write_text(
            "import os, sys; print(os.environ['WANDB_RUN_ID'], *sys.argv[1:], file=open('ran.txt', 'a'))"
        )
        monkeypatch.setenv("WANDB_DIR", ".")
        monkeypatch.setenv("WANDB_SWEEP_ID", "x")
        monkeypatch.setenv("WANDB_RUN_ID", "stale")
        worker = wandb_agent.Agent(api=None, queue=None)
        worker._sweep_command = shipped.command
        for run_id in ("aaa", "bbb"):
            worker._command_run({"run_id": run_id, "program": "echo.py", "args": {LR: {"value": 0.0004}}})
            assert worker._run_processes[run_id].wait(120) == 0
    for line in Path("ran.txt").read_text().splitlines():
        run_id, *words = line.split()
        monkeypatch.setenv("WANDB_RUN_ID", run_id)
        settings = read_settings(TrainSettings, words)
        assert settings.exp_name.endswith(f"_{run_id}")
        assert (settings.tracker(), settings.models.optimizer.lr) == ("wandb", 0.0004)


def test_the_wandb_engine_makes_the_sweep_and_runs_agents(monkeypatch, capsys):
    """A stand-in for the service: what is sent is the file, with the cap and the overrides."""
    wandb = pytest.importorskip("wandb")
    from hmean.search import wandb_service

    sent = {}
    monkeypatch.setattr(wandb, "sweep", lambda config, **_: sent.update(config) or "abc")
    monkeypatch.setattr(sweep, "has_wandb", lambda: True)
    ran = []

    class Agent:
        def __init__(self, command, env):
            ran.append((command[1:], env.get("CUDA_VISIBLE_DEVICES")))

        def wait(self):
            return 0

        def terminate(self):
            pass

    monkeypatch.setattr(wandb_service.subprocess, "Popen", Agent)
    monkeypatch.setattr(wandb_service, "visible_gpus", lambda: ["0", "1"])
    assert main(["sweep", "s.yaml", "n=3", "trainer.max_epochs=2"]) == 0  # engine=auto, with an account
    assert sent["run_cap"] == 3
    assert sent["command"] == [*FILE["command"], "trainer.max_epochs=2"]
    assert ran == [(["-m", "wandb", "agent", "hmean/abc"], "0"), (["-m", "wandb", "agent", "hmean/abc"], "1")]
    monkeypatch.setattr(sweep, "has_wandb", lambda: False)
    assert main(["sweep", "s.yaml", "engine=wandb"]) == 2
    assert "wandb login" in capsys.readouterr().err


def test_the_script_goes_to_the_background_after_its_checks(here):
    shutil.copytree(ROOT / "scripts", here / "scripts")
    fakes = here / "bin"
    fakes.mkdir()
    (fakes / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (fakes / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{fakes}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    script = ["bash", "scripts/run_sweep_lr_optimized.sh"]
    command = [*script, "2", "bg", "file=s.yaml", *PATIENT, "output_dir=there", "name=mine"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=env, timeout=120).stdout
    pid = int(next(line.split()[1] for line in said.splitlines() if line.startswith("pid")))
    assert "kill" in said
    assert "tail -f outputs/s." in said
    assert "hmean sweep status there/mine)" in said
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
    check_ended(trials_of("sqlite:///there/mine/sweep.db", "mine"), 2)
    repeated = [*script, "2", "bg", "file=s.yaml", *PATIENT, "output_dir=there", "name=mine", "confirm=1"]
    said = subprocess.run(repeated, check=True, capture_output=True, text=True, env=env, timeout=120).stdout
    assert "hmean sweep status there/mine)" in said
    for words, told in (
        (["twelve"], "usage"),
        (["2", "n=3"], "'n=3', but n is 2 already"),
        (["2", "bg", "file=s.yaml", *PATIENT, "nonsense=1"], "nonsense"),
    ):
        bad = subprocess.run([*script, *words], check=False, capture_output=True, text=True, env=env, timeout=120)
        assert (bad.returncode, told in bad.stderr, bad.stdout) == (2, True, ""), bad
