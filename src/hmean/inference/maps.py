"""The probability maps of pages on disk; the network makes those that are not there yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.trained import Execution, TrainedModel, Unreadable, page_files
from hmean.progress import track
from hmean.runs.maps import OF_TEXT, MapStore, map_settings, maps_name
from hmean.types import View


def make_maps(
    model: TrainedModel,
    pages: LabelledImages,
    folder: Path,
    *,
    view: View | None = None,
    execution: Execution | None = None,
) -> MapStore:
    """The maps of all pages in a folder.

    Args:
        model: the model.
        pages: the pages.
        folder: of the maps; there may be maps of other models and views in it.
        view: how the network sees pages; by default as in its training.
        execution: how the network is run.

    Raises:
        InputError: if an image cannot be read.
    """
    view = view or model.view
    execution = execution or Execution()
    files = page_files(pages)
    store = MapStore(folder, map_settings(model.weights_hash(), view), dict(files))
    missing = [page for page in files if page.name not in store]
    if not missing:
        return store
    runner = model.start(view, execution.accelerator)
    with track("detecting", len(missing)) as advance:
        for found in execution.run(runner, missing):
            if isinstance(found, Unreadable):
                raise InputError(found.reason)
            store.add(found)  # at once, so that it need not be made again after an interruption
            advance()
    return store


def make_run_maps(
    model: TrainedModel,
    pages: LabelledImages,
    *,
    view: View | None = None,
    execution: Execution | None = None,
    fallback: Path | None = None,
) -> MapStore:
    """The maps of all pages in the folder ``maps`` of the model's run, which all commands share.

    Once all maps are there, those of earlier weights of the same checkpoint file are removed.

    Args:
        model: the model.
        pages: the pages.
        view: how the network sees pages; by default as in its training.
        execution: how the network is run.
        fallback: folder for ``maps`` if the model does not lie in a run folder.

    Raises:
        InputError: if an image cannot be read, or there is no folder for the maps.
    """
    parent = model.folder or fallback or model.require_folder()
    view = view or model.view
    kind = model.path.stem
    folder = parent / "maps" / maps_name(kind, model.weights_hash(), view)
    store = make_maps(model, pages, folder, view=view, execution=execution)
    own = folder.name.removesuffix(OF_TEXT)
    for ending in ("", OF_TEXT):
        for earlier in folder.parent.glob(f"{kind}-{'[0-9a-f]' * 12}{ending}"):
            if earlier.name.removesuffix(OF_TEXT) != own:
                shutil.rmtree(earlier)
    return store
