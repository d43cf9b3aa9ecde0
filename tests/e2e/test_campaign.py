"""The campaign: its file, its gates, stopping and going on, its report and its submission."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hmean.campaign.file import Gate, decide, read_campaign
from hmean.cli import main
from hmean.commands import campaign, crossval
from hmean.errors import InputError
from hmean.execute.processes import HMEAN
from hmean.reports import campaign as campaign_report
from support import stand_in
from support.pages import TINY

ROOT = Path(__file__).parents[2]
STAND_IN = str(Path(__file__).parents[1] / "support" / "stand_in.py")


def gate(unsure="sweep"):
    return Gate(job="gate", of=["base"], pass_at=0.9645, sweep_at=0.964, not_distinguishable=unsure)


@pytest.mark.parametrize(
    ("h", "interval", "unsure", "expected"),
    [
        (0.97, (0.966, 0.974), "sweep", ("pass", True)),
        (0.9642, (0.9641, 0.9644), "retry", ("sweep", True)),
        (0.95, (0.94, 0.96), "sweep", ("retry", True)),
        (0.9645, (0.9645, 0.98), "retry", ("pass", True)),  # a limit belongs to what lies above it
        (0.9646, (0.960, 0.968), "sweep", ("sweep", False)),  # above the limit, but the interval cannot tell
        (0.9646, (0.960, 0.968), "mean", ("pass", False)),
        (0.9639, (0.962, 0.9641), "mean", ("retry", False)),
        (0.9639, (0.962, 0.9641), "pass", ("pass", False)),
    ],
)
def test_a_gate_uses_the_interval_and_says_when_that_cannot_tell(h, interval, unsure, expected):
    assert decide(h, interval, gate(unsure)) == expected


def campaign_file(tmp_path, receipts, base_lr, limits, unsure="sweep"):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("parameters: {models.optimizer.lr: {min: 0.0003, max: 0.0005}}\n")
    retry = {"job": "train", "args": ["models.optimizer.lr=0.00045"], "when": {"decide": ["retry"]}}
    file = {
        "name": "camp", "output_dir": str(tmp_path / "outputs"), "command": [sys.executable, STAND_IN],
        "args": ["preset=receipts_lite", f"dataset_base_path={receipts}"], "budget_hours": 1.0,
        "expectations": {"conservative": 0.9, "neutral": 0.95, "optimistic": 0.99},
        "phases": {
            "base": {"job": "train", "args": [f"models.optimizer.lr={base_lr}"]},
            "decide": {"job": "gate", "of": ["base"], "pass_at": limits[0], "sweep_at": limits[1], "not_distinguishable": unsure},
            "retry": retry,
            "sweep": {"job": "sweep", "file": str(sweep), "n": 2, "when": {"decide": ["sweep", "retry"]}},
            "best": {"job": "choose", "of": ["base", "retry", "sweep"], "not_distinguishable": "first"},
            "folds": {"job": "crossval", "of": ["best"], "args": ["crossval.k=2"]},
            "ensemble": {"job": "ensemble", "of": ["folds"]},
            "val": {"job": "score", "part": "val", "of": ["best", "ensemble"]},
            "winner": {"job": "choose", "of": ["best", "ensemble"], "by": "val", "not_distinguishable": "first"},
            "test": {"job": "score", "part": "test", "of": ["best", "ensemble"]},
        },
    }  # fmt: skip
    path = tmp_path / "camp.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    return path


def state(tmp_path):
    return json.loads((tmp_path / "outputs/camp/campaign.json").read_text(encoding="utf-8"))


def ran(tmp_path, what="start"):
    lines = (tmp_path / "log").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(what) and "probes" not in line]


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """Jobs run in this process; only the test that kills starts some."""
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))

    def run_command(command, hold, tick=lambda _: None):
        stand_in.run(command[2:])
        tick(0.5)
        return 0

    monkeypatch.setattr(campaign, "run_command", run_command)


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    ("base_lr", "limits", "outcome", "best", "jobs"),
    [
        (0.0004, (0.96, 0.95), "pass", "base", 0),
        (0.00046, (0.9695, 0.95), "sweep", "sweep", 1),
        (0.0008, (0.9695, 0.95), "retry", "sweep", 1),
    ],
)
def test_each_gate_leads_where_the_file_says(tmp_path, receipts, base_lr, limits, outcome, best, jobs):
    assert main(["campaign", str(campaign_file(tmp_path, receipts, base_lr, limits))]) == 0
    found = state(tmp_path)
    phases = found["phases"]
    assert phases["decide"]["outcome"] == outcome
    assert phases["decide"]["distinguishable"]
    assert phases["best"]["outcome"] == best
    assert ran(tmp_path).count("sweep") == jobs
    assert (phases["retry"]["outcome"] == "skipped") == (outcome != "retry")
    # The folds are trained with the winner's values, and the ensemble earns its place on the validation pages.
    folds = phases["folds"]["commands"][0]
    assert f"models.optimizer.lr={base_lr if best == 'base' else 0.0004}" in folds
    assert phases["winner"]["outcome"] == "ensemble"
    assert found["winner"] == "ensemble/ensemble.json"
    # On val, where a run's thresholds were tuned, no page is scored with values that it helped to choose.
    tuned = f"{'sweep/trial_01' if best == 'sweep' else best}/cross_fitted"
    assert {of: place for of, (place, _) in phases["val"]["scores"].items()} == {
        "best": tuned,
        "ensemble": "val/ensemble",
    }
    assert phases["test"]["scores"]["best"][0] == "test/best"


@pytest.mark.usefixtures("logged")
def test_killed_twice_it_ends_as_an_unbroken_one(tmp_path, receipts, monkeypatch):
    """SIGKILL of everything, in a training and in the folds; then the same commands were run, the finished ones once."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert main(["campaign", str(campaign_file(whole, receipts, 0.0008, (0.9695, 0.95)))]) == 0
    path = campaign_file(broken, receipts, 0.0008, (0.9695, 0.95))
    command = [sys.executable, "-m", "hmean", "campaign", str(path)]
    environment = {**os.environ, "STAND_IN_LOG": str(broken / "log")}
    for at in ("start train models", "start crossval"):
        process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
        pattern = {"start train models": r"start train .*exp_name=retry", "start crossval": r"start crossval"}[at]
        while not ((broken / "log").exists() and re.search(pattern, (broken / "log").read_text())):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (broken / "outputs/camp/report.html").exists()
    monkeypatch.setenv("STAND_IN_LOG", str(broken / "log"))
    assert main(["campaign", str(path)]) == 0
    a, b = state(whole), state(broken)
    one, other = (
        re.sub(r'"[0-9a-f]{16}"', "STAMP", json.dumps(s["phases"])).replace(str(t), "")  # stamps know the paths
        for s, t in ((a, whole), (b, broken))
    )
    assert one == other
    assert a["winner"] == b["winner"]
    one, other = ((t / "outputs/camp/report.md").read_text().replace(str(t), "") for t in (whole, broken))
    assert re.sub(r"\d+\.\d+ of 1 hours", "", one) == re.sub(r"\d+\.\d+ of 1 hours", "", other)
    finished = ran(broken, "end")
    assert sorted(finished) == sorted(ran(tmp_path, "end"))  # what had ended was not run again
    again = (broken / "log").read_text()
    assert main(["campaign", str(path)]) == 0
    assert (broken / "log").read_text() == again


@pytest.mark.usefixtures("logged")
def test_the_budget_ends_it_and_a_larger_one_goes_on(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    assert main(["campaign", path, "budget_hours=0.0002"]) == 130
    assert "the budget of 0.0002 hours is spent in phase" in capsys.readouterr().err
    assert sum(state(tmp_path)["seconds"].values()) >= 0.0002 * 3600
    assert main(["campaign", path]) == 0
    assert state(tmp_path)["winner"]


@pytest.mark.usefixtures("logged")
def test_each_recipe_is_measured_counted_and_priced_by_its_own_values(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    assert main(["campaign", path, "--dry-run"]) == 0
    lines = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines() if "\t" in line)
    probes = tmp_path / "outputs/camp/probes"
    before = set(probes.iterdir())
    assert state(tmp_path)["seconds"]["probes"] > 0
    longer = "phases.sweep.args=[trainer.max_epochs=440]"
    assert main(["campaign", path, longer, "--dry-run"]) == 0
    again = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines() if "\t" in line)
    assert len(set(probes.iterdir()) - before) == 1
    assert float(again["sweep"].split("\t")[2]) > 5 * float(lines["sweep"].split("\t")[2])
    assert again["base"] == lines["base"]
    assert main(["campaign", path]) == 0
    left = [float(line.split("\t")[3]) for line in capsys.readouterr().out.splitlines() if line.startswith("left")]
    assert len(left) == 11  # the plan, then after each phase
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


@pytest.mark.usefixtures("logged")
def test_a_dry_run_says_what_time_and_disk_it_takes(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    assert main(["campaign", path, "--dry-run"]) == 0
    lines = {line.split("\t")[0]: line.split("\t") for line in capsys.readouterr().out.splitlines() if "\t" in line}
    # 6 pages in batches of 4: 1 step, which took 1 s, an epoch, 44 epochs; 1 s for each of 4 validations
    hours = (44 * 1.0 + 4 * 1.0) / 3600
    assert lines["base"][2:4] == ["1", f"{hours:.2f}"]
    assert lines["sweep"][2] == lines["folds"][2] == "2"
    assert lines["sweep"][5] == "decide: sweep or retry"
    assert float(lines["left at most"][3]) == pytest.approx(6 * hours, abs=0.02)
    assert ran(tmp_path) == []
    assert not (tmp_path / "outputs/camp/base").exists()
    # Half of the 6 pages are held out of both folds, and each of these judges four views of each of them.
    dealt = read_campaign(Path(path), ["phases.folds.args=[crossval.k=2,crossval.holdout=0.5]"])
    runner = campaign.Runner(dealt, tmp_path, 0)
    assert runner.work(dealt.phases["ensemble"]) == (0, 3 * 2 * 4)
    assert runner.work(dealt.phases["test"]) == (0, 2 * (1 + 2))  # 2 pages, through one model and through both folds
    assert main(["campaign", path, "--dry-run", "reset=base"]) == 2
    assert "a dry run changes nothing" in capsys.readouterr().err


def test_every_fault_of_a_file_is_said_at_once(tmp_path, receipts):
    path = campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95))
    file = yaml.safe_load(path.read_text())
    file["budget_hours"] = -1
    file["phases"]["decide"]["pas_at"] = 0.9
    file["phases"]["folds"]["job"] = "fold"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    with pytest.raises(InputError) as error:
        read_campaign(path)
    for part in ("budget_hours", "pas_at", "phases.folds"):
        assert part in str(error.value), part
    path = campaign_file(tmp_path, receipts, 0.0004, (0.90, 0.95))
    with pytest.raises(InputError, match=r"sweep_at must not be above pass_at.*no phase before it is named nobody"):
        read_campaign(path, ["phases.folds.of=[nobody]"])
    for wrong, message in (
        ("phases.best.of=[base,folds]", r"best: its phases are scored on different pages \(out of fold, val\)"),
        ("phases.winner.by=null", r"winner: its phases are scored on different pages \(no scores of its own, val\)"),
        ("phases.winner.by=best", r"winner\.by: best must be a score phase, on val"),
        ("phases.val.part=test", r"winner\.by: val must be a score phase, on val"),
        ("phases.val.of=[best]", r"winner\.by: val must be a score phase, on val, of all"),
        ("phases.test.of=[folds]", r"test\.of: folds are several models"),
    ):
        first = "phases.folds.of=[]" if "folds" in wrong else "budget_hours=1"
        if "best.of" in wrong:  # folds before the choice
            file = yaml.safe_load(path.read_text())
            phases = file["phases"]
            file["phases"] = {"folds": {"job": "crossval"}, **{k: v for k, v in phases.items() if k != "folds"}}
            file["phases"]["decide"]["pass_at"] = 0.96
            other = tmp_path / "other.yaml"
            other.write_text(yaml.safe_dump(file, sort_keys=False))
        with pytest.raises(InputError, match=message):
            read_campaign(other if "best.of" in wrong else path, [first, wrong])
    path = campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95))
    with pytest.raises(InputError, match=r"models\.optimizer\.rl") as error:
        read_campaign(path, ["phases.base.args=[models.optimizer.rl=1]", "phases.sweep.file=nowhere.yaml"])
    assert "there is no nowhere.yaml" in str(error.value)


@pytest.mark.usefixtures("logged")
def test_a_phase_that_was_done_with_other_values_is_not_taken_for_done(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    assert main(["campaign", path]) == 0
    assert main(["campaign", path, "phases.base.args=[models.optimizer.lr=0.001]"]) == 2
    message = capsys.readouterr().err
    assert "phase base was done with other values" in message
    assert "reset=base" in message
    data = yaml.safe_load(Path(path).read_text())["args"]
    assert main(["campaign", path, f"args=[{','.join(data)},seed=5]"]) == 2  # of every phase
    assert "campaign_args" in capsys.readouterr().err
    assert main(["campaign", path, "budget_hours=9"]) == 0
    assert main(["campaign", path, "reset=nothing"]) == 2
    assert main(["campaign", path, "reset=base", "--dry-run"]) == 2
    assert (tmp_path / "outputs/camp/base").exists()


@pytest.mark.usefixtures("logged")
def test_a_phase_that_was_stopped_goes_on_with_no_other_values(tmp_path, receipts, capsys, monkeypatch):
    """Trained, not yet tuned: neither changed values nor skipping it for a while take the training for another's."""
    path, ours = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95))), campaign.run_command
    monkeypatch.setattr(campaign, "run_command", lambda c, *rest: 130 if c[2] == "tune" else ours(c, *rest))
    assert main(["campaign", path]) == 130
    monkeypatch.setattr(campaign, "run_command", ours)
    assert main(["campaign", path, "phases.base.args=[models.optimizer.lr=0.001]"]) == 2
    assert "models.optimizer.lr=0.0004" in capsys.readouterr().err
    assert main(["campaign", path]) == 0
    assert ran(tmp_path).count("train") == 1


@pytest.mark.usefixtures("logged")
def test_what_hangs_on_a_phase_that_was_done_again_is_not_taken_for_done(tmp_path, receipts, capsys):
    path, folder = str(campaign_file(tmp_path, receipts, 0.00046, (0.9695, 0.95))), tmp_path / "outputs/camp"
    assert main(["campaign", path]) == 0
    first = state(tmp_path)
    (tmp_path / "sweep.yaml").write_text("parameters: {models.optimizer.lr: {min: 0.0001, max: 0.0005}}\n")
    assert main(["campaign", path]) == 2
    assert "phase sweep was done with other values" in capsys.readouterr().err
    assert state(tmp_path) == first
    # Done again by hand, with another result: what was chosen from it is stale.
    redone = json.loads((folder / "campaign.json").read_text())
    del redone["phases"]["sweep"]
    (folder / "campaign.json").write_text(json.dumps(redone))
    assert main(["campaign", path]) == 2
    message = capsys.readouterr().err
    assert "phase best was done" in message
    assert "hangs_on.sweep" in message
    assert main(["campaign", path, "reset=sweep"]) == 0
    kept = {p.name for p in folder.glob("*.old-*")}
    assert {"sweep.old-1", "folds.old-1", "ensemble.old-1", "val.old-1", "test.old-1"} == kept
    assert ran(tmp_path).count("sweep") == 2
    assert ran(tmp_path).count("crossval") == 2
    assert ran(tmp_path).count("train") == 1  # the base does not hang on it
    assert state(tmp_path)["winner"] == first["winner"]


@pytest.mark.usefixtures("logged")
def test_a_dry_run_makes_no_pages_and_says_what_it_does_not_know(tmp_path, capsys):
    path = campaign_file(tmp_path, tmp_path / "pages", 0.0004, (0.96, 0.95))
    file = yaml.safe_load(path.read_text())
    file["phases"] = {"pages": {"job": "data", "args": ["synth"]}, **file["phases"]}
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    assert main(["campaign", str(path), "--dry-run"]) == 0
    assert "unknown before phase pages has made its pages" in capsys.readouterr().out
    assert not (tmp_path / "log").exists()


@pytest.mark.usefixtures("logged")
def test_all_hang_on_the_pages_that_a_campaign_makes(tmp_path, receipts, capsys):
    path = campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95))
    file = yaml.safe_load(path.read_text())
    file["phases"] = {"pages": {"job": "data", "args": ["synth"]}, **file["phases"]}
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    assert main(["campaign", str(path)]) == 0
    assert main(["campaign", str(path), "phases.pages.args=[synth,other]"]) == 2
    assert "phase pages was done with other values" in capsys.readouterr().err
    assert main(["campaign", str(path), "phases.pages.args=[synth,other]", "reset=pages"]) == 0
    assert (tmp_path / "outputs/camp/base.old-1").exists()
    assert ran(tmp_path).count("train") == 2


def test_keys_that_the_file_has_not_are_values_of_every_job(tmp_path, receipts):
    path = campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95))
    found = read_campaign(path, ["budget_hours=3", "crossval.k=3", "dataloaders.train_dataloader={batch_size: 2}"])
    assert found.budget_hours == 3
    assert found.args[-2:] == ["crossval.k=3", "dataloaders.train_dataloader={batch_size: 2}"]
    with pytest.raises(InputError, match="budget_hour"):
        read_campaign(path, ["budget_hour=3"])


def test_the_script_of_the_folds_is_one_campaign(tmp_path):
    """Its short words become the campaign's, and its file leads to ensembles of whatever folds there are."""
    script = ROOT / "scripts/train_efficientnet_b4_5fold_optimized.sh"
    told = ["k=3", "exp_name=three", f"output_dir={tmp_path}", "datasets.train_dataset.annotation_path=my.json"]
    found = subprocess.run(
        ["bash", script, *told], env={**os.environ, "HMEAN": "echo"}, check=True, capture_output=True
    )
    job, file, *words = found.stdout.decode().split()
    assert job == "campaign"
    assert words == ["crossval.k=3", "name=three", *told[2:]]
    ready = read_campaign(ROOT / file, words)
    runner = campaign.Runner(ready, tmp_path / "three", 0)
    for i in range(3):
        (tmp_path / f"three/folds/fold_{i}").mkdir(parents=True)
    assert "crossval.k=3" in runner.commands("folds")[0]
    ensemble = runner.commands("ensemble")[0]
    assert [word for word in ensemble if "fold_" in word and "=" not in word] == [
        str(tmp_path / f"three/folds/fold_{i}") for i in range(3)
    ]
    assert "datasets.val_dataset.annotation_path=my.json" in ensemble
    dealt = json.dumps(str(tmp_path / "three/folds/splits.json"))
    assert f"datasets.val_dataset.split={{file: {dealt}, part: holdout}}" in ensemble
    assert f"output={tmp_path}/three/ensemble" in ensemble
    assert subprocess.run(["bash", script], env={**os.environ, "HMEAN": "echo"}, check=True, capture_output=True).stdout


@pytest.mark.usefixtures("logged")
def test_the_report_follows_from_what_was_measured(tmp_path, receipts):
    path = str(campaign_file(tmp_path, receipts, 0.00046, (0.9695, 0.95), unsure="sweep"))
    other = "phases.other={job: train, args: [preset=quickstart, models.optimizer.lr=0.0003]}"
    hoped = "expectations={conservative: 0.95, neutral: 0.96, optimistic: 0.989}"  # 98.6 [98.2, 99.0] is reached
    assert main(["campaign", path, other, hoped]) == 0
    folder = tmp_path / "outputs/camp"
    text = (folder / "report.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ]
    best = next(row for row in rows if row[0].strip("| ") == "sweep/trial_01")
    assert best[1].startswith("97.00 [")
    assert best[6] == "better"
    assert "models.optimizer.lr=0.0004" in best[7]
    assert next(row for row in rows if row[0] == "base" and row[6] == "base")
    h = json.loads((folder / "base/cross_fitted/scores.json").read_text())["cleval"]["macro"]["h"]
    assert f"decide: base has H {100 * h:.2f} [" in text
    assert f"hmean predict IMAGES run={folder}" in text
    assert "hmean crossval" in text
    assert "hmean evaluate maps=true evaluate_on=train" in text  # the ensemble won: distil it
    assert "decide asked for the sweep" in text
    assert "[98.20, 99.00] holds an expectation within it" in text
    assert any(row[0] == "ensemble" and row[7].startswith("map mean: preset=receipts_lite ") for row in rows)
    assert next(row for row in rows if row[0] == "base")[7] == "preset=receipts_lite models.optimizer.lr=0.00046"
    compared = [row for row in rows if row[1] == "other (quickstart)"]
    assert [(row[0], row[2], row[4]) for row in compared] == [
        ("val", f"{n} (receipts_lite)", "worse") for n in ("base", "best", "ensemble")
    ]
    assert main(["campaign", path, other, hoped, "lang=ko"]) == 0
    korean = (folder / "report.ko.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in korean
    assert "기대와 달성" in korean
    for english in ("쪽", ": val", ": test", "out of fold", ": sweep</p>"):
        assert english not in korean, english
    assert "http" not in korean.replace("http-equiv", "")  # nothing is loaded from elsewhere
    strings = json.loads((ROOT / "src/hmean/reports/templates/campaign_strings.json").read_text(encoding="utf-8"))
    assert all(set(re.findall(r"{\w+}", en)) == set(re.findall(r"{\w+}", ko)) for en, ko in strings.values())
    assert main(["campaign", path, "lang=de"]) == 2


def test_the_report_says_what_was_left_out_and_how_the_pages_were_made(tmp_path):
    """From a folder's files alone; of a winner, the pages too."""
    asked = {"of": [], "args": []}
    phases = {
        "pages": {"asked": {**asked, "job": "data"}, "outcome": "done", "commands": [["data", "synth", "pages"]]},
        "base": {"asked": {**asked, "job": "train"}, "outcome": "done", "commands": [["train", "x=1"]]},
        "ens": {"asked": {**asked, "job": "ensemble"}, "outcome": "done", "commands": [["ensemble"]]},
        "best": {"asked": {**asked, "of": ["base"], "job": "choose"}, "outcome": "base", "distinguishable": False},
    }
    hoped = {"conservative": 0.1, "neutral": 0.2, "optimistic": 0.3}
    file = {"budget_hours": 1.0, "expectations": hoped, "phases": dict.fromkeys(phases)}
    (tmp_path / "campaign.json").write_text(
        json.dumps({"file": file, "phases": phases, "seconds": {}, "chosen": "best"})
    )
    skipped = [{"strategy": "weight average", "reason": "its members are of two architectures"}]
    ensemble = {**stand_in.ensemble(0.5), "strategy": "single", "skipped": skipped}
    (tmp_path / "ens").mkdir()
    (tmp_path / "ens/ensemble.json").write_text(json.dumps(ensemble))
    campaign_report.run(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "best: base. The interval cannot tell; the file says what then." in text
    assert "weight average was left out: its members are of two architectures" in text
    assert text.index("hmean data synth pages") < text.index("hmean train x=1")
    assert re.match(r"# .*\n\n\S", text)


@pytest.mark.parametrize("file", sorted((ROOT / "configs/campaign").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_campaign_is_sound(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    if not all(Path(p["file"]).exists() for p in yaml.safe_load(file.read_text())["phases"].values() if "file" in p):
        pytest.skip("its sweep file comes with hmean sweep")
    read_campaign(file)


def test_a_tiny_campaign_from_end_to_end(receipts, tmp_path, monkeypatch):
    """Real trainings of a tiny network: base, gate, folds, choice, test pages, submission from the folder alone."""
    monkeypatch.chdir(tmp_path)
    for job in (campaign, crossval):  # in this process: each of a dozen would load torch anew
        monkeypatch.setattr(job, "run_command", lambda command, *_: main(command[len(HMEAN) :]))
    args = [a for a in TINY if not a.startswith("trainer.max_epochs")]
    file = {
        "name": "tiny", "budget_hours": 1.0, "expectations": {"conservative": 0.1, "neutral": 0.2, "optimistic": 0.3},
        "args": [*args, "trainer.max_epochs=1", f"dataset_base_path={receipts}", "tune.thresh=[0.02,0.2]", "tune.box_thresh=[0.0]", "tune.inverse_r=[0.5]"],
        "phases": {
            "base": {"job": "train"},
            "decide": {"job": "gate", "of": ["base"], "pass_at": 0.9, "sweep_at": 0.8, "not_distinguishable": "retry"},
            "retry": {"job": "train", "args": ["models.optimizer.lr=0.003"], "when": {"decide": ["retry"]}},
            "winner": {"job": "choose", "of": ["base", "retry"], "not_distinguishable": "best"},
            "folds": {"job": "crossval", "of": ["winner"], "args": ["crossval.k=2", "crossval.holdout=0.0"]},
            "test": {"job": "score", "part": "test", "of": ["winner", "base"]},
        },
    }  # fmt: skip
    Path("tiny.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
    assert main(["campaign", "tiny.yaml"]) == 0
    record = json.loads(Path("outputs/tiny/campaign.json").read_text())
    assert record["phases"]["decide"]["outcome"] == "retry"
    assert Path("outputs/tiny/folds/crossval.json").exists()
    assert main(["predict", str(receipts / "images"), "run=outputs/tiny", "output=submission",
                 *(a for a in TINY if a.startswith("dataloaders"))]) == 0  # fmt: skip
    rows = Path("submission/submission.csv").read_text().splitlines()
    assert rows[0] == "filename,polygons"
    assert len(rows) == 12
    assert len(json.loads(Path("submission/predictions.json").read_text())["images"]) == 11
    scored = json.loads(Path("outputs/tiny/test/winner/scores.json").read_text())
    assert scored["images"] == 2
    assert (Path("outputs/tiny") / record["winner"]).exists()
