"""``hmean evaluate``: a trained model and labelled pages in; maps, predictions, scores, errors and pictures out."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmean.data.check import require_sound
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.files import write_json
from hmean.images import read_image
from hmean.inference.trained import PageFile, TrainedModel, Unreadable
from hmean.metrics.breakdown import break_down
from hmean.metrics.scorer import Scorer, choose_characters
from hmean.postprocess.decoding import detect
from hmean.progress import track
from hmean.runs.maps import MapStore, map_settings
from hmean.runs.pictures import draw_faults, save_picture
from hmean.runs.predictions import write_predictions
from hmean.runs.scores import Scores
from hmean.settings.build import open_pages
from hmean.settings.config import Config
from hmean.settings.opening import view_of
from hmean.types import Detections

PICTURES = 6  # worst pages, and best ones, that are drawn


def run(config: Config, checkpoint: TrainedModel, folder: Path | None = None) -> dict[str, Any]:
    """Score a model on the pages of ``evaluate_on``.

    Args:
        config: with the checkpoint's model (``open_model``).
        checkpoint: the model.
        folder: where to write; by default ``output``, or ``evaluate_<part>`` beside the run's checkpoints.

    Returns:
        The content of ``scores.json``.
    """
    folder = folder or output_folder(config, checkpoint)
    pages = open_pages(getattr(config.datasets, f"{config.evaluate_on}_dataset"))
    require_sound(pages)
    started = time.monotonic()
    store = run_maps(config, checkpoint, pages, folder)
    seconds = time.monotonic() - started

    params = config.models.head.postprocess.params()
    scorer = Scorer(choose_characters(pages.page(i) for i in range(len(pages))))
    found: list[Detections] = []
    with (
        write_predictions(folder / "predictions.json") as writer,
        track("scoring", len(pages)) as advance,
    ):
        for position in range(len(pages)):
            page = pages.page(position)
            detections = detect(store.read(page.name), params)
            scorer.update(page, detections)
            writer.write(page.name, detections, page.width, page.height)
            found.append(detections)
            advance()
    truth = [pages.page(position) for position in range(len(pages))]
    errors = break_down(truth, found, scorer.characters, config.transforms.long_side)
    errors.write(folder / "errors.json", indent=None)
    record = Scores.collect(scorer, **about(config, checkpoint, pages, seconds)).to_json()
    write_json(folder / "scores.json", record)
    draw_extremes(folder / "pictures", pages, scorer, found)
    return record


def output_folder(config: Config, checkpoint: TrainedModel) -> Path:
    """Where an evaluation is written; it must not hold another one.

    Raises:
        InputError: if there is one and ``overwrite`` is not set.
    """
    folder = Path(config.output) if config.output else run_of(checkpoint) / f"evaluate_{config.evaluate_on}"
    if (folder / "scores.json").exists() and not config.overwrite:
        raise InputError(f"{folder}: holds an evaluation already; set output=ANOTHER_FOLDER or overwrite=true")
    return folder


def run_of(checkpoint: TrainedModel) -> Path:
    """Where results with this model belong.

    Raises:
        InputError: if they have no natural place: the checkpoint lies in no run folder.
    """
    if checkpoint.folder is None:
        raise InputError(
            f"{checkpoint.path}: lies in no run folder; copy it to a folder of yours and give the copy, or say where "
            "results go with output=FOLDER (but for hmean tune, which writes into the file)"
        )
    return checkpoint.folder


def about(config: Config, checkpoint: TrainedModel, pages: LabelledImages, seconds: float) -> dict[str, Any]:
    """What was scored, with what: enough to refuse a comparison of different pages."""
    return {
        "exp_name": checkpoint.training["exp_name"],
        "split": config.evaluate_on,
        "data_hash": pages.fingerprint(),
        "weights_hash": checkpoint.weights_hash(),
        "epoch": checkpoint.epoch,
        "influenced_by": checkpoint.influenced_by(pages.page_keys()).to_json(),
        "long_side": config.transforms.long_side,
        "postprocess": config.models.head.postprocess.model_dump(),
        "tuned": [change.why for change in checkpoint.history],
        "seconds": round(seconds, 2),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
    }


def run_maps(config: Config, checkpoint: TrainedModel, pages: LabelledImages, otherwise: Path) -> MapStore:
    """Maps of all pages in the run's ``maps/``, which its jobs share, or in that of the folder ``otherwise``.

    Once all are there, those of earlier weights of the same checkpoint file are removed.
    """
    kind = checkpoint.path.stem
    folder = (checkpoint.folder or otherwise) / "maps"
    folder /= f"{kind}-{checkpoint.weights_hash()[:12]}"
    store = make_maps(config, checkpoint, pages, folder)
    for old in set(folder.parent.glob(f"{kind}-{'[0-9a-f]' * 12}")) - {folder}:
        shutil.rmtree(old)
    return store


def make_maps(config: Config, checkpoint: TrainedModel, pages: LabelledImages, folder: Path) -> MapStore:
    """Maps of all pages, made by the network only where they are not there yet.

    Raises:
        InputError: if an image cannot be read.
    """
    images = [(pages.name(i), pages.file(i)) for i in range(len(pages))]
    store = map_store(folder, config, checkpoint, images)
    missing = [position for position in range(len(pages)) if pages.name(position) not in store]
    if not missing:
        return store
    run = checkpoint.start(view_of(config), config.trainer.accelerator)
    files = [PageFile(pages.name(position), pages.file(position)) for position in missing]
    loader = getattr(config.dataloaders, f"{config.evaluate_on}_dataloader")
    with track("detecting", len(files)) as advance:
        for found in run(files, batch_size=loader.batch_size, workers=loader.num_workers):
            if isinstance(found, Unreadable):
                raise InputError(found.reason)
            store.add(found)  # what is done need not be done again
            advance()
    return store


def map_store(folder: Path, config: Config, checkpoint: TrainedModel, images: Sequence[tuple[str, Path]]) -> MapStore:
    """Where the maps are that these weights and this preprocessing make of the images."""
    settings = map_settings(checkpoint.weights_hash(), view_of(config))
    return MapStore(folder, settings, dict(images))


def draw_extremes(folder: Path, pages: LabelledImages, scorer: Scorer, found: list[Detections]) -> None:
    """Pictures of the worst and the best pages by CLEval H, worst first, with their faults."""
    order = sorted(range(len(pages)), key=lambda i: scorer.pages[i].prh.h)
    chosen = [("worst", i) for i in order[:PICTURES]] + [("best", i) for i in order[: -PICTURES - 1 : -1]]
    listing = []
    for rank, (kind, i) in enumerate(chosen):
        file = f"{kind}_{rank % PICTURES + 1}.jpg"
        image = read_image(pages.file(i))
        save_picture(folder / file, draw_faults(image, found[i], pages.page(i), scorer.characters))
        listing.append({"file": file, "kind": kind, "page": pages.name(i), "h": scorer.pages[i].prh.h})
    write_json(folder / "pictures.json", listing)
