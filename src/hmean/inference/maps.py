"""The probability maps of pages, made by the network only where they are not on disk yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.trained import Accelerator, PageFile, TrainedModel, Unreadable
from hmean.progress import track
from hmean.runs.maps import MapStore, map_settings
from hmean.types import View


def make_maps(
    model: TrainedModel,
    view: View,
    pages: LabelledImages,
    folder: Path,
    *,
    accelerator: Accelerator = "auto",
    batch_size: int = 1,
    workers: int = 0,
) -> MapStore:
    """Maps of all pages, in ``folder``.

    Args:
        model: makes them.
        view: how it sees pages.
        pages: what is asked for.
        folder: where the maps are kept; those of other models and views do not disturb.
        accelerator: see ``TrainedModel.start``.
        batch_size: pages that go through the network together.
        workers: processes (or threads) that read images ahead of the network.

    Raises:
        InputError: if an image cannot be read.
    """
    files = [PageFile(pages.name(position), pages.file(position)) for position in range(len(pages))]
    settings = map_settings(model.weights_hash(), view)
    store = MapStore(folder, settings, {file.name: file.path for file in files})
    missing = [file for file in files if file.name not in store]
    if not missing:
        return store
    runner = model.start(view, accelerator)
    with track("detecting", len(missing)) as advance:
        for found in runner(missing, batch_size=batch_size, workers=workers):
            if isinstance(found, Unreadable):
                raise InputError(found.reason)
            store.add(found)  # at once, so that it need not be made again after an interruption
            advance()
    return store


def make_run_maps(
    model: TrainedModel,
    view: View,
    pages: LabelledImages,
    folder: Path,
    *,
    accelerator: Accelerator = "auto",
    batch_size: int = 1,
    workers: int = 0,
) -> MapStore:
    """``make_maps`` in the folder that all commands on a run share: ``maps/`` of the run, or of ``folder`` without one.

    Once all maps are there, those that earlier weights of the same checkpoint file made are removed.
    """
    file = model.path.stem
    maps = (model.folder or folder) / "maps"
    own = maps / f"{file}-{model.weights_hash()[:12]}"
    store = make_maps(model, view, pages, own, accelerator=accelerator, batch_size=batch_size, workers=workers)
    for other in maps.glob(f"{file}-{'[0-9a-f]' * 12}"):
        if other != own:
            shutil.rmtree(other)
    return store
