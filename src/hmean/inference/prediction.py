"""Prediction of any number of pages: it can be killed and continued, and shared among machines.

Pages go to a journal one by one, from which the files are joined at the end. Each shard leaves its journal in the
output folder; the command without a shard predicts what no shard has predicted, and joins all of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field, JsonValue

from hmean import __version__
from hmean.errors import InputError
from hmean.images import read_image, split_page
from hmean.inference.inputs import expand_pages
from hmean.inference.trained import Accelerator, Execution, FoundPage, PageFile, TrainedModel, Unreadable
from hmean.locks import locked
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.records import Record
from hmean.runs.journal import Journal, JournalReader, PageKey, SkippedLine
from hmean.runs.looks import LookCosts
from hmean.runs.manifest import GitState, git_state, package_versions
from hmean.runs.maps import MapStore, map_settings
from hmean.runs.pictures import draw_page, save_picture
from hmean.runs.predictions import write_predictions
from hmean.types import Detections, Look, View


class Predictor(Protocol):
    """Finds text on pages: one model, or an ensemble."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def made_by(self) -> Mapping[str, Any]:
        """What the predictions depend on beside the images, as plain JSON values."""

    def find(
        self, pages: Sequence[PageFile], *, accelerator: Accelerator = "auto", workers: int = 0
    ) -> Iterator[FoundPage | Unreadable]:
        """What is on each page, in order."""


class ModelPredictor:
    """One model as a predictor.

    Args:
        model: the model.
        view: how it sees pages; by default as in its training.
        params: post-processing values; by default the model's.
        batch_size: pages that go through the network together.
        maps: folder to keep the maps in, from which other values are predicted without the network; None: they are
            not kept.
    """

    def __init__(
        self,
        model: TrainedModel,
        *,
        view: View | None = None,
        params: PostprocessParams | None = None,
        batch_size: int = 1,
        maps: Path | None = None,
    ) -> None:
        self.model = model
        self.view = view or model.view
        self.params = params or model.postprocess
        self.batch_size = batch_size
        self.maps_folder = maps

    @property
    def path(self) -> Path:
        """The model's file."""
        return self.model.path

    @property
    def made_by(self) -> Mapping[str, Any]:
        """See ``Predictor``."""
        made_by = {
            "weights_hash": self.model.weights_hash(),
            "long_side": self.view.long_side,
            "pad": self.view.pad,
            "postprocess": self.params.to_dict(),
        }
        if self.view.text is not None:  # predictions that an earlier version has begun can be continued
            made_by["text"] = asdict(self.view.text)
        return made_by

    def find(
        self, pages: Sequence[PageFile], *, accelerator: Accelerator = "auto", workers: int = 0
    ) -> Iterator[FoundPage | Unreadable]:
        """See ``Predictor``."""
        for page in self.maps(pages, Execution(accelerator, self.batch_size, workers)):
            if isinstance(page, Unreadable):
                yield page
            else:
                yield FoundPage(detect(page, self.params), page.page_width, page.page_height, page.looks)

    def maps(self, pages: Sequence[PageFile], execution: Execution) -> Iterator[PageMap | Unreadable]:
        """The map of each page, in order: those that are kept are read, the others made by the network."""
        if self.maps_folder is None:
            yield from execution.run(self.model.start(self.view, execution.accelerator), pages)
            return
        readable = [page for page in pages if _is_readable(page)]
        store = MapStore(self.maps_folder, map_settings(self.model.weights_hash(), self.view), dict(readable))
        missing = [page for page in pages if page.name not in store]
        made: Iterator[PageMap | Unreadable] = iter(())
        if missing:
            made = execution.run(self.model.start(self.view, execution.accelerator), missing)
        for page in pages:
            if page.name in store:
                yield store.read(page.name)
                continue
            found = next(made)
            if isinstance(found, PageMap):
                store.add(found)
                found = store.read(page.name)  # in 8 bits, as it will be read next time
            yield found


def _is_readable(page: PageFile) -> bool:
    file = split_page(page.path)[0]
    return file.is_file() and os.access(file, os.R_OK)


@dataclass(frozen=True)
class Shard:
    """One of several disjoint shares of the files; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """The name of its journal, counted from 1."""
        return f"{self.index + 1}-of-{self.count}"


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction writes, and how.

    Attributes:
        shard: which share of the files; by default all of them.
        overwrite: replace predictions that are in the folder, and drop unfinished ones by something else.
        csv: also write ``submission.csv``.
        overlays: number of pages that are drawn with what was found on them.
        accelerator: see ``Execution``.
        workers: see ``Execution``.
    """

    shard: Shard = field(default_factory=Shard)
    overwrite: bool = False
    csv: bool = True
    overlays: int = 0
    accelerator: Accelerator = "auto"
    workers: int = 0


class PredictionManifest(Record):
    """``manifest.json`` of a prediction: what made it."""

    checkpoint: str = Field(description="path of the model's file, from this folder")
    made_by: dict[str, JsonValue] = Field(
        description="what the predictions depend on beside the images, on the same level as the other keys: "
        "weights_hash, long_side, pad, text (of a view of the text) and postprocess; for an ensemble its members, and "
        "postprocess"
    )
    images: int = Field(description="number of pages")
    skipped: tuple[str, ...] = Field(description="pages that could not be read, and why")
    hmean: str = Field(description="version of hmean")
    git: GitState | None = Field(description="state of the git repository; null if there was none")
    versions: dict[str, str | None] = Field(description="versions of the packages that results depend on")

    def to_json(self) -> dict[str, Any]:
        """Plain values, ``made_by`` among the others."""
        values = self.model_dump(mode="json")
        made_by = values.pop("made_by")
        return {"checkpoint": values.pop("checkpoint"), **made_by, **values}


@dataclass(frozen=True)
class PredictResult:
    """What a prediction has done.

    Attributes:
        folder: the output folder.
        pages: number of pages.
        skipped: pages that could not be read, and why.
        shard: the share that was predicted.
        looks: what the looks at a page have cost, of those that this command has predicted; None: not known.
    """

    folder: Path
    pages: int
    skipped: Sequence[str]
    shard: Shard
    looks: LookCosts | None = None

    @property
    def is_complete(self) -> bool:
        """Whether ``predictions.json`` was written: a shard leaves its journal only."""
        return self.shard.count == 1


def predict(
    predictor: Predictor, files: Sequence[PageFile], folder: Path, options: PredictOptions | None = None
) -> PredictResult:
    """Find text on images.

    Args:
        predictor: a model, or an ensemble.
        files: images and PDF files; of all shards.
        folder: output folder.
        options: what is written, and how.

    Raises:
        InputError: if the folder is used by another process, or holds something else.
    """
    options = options or PredictOptions()
    shard = options.shard
    with ExitStack() as locks:
        locks.enter_context(locked(folder, shared=shard.count > 1))
        locks.enter_context(locked(folder, f".lock-{shard.name}"))
        _require_free(folder, overwrite=options.overwrite)
        pages = expand_pages(files[shard.index :: shard.count])
        keys = [_key(page) for page in pages]  # once: a file may change while it is read
        looks = LookCosts.of(_fill_journal(predictor, pages, keys, folder, options))
        if shard.count > 1:
            return PredictResult(folder, len(pages), (), shard, looks)
        skipped = _join(keys, folder, csv=options.csv)
        manifest = PredictionManifest(
            checkpoint=os.path.relpath(predictor.path, folder),
            made_by=dict(predictor.made_by),
            images=len(pages),
            skipped=tuple(skipped),
            hmean=__version__,
            git=git_state(),
            versions=package_versions(),
        )
        manifest.write(folder / "manifest.json")
        shutil.rmtree(folder / "journal")
        return PredictResult(folder, len(pages), skipped, shard, looks)


def _require_free(folder: Path, *, overwrite: bool) -> None:
    if (folder / "predictions.json").exists() and not overwrite:
        raise InputError(
            f"{folder}: holds predictions already; set overwrite=true, or choose another output or exp_name"
        )
    if (folder / "config.yaml").exists():
        raise InputError(f"{folder}: is the run folder of a training; choose another output or exp_name")


def _key(page: PageFile) -> PageKey:
    """Time in seconds, since copies of a file lose the fractions."""
    try:
        about = split_page(page.path)[0].stat()
    except OSError:
        return PageKey(page.name, 0, 0)
    return PageKey(page.name, about.st_size, int(about.st_mtime))


def _fill_journal(
    predictor: Predictor, pages: Sequence[PageFile], keys: Sequence[PageKey], folder: Path, options: PredictOptions
) -> list[tuple[Look, ...]]:
    """Predict the pages that are in no journal; returns the looks at each of them that could be read."""
    looks = []
    shard = options.shard
    path = folder / "journal" / f"{shard.name}.jsonl"
    journal = Journal(path, predictor.made_by, overwrite=options.overwrite)
    if journal.is_empty and options.overwrite:
        shutil.rmtree(folder / "overlays", ignore_errors=True)
    overlays = options.overlays
    if shard.count > 1:
        overlays = 0
    with journal, JournalReader(path.parent) as done:
        missing = [position for position in range(len(pages)) if keys[position] not in done]
        found: Iterator[FoundPage | Unreadable] = iter(())
        if missing:  # else the network need not be started
            to_find = [pages[position] for position in missing]
            found = predictor.find(to_find, accelerator=options.accelerator, workers=options.workers)
        with track("detecting", len(missing)) as advance:
            for position, result in zip(missing, found, strict=True):
                if isinstance(result, Unreadable):
                    journal.skip(keys[position], result.reason)
                else:
                    if position < overlays:
                        _draw_overlay(folder, position, pages[position], result.detections)
                    journal.write(keys[position], result.detections, result.width, result.height)
                    looks.append(result.looks)
                advance()
    return looks


def _draw_overlay(folder: Path, number: int, page: PageFile, found: Detections) -> None:
    target = folder / "overlays" / f"{number:06d}_{Path(page.name).stem}.jpg"
    save_picture(target, draw_page(read_image(page.path), found))


def _join(keys: Sequence[PageKey], folder: Path, *, csv: bool) -> list[str]:
    """Write the files from the journals, in the order of the inputs; returns why pages were skipped."""
    skipped = []
    table = None
    if csv:
        table = folder / "submission.csv"
    with (
        JournalReader(folder / "journal") as done,
        write_predictions(folder / "predictions.json", table) as writer,
    ):
        for key in keys:
            line = done[key]
            if isinstance(line, SkippedLine):
                skipped.append(line.why)
                # A judge wants a row for every image.
                writer.write(key.name, Detections.empty(), None, None)
            else:
                writer.write(key.name, line.detections(), line.img_w, line.img_h)
    return skipped
