"""The campaign's file: its faults, its gates, what is set from outside, and files of earlier versions."""

import numpy as np
import pytest
import yaml

from hmean.campaign.file import GatePhase, ScorePhase, chance_of_another_outcome, decide, read_campaign
from hmean.errors import InputError
from hmean.metrics.intervals import Interval
from hmean.metrics.seeds import SeedSpread
from support.campaigns import campaign_file, campaign_values, write_campaign


def gate(unsure="sweep"):
    return GatePhase(kind="gate", of=["base"], pass_at=0.9645, sweep_at=0.964, not_distinguishable=unsure)


@pytest.mark.parametrize(
    ("h", "interval", "unsure", "expected"),
    [
        (0.97, (0.966, 0.974), "sweep", ("pass", True)),
        (0.9642, (0.9641, 0.9644), "retry", ("sweep", True)),
        (0.95, (0.94, 0.96), "sweep", ("retry", True)),
        (0.9645, (0.9645, 0.98), "retry", ("pass", True)),  # a limit belongs to what lies above it
        (0.9646, (0.960, 0.968), "sweep", ("sweep", False)),  # above the limit, but the interval does not decide
        (0.9646, (0.960, 0.968), "mean", ("pass", False)),
        (0.9639, (0.962, 0.9641), "mean", ("retry", False)),
        (0.9639, (0.962, 0.9641), "pass", ("pass", False)),
    ],
)
def test_a_gate_uses_the_interval_and_says_when_that_does_not_decide(h, interval, unsure, expected):
    assert decide(h, interval, gate(unsure)) == expected


@pytest.mark.parametrize("unsure", ["mean", "sweep", "retry"])
@pytest.mark.parametrize(("h", "half"), [(0.9646, 0.0002), (0.9642, 0.004), (0.9655, 0.0003), (0.9645, None)])
def test_how_often_other_seeds_decide_otherwise_is_what_draws_show(h, half, unsure):
    """Both trainings are off the mean of all by the spread: so many of the pairs of draws have two outcomes."""
    seeds = SeedSpread(sd=0.0006, degrees_of_freedom=3)
    width = None if half is None else Interval(h - half, h + half)
    chance = chance_of_another_outcome(h, width, gate(unsure), seeds=seeds, trainings=1)
    own = decide(h, width, gate(unsure)).outcome
    rng = np.random.default_rng(0)
    others = 0
    for change in rng.normal(0, 0.0006 * 2**0.5, 4000):
        moved = None if half is None else Interval(h + change - half, h + change + half)
        others += decide(h + change, moved, gate(unsure)).outcome != own
    assert chance == pytest.approx(others / 4000, abs=0.025)


def test_the_mean_of_more_trainings_is_less_often_decided_otherwise():
    seeds = SeedSpread(sd=0.001, degrees_of_freedom=2)
    interval = Interval(0.96, 0.97)
    one, nine = [
        chance_of_another_outcome(0.965, interval, gate("mean"), seeds=seeds, trainings=trainings)
        for trainings in (1, 9)
    ]
    assert one > 2 * nine > 0
    still = SeedSpread(sd=0.0, degrees_of_freedom=2)
    assert chance_of_another_outcome(0.965, interval, gate("mean"), seeds=still, trainings=1) == 0


@pytest.fixture
def path(tmp_path):
    return campaign_file(tmp_path, tmp_path / "pages", 0.0004, (0.96, 0.95))


def test_all_faults_of_a_file_are_listed(tmp_path):
    values = campaign_values(tmp_path, tmp_path / "pages", 0.0004, (0.96, 0.95))
    values["budget_hours"] = -1
    values["phases"]["decide"]["pas_at"] = 0.9
    values["phases"]["folds"]["kind"] = "fold"
    with pytest.raises(InputError) as error:
        read_campaign(write_campaign(tmp_path, values))
    for part in ("budget_hours", "pas_at", "phases.folds"):
        assert part in str(error.value), part


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("args=3", "args: input should be a valid list, got 3"),
        ("args=[", r"args=\[: cannot be read"),
        ("phases=3", "phases: input should be a valid dictionary, got 3"),
    ],
)
def test_an_override_of_another_type_is_a_fault(path, override, message):
    with pytest.raises(InputError, match=message):
        read_campaign(path, [override])


def test_a_file_that_is_a_list_is_a_fault(tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("- 1\n")
    with pytest.raises(InputError, match="must hold key: value pairs"):
        read_campaign(file)


def test_limits_and_order_of_phases_are_checked(tmp_path):
    path = campaign_file(tmp_path, tmp_path / "pages", 0.0004, (0.90, 0.95))
    with pytest.raises(InputError, match=r"sweep_at must not be above pass_at.*no phase before it is named nobody"):
        read_campaign(path, ["phases.folds.of=[nobody]"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("phases.winner.by=null", r"winner: its phases are scored on different pages \(no scores of its own, val\)"),
        ("phases.winner.by=best", r"winner\.by: best must be a score phase, on val"),
        ("phases.val.split=test", r"winner\.by: val must be a score phase, on val"),
        ("phases.val.of=[best]", r"winner\.by: val must be a score phase, on val, of all"),
        ("phases.test.of=[folds]", r"test\.of: folds are several models"),
        ("phases.base.when={retry: [pass]}", r"base: no phase before it is named retry"),
        ("phases.best.when={base: [pass]}", r"best\.when: base is not a gate"),
        ("phases.ensemble.of=[]", r"ensemble\.of: is required"),
    ],
)
def test_scores_of_different_pages_are_never_compared(path, wrong, message):
    with pytest.raises(InputError, match=message):
        read_campaign(path, [wrong])


def test_a_choice_between_folds_and_a_training_needs_a_score_phase(tmp_path):
    values = campaign_values(tmp_path, tmp_path / "pages", 0.0004, (0.96, 0.95))
    values["phases"] = {"folds": {"kind": "crossval"}, **{k: v for k, v in values["phases"].items() if k != "folds"}}
    values["phases"]["best"]["of"] = ["base", "folds"]
    with pytest.raises(InputError, match=r"best: its phases are scored on different pages \(out of fold, val\)"):
        read_campaign(write_campaign(tmp_path, values))


def test_a_sweep_file_that_is_missing_is_named(path):
    with pytest.raises(InputError, match=r"phases\.sweep\.file: nowhere\.yaml was not found"):
        read_campaign(path, ["phases.sweep.file=nowhere.yaml"])


def test_keys_that_the_file_does_not_have_are_values_of_every_command(path):
    found = read_campaign(path, ["budget_hours=3", "crossval.k=3", "dataloaders.train_dataloader={batch_size: 2}"])
    assert found.budget_hours == 3
    assert found.args[-2:] == ["crossval.k=3", "dataloaders.train_dataloader={batch_size: 2}"]
    assert read_campaign(path, ["budget_hour=3"]).args[-1] == "budget_hour=3"  # an unknown key, when args are composed


HOPED = "{conservative: 0.1, neutral: 0.2, optimistic: 0.3}"


def test_expectations_are_of_phases_kinds_or_the_winner(path):
    """The old form, three numbers, was of the winner on the pages that were scored last."""
    assert list(read_campaign(path).expectations) == ["last"]
    assert read_campaign(path, ["expectations.neutral=0.93"]).expectations["last"].neutral == 0.93
    more = [f"expectations.{name}={HOPED}" for name in ("best", "sweep", "crossval")]
    assert list(read_campaign(path, more).expectations) == ["last", "best", "sweep", "crossval"]
    with pytest.raises(InputError, match=r"expectations.nobody: is neither a phase, nor the kind of one, nor last"):
        read_campaign(path, [f"expectations.nobody={HOPED}"])
    with pytest.raises(InputError, match=r"expectations\.last: must rise from conservative over neutral to optimistic"):
        read_campaign(path, ["expectations.last={conservative: 0.3, neutral: 0.2, optimistic: 0.4}"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("phases.base.seeds=[1,2,1]", r"phases\.base\.train\.seeds: give each seed once"),
        ("phases.refit={kind: refit}", r"refit\.of: is required"),
        ("phases.refit={kind: refit, of: [winner], splits: []}", r"splits: list should have at least 1 item"),
    ],
)
def test_wrong_seeds_and_refits_are_faults(path, wrong, message):
    with pytest.raises(InputError, match=message):
        read_campaign(path, [wrong])


def test_a_refit_has_no_score_to_choose_or_report(path):
    refit = "phases.refit={kind: refit, of: [winner]}"
    for phase in ("{kind: score, split: test, of: [refit]}", "{kind: choose, of: [refit], not_distinguishable: first}"):
        with pytest.raises(InputError, match=r"after\.of: refit is a refit, which has no score and comes last"):
            read_campaign(path, [refit, f"phases.after={phase}"])


def test_files_of_earlier_versions_are_read(path):
    """``job`` is now ``kind``, and ``part`` is ``split``, in the file and on the command line."""
    old = path.read_text().replace("kind:", "job:").replace("split:", "part:")
    (path.parent / "old.yaml").write_text(old)
    assert yaml.safe_load(old)["phases"]["val"]["part"] == "val"
    assert read_campaign(path.parent / "old.yaml") == read_campaign(path)
    test = read_campaign(path.parent / "old.yaml", ["phases.test.part=val"]).phases["test"]
    assert isinstance(test, ScorePhase)
    assert test.split == "val"
