"""``hmean predict``: a trained model and images in; predictions.json, submission.csv and overlays out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hmean import runs
from hmean.builders import open_pages
from hmean.checkpoints import Checkpoint, restore_detector
from hmean.config import Config
from hmean.data.images import list_images, read_image
from hmean.drawing import draw_page, save_picture
from hmean.errors import InputError
from hmean.files import write_json
from hmean.inference import MapOrError, run_detector
from hmean.jobs.evaluate import map_store
from hmean.postprocess import detect
from hmean.progress import track
from hmean.results import write_predictions
from hmean.types import Detections


def run(config: Config, checkpoint: Checkpoint, inputs: Sequence[str] = ()) -> Path:
    """Find text on images.

    Args:
        config: with the checkpoint's model (``open_checkpoint``).
        checkpoint: the model.
        inputs: images, folders and UFO files; none: the images of ``datasets.predict_dataset``.

    Returns:
        The folder written to.

    Raises:
        InputError: if there is nothing to do, or, at the end and with the rest written, if images could not be read.
    """
    if config.exp_name is None and config.output is None:
        raise InputError("say where results go: output=FOLDER or exp_name=NAME")
    asked = gather(config, inputs)
    folder = Path(config.output) if config.output else Path(config.output_dir) / str(config.exp_name)
    if (folder / "predictions.json").exists() and not config.overwrite:
        raise InputError(f"{folder}: holds predictions already; set overwrite=true, or another output or exp_name")
    if (folder / "config.yaml").exists():
        raise InputError(f"{folder}: is the run folder of a training; choose another output or exp_name")
    params = config.models.head.postprocess.params()
    skipped: list[str] = []
    with (
        write_predictions(
            folder / "predictions.json", folder / "submission.csv" if config.predict.csv else None
        ) as write,
        track("detecting", len(asked)) as advance,
    ):
        for result in _maps(config, checkpoint, asked, folder):
            name, file = asked[result.position]
            if isinstance(result.found, str):
                skipped.append(result.found)
                write(name, Detections.empty(), 1, 1)  # a judge wants a row for every image asked for
            else:
                found = detect(result.found, params)
                write(name, found, result.found.page_width, result.found.page_height)
                if result.position < config.predict.overlays:
                    target = folder / "overlays" / f"{result.position:06d}_{Path(name).stem}.jpg"
                    save_picture(target, draw_page(read_image(file), found))
            advance()
    write_json(
        folder / "manifest.json",
        {
            "checkpoint": os.path.relpath(checkpoint.path, folder),
            "weights_hash": checkpoint.weights_hash(),
            "postprocess": params.to_dict(),
            "long_side": config.transforms.long_side,
            "images": len(asked),
            "skipped": skipped,
            **{
                k: v
                for k, v in runs.manifest(config.to_dict(), {}, config.seed).items()
                if k in ("hmean", "git", "versions")
            },
        },
    )
    print(f"{len(asked) - len(skipped)} of {len(asked)} images: {folder / 'predictions.json'}")
    if skipped:
        raise InputError.listing(f"{len(skipped)} images were skipped, the others are written:", skipped)
    return folder


def _maps(
    config: Config, checkpoint: Checkpoint, asked: Sequence[tuple[str, Path]], folder: Path
) -> Iterator[MapOrError]:
    """P of each image, in order; with ``maps`` from ``maps/``, where it is kept."""
    store = map_store(folder / "maps", config, checkpoint, asked) if config.maps else None
    missing = [image for image in asked if store is None or image[0] not in store]
    detector = restore_detector(config, checkpoint) if missing else None
    fresh = run_detector(detector, missing, config, config.dataloaders.predict_dataloader) if detector else iter(())
    for position, (name, _) in enumerate(asked):
        found = store.read(name) if store is not None and name in store else next(fresh).found
        if store is not None and not isinstance(found, str) and name not in store:
            store.add(found)
            found = store.read(name)  # in 8 bits, as it will be next time
        yield MapOrError(position, found)


def gather(config: Config, inputs: Sequence[str]) -> list[tuple[str, Path]]:
    """(name, file) of every image asked for, in order; names are unique.

    Raises:
        InputError: listing inputs that are not there or hold no image.
    """
    if not inputs:
        pages = open_pages(config.datasets.predict_dataset)
        return [(pages.name(position), pages.file(position)) for position in range(len(pages))]
    asked: list[tuple[str, Path]] = []
    faults = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            images = list_images(path)
            asked += [(str(image.relative_to(path)), image) for image in images]
            if not images:
                faults.append(f"{text}: the folder holds no images")
        elif path.suffix.lower() == ".json" and path.is_file():
            source = config.datasets.predict_dataset.model_copy(update={"annotation_path": text, "split": None})
            pages = open_pages(source)
            asked += [(pages.name(position), pages.file(position)) for position in range(len(pages))]
        elif path.is_file():
            asked.append((path.name, path))
        else:
            faults.append(f"{text}: no such file or folder")
    if faults:
        raise InputError.listing("Some inputs cannot be used:", faults)
    asked = list({file.resolve(): (name, file) for name, file in reversed(asked)}.values())[::-1]  # each file once
    if len({name for name, _ in asked}) < len(asked):  # the same name in two folders
        asked = [(str(file), file) for _, file in asked]
    return asked
