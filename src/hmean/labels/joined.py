"""Several label sets as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hmean.labels.label_set import LabelSet
from hmean.types import Page


class JoinedLabels(LabelSet):
    """The pages of several label sets, one set after the other.

    Args:
        parts: the label sets, one or more.
    """

    def __init__(self, parts: Sequence[LabelSet]) -> None:
        self.source = parts[0].source
        self._places: list[tuple[LabelSet, int]] = []
        names: list[str] = []
        groups: list[str | None] = []
        for part in parts:
            names += part.names
            groups += part.groups
            for index in range(len(part.names)):
                self._places.append((part, index))
        self.names = names
        self.groups = groups
        self.remarks = [remark for part in parts for remark in part.remarks]

    def read_page(self, index: int, faults: list[str]) -> Page:
        """See ``LabelSet.read_page``."""
        part, place = self._places[index]
        return part.read_page(place, faults)

    def source_of(self, index: int) -> Path:
        """See ``LabelSet.source_of``."""
        part, place = self._places[index]
        return part.source_of(place)

    def file_of(self, index: int) -> Path:
        """See ``LabelSet.file_of``."""
        part, place = self._places[index]
        return part.file_of(place)
