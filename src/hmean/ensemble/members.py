"""Members of an ensemble: trained models, each with the view in which it sees pages; opened, and run side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.ensemble.detect import detect_combined
from hmean.ensemble.records import MemberRecord, ViewRecord, read_ensemble
from hmean.errors import InputError
from hmean.inference.opening import open_model
from hmean.inference.trained import Accelerator, FoundPage, PageFile, Runner, TrainedModel, Unreadable
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import TextView, View


@dataclass(frozen=True, eq=False)
class MemberView:
    """A trained model, and the view in which it sees pages; an ensemble may have several views of one model."""

    model: TrainedModel
    view: View

    @classmethod
    def of(cls, model: TrainedModel) -> MemberView:
        """The model with its own view."""
        return cls(model, model.view)

    def scaled(self, factor: float) -> MemberView:
        """The same model at another size of the page."""
        return MemberView(self.model, self.view.scaled(factor))

    def at(self, long_side: int, text: TextView | None = None) -> MemberView:
        """The same model with another view."""
        return MemberView(self.model, replace(self.view, long_side=long_side, text=text))

    @cached_property
    def record(self) -> ViewRecord:
        """What makes the maps."""
        return ViewRecord(weights_hash=self.model.weights_hash(), long_side=self.view.long_side, text=self.view.text)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members, and how what they find becomes one.

    Attributes:
        path: the ``ensemble.json``, which need not exist yet.
        members: their maps are combined.
        params: parameters of a vote (``VotingParams``), or post-processing of the mean of the maps.
        tuned_on: keys of the pages that members and parameters were chosen on.
    """

    path: Path
    members: tuple[MemberView, ...]
    params: PostprocessParams
    tuned_on: NDArray[np.int64]

    @property
    def made_by(self) -> Mapping[str, Any]:
        """What makes the predictions, wherever the files are; plain JSON values."""
        members = []
        for member in self.members:
            values = {**member.record.to_json(), "pad": member.view.pad}
            if member.view.text is None:
                del values["text"]  # predictions that an earlier version has begun can be continued
            members.append(values)
        return {"members": members, "postprocess": self.params.to_dict()}

    def find(
        self, pages: Sequence[PageFile], *, accelerator: Accelerator = "auto", workers: int = 0
    ) -> Iterator[FoundPage | Unreadable]:
        """What the ensemble finds on each page, in order; see ``maps``."""
        for maps in self.maps(pages, accelerator=accelerator, workers=workers):
            if isinstance(maps, Unreadable):
                yield maps
            else:
                yield FoundPage(detect_combined(maps, self.params), maps[0].page_width, maps[0].page_height)

    def maps(
        self, pages: Sequence[PageFile], *, accelerator: Accelerator = "auto", workers: int = 0
    ) -> Iterator[list[PageMap] | Unreadable]:
        """The maps of all members of each page, in order; one page at a time, so that memory stays flat.

        Args:
            pages: any number of them.
            accelerator: see ``TrainedModel.start``.
            workers: processes (or threads) of each member that read images ahead; more than one is not used.
        """
        runners: dict[TrainedModel, Runner] = {}  # a network that several members share is in memory once
        streams = []
        for member in self.members:
            if member.model not in runners:
                runners[member.model] = member.model.start(member.view, accelerator)
            runner = runners[member.model].at(member.view)
            streams.append(runner(pages, batch_size=1, workers=min(workers, 1)))
        for results in zip(*streams, strict=True):
            yield _maps_of_page(results)


def _maps_of_page(results: Sequence[PageMap | Unreadable]) -> list[PageMap] | Unreadable:
    """The maps of all members, unless one could not read the page."""
    maps = []
    for result in results:
        if isinstance(result, Unreadable):
            return result
        maps.append(result)
    return maps


def member_records(members: Sequence[MemberView], folder: Path) -> tuple[MemberRecord, ...]:
    """Members as the ``ensemble.json`` in ``folder`` names them."""
    records = []
    for member in members:
        checkpoint = os.path.relpath(member.model.path, folder)
        records.append(MemberRecord(**member.record.to_json(), checkpoint=checkpoint))
    return tuple(records)


def open_ensemble(path: Path, trusted_targets: Sequence[str] = ()) -> Ensemble:
    """Open the ensemble that was kept in an ``ensemble.json``.

    Args:
        path: the file.
        trusted_targets: packages that its members may name classes and functions of (see ``open_model``).

    Raises:
        InputError: if it is not an ``ensemble.json``, or a member is not the model that it was.
    """
    record = read_ensemble(path)
    members = _open_members(path, record.members, trusted_targets)
    return Ensemble(path, members, record.postprocess, record.tuned_on)


def open_runs(path: Path, trusted_targets: Sequence[str] = ()) -> Ensemble:
    """All runs that an ``ensemble.json`` was made of, whatever was kept: the teachers of a student.

    What was kept was chosen on the pages that are to judge the student, too.

    Raises:
        InputError: as ``open_ensemble``.
    """
    record = read_ensemble(path)
    if not record.runs:
        raise InputError(f"{path}: does not name the runs that it was made of; run hmean ensemble again")
    members = _open_members(path, record.runs, trusted_targets)
    return Ensemble(path, members, record.postprocess, record.tuned_on)


def _open_members(
    path: Path, records: Sequence[MemberRecord], trusted_targets: Sequence[str]
) -> tuple[MemberView, ...]:
    models: dict[str, TrainedModel] = {}
    members = []
    changed = []
    for record in records:
        if record.checkpoint not in models:
            models[record.checkpoint] = open_model(path.parent / record.checkpoint, trusted_targets)
        member = MemberView.of(models[record.checkpoint]).at(record.long_side, record.text)
        members.append(member)
        if member.record.weights_hash != record.weights_hash:
            changed.append(str(member.model.path))
    if changed:
        raise InputError.listing(f"{path}: these members are not the models that it was made of:", changed)
    return tuple(members)
