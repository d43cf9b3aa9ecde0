"""Probability maps on disk, so that post-processing is tuned without running the network again.

One file for each page: a line of JSON (``MapHead``), then P in 8 bits, compressed by zlib. It is named by a hash of all
that it was made from, model, view and the bytes of the image, so that a map of other weights or of an image that has
changed since is never read, and a command that was killed continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.errors import InputError
from hmean.files import write_with
from hmean.images import split_page
from hmean.postprocess.components import MapArray
from hmean.postprocess.decoding import PageMap
from hmean.records import Record
from hmean.types import Look, View

Row = tuple[float, float, float]
OF_START = "start-"  # folders of the maps of start.ckpt begin so
OF_TEXT = "-text"  # folders of the maps of views of the text end so


class MapHead(Record):
    """The first line of a map's file."""

    name: str = Field(description="name of the page")
    shape: tuple[int, int] = Field(description="height and width of the map")
    to_page: tuple[Row, Row, Row] = Field(description="matrix from pixels of the map to pixels of the page")
    page: tuple[int, int] = Field(description="width and height of the page")
    looks: tuple[Look, ...] = Field(default=(), description="passes of the network that led to the map: their cost")


def map_settings(weights_hash: str, view: View) -> str:
    """What maps of these weights, of pages seen in this way, are named by."""
    settings = f"{weights_hash} {view.long_side} {view.pad}"
    if view.text is not None:
        settings += f" text {view.text.height:g} {view.text.first_look}"
    return settings


def maps_name(kind: str, weights_hash: str, view: View) -> str:
    """The folder of a model's maps below ``maps``: those of views of the text lie apart from those of whole pages.

    Args:
        kind: name of the checkpoint's file, without its suffix.
        weights_hash: of its weights.
        view: how the network sees pages.
    """
    name = f"{kind}-{weights_hash[:12]}"
    if view.text is None:
        return name
    return name + OF_TEXT


class MapStore:
    """A folder of maps.

    Args:
        folder: made when the first map is added.
        settings: what maps depend on beside the image (``map_settings``).
        images: file of each page by name.

    Raises:
        InputError: if an image cannot be read.
    """

    def __init__(self, folder: Path, settings: str, images: Mapping[str, Path]) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        for name, image in images.items():
            self._files[name] = folder / f"{_fingerprint(settings, image)}.map"

    def __contains__(self, name: str) -> bool:
        return name in self._files and self._files[name].exists()

    def add(self, page: PageMap) -> None:
        """Keep the map of a page, in 8 bits."""
        height, width = page.probability.shape
        first, second, third = page.to_page.tolist()
        head = MapHead(
            name=page.name,
            shape=(height, width),
            to_page=(first, second, third),
            page=(page.page_width, page.page_height),
            looks=page.looks,
        )
        pixels = zlib.compress(quantise(page.probability).tobytes(), level=1)
        data = json.dumps(head.to_json()).encode() + b"\n" + pixels
        write_with(self._files[page.name], lambda file: file.write(data))

    def read(self, name: str) -> PageMap:
        """Read the map of a page.

        Raises:
            InputError: if its file is missing or damaged.
        """
        return read_map(self._files[name], name)


def _fingerprint(settings: str, image: Path) -> str:
    """Hash of what a map is made from."""
    digest = hashlib.blake2b(settings.encode() + b"\0", digest_size=16)
    file, number = split_page(image)
    try:
        digest.update(file.read_bytes())
    except OSError as error:
        raise InputError(f"{image}: cannot be read ({error.strerror})") from error
    if number > 0:  # of the pages in a file, the first is named by the file alone
        digest.update(b"%d" % number)
    return digest.hexdigest()


def read_map(path: Path, name: str) -> PageMap:
    """Read the map of the page of this name.

    Raises:
        InputError: if the file is missing or damaged.
    """
    try:
        line, _, pixels = path.read_bytes().partition(b"\n")
        head = MapHead.model_validate_json(line)
        probability = np.frombuffer(zlib.decompress(pixels), dtype=np.uint8).reshape(head.shape)
    except (OSError, zlib.error, ValueError) as error:
        raise _damaged(path) from error
    return PageMap(name, probability, np.array(head.to_page), *head.page, head.looks)


class FoundMaps:
    """Maps that lie anywhere under a folder, read when they are asked for: ``maps(name)``.

    Raises:
        InputError: as ``find_maps`` does.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._files = find_maps(folder, names)

    def __call__(self, name: str) -> PageMap:
        """The map of the page of this name."""
        return read_map(self._files[name], name)


def find_maps(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The map files of these pages, anywhere under a folder; those of what a training started from do not count.

    Raises:
        InputError: listing pages without a map, or with several, of which any could be meant.
    """
    found: dict[str, list[Path]] = {name: [] for name in names}
    for path in sorted(folder.rglob("*.map")):
        if path.parent.name.startswith(OF_START):
            continue
        name = _read_name(path)
        if name in found:
            found[name].append(path)
    faults = []
    single: dict[str, Path] = {}
    for name, paths in found.items():
        if len(paths) == 1:
            single[name] = paths[0]
        elif paths:
            folders = sorted({str(path.parent) for path in paths})
            faults.append(f"{name}: has {len(paths)} maps, in {' and '.join(folders)}: name the folder of one")
        else:
            faults.append(f"{name}: has no map")
    if faults:
        raise InputError.listing(f"{folder}: must hold one map of each page (hmean evaluate writes them):", faults)
    return single


def _read_name(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline()
    try:
        return MapHead.model_validate_json(line).name
    except ValueError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: is damaged or missing; delete it and run the command again")


def quantise(probability: MapArray) -> NDArray[np.uint8]:
    """P in [0, 1] to 0..255, rounded; a map that is in 8 bits already stays as it is."""
    if probability.dtype == np.uint8:
        return probability  # type: ignore[return-value]  # numpy's types do not follow the dtype
    return np.round(probability * 255).astype(np.uint8)
