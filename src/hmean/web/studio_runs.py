"""The runs that a studio shows: their cached maps of its pages, and the parameters in their checkpoints."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.metrics.scorer import choose_characters
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Influence, read_carried
from hmean.runs.folder import RunFolder, model_of
from hmean.runs.maps import MapStore, map_settings, maps_name
from hmean.runs.scores import Scores
from hmean.types import Pad, Page, View
from hmean.web.studio_records import HistoryEntry, RunAbout
from hmean.web.studio_scores import ModelScores


@dataclass(eq=False)
class StudioRun:
    """One run.

    Attributes:
        folder: where it lies.
        weights_hash: of the weights that its maps were made with.
        scores: its maps, and what they score.
        saved: the parameters in its checkpoint now.
        history: those that it had before, the latest first.
        influenced_by: number of the pages shown that it was trained, or chosen, on.
    """

    folder: Path
    weights_hash: str
    scores: ModelScores
    saved: PostprocessParams
    history: list[HistoryEntry]
    influenced_by: Influence

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that is shown."""
        return RunFolder(self.folder).best

    def about(self) -> RunAbout:
        """Its parameters and their history."""
        return RunAbout(name=self.folder.name, saved=self.saved, history=self.history, influenced_by=self.influenced_by)

    def read_saved(self) -> None:
        """Read what its checkpoint holds now."""
        self.saved, self.history = read_saved(self.checkpoint)


@dataclass(frozen=True)
class ShownPages:
    """The labelled pages that all runs of a studio are shown on.

    Attributes:
        split: the split that they are of.
        images: labels and images.
        truth: each page with its words.
    """

    split: str
    images: LabelledImages
    truth: list[Page]


@dataclass(frozen=True)
class _Maps:
    """A run's maps of all pages, and what they were made with."""

    store: MapStore
    weights_hash: str
    scores: Scores


def find_run(path: Path) -> Path:
    """The run that a folder is, or the winner of the campaign that it is.

    Raises:
        InputError: if it is neither.
    """
    model = model_of(path)
    folder = model.parent.parent
    if model.suffix != ".ckpt" or not (folder / "config.yaml").is_file():
        raise InputError(f"{path}: is not a run folder (it has no config.yaml)")
    return folder


def open_run(folder: Path, pad: Pad, pages: ShownPages) -> StudioRun:
    """A run, with its maps of the pages.

    Args:
        folder: of the run.
        pad: how it fills up the views of pages.
        pages: to show it on.

    Raises:
        InputError: if maps are missing.
    """
    maps = _find_maps(folder, pad, pages)
    characters = choose_characters(pages.truth)
    scores = ModelScores(pages.truth, maps.store.read, characters, threads=os.cpu_count() or 1)
    influenced_by = Influence()
    if maps.scores.data_hash == pages.images.fingerprint():
        influenced_by = maps.scores.influenced_by
    saved, history = read_saved(RunFolder(folder).best)
    return StudioRun(folder, maps.weights_hash, scores, saved, history, influenced_by)


def _find_maps(folder: Path, pad: Pad, pages: ShownPages) -> _Maps:
    """A run's maps, and the ``scores.json`` that says which weights and preprocessing they were made with.

    Raises:
        InputError: if none of its ``scores.json`` leads to maps of all pages.
    """
    images = {pages.images.name(i): pages.images.file(i) for i in range(len(pages.images))}
    fewest_missing = len(images)
    for scores in _read_scores(folder, pages.split):
        weights_hash = scores.weights_hash
        if not isinstance(weights_hash, str) or scores.long_side is None:
            continue  # of several folds, which have no maps together
        view = View(scores.long_side, pad, scores.text)
        made = folder / "maps" / maps_name("best", weights_hash, view)
        store = MapStore(made, map_settings(weights_hash, view), images)
        missing = [name for name in images if name not in store]
        if not missing:
            return _Maps(store, weights_hash, scores)
        fewest_missing = min(fewest_missing, len(missing))
    raise InputError(
        f"{folder}: has no maps of {fewest_missing} of the {len(images)} pages; make them with: "
        f"hmean evaluate run={folder} split={pages.split} (and dataset_base_path, as in its training)"
    )


def _read_scores(folder: Path, split: str) -> list[Scores]:
    """What a run's ``scores.json`` files hold, those of this split first."""
    found = []
    for path in (folder / "scores.json", *sorted(folder.glob("*/scores.json"))):
        if path.is_file():
            found.append(Scores.read(path))
    return sorted(found, key=lambda scores: scores.split != split)


def read_saved(checkpoint: Path) -> tuple[PostprocessParams, list[HistoryEntry]]:
    """The parameters that a checkpoint holds, and those that it held before, the latest first.

    Raises:
        InputError: if it cannot be read.
    """
    carried = read_carried(checkpoint)
    history = []
    for change in reversed(carried.history):
        history.append(HistoryEntry(postprocess=change.postprocess, until=change.until, why=change.why))
    return carried.postprocess, history
