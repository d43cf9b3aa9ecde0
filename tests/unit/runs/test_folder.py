"""The folder of a run: never overwritten silently, and resumed only with the same config."""

import json

import pytest

from hmean.errors import InputError
from hmean.runs.folder import RunFolder, differences, model_of, open_run

CONFIG = {"seed": 1, "trainer": {"max_epochs": 2}, "models": {"lr": 0.1, "names": ["a"]}}


@pytest.fixture
def run(tmp_path) -> RunFolder:
    folder = open_run(tmp_path / "run", CONFIG, resume=False, overwrite=False)
    folder.last.write_bytes(b"")
    return folder


def test_a_run_is_not_overwritten_silently(run):
    with pytest.raises(InputError, match=r"resume=auto to continue it, overwrite=true to delete it"):
        open_run(run.path, CONFIG, resume=False, overwrite=False)
    assert run.last.exists()
    open_run(run.path, CONFIG, resume=False, overwrite=True)
    assert not run.last.exists()


def test_what_is_not_a_run_is_not_deleted(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is not a run of hmean"):
        open_run(tmp_path, CONFIG, resume=False, overwrite=True)
    assert (tmp_path / "mine.txt").exists()


def test_a_run_is_resumed_with_the_same_config(run):
    longer = {**CONFIG, "trainer": {"max_epochs": 5}}
    open_run(run.path, longer, resume=True, overwrite=False)
    other = {**longer, "models": {"lr": 0.2, "names": ["a"]}}
    with pytest.raises(InputError, match=r"models.lr: was 0.1, now 0.2"):
        open_run(run.path, other, resume=True, overwrite=False)
    run.last.unlink()  # nothing was trained yet
    open_run(run.path, other, resume=True, overwrite=False)


def test_a_config_of_an_earlier_version_is_brought_up_to_date(run):
    renamed = {**CONFIG, "models": {"rate": 0.1, "names": ["a"]}}
    with pytest.raises(InputError, match="models\\.rate"):
        open_run(run.path, renamed, resume=True, overwrite=False)
    open_run(run.path, renamed, resume=True, overwrite=False, upgrade=lambda _: renamed)


def test_differences_name_the_keys():
    old = {"a": {"b": 1, "c": 2}, "gone": [1]}
    new = {"a": {"b": 1, "c": 3}, "more": None}
    assert differences(old, new) == ["a.c: was 2, now 3", "gone: was [1], now None"]
    assert differences(old, new, ["a"]) == ["gone: was [1], now None"]
    assert differences(old, new, ["a.c", "gone"]) == []


def test_a_campaign_stands_for_its_winner(tmp_path):
    assert model_of(tmp_path) == tmp_path / "checkpoints" / "best.ckpt"
    (tmp_path / "campaign.json").write_text(json.dumps({"winner": None}))
    with pytest.raises(InputError, match="no winner yet"):
        model_of(tmp_path)
    (tmp_path / "campaign.json").write_text(json.dumps({"winner": "b4/ensemble.json", "file": {}}))
    assert model_of(tmp_path) == tmp_path / "b4" / "ensemble.json"
