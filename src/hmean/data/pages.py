"""Labels and images together: the pages that a command works on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.images import Decoder, Pixels, decode
from hmean.labels.joined import JoinedLabels
from hmean.labels.label_set import LabelSet
from hmean.types import Page


@dataclass(frozen=True)
class LabelledImages:
    """Some pages of a label set, the folder of their images, and what decodes these.

    Attributes:
        labels: the label set.
        image_path: folder of the images.
        indices: which pages of the label set, in order. A *position* below is a place in this list.
        decode: ``hmean.images.decode``, or a cache in front of it.
        parts: of a joined set: the number of pages of each data set that it was joined from.
        folders: of a joined set: the folder of the images for each page of the label set.
    """

    labels: LabelSet
    image_path: Path
    indices: Sequence[int]
    decode: Decoder = decode
    parts: Sequence[int] = ()
    folders: Sequence[Path] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, position: int) -> str:
        """Image file name, as the labels give it."""
        return self.labels.names[self.indices[position]]

    def page(self, position: int, faults: list[str] | None = None) -> Page:
        """Labels of one page; see ``LabelSet.page``."""
        return self.labels.page(self.indices[position], faults)

    def file(self, position: int) -> Path:
        """Path of the image: in ``image_path``, or in a folder there that is named like the label file (train, val)."""
        name = self.name(position)
        index = self.indices[position]
        folder = self.image_path
        if self.folders:
            folder = self.folders[index]
        path = folder / name
        nested = folder / self.labels.source_of(index).stem / name
        if not path.exists() and nested.exists():
            return nested
        return path

    def pixels(self, position: int, page: Page, shrink: int = 1) -> Pixels:
        """Upright pixels of one page.

        Args:
            position: of the page.
            page: its labels.
            shrink: how far a JPEG may be shrunk while it is decoded; see ``hmean.images.decode``.

        Raises:
            InputError: if the image cannot be read, or its size is not the one that the labels state.
        """
        file = self.file(position)
        pixels = self.decode(file, shrink)
        fault = size_fault(file, page, pixels.width, pixels.height)
        if fault is not None:
            raise InputError(fault)
        return pixels

    def page_keys(self) -> NDArray[np.int64]:
        """A number for each page (N,), made of its size, its labels and its image's bytes: the same under any name.

        Earlier versions ignored words with the text ``*``. In a key they still count as ignored, so that old
        checkpoints know their pages.
        """
        keys = np.empty(len(self), dtype=np.int64)
        for position in range(len(self)):
            page = self.page(position, [])
            is_star = np.array([text == "*" for text in page.texts], dtype=np.bool_)
            keys[position] = self._key(position, page, page.ignored | is_star)
        return keys

    def fingerprint(self) -> str:
        """Hash of all names, labels and image sizes, in order: equal only for the same data set, read alike."""
        names = "\0".join(self.name(position) for position in range(len(self)))
        digest = hashlib.sha256(names.encode())
        for position in range(len(self)):
            page = self.page(position, [])
            digest.update(self._key(position, page, page.ignored).tobytes())
        return digest.hexdigest()

    def _key(self, position: int, page: Page, ignored: NDArray[np.bool_]) -> np.int64:
        file_size = self.file(position).stat().st_size
        digest = hashlib.sha256(f"{page.width} {page.height} {page.texts} {file_size} ".encode())
        digest.update(page.polygons.points.tobytes())
        digest.update(ignored.tobytes())
        return np.int64(int.from_bytes(digest.digest()[:8], "little", signed=True))


def join_pages(parts: Sequence[LabelledImages]) -> LabelledImages:
    """The pages of several data sets, one set after the other.

    Raises:
        InputError: if different images have one name.
    """
    first = parts[0]
    indices: list[int] = []
    folders: list[Path] = []
    before = 0
    for part in parts:
        indices += [before + index for index in part.indices]
        folders += [part.image_path] * len(part.labels.names)
        before += len(part.labels.names)
    joined = replace(
        first,
        labels=JoinedLabels([part.labels for part in parts]),
        indices=indices,
        parts=[len(part) for part in parts],
        folders=folders,
    )
    _require_own_names(joined)
    return joined


def _require_own_names(pages: LabelledImages) -> None:
    """Maps and predictions know pages by their names."""
    folder_of: dict[str, Path] = {}
    for position, index in enumerate(pages.indices):
        name = pages.name(position)
        folder = folder_of.setdefault(name, pages.folders[index])
        if folder != pages.folders[index]:
            raise InputError(
                f"{name}: an image of this name is in {folder} and in {pages.folders[index]}; rename one of them: "
                "pages that are used together are told apart by their names"
            )


def size_fault(file: Path, page: Page, width: int, height: int) -> str | None:
    """The message for labels whose page size is not that of the upright image, ``width`` x ``height``; else None."""
    if (page.width, page.height) == (width, height):
        return None
    return (
        f"{file}: the labels say {page.width} x {page.height}, the image, turned upright, is {width} x {height}; "
        "polygons are pixels of the upright image"
    )


def shared_images(a: LabelledImages, b: LabelledImages) -> list[str]:
    """Names of the image files that are in both sets: a model would be scored on pages that it was trained on."""
    files_of_a = {a.file(position).resolve() for position in range(len(a))}
    shared = []
    for position in range(len(b)):
        if b.file(position).resolve() in files_of_a:
            shared.append(b.name(position))
    return shared
