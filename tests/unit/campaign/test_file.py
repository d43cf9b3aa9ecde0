"""The campaign's file: its faults, its gates, what is set from outside, and files of earlier versions."""

import pytest
import yaml

from hmean.campaign.file import GatePhase, ScorePhase, decide, read_campaign
from hmean.errors import InputError
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


def test_files_of_earlier_versions_are_read(path):
    """``job`` is now ``kind``, and ``part`` is ``split``, in the file and on the command line."""
    old = path.read_text().replace("kind:", "job:").replace("split:", "part:")
    (path.parent / "old.yaml").write_text(old)
    assert yaml.safe_load(old)["phases"]["val"]["part"] == "val"
    assert read_campaign(path.parent / "old.yaml") == read_campaign(path)
    test = read_campaign(path.parent / "old.yaml", ["phases.test.part=val"]).phases["test"]
    assert isinstance(test, ScorePhase)
    assert test.split == "val"
