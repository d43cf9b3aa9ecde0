"""Labels and images together: the pages that a job works on, and the checks made before it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean.data.images import Decoder, Pixels, decode, image_size, read_image
from hmean.errors import InputError
from hmean.labels.annotations import Labels
from hmean.types import Page


@dataclass(frozen=True)
class LabelledImages:
    """Some pages of a label set together with the folder of their images, and what decodes these."""

    labels: Labels
    image_path: Path
    indices: Sequence[int]
    decode: Decoder = decode

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, position: int) -> str:
        """Image file name, as the labels give it."""
        return self.labels.names[self.indices[position]]

    def page(self, position: int, faults: list[str] | None = None) -> Page:
        """Labels of one page."""
        return self.labels.page(self.indices[position], faults)

    def file(self, position: int) -> Path:
        """Path of the image: in ``image_path``, or in a folder there named as the label file (train, val, test)."""
        name = self.name(position)
        path, nested = self.image_path / name, self.image_path / self.labels.source.stem / name
        return nested if not path.exists() and nested.exists() else path

    def pixels(self, position: int, page: Page, shrink: int = 1) -> Pixels:
        """Upright pixels of one page, whose labels are ``page``; shrunk as ``images.decode`` does.

        Raises:
            InputError: if the image cannot be read, or the label's size is not the upright image's.
        """
        file = self.file(position)
        pixels = self.decode(file, shrink)
        fault = size_fault(file, page, pixels.width, pixels.height)
        if fault:
            raise InputError(fault)
        return pixels

    def page_keys(self) -> NDArray[np.int64]:
        """A number for each page (N,): of its size, labels and bytes in its image file, so the same under any name."""
        keys = np.empty(len(self), dtype=np.int64)
        for position in range(len(self)):
            page = self.page(position, [])
            about = f"{page.width} {page.height} {page.texts} {self.file(position).stat().st_size} "
            digest = hashlib.sha256(about.encode() + page.polygons.points.tobytes() + page.ignored.tobytes())
            keys[position] = int.from_bytes(digest.digest()[:8], "little", signed=True)
        return keys

    def fingerprint(self) -> str:
        """Hash of all names and page keys, in order: equal only for the same data set."""
        names = "\0".join(self.name(position) for position in range(len(self)))
        return hashlib.sha256(names.encode() + self.page_keys().tobytes()).hexdigest()


def size_fault(file: Path, page: Page, width: int, height: int) -> str | None:
    """The message for a label whose page size is not that of the upright image."""
    if (page.width, page.height) == (width, height):
        return None
    return (
        f"{file}: the labels say {page.width} x {page.height}, the image, turned upright, is {width} x {height}; "
        "polygons are pixels of the upright image"
    )


def check_pages(
    pages: LabelledImages, *, decode: bool = False, on_page: Callable[[], object] = lambda: None
) -> list[str]:
    """Every fault of labels and images, in words that name file and word.

    Args:
        pages: to be checked.
        decode: read every image whole; otherwise its header only, which finds all but damaged pixels.
        on_page: called after each page, for a progress bar.
    """
    faults: list[str] = []
    for position in range(len(pages)):
        found: list[str] = []
        page = pages.page(position, found)
        file = pages.file(position)
        try:
            if decode:
                height, width = read_image(file).shape[:2]
            else:
                width, height = image_size(file)
        except InputError as error:
            found.append(str(error))
        else:
            fault = size_fault(file, page, width, height)
            if fault and not any("not the image's size" in line for line in found):
                found.append(fault)
        faults += found
        on_page()
    return faults


def shared_images(a: LabelledImages, b: LabelledImages) -> list[str]:
    """Image files that are in both: pages that would be trained on and reported on."""
    files = {a.file(position).resolve() for position in range(len(a))}
    return [b.name(position) for position in range(len(b)) if b.file(position).resolve() in files]
