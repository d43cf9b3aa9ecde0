"""Fixtures: small pages that the tests draw themselves, and, where HMEAN_DATA names it, real data."""

from __future__ import annotations

import os
from pathlib import Path

# Tiny networks are fastest on one thread, and the tests run side by side. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from hmean.data.synth import write_dataset

# A network small enough for a test: timm's own test models.
TINY = [
    "preset=receipts_lite",
    "models.encoder.model_name=test_efficientnet",
    "models.encoder.pretrained=false",
    "models.encoder.freeze_bn=false",
    "models.encoder.lr_scale=1.0",
    "models.decoder.inner_channels=16",
    "models.decoder.output_channels=8",
    "transforms.long_side=160",
    "transforms.train.crop=64",
    "transforms.train.long_side=[128,192]",
    "dataloaders.train_dataloader={batch_size: 2, num_workers: 0}",
    "dataloaders.val_dataloader={batch_size: 2, num_workers: 0}",
    "dataloaders.predict_dataloader={batch_size: 2, num_workers: 0}",
    "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1",
    "trainer.accelerator=cpu",
]


def data_folder(name: str) -> Path:
    """A data set of HMEAN_DATA, or a visible skip."""
    root = os.environ.get("HMEAN_DATA")
    if not root or not (Path(root) / name / "labels.json").exists():
        pytest.skip(f"HMEAN_DATA names no folder with the data set {name}")
    return Path(root) / name


@pytest.fixture(scope="session")
def sroie() -> Path:
    return data_folder("sroie")


@pytest.fixture(scope="session")
def receipts(tmp_path_factory) -> Path:
    """A small data set in the layout of a user's: 6 training, 3 validation, 2 test pages."""
    folder = tmp_path_factory.mktemp("data") / "receipts"
    write_dataset(folder, train=6, val=3, test=2, seed=7, long_side=(160, 200))
    return folder


@pytest.fixture
def tiny(receipts, tmp_path) -> list[str]:
    """Overrides for a run of the tiny network on the small data set, writing under tmp_path."""
    return [*TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path / 'outputs'}", "exp_name=tiny"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
