"""The commands of the documentation, as they are written there."""

import os
import subprocess
import sys
from pathlib import Path

RUNNERS = Path(__file__).parents[2] / "runners"


def test_runners_run_as_the_documentation_says(receipts, tmp_path):
    """The B4 preset as written, at reduced size for one epoch; W&B without a key logs offline."""
    small = ["models.encoder.pretrained=false", "transforms.long_side=64", "transforms.train.long_side=[64,64]", "trainer.limit_train_batches=1",
             "dataloaders.train_dataloader={batch_size: 2, num_workers: 0}", "dataloaders.val_dataloader={batch_size: 1, num_workers: 0}"]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")} | {
        "HOME": str(tmp_path),
        "WANDB_SILENT": "true",
    }
    name = "efficientnet_b4_lr_0.0004"
    train = [sys.executable, RUNNERS / "train.py", "preset=efficientnet_b4_lr_optimized", f"exp_name={name}", "models.optimizer.lr=0.0004",
             "trainer.max_epochs=1", f"dataset_base_path={receipts}", "wandb=true", *small]  # fmt: skip
    done = subprocess.run(train, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "offline" in done.stdout
    predict = [sys.executable, RUNNERS / "predict.py", "preset=efficientnet_b4_lr_optimized", f"exp_name={name}_predict",
               f"checkpoint_path=outputs/{name}/checkpoints/best.ckpt", f"dataset_base_path={receipts}"]  # fmt: skip
    done = subprocess.run(predict, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / f"outputs/{name}_predict/submission.csv").read_text().splitlines()
    assert len(table) == 3
