"""Several networks as one, page by page, in bounded memory, and ``hmean evaluate`` with an ``ensemble.json``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hmean.data.check import require_sound
from hmean.data.pages import LabelledImages
from hmean.ensemble.detect import detect_voted, mean_map
from hmean.ensemble.voting import VotingParams
from hmean.errors import InputError
from hmean.files import read_json, write_json
from hmean.inference.trained import PageFile, Runner, TrainedModel, Unreadable
from hmean.metrics.scorer import Scorer, choose_characters
from hmean.postprocess.decoding import PageMap, detect_each
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.runs.maps import MapStore
from hmean.runs.predictions import write_predictions
from hmean.runs.scores import Scores
from hmean.settings.build import open_pages
from hmean.settings.config import Config
from hmean.settings.opening import open_configured, view_of
from hmean.types import Detections


@dataclass(frozen=True, eq=False)
class Source:
    """One pass of one network: the page at the config's long side."""

    config: Config
    checkpoint: TrainedModel

    def at(self, long_side: int) -> Source:
        """The same network on another view of the page."""
        transforms = self.config.transforms.model_copy(update={"long_side": long_side})
        return Source(self.config.model_copy(update={"transforms": transforms}), self.checkpoint)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What makes the maps."""
        side = self.config.transforms.long_side
        return {"weights_hash": self.checkpoint.weights_hash(), "long_side": side}


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Sources and the post-processing of what they find: the mean of their maps, or their votes."""

    sources: tuple[Source, ...]
    params: PostprocessParams
    tuned_on: Sequence[int] = ()  # page keys
    path: Path = Path("ensemble.json")

    def find(self, maps: Sequence[PageMap]) -> Detections:
        """The regions of one page."""
        return finder(isinstance(self.params, VotingParams))(maps, [self.params])[0]

    def run(self, asked: Sequence[tuple[str, Path]]) -> Iterator[tuple[Detections | str, int, int]]:
        """Regions, width and height of each (name, file), page by page; why there are none, where there are none."""
        for maps in self.maps(asked):
            yield (maps, 0, 0) if isinstance(maps, str) else (self.find(maps), maps[0].page_width, maps[0].page_height)

    @property
    def made_by(self) -> dict[str, Any]:
        """What makes the regions, wherever its files lie."""
        members = [{**s.about, "pad": s.config.transforms.pad} for s in self.sources]
        voting = isinstance(self.params, VotingParams)
        return {"members": members, "voting": voting, "postprocess": self.params.to_dict()}

    def record(self, folder: Path) -> dict[str, Any]:
        """What ``open_ensemble`` reads."""
        members = [{"checkpoint": os.path.relpath(s.checkpoint.path, folder), **s.about} for s in self.sources]
        return {**self.made_by, "members": members}

    def maps(self, asked: Sequence[tuple[str, Path]]) -> Iterator[list[PageMap] | str]:
        """What each source makes of each (name, file), page by page; why there is nothing, where there is nothing."""
        workers = min(self.sources[0].config.dataloaders.predict_dataloader.num_workers, 1)
        pages = [PageFile(*page) for page in asked]
        runners: dict[int, Runner] = {}  # a network that several sources share is in memory once
        streams = []
        for source in self.sources:
            model, view = source.checkpoint, view_of(source.config)
            if id(model) not in runners:
                runners[id(model)] = model.start(view, source.config.trainer.accelerator)
            streams.append(runners[id(model)].at(view)(pages, workers=workers))
        for results in zip(*streams, strict=True):
            maps = [result for result in results if isinstance(result, PageMap)]
            unreadable = [result for result in results if isinstance(result, Unreadable)]
            yield unreadable[0].reason if unreadable else maps


def finder(voting: bool) -> Callable[[Sequence[PageMap], Sequence[Any]], list[Detections]]:
    """(maps of a page, settings) -> regions at each setting."""
    return detect_voted if voting else lambda maps, many: detect_each(mean_map(maps), many)


def open_ensemble(path: Path, overrides: Sequence[str], group: str = "members") -> Ensemble:
    """Read an ``ensemble.json`` and what was kept of it (``members``), or all that was joined for it (``runs``).

    Raises:
        InputError: if it is none, a member is not the model that it was, or a value is given that the file decides.
    """
    decided = [o for o in overrides if re.match(r"[+~]*(models|transforms)\b", o)]
    if decided:
        raise InputError(
            f"{path}: an ensemble's models, sizes and thresholds are its own; leave out {', '.join(decided)}"
        )
    record = read_json(path)
    try:
        if any(m.get("flip") for m in record[group]):
            raise InputError(f"{path}: shows a member the mirrored page (flip), which is no longer supported; "
                             "run hmean ensemble again")  # fmt: skip
        files = {m["checkpoint"]: f"checkpoint_path={path.parent / m['checkpoint']}" for m in record[group]}
        opened = {name: Source(*open_configured([*overrides, file])) for name, file in files.items()}
        sources = [opened[m["checkpoint"]].at(m["long_side"]) for m in record[group]]
        params = (VotingParams if record["voting"] else PostprocessParams).from_dict(record["postprocess"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no ensemble.json of this hmean's ({error})") from error
    pairs = zip(sources, record[group], strict=True)
    changed = [str(s.checkpoint.path) for s, m in pairs if s.about["weights_hash"] != m["weights_hash"]]
    if changed:
        raise InputError.listing(f"{path}: these members are not the models that it was made of:", changed)
    return Ensemble(tuple(sources), params, record["tuned_on"], path)


def _teach(teachers: Ensemble, pages: LabelledImages, folder: Path) -> None:
    """Keep the mean of the teachers' maps, and the pages that these have seen."""
    files = {pages.name(i): pages.file(i) for i in range(len(pages))}
    store = MapStore(folder / "maps", " ".join(str(source.about) for source in teachers.sources), files)
    missing = [(name, file) for name, file in files.items() if name not in store]
    with track("teaching", len(missing)) as advance:
        for maps in teachers.maps(missing):
            if isinstance(maps, str):
                raise InputError(maps)
            store.add(mean_map(maps))
            advance()
    seen = np.concatenate([s.checkpoint.pages.all() for s in teachers.sources])
    write_json(folder / "seen.json", np.unique(seen).tolist())


class EnsembleScores(Scores):
    """What an ensemble scored."""

    postprocess: dict[str, float | int | str | bool] | None = None  # type: ignore[assignment]  # also of a vote
    members: tuple[dict[str, Any], ...] = ()


def evaluate(path: Path, overrides: Sequence[str]) -> dict[str, Any] | Path:
    """``hmean evaluate checkpoint_path=.../ensemble.json``: predictions and scores.json; with ``maps`` a teacher's."""
    ensemble = open_ensemble(path, overrides)
    config = ensemble.sources[0].config
    folder = Path(config.output) if config.output else path.parent / "evaluate"
    if (folder / "predictions.json").exists() and not config.overwrite:
        raise InputError(f"{folder}: holds predictions already; set overwrite=true, or another output")
    pages = open_pages(getattr(config.datasets, f"{config.evaluate_on}_dataset"))
    require_sound(pages)
    if config.maps:
        # All members, whatever was kept: that choice was made on the pages which are to judge the student, too.
        _teach(open_ensemble(path, overrides, "runs"), pages, folder)
        return folder
    truth = [pages.page(i) for i in range(len(pages))]
    scorer, asked = Scorer(choose_characters(truth)), [(pages.name(i), pages.file(i)) for i in range(len(pages))]
    with write_predictions(folder / "predictions.json", None) as writer, track("detecting", len(asked)) as advance:
        for page, (found, width, height) in zip(truth, ensemble.run(asked), strict=True):
            if isinstance(found, str):
                raise InputError(found)
            scorer.update(page, found)
            writer.write(page.name, found, width, height)
            advance()
    keys = pages.page_keys()
    about = {
        "split": config.evaluate_on, "data_hash": pages.fingerprint(), "postprocess": ensemble.params.to_dict(),
        "members": [{**s.about, "influenced_by": s.checkpoint.influenced_by(keys).to_json()} for s in ensemble.sources],
        "influenced_by": {"tuned": int(np.isin(keys, ensemble.tuned_on).sum())},
    }  # fmt: skip
    record = EnsembleScores.collect(scorer, **about).to_json()
    write_json(folder / "scores.json", record)
    return record
