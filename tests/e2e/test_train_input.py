"""Wrong input to ``hmean train`` is reported before anything is trained."""

import json
import shutil
from pathlib import Path

import pytest

from hmean.cli import main
from support.pages import TINY


@pytest.mark.parametrize("fault", ["missing", "damaged", "turned", "outside", "unlabelled", "both"])
def test_wrong_data_is_told_before_anything_is_trained(receipts, tmp_path, capsys, fault):

    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    path = data / "jsons/train.json"
    labels = json.loads(path.read_text())
    name, page = next(iter(labels["images"].items()))
    image = data / "images" / name
    expected = {"missing": "no such image", "damaged": "damaged", "turned": "turned upright", "outside": "outside of the page",
                "unlabelled": "unlabelled", "both": "both training and validation"}[fault]  # fmt: skip
    if fault == "missing":
        image.unlink()
    elif fault == "damaged":
        image.write_bytes(b"\xff\xd8nothing")
    elif fault == "turned":
        page["img_w"], page["img_h"] = page["img_h"] + 1, page["img_w"]
        page["words"] = {}
    elif fault == "outside":
        next(iter(page["words"].values()))["points"] = [[9000, 9000], [9100, 9000], [9100, 9050]]
    elif fault == "unlabelled":
        del page["words"]
    path.write_text(json.dumps(labels))
    if fault == "both":
        shutil.copy(path, data / "jsons/val.json")
    code = main(["train", *TINY, f"dataset_base_path={data}", f"output_dir={tmp_path / 'outputs'}", "exp_name=x"])
    assert code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_a_diverging_loss_is_an_error_in_words(tiny, capsys):
    assert main(["train", *tiny, "models.optimizer.lr=1e30", "trainer.gradient_clip_val=null"]) == 2
    assert "training diverged at step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "override"),
    [
        ("train", "output=x"),
        ("train", "predict.overlays=3"),
        ("lr_find", "resume=auto"),
        ("evaluate", "exp_name=x"),
        ("tune", "output=x"),
    ],
)
def test_a_key_that_a_command_does_not_read_is_refused(command, override, capsys):
    assert main([command, override]) == 2
    message = capsys.readouterr().err
    assert override.partition("=")[0] in message
    assert "does not read" in message


def test_two_trackers_are_refused(capsys):
    assert main(["train", "wandb=true", "logger=csv"]) == 2
    assert "wandb=true and logger=csv name two trackers" in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_pages(copy_of_run, receipts, tmp_path, capsys):
    data = Path(shutil.copytree(receipts, tmp_path / "data"))
    labels = json.loads((data / "jsons/train.json").read_text())
    next(iter(labels["images"].values()))["words"].popitem()
    (data / "jsons/train.json").write_text(json.dumps(labels))
    before = (copy_of_run / "config.yaml").read_text().replace(str(receipts), str(data))
    (copy_of_run / "config.yaml").write_text(before)  # as if labels were changed under a run
    command = ["train", *TINY, f"dataset_base_path={data}", f"output_dir={copy_of_run.parent}", "exp_name=tiny"]
    assert main([*command, "resume=auto", "trainer.max_epochs=3"]) == 2
    assert "was started with other train pages" in capsys.readouterr().err


def test_values_that_an_optimizer_refuses_leave_no_folder(tiny, tmp_path, capsys):
    assert main(["train", *tiny, "+models.optimizer.betas=[2,3]"]) == 2
    assert "models.optimizer: torch.optim.AdamW does not accept these arguments" in capsys.readouterr().err
    assert main(["train", *tiny, "models.decoder.inner_channels=-3"]) == 2
    assert "models.decoder" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()
