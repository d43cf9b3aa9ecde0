"""``hmean campaign``: where gates lead, stopping and continuing, its plan, its report and its submission."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from hmean.campaign import phases as campaign_phases
from hmean.campaign import run as campaign_run
from hmean.campaign.file import read_campaign
from hmean.campaign.plan import Work, work_of
from hmean.campaign.state import Campaign
from hmean.cli import main
from hmean.commands import campaign, crossval
from hmean.errors import InputError
from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.metadata import read_metadata
from hmean.reports.campaign import write_campaign_report
from hmean.tuning.result import TuneResult
from support import stand_in
from support.campaigns import campaign_file, campaign_values, ran, stand_in_process, state, write_campaign
from support.once import run_in_process
from support.pages import TINY

ROOT = Path(__file__).parents[2]


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """Commands run in this process, and take no time."""
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    monkeypatch.setattr(campaign_run, "run_command", stand_in_process)


def opened(path, overrides=()):
    """A campaign as the command opens it."""
    return Campaign.open(read_campaign(Path(path), overrides), campaign.read_recipe)


def settings_of(tmp_path, name):
    """The settings that a command took by config=FILE."""
    return yaml.safe_load((tmp_path / f"outputs/camp/settings/{name}.yaml").read_text())


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    ("base_lr", "limits", "outcome", "best", "sweeps"),
    [
        (0.0004, (0.96, 0.95), "pass", "base", 0),
        (0.00046, (0.9695, 0.95), "sweep", "sweep", 1),
        (0.0008, (0.9695, 0.95), "retry", "sweep", 1),
    ],
)
def test_each_gate_leads_where_the_file_says(tmp_path, receipts, base_lr, limits, outcome, best, sweeps):
    assert main(["campaign", str(campaign_file(tmp_path, receipts, base_lr, limits))]) == 0
    found = state(tmp_path)
    phases = found["phases"]
    assert phases["decide"]["outcome"] == outcome
    assert phases["decide"]["distinguishable"]
    assert phases["best"]["outcome"] == best
    assert ran(tmp_path).count("sweep") == sweeps
    assert (phases["retry"]["outcome"] == "skipped") == (outcome != "retry")
    # The folds are trained with the winner's values, and the ensemble earns its place on the validation pages.
    assert phases["folds"]["commands"] == [["crossval", f"config={tmp_path}/outputs/camp/settings/folds.crossval.yaml"]]
    folds = settings_of(tmp_path, "folds.crossval")
    assert folds["models"]["optimizer"]["lr"] == (base_lr if best == "base" else 0.0004)
    assert folds["crossval"]["k"] == 2
    assert phases["winner"]["outcome"] == "ensemble"
    assert found["winner"] == "ensemble/ensemble.json"
    # On val, where a run's thresholds were tuned, no page is scored with values that it helped to choose.
    tuned = f"{'sweep/trial_01' if best == 'sweep' else best}/cross_fitted"
    folders = {of: score["folder"] for of, score in phases["val"]["scores"].items()}
    fixed = {"ensemble: vote >= 3": "val/ensemble_vote_3"}
    assert folders == {"best": tuned, "ensemble": "val/ensemble", **fixed}
    assert phases["test"]["scores"]["best"]["folder"] == "test/best"


@pytest.mark.usefixtures("logged")
def test_what_a_trained_model_brings_is_not_replaced(tmp_path, receipts):
    """Tuning, ensembles and evaluations take the campaign's data and grid, but no architecture and no thresholds."""
    path = campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95))
    assert main(["campaign", str(path), "tune.thresh=[0.1,0.2]"]) == 0
    for name in ("base.tune", "ensemble.ensemble", "test.evaluate"):
        settings = settings_of(tmp_path, name)
        assert settings["tune"]["thresh"] == [0.1, 0.2]
        assert settings["dataset_base_path"] == str(receipts)
        assert not {"models", "transforms"} & settings.keys(), name
    held_out = settings_of(tmp_path, "ensemble.ensemble")["datasets"]["val_dataset"]
    assert held_out["annotation_path"] == f"{receipts}/jsons/train.json"
    assert held_out["folds"] == {"file": f"{tmp_path}/outputs/camp/folds/splits.json", "split": "holdout"}


@pytest.mark.usefixtures("logged")
def test_the_budget_ends_it_and_a_larger_one_continues(tmp_path, receipts, capsys):
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
    assert len(before) == 1  # a learning rate has no price
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
    assert lines["folds"][2] == "2"
    assert lines["sweep"][2] == "4"  # both of its trials are repeated
    assert lines["sweep"][5] == "decide: sweep or retry"
    assert float(lines["left at most"][3]) == pytest.approx(8 * hours, abs=0.02)
    assert ran(tmp_path) == []
    assert not (tmp_path / "outputs/camp/base").exists()
    # Half of the 6 pages are held out of both folds, and an ensemble is judged with four views of each fold.
    dealt = opened(path, ["phases.folds.args=[crossval.k=2,crossval.holdout=0.5]"])
    assert work_of(dealt, dealt.file.phases["ensemble"]) == Work(pages=3 * 2 * 4)
    assert work_of(dealt, dealt.file.phases["test"]) == Work(pages=2 * (1 + 2))  # 2 pages, one model and both folds
    assert main(["campaign", path, "--dry-run", "reset=base"]) == 2
    assert "a dry run changes nothing" in capsys.readouterr().err


def test_every_fault_of_the_phases_args_is_listed(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    assert main(["campaign", path, "phases.base.args=[models.optimizer.rl=1]", "phases.folds.args=[crossval.l=2]"]) == 2
    message = capsys.readouterr().err
    for part in ("phases.base.args", "models.optimizer.rl", "phases.folds.args", "crossval.l"):
        assert part in message, part
    assert main(["campaign", path, "budget_hour=3"]) == 2  # not a key of the file, so of every command
    assert capsys.readouterr().err.splitlines()[1:] == ["  - args: budget_hour: unknown key"]
    assert main(["campaign"]) == 2
    assert "takes one file" in capsys.readouterr().err


@pytest.mark.usefixtures("logged")
def test_a_phase_that_was_done_with_other_values_is_not_taken_for_done(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    assert main(["campaign", path]) == 0
    assert main(["campaign", path, "phases.base.args=[models.optimizer.lr=0.001]"]) == 2
    message = capsys.readouterr().err
    assert "phase base was done with other values" in message
    assert "reset=base" in message
    assert main(["campaign", path, "seed=5"]) == 2  # of every phase
    assert "args: was" in capsys.readouterr().err
    assert main(["campaign", path, "budget_hours=9"]) == 0
    assert main(["campaign", path, "reset=nothing"]) == 2
    assert main(["campaign", path, "reset=base", "--dry-run"]) == 2
    assert (tmp_path / "outputs/camp/base").exists()


@pytest.mark.usefixtures("logged")
def test_a_phase_that_was_stopped_continues_with_the_same_values_only(tmp_path, receipts, capsys, monkeypatch):
    """Trained, not yet tuned: with changed values the training is not taken for another's."""
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))

    def stopped_at_tuning(command, lock, on_tick=None):
        return 130 if command[2] == "tune" else stand_in_process(command, lock, on_tick)

    with monkeypatch.context() as patch:
        patch.setattr(campaign_run, "run_command", stopped_at_tuning)
        assert main(["campaign", path]) == 130
    assert main(["campaign", path, "phases.base.args=[models.optimizer.lr=0.001]"]) == 2
    assert "models.optimizer.lr=0.0004" in capsys.readouterr().err
    assert main(["campaign", path]) == 0
    assert ran(tmp_path).count("train") == 1


@pytest.mark.usefixtures("logged")
def test_what_depends_on_a_phase_that_was_done_again_is_not_taken_for_done(tmp_path, receipts, capsys):
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
    assert "depends_on.sweep" in message
    assert main(["campaign", path, "reset=sweep"]) == 0
    kept = {p.name for p in folder.glob("*.old-*")}
    assert {"sweep.old-1", "folds.old-1", "ensemble.old-1", "val.old-1", "test.old-1"} == kept
    assert ran(tmp_path).count("sweep") == 2
    assert ran(tmp_path).count("crossval") == 2
    assert ran(tmp_path).count("train") == 1  # the base does not depend on it
    assert state(tmp_path)["winner"] == first["winner"]


@pytest.mark.usefixtures("logged")
def test_a_dry_run_makes_no_pages_and_says_what_it_does_not_know(tmp_path, capsys):
    values = campaign_values(tmp_path, tmp_path / "pages", 0.0004, (0.96, 0.95))
    values["phases"] = {"pages": {"kind": "data", "args": ["synth"]}, **values["phases"]}
    assert main(["campaign", str(write_campaign(tmp_path, values)), "--dry-run"]) == 0
    assert "unknown before phase pages has made its pages" in capsys.readouterr().out
    assert not (tmp_path / "log").exists()


@pytest.mark.usefixtures("logged")
def test_everything_depends_on_the_pages_that_a_campaign_makes(tmp_path, receipts, capsys):
    values = campaign_values(tmp_path, receipts, 0.0004, (0.96, 0.95))
    values["phases"] = {"pages": {"kind": "data", "args": ["synth"]}, **values["phases"]}
    path = write_campaign(tmp_path, values)
    assert main(["campaign", str(path)]) == 0
    assert main(["campaign", str(path), "phases.pages.args=[synth,other]"]) == 2
    assert "phase pages was done with other values" in capsys.readouterr().err
    assert main(["campaign", str(path), "phases.pages.args=[synth,other]", "reset=pages"]) == 0
    assert (tmp_path / "outputs/camp/base.old-1").exists()
    assert ran(tmp_path).count("train") == 2


def test_the_script_of_the_folds_is_one_campaign(tmp_path, monkeypatch):
    """Its short words become the campaign's, and its file leads to ensembles of whatever folds there are."""
    monkeypatch.chdir(ROOT)
    script = ROOT / "scripts/train_efficientnet_b4_5fold_optimized.sh"
    told = ["k=3", "exp_name=three", f"output_dir={tmp_path}", "datasets.train_dataset.annotation_path=my.json"]
    environment = {**os.environ, "HMEAN": "echo"}
    found = subprocess.run(["bash", script, *told], env=environment, check=True, capture_output=True)
    command, file, *words = found.stdout.decode().split()
    assert command == "campaign"
    assert words == ["crossval.k=3", "name=three", *told[2:]]
    ready = opened(ROOT / file, words)
    for i in range(3):
        (tmp_path / f"three/folds/fold_{i}").mkdir(parents=True)
        (tmp_path / f"three/folds/fold_{i}.yaml").touch()
    (folds,) = campaign_phases.commands_of(ready, "folds")
    assert folds.settings["crossval"]["k"] == 3
    (ensemble,) = campaign_phases.commands_of(ready, "ensemble")
    assert list(ensemble.words) == [str(tmp_path / f"three/folds/fold_{i}") for i in range(3)]
    judged_on = ensemble.settings["datasets"]["val_dataset"]
    assert judged_on["annotation_path"] == "my.json"
    assert judged_on["folds"] == {"file": str(tmp_path / "three/folds/splits.json"), "split": "holdout"}
    assert ensemble.settings["output"] == f"{tmp_path}/three/ensemble"
    assert subprocess.run(["bash", script], env=environment, check=True, capture_output=True).stdout


@pytest.mark.usefixtures("logged")
def test_the_report_follows_from_what_was_measured(tmp_path, receipts, monkeypatch):
    path = str(campaign_file(tmp_path, receipts, 0.00046, (0.9695, 0.95), unsure="sweep"))
    other = "phases.other={kind: train, args: [preset=quickstart, models.optimizer.lr=0.0003]}"
    hoped = "expectations={conservative: 0.95, neutral: 0.96, optimistic: 0.989}"  # 98.6 [98.2, 99.0] is reached
    assert main(["campaign", path, other, hoped]) == 0
    folder = tmp_path / "outputs/camp"
    text = (folder / "report.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ]
    best = next(row for row in rows if row[0].strip("| ") == "sweep/trial_01 (mean of 2 seeds)")
    assert best[1].startswith("97.0")  # the mean of 97.00 and 97.01
    assert best[7] == "better"
    assert "models.optimizer.lr=0.0004" in best[8]
    single, family = [[float(end) for end in re.search(r"\[(.*), (.*)\]", cell).groups()] for cell in best[5:7]]
    assert family[0] < single[0] < float(best[5].split()[0]) < single[1] < family[1]
    assert "40 pages, groups unknown: pages are taken as independent" in text  # the stand-in writes no groups
    assert next(row for row in rows if row[0] == "base" and row[7] == "base")
    h = json.loads((folder / "base/cross_fitted/scores.json").read_text())["cleval"]["macro"]["h"]
    assert f"decide: base has H {100 * h:.2f} [" in text
    # Two trials with two seeds each, 0.01 points apart: the gate's limit, 0.55 points above, is out of their reach.
    assert (
        "decide: other seeds would have decided otherwise in 0 % of cases (a training's H moves by 0.01 points" in text
    )
    assert f"hmean predict IMAGES run={folder}" in text
    assert f"hmean crossval config={folder}/settings/folds.crossval.yaml" in text
    assert "hmean evaluate maps=true split=train" in text  # the ensemble won: distil it
    assert "decide asked for the sweep" in text
    assert "An expectation lies within the interval [98." in text
    assert any(row[0] == "ensemble" and row[8].startswith("map mean: preset=receipts_lite ") for row in rows)
    assert any(row[0] == "ensemble: vote >= 3" and row[8].startswith("vote >= 3: preset=rec") for row in rows)
    assert next(row for row in rows if row[0] == "base")[8] == "preset=receipts_lite models.optimizer.lr=0.00046"
    compared = [row for row in rows if row[0] == "other: difference"]
    assert [row[5].removesuffix(" †") for row in compared] == ["worse"] * 4  # than base, best, ensemble, vote >= 3
    for difference in compared:
        assert len({cell.split()[0] for cell in difference[1:4]}) == 1  # H, P and R of a stand-in are one number
        assert all("[" in cell for cell in difference[1:4])
    assert next(row for row in rows if row[0] == "other (quickstart)")[1].startswith("96.00 [")
    assert "† One training a side" in text
    of_runs = []
    monkeypatch.setattr(campaign, "write_run_report", lambda paths, lang: of_runs.append((paths[0].name, lang)))
    assert main(["campaign", path, other, hoped, "lang=ko"]) == 0
    assert of_runs == [("base", "ko"), ("other", "ko")]  # stand-ins, which have no page to show
    korean = (folder / "report.ko.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in korean
    assert "기대와 달성" in korean
    for english in ("쪽", ": val", ": test", "out of fold", ": sweep</p>", "vote >= 3</td>", "mean of", "group"):
        assert english not in korean, english
    assert "http" not in korean.replace("http-equiv", "")  # nothing is loaded from elsewhere
    assert main(["campaign", path, "lang=de"]) == 2


@pytest.mark.usefixtures("logged")
def test_a_gate_takes_the_mean_of_seeds_and_says_what_others_would_have_decided(tmp_path, receipts):
    """Trained with three seeds, 0.01 points apart; the gate's limit is as far from their mean as one seed moves."""
    path = str(campaign_file(tmp_path, receipts, 0.00046, (0.9642, 0.95), unsure="mean"))
    seeds = "phases.base.seeds=[42,1,2]"
    assert main(["campaign", path, seeds, "phases.sweep.confirm=0"]) == 0
    folder = tmp_path / "outputs/camp"
    assert [settings_of(tmp_path, f"base.seed_{seed}.train")["seed"] for seed in (42, 1, 2)] == [42, 1, 2]
    assert settings_of(tmp_path, "base.seed_1.train")["exp_name"] == "seed_1"
    phases = state(tmp_path)["phases"]
    gate = phases["decide"]
    assert gate["h"] == pytest.approx(0.9641)
    assert (gate["trainings"], gate["outcome"], gate["distinguishable"]) == (3, "sweep", False)
    assert phases["base"]["seed_scores"] == [pytest.approx([0.964, 0.9641, 0.9642])]
    assert phases["base"]["scores"]["base"]["repeats"] == ["base/seed_1/cross_fitted", "base/seed_2/cross_fitted"]
    assert phases["best"]["against"]["sweep"]["runs"] == [1, 3]
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| base (mean of 3 seeds) | 96.41 [" in text
    chance = int(re.search(r"decide: other seeds would have decided otherwise in (\d+) % of cases", text)[1])
    assert chance == pytest.approx(
        11, abs=2
    )  # 0.01 away, and the difference of two means of three moves by 0.01 * sqrt(2/3)
    assert "seeds of the phase, or confirm of a sweep, can" not in text


@pytest.mark.usefixtures("logged")
def test_a_single_training_cannot_tell_what_other_seeds_would_have_decided(tmp_path, receipts):
    path = str(campaign_file(tmp_path, receipts, 0.00046, (0.9641, 0.95), unsure="mean"))
    assert main(["campaign", path, "phases.sweep.confirm=0"]) == 0
    text = (tmp_path / "outputs/camp/report.md").read_text(encoding="utf-8")
    assert "how often another seed would have decided otherwise, a single training cannot tell" in text


@pytest.mark.usefixtures("logged")
def test_expectations_are_shown_phase_by_phase(tmp_path, receipts):
    values = campaign_values(tmp_path, receipts, 0.0004, (0.96, 0.95))
    values["expectations"] = {
        "best": {"conservative": 0.95, "neutral": 0.96, "optimistic": 0.965},
        "ensemble": {"conservative": 0.96, "neutral": 0.97, "optimistic": 0.99},
        "sweep": {"conservative": 0.96, "neutral": 0.97, "optimistic": 0.99},
        "last": {"conservative": 0.98, "neutral": 0.99, "optimistic": 0.995},
    }
    assert main(["campaign", str(write_campaign(tmp_path, values))]) == 0
    text = (tmp_path / "outputs/camp/report.md").read_text(encoding="utf-8")
    table = text.split("## Expected against reached")[1].split("## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if "|" in line][2:]
    named = {row[0]: row[1:] for row in rows}
    assert list(named) == [
        "best: best, test",
        "ensemble: ensemble, test",
        "ensemble: ensemble: vote >= 3, test",
        "sweep",
        "last: ensemble, test",
    ]
    assert named["best: best, test"][:3] == ["95.00", "96.00", "96.50"]
    assert named["best: best, test"][4:] == ["+1.00", "reaches the optimistic one"]
    assert named["ensemble: ensemble: vote >= 3, test"][4:] == ["+0.50", "between conservative and optimistic"]
    assert named["sweep"][3:] == ["–", "", "no result"]  # noqa: RUF001 - the gate left it out


@pytest.mark.usefixtures("logged")
def test_a_refit_takes_the_folds_recipe_to_all_pages_and_claims_no_score(tmp_path, receipts, capsys):
    path = str(campaign_file(tmp_path, receipts, 0.0004, (0.96, 0.95)))
    refit = "phases.refit={kind: refit, of: [winner], skip: true}"
    assert main(["campaign", path, refit, "phases.refit.skip=false", "--dry-run"]) == 0
    planned = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines() if "\t" in line)
    folds_hours = (44 * 1.0 + 4 * 1.0) / 3600
    assert planned["refit"].split("\t")[1:3] == ["1", f"{1.5 * folds_hours:.2f}"]  # 9 pages in place of 6
    assert main(["campaign", path, refit]) == 0
    assert "refit" not in (tmp_path / "outputs/camp/report.md").read_text(encoding="utf-8").split("## Gates")[0]
    assert state(tmp_path)["phases"]["refit"]["outcome"] == "skipped"
    winner = state(tmp_path)["winner"]
    assert main(["campaign", path, refit, "phases.refit.skip=false"]) == 0
    assert ran(tmp_path).count("train") == 2
    assert ran(tmp_path)[-1] == "train"
    settings = settings_of(tmp_path, "refit.train")
    assert settings["datasets"]["val_dataset"] is None
    (also,) = settings["datasets"]["train_dataset"]["also"]
    assert also["annotation_path"] == f"{receipts}/jsons/val.json"
    assert settings["models"]["optimizer"]["lr"] == 0.0004
    found = state(tmp_path)
    assert found["winner"] == winner  # which was scored
    stands_on = found["phases"]["refit"]["refit"]
    assert stands_on["model"] == "refit/checkpoints/best.ckpt"
    assert (stands_on["recipe"], stands_on["scores"]) == ("folds", "folds/cross_fitted")
    assert (stands_on["h"], stands_on["scored_on"], stands_on["pages"]) == (pytest.approx(0.97), "out of fold", 40)
    assert "this model itself was not scored" in settings["note"]
    assert "macro H 97.00 on 40 pages (out of fold)" in settings["note"]
    text = (tmp_path / "outputs/camp/report.md").read_text(encoding="utf-8")
    section = text.split("## refit: trained on train, val once the choice was made, not scored")[1]
    assert "This model itself was not scored." in section
    assert "It stands on the score of its recipe: H 97.00 [" in section
    assert f"hmean predict IMAGES run={tmp_path}/outputs/camp/refit" in section
    assert not any("refit" in score for phase in found["phases"].values() for score in phase["scores"])


def test_the_report_says_what_was_left_out_and_how_the_pages_were_made(tmp_path):
    """From a folder's files alone; of a winner, the pages too."""

    def done(phase, outcome="done", **more):
        return {"values": {"phase": phase, "args": [], "depends_on": {}}, "outcome": outcome, **more}

    gate = {"not_distinguishable": "first"}
    phases = {
        "pages": {"kind": "data"},
        "base": {"kind": "train"},
        "ens": {"kind": "ensemble", "of": ["base"]},
        "best": {"kind": "choose", "of": ["base"], **gate},
    }
    results = {
        "pages": done(phases["pages"], commands=[["data", "synth", "pages"]]),
        "base": done(phases["base"], commands=[["train", "x=1"]]),
        "ens": done(phases["ens"], commands=[["ensemble"]]),
        "best": done(phases["best"], "base", distinguishable=False),
    }
    hoped = {"conservative": 0.1, "neutral": 0.2, "optimistic": 0.3}
    file = {"name": "camp", "args": [], "budget_hours": 1.0, "expectations": hoped, "phases": phases}
    (tmp_path / "campaign.json").write_text(
        json.dumps({"file": file, "phases": results, "seconds": {}, "chosen": "best"})
    )
    skipped = [{"strategy": "weight average", "reason": "its members are of two architectures"}]
    ensemble = {**stand_in.ensemble(0.5), "strategy": "single", "skipped": skipped, "to_beat": "all pages"}
    over = {"gain": -0.013, "interval95": [-0.02, 0.01], "family95": [-0.03, 0.02], "verdict": "not distinguishable"}
    ensemble["strategies"][0]["over_all_pages"] = over
    ensemble["runs"] = [{**ensemble["runs"][0], "minutes": 7.5, "page_views": 1200}] * 2
    ensemble["all_pages"] = [{**ensemble["runs"][0], "minutes": 16.0, "page_views": 2400}]
    (tmp_path / "ens").mkdir()
    (tmp_path / "ens/ensemble.json").write_text(json.dumps(ensemble))
    write_campaign_report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "best: base. The interval does not decide this, so the file does." in text
    assert "weight average was left out: its members are of two architectures" in text
    assert "| vote >= 3 | 51.00 | +1.00 [-1.00, +2.00] |" in text
    assert "An ensemble had to beat the better of the two bases: all pages." in text
    assert "| single | -1.30 [-2.00, +1.00] | [-3.00, +2.00] | not distinguishable |" in text
    assert "Members together: 2,400 samples of pages in 15.0 minutes of training." in text
    assert "One model of all pages: 2,400 samples of pages in 16.0 minutes of training." in text
    without_vote = {**ensemble, "strategies": ensemble["strategies"][:1]}
    (tmp_path / "ens/ensemble.json").write_text(json.dumps(without_vote))
    write_campaign_report(tmp_path)
    assert "vote >= 3: not tried by the version of hmean" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.index("hmean data synth pages") < text.index("hmean train x=1")
    assert re.match(r"# .*\n\n\S", text)
    with pytest.raises(InputError, match="lang=de: choose one of en, ko"):
        write_campaign_report(tmp_path, "de")


@pytest.mark.parametrize("file", sorted((ROOT / "configs/campaign").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_campaign_is_sound(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    campaign.check_args(file, read_campaign(file))


def test_a_tiny_campaign_from_end_to_end(receipts, tmp_path, monkeypatch):
    """Real trainings of a tiny network: base, gate, folds, choice, test pages, submission from the folder alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(campaign_run, "run_command", run_in_process)  # each process would load torch anew
    monkeypatch.setattr(crossval, "run_command", run_in_process)
    grid = ["tune.thresh=[0.02,0.2]", "tune.box_thresh=[0.0]", "tune.inverse_r=[0.5]"]
    args = [argument for argument in TINY if not argument.startswith("trainer.max_epochs")]
    gate = {"kind": "gate", "of": ["base"], "pass_at": 0.9, "sweep_at": 0.8, "not_distinguishable": "retry"}
    file = {
        "name": "tiny",
        "budget_hours": 1.0,
        "expectations": {"conservative": 0.1, "neutral": 0.2, "optimistic": 0.3},
        "args": [*args, "trainer.max_epochs=1", f"dataset_base_path={receipts}", *grid],
        "phases": {
            "base": {"kind": "train"},
            "decide": gate,
            "retry": {"kind": "train", "args": ["models.optimizer.lr=0.003"], "when": {"decide": ["retry"]}},
            "winner": {"kind": "choose", "of": ["base", "retry"], "not_distinguishable": "best"},
            "folds": {"kind": "crossval", "of": ["winner"], "args": ["crossval.k=2", "crossval.holdout=0.0"]},
            "test": {"kind": "score", "split": "test", "of": ["winner", "base"]},
            "refit": {"kind": "refit", "of": ["winner"]},
        },
    }
    Path("tiny.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
    assert main(["campaign", "tiny.yaml"]) == 0
    record = json.loads(Path("outputs/tiny/campaign.json").read_text())
    assert record["phases"]["decide"]["outcome"] == "retry"
    assert Path("outputs/tiny/folds/crossval.json").exists()
    loader = [argument for argument in TINY if argument.startswith("dataloaders.predict")]
    assert main(["predict", str(receipts / "images"), "run=outputs/tiny", "output=submission", *loader]) == 0
    rows = Path("submission/submission.csv").read_text().splitlines()
    assert rows[0] == "filename,polygons"
    assert len(rows) == 12
    assert len(json.loads(Path("submission/predictions.json").read_text())["images"]) == 11
    scored = json.loads(Path("outputs/tiny/test/winner/scores.json").read_text())
    assert scored["images"] == 2
    assert (Path("outputs/tiny") / record["winner"]).exists()
    _check_refit(Path("outputs/tiny"))


def _check_refit(campaign_folder):
    """Trained on the 6 training and 3 validation pages, with the values that were tuned on the folds, and no score."""
    run = campaign_folder / "refit"
    model = load_checkpoint(run / "checkpoints/best.ckpt")
    assert len(model.pages.train) == 9
    assert len(model.pages.val) == 0
    tuned = TuneResult.read(campaign_folder / "folds/tuned.json")
    assert model.postprocess == tuned.in_model
    assert "this model itself was not scored" in model.carried.provenance.describe_training()
    assert not list(run.rglob("scores.json"))
    assert main(["export", f"run={run}", "output=refit.onnx"]) == 0
    about = read_metadata(Path("refit.onnx"))
    assert about.provenance.scores is None
    assert "this model itself was not scored" in about.provenance.training.note
