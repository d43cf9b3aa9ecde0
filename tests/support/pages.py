"""A network and pages small enough for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from hmean.runs.predictions import read_predictions

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
    "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1",
    "trainer.accelerator=cpu",
]


def drawn_page(words: int) -> PIL.Image.Image:
    """A white page with so many black words below each other."""
    page = np.full((200, 120, 3), 255, np.uint8)
    for i in range(words):
        page[10 + 24 * i : 20 + 24 * i, 20:80] = 0
    return PIL.Image.fromarray(page)


def count_found(folder: Path) -> dict[str, int]:
    """How many text polygons an output folder has for each page."""
    found = read_predictions(folder / "predictions.json")
    return {name: len(detections) for name, detections in found.items()}
