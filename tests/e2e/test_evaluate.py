"""``hmean evaluate``: maps, scores, and checkpoints that cannot be used."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from hmean.cli import main
from hmean.inference.checkpoints import Checkpoint


def test_evaluate_and_predict_need_only_the_checkpoint(copy_of_run, receipts, tmp_path, capsys):
    checkpoint = f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}"
    assert main(["evaluate", checkpoint, f"dataset_base_path={receipts}", "evaluate_on=test"]) == 0
    out = capsys.readouterr().out
    assert "\nmacro\t" in out
    assert "\nwarning: " in out  # of few groups of pages
    scores = json.loads((copy_of_run / "evaluate_test/scores.json").read_text())
    assert scores["long_side"] == 160  # the training's, not the preset's
    assert scores["influenced_by"] == {"trained": 0, "epoch_chosen": 0, "tuned": 0}
    labels = json.loads((receipts / "jsons/test.json").read_text())["images"]
    assert {page["name"]: page["group"] for page in scores["pages"]} == {
        name: page["group"] for name, page in labels.items()
    }
    assert scores["grouping"]["groups"] == len({page["group"] for page in labels.values()})
    assert main(["evaluate", checkpoint, f"dataset_base_path={receipts}", "evaluate_on=test"]) == 2
    assert "overwrite=true" in capsys.readouterr().err
    assert main(["evaluate", checkpoint, f"dataset_base_path={tmp_path}"]) == 2
    assert "hmean data synth" in capsys.readouterr().err


def test_maps_are_shared_by_the_commands_of_a_run_and_those_of_earlier_weights_go(copy_of_run, receipts, monkeypatch):
    def maps():
        return {path.name: len(list(path.iterdir())) for path in (copy_of_run / "maps").iterdir()}

    command = ["evaluate", f"run={copy_of_run}", f"dataset_base_path={receipts}", "overwrite=true"]
    ((own, _),) = maps().items()
    (copy_of_run / "maps" / "best-0123456789ab").mkdir()
    (copy_of_run / "maps" / "last-0123456789ab").mkdir()
    assert main([*command, "evaluate_on=test"]) == 0
    assert maps() == {own: 5, "last-0123456789ab": 0}  # validation and test pages; another checkpoint's are not touched
    monkeypatch.setattr(Checkpoint, "start", None)
    assert main(command) == 0
    errors = json.loads((copy_of_run / "evaluate_val" / "errors.json").read_text())
    scores = json.loads((copy_of_run / "evaluate_val" / "scores.json").read_text())
    assert [page["name"] for page in errors["pages"]] == [page["name"] for page in scores["pages"]]
    assert [page["characters"] for page in errors["pages"]] == [page["counts"]["gt"] for page in scores["pages"]]


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (print, ("code ran",))


def test_checkpoints_that_cannot_be_used(copy_of_run, receipts, tmp_path, capsys):
    def message(path):
        assert main(["evaluate", f"checkpoint_path={path}", f"dataset_base_path={receipts}"]) == 2
        return capsys.readouterr().err

    assert "checkpoint not found" in message(tmp_path / "none.ckpt")
    (tmp_path / "damaged.ckpt").write_bytes((copy_of_run / "checkpoints/best.ckpt").read_bytes()[:5000])
    assert "damaged" in message(tmp_path / "damaged.ckpt")
    raw = torch.load(copy_of_run / "checkpoints/best.ckpt", weights_only=True)
    torch.save({**raw, "state_dict": Evil()}, tmp_path / "evil.ckpt")
    assert "holds code, which is never run" in message(tmp_path / "evil.ckpt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.ckpt")
    assert "is not a checkpoint of hmean" in message(tmp_path / "other.ckpt")
    raw["hmean"]["config"]["models"]["decoder"]["_target_"] = "os.system"
    torch.save(raw, tmp_path / "sly.ckpt")
    assert "trusted_targets" in message(tmp_path / "sly.ckpt")
    assert main(["evaluate"]) == 2
    assert "checkpoint_path" in capsys.readouterr().err


@pytest.mark.parametrize("job", ["evaluate", "tune"])
@pytest.mark.parametrize("fault", ["missing", "unlabelled"])
def test_wrong_pages_are_told_before_the_network_runs(copy_of_run, receipts, tmp_path, capsys, job, fault):
    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    labels = json.loads((data / "jsons/val.json").read_text())
    name = next(iter(labels["images"]))
    if fault == "missing":
        (data / "images" / name).unlink()
    else:
        del labels["images"][name]["words"]
        (data / "jsons/val.json").write_text(json.dumps(labels))
    assert main([job, f"checkpoint_path={copy_of_run / 'checkpoints/best.ckpt'}", f"dataset_base_path={data}"]) == 2
    assert name in capsys.readouterr().err
