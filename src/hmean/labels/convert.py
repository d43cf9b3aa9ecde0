"""Labels of one format as those of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hmean.errors import InputError
from hmean.images import image_size
from hmean.labels.formats import open_label_sets, write_labels
from hmean.labels.image_names import ImageNames
from hmean.labels.label_format import LabelFormat, Lost
from hmean.labels.label_set import LabelSet
from hmean.types import Page


@dataclass
class ImageCheck:
    """The images of converted pages, as far as there are any.

    Attributes:
        found: number of pages whose images can be read.
        missing: number of the others.
        first_missing: what is wrong with the first of these.
        resized: number of pages of another size than their images.
        first_resized: the first of these, with both sizes.
    """

    found: int = 0
    missing: int = 0
    first_missing: str = ""
    resized: int = 0
    first_resized: str = ""

    def look_at(self, page: Page, file: Path) -> None:
        """Compare a page with its image."""
        try:
            width, height = image_size(file)
        except InputError as error:
            self.missing += 1
            self.first_missing = self.first_missing or str(error)
            return
        self.found += 1
        if (width, height) != (page.width, page.height):
            self.resized += 1
            sizes = f"{page.name}: {page.width} x {page.height}, and its image {width} x {height}"
            self.first_resized = self.first_resized or sizes

    def warnings(self, *, folder_named: bool) -> list[str]:
        """A sentence for each kind of fault; of images in a folder that nobody named, only if some are there."""
        found = []
        if self.missing and (self.found or folder_named):
            found.append(f"images that are missing or damaged: {self.missing:,}, first {self.first_missing}")
        if self.resized:
            found.append(f"pages of another size than their images: {self.resized:,}, first {self.first_resized}")
        return found


@dataclass
class Converted:
    """What was converted.

    Attributes:
        pages: number of pages that were read.
        words: number of their words.
        lost: what the format cannot hold.
        remarks: on how the labels were read.
        images: of the pages.
    """

    pages: int
    words: int
    lost: Lost
    remarks: list[str]
    images: ImageCheck = field(default_factory=ImageCheck)


def convert_labels(
    sources: Sequence[Path], out: Path, label_format: LabelFormat, images: Path, *, overwrite: bool = False
) -> Converted:
    """Write labels in another format; memory does not grow with their number more than the source's format asks.

    Args:
        sources: label files and folders of any formats.
        out: the file or folder to write.
        label_format: its format, one with a writer.
        images: folder of the images, for formats that do not say how large a page is; pages of others are compared
            with their images.
        overwrite: replace labels that are there.

    Raises:
        InputError: if labels cannot be read, listing every fault, if ``out`` exists or cannot be written, or if pages
            are of another size than their images and the format holds shares of the page. Nothing is written then.
    """
    labels = open_label_sets(sources, images)
    result = Converted(0, 0, Lost(), list(labels.remarks))
    result.lost = write_labels(out, label_format, _pages(labels, result, images, label_format), overwrite=overwrite)
    return result


def _pages(labels: LabelSet, result: Converted, images: Path, label_format: LabelFormat) -> Iterator[Page]:
    """All pages; at the end an error if the format would lay their words elsewhere on the images."""
    for index, page in enumerate(_sound_pages(labels, result)):
        names = ImageNames(images, labels.source_of(index))
        result.images.look_at(page, names.path_of(page.name))
        yield page
    if result.images.resized and label_format.in_shares:
        raise InputError(
            f"{label_format.name}: holds shares of the page, and {result.images.resized:,} of {result.pages:,} pages "
            f"are of another size than their images, first {result.images.first_resized}; correct the sizes in the "
            "labels, or name the folder of their images"
        )


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
