"""Labels of one format as those of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmean.errors import InputError
from hmean.labels.formats import open_label_sets, write_labels
from hmean.labels.label_format import LabelFormat, Lost
from hmean.labels.label_set import LabelSet
from hmean.types import Page


@dataclass
class Converted:
    """What was converted.

    Attributes:
        pages: number of pages that were read.
        words: number of their words.
        lost: what the format cannot hold.
        remarks: on how the labels were read.
    """

    pages: int
    words: int
    lost: Lost
    remarks: list[str]


def convert_labels(
    sources: Sequence[Path], out: Path, label_format: LabelFormat, images: Path, *, overwrite: bool = False
) -> Converted:
    """Write labels in another format; memory does not grow with their number more than the source's format asks.

    Args:
        sources: label files and folders of any formats.
        out: the file or folder to write.
        label_format: its format, one with a writer.
        images: folder of the images, for formats that do not say how large a page is.
        overwrite: replace labels that are there.

    Raises:
        InputError: if labels cannot be read, listing every fault, or ``out`` exists or cannot be written. Nothing is
            written then.
    """
    labels = open_label_sets(sources, images)
    result = Converted(0, 0, Lost(), list(labels.remarks))
    result.lost = write_labels(out, label_format, _sound_pages(labels, result), overwrite=overwrite)
    return result


def _sound_pages(labels: LabelSet, result: Converted) -> Iterator[Page]:
    """All pages, counted in ``result``; at the end an error if there were faults, so that the file is not kept."""
    faults: list[str] = []
    for index in range(len(labels.names)):
        page = labels.page(index, faults)
        result.pages += 1
        result.words += len(page.polygons)
        yield page
    if faults:
        raise InputError.listing(f"{labels.source}: its labels have faults; nothing was written:", faults)
