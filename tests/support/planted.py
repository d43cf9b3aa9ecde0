"""Runs whose maps are drawn from the labels, with faults, so that no network has to learn anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.evaluation import evaluate
from hmean.runs.checkpoints import write_checkpoint
from hmean.runs.maps import MapStore, map_settings, maps_name
from hmean.settings.build import open_dataset
from hmean.settings.compose import compose_all
from support.models import carried_of
from support.pages import TINY
from support.planted_maps import planted_map

# What the planted runs begin with.
OVERRIDES = (
    "transforms.long_side=320",
    "models.head.postprocess.unclip=inverse",
    "models.head.postprocess.inverse_r=0.6",
    "models.head.postprocess.thresh=0.3",
    "models.head.postprocess.box_thresh=0.5",
)


def plant_run(folder: Path, data: Path, seed: int = 0, faults: float = 0.15, *more: str) -> Path:
    """A run folder as a training leaves it, but for its report: config, checkpoint, maps and scores of the val pages."""
    config = compose_all(
        [*TINY, f"dataset_base_path={data}", f"output_dir={folder.parent}", f"exp_name={folder.name}", *more]
    )
    pages = open_dataset(config.datasets.val_dataset)
    best = folder / "checkpoints" / "best.ckpt"
    weights = {"w": torch.tensor([float(seed)])}
    write_checkpoint(best, carried_of(config, val=pages.page_keys()), weights)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config.to_dict())))
    checkpoint, view = load_checkpoint(best), config.transforms
    store = MapStore(
        folder / "maps" / maps_name("best", checkpoint.weights_hash(), checkpoint.view),
        map_settings(checkpoint.weights_hash(), checkpoint.view),
        {pages.name(i): pages.file(i) for i in range(len(pages))},
    )
    rng = np.random.default_rng(seed)
    for i in range(len(pages)):
        store.add(planted_map(pages.page(i), view.long_side, rng, faults))
    evaluate(checkpoint, pages, folder, split="val")
    return folder


def plant_two_runs(root: Path, data: Path) -> None:
    """Two runs on the same validation pages: ``first`` and ``second``."""
    for seed, name in enumerate(("first", "second")):
        plant_run(root / name, data, seed, 0.3, *OVERRIDES)
