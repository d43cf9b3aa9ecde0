"""Trainings that are killed, stopped, or run out of disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint
from support.pages import TINY
from support.runs import rows

HMEAN = str(Path(sys.executable).parent / "hmean")


def test_a_killed_training_goes_on_as_if_unbroken(receipts, tmp_path):
    """SIGKILL in the middle of an epoch; with EMA, a schedule by steps and shuffled augmented views."""
    command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "trainer.max_epochs=3",
               "transforms.train.views_per_page=8", "dataloaders.train_dataloader={batch_size: 2, num_workers: 1}"]  # fmt: skip
    assert main([*command, "exp_name=whole"]) == 0
    run = tmp_path / "broken"
    process = subprocess.Popen(
        [HMEAN, *command, "exp_name=broken"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not ((run / "metrics.jsonl").exists() and (run / "checkpoints/last.ckpt").exists()):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (run / "scores.json").exists()
    assert main([*command, "exp_name=broken", "resume=auto"]) == 0
    whole, resumed = rows(tmp_path / "whole"), rows(run)
    assert [r["epoch"] for r in resumed] == [0, 1, 2]
    for key in ("train/loss", "val/hmean", "lr", "step"):
        assert [r[key] for r in resumed] == pytest.approx([r[key] for r in whole], rel=1e-5), key
    a, b = (load_checkpoint(tmp_path / name / "checkpoints/last.ckpt") for name in ("whole", "broken"))
    assert all(torch.allclose(a.weights[k].double(), b.weights[k].double(), rtol=1e-4, atol=1e-6) for k in a.weights)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_says_how_to_go_on(receipts, tmp_path, stop):
    command = [HMEAN, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "exp_name=stopped",
               "trainer.max_epochs=500"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "stopped/checkpoints/last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(stop)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "resume=auto" in err
    assert "Traceback" not in err
    load_checkpoint(tmp_path / "stopped/checkpoints/last.ckpt")


def test_a_full_disk_ends_a_training_in_words(receipts, tmp_path):
    """Checkpoints larger than the disk has room for: here, than a file may be."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); from hmean.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "train", *TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path}", "exp_name=full"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "ckpt: cannot be written (File too large); nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "full/checkpoints").iterdir()) == []
