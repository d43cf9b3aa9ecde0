"""A set of labelled pages, whatever the format of its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from hmean.errors import InputError
from hmean.types import Page


class LabelSet(ABC):
    """Pages by position.

    Names and groups are held in memory. The words of a page may be read each time they are needed, which is cheaper
    than reading its image. Most formats need no class of their own (``hmean.labels.whole_file``).

    Attributes:
        source: the file or folder that was opened.
        names: image file name of each page.
        groups: group of each page (a shop, a document), which folds keep together; None for a page without one.
        remarks: sentences that a user should know about how the labels were read.
    """

    source: Path
    names: Sequence[str]
    groups: Sequence[str | None]
    remarks: Sequence[str] = ()

    @abstractmethod
    def read_page(self, index: int, faults: list[str]) -> Page:
        """Read one page.

        A word with a fault is left out, and a sentence that names the page and the word is added to ``faults``.
        """

    def source_of(self, index: int) -> Path:  # noqa: ARG002 - for several label sets as one
        """The file or folder that was opened for a page."""
        return self.source

    def file_of(self, index: int) -> Path:  # noqa: ARG002 - for formats with one file a page
        """The file that holds the labels of a page."""
        return self.source

    def page(self, index: int, faults: list[str] | None = None) -> Page:
        """Read one page.

        Args:
            index: its position.
            faults: list that collects the faults of its words; these words are left out. Without a list, a fault is an
                error.

        Raises:
            InputError: listing the faults, if there is no list for them.
        """
        if faults is not None:
            return self.read_page(index, faults)
        found: list[str] = []
        page = self.read_page(index, found)
        if found:
            raise InputError.listing(f"{self.file_of(index)}: wrong labels:", found)
        return page
