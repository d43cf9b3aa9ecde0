"""Runs whose maps are drawn from the labels, with faults, so that no network has to learn anything."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from omegaconf import OmegaConf

from hmean.commands import evaluate
from hmean.data.views import letterbox
from hmean.inference.checkpoints import load_checkpoint
from hmean.postprocess.decoding import PageMap
from hmean.runs.checkpoints import write_checkpoint
from hmean.runs.maps import MapStore, map_settings
from hmean.settings.build import open_pages
from hmean.settings.config import compose
from hmean.types import Page
from support.models import carried_of
from support.pages import TINY

# What the planted runs begin with.
OVERRIDES = (
    "transforms.long_side=320",
    "models.head.postprocess.unclip=inverse",
    "models.head.postprocess.inverse_r=0.6",
    "models.head.postprocess.thresh=0.3",
    "models.head.postprocess.box_thresh=0.5",
)


def planted_map(page: Page, long_side: int, rng: np.random.Generator, faults: float = 0.15) -> PageMap:
    """Shrunk words of differing P, blurred; of some nothing or two halves, some joined to the next, spots beside them."""
    view = letterbox(page.width, page.height, long_side, "stride")
    drawn = np.zeros((view.height, view.width), dtype=np.float32)
    corners = [cv2.transform(p[None], view.matrix[:2])[0] for p in page.polygons]
    for i, corner in enumerate(corners):
        (x, y), (w, h), angle = cv2.minAreaRect(corner.astype(np.float32))
        d = 0.35 * w * h / (w + h)
        p, fault = float(rng.uniform(0.6, 1.0)), rng.random() / faults
        inner = (x, y), (max(w - 2 * d, 1), max(h - 2 * d, 1)), angle
        if fault < 0.3:
            continue
        if 0.3 <= fault < 0.6 and i:
            cv2.line(drawn, *(tuple(int(v) for v in corners[k].mean(axis=0)) for k in (i - 1, i)), p, 2)
        box = cv2.boxPoints(inner)
        cv2.fillPoly(drawn, [np.round(box).astype(np.int32)], p)
        if 0.6 <= fault < 0.8:
            cv2.line(drawn, (int(x), int(y - h)), (int(x), int(y + h)), 0.0, 3)
    for _ in range(rng.poisson(20 * faults)):
        x, y = rng.integers(0, view.width), rng.integers(0, view.height)
        cv2.ellipse(drawn, (int(x), int(y)), (12, 4), 0, 0, 360, float(rng.uniform(0.35, 0.8)), -1)
    drawn = cv2.GaussianBlur(drawn, (0, 0), 0.8)
    return PageMap(page.name, drawn, view.to_page, page.width, page.height)


def plant_run(folder: Path, data: Path, seed: int = 0, faults: float = 0.15, *more: str) -> Path:
    """A run folder as a training leaves it, but for its report: config, checkpoint, maps and scores of the val pages."""
    config = compose(
        [*TINY, f"dataset_base_path={data}", f"output_dir={folder.parent}", f"exp_name={folder.name}", *more]
    )
    pages = open_pages(config.datasets.val_dataset)
    best = folder / "checkpoints" / "best.ckpt"
    weights = {"w": torch.tensor([float(seed)])}
    write_checkpoint(best, carried_of(config, val=pages.page_keys()), weights)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config.to_dict())))
    checkpoint, view = load_checkpoint(best), config.transforms
    store = MapStore(
        folder / "maps" / f"best-{checkpoint.weights_hash()[:12]}",
        map_settings(checkpoint.weights_hash(), checkpoint.view),
        {pages.name(i): pages.file(i) for i in range(len(pages))},
    )
    rng = np.random.default_rng(seed)
    for i in range(len(pages)):
        store.add(planted_map(pages.page(i), view.long_side, rng, faults))
    evaluate.run(config, checkpoint, folder)
    return folder


def plant_two_runs(root: Path, data: Path) -> None:
    """Two runs on the same validation pages: ``first`` and ``second``."""
    for seed, name in enumerate(("first", "second")):
        plant_run(root / name, data, seed, 0.3, *OVERRIDES)
