"""Probability maps on disk, so that post-processing is tuned without running the network again.

One file a page: a line of JSON (map size, matrix, page size), then P as zlib of uint8. It is named by a hash of all
that it was made from, settings and the image's bytes, so a map of other weights or of an image since changed is never
read, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.files import write_with
from hmean.images import split_page
from hmean.postprocess.components import MapArray
from hmean.postprocess.decoding import PageMap


def map_settings(weights_hash: str, long_side: int, pad: str) -> str:
    """What maps of these weights and this preprocessing are named by."""
    return f"{weights_hash} {long_side} {pad}"


class MapStore:
    """A folder of maps.

    Args:
        folder: made when the first map is added.
        settings: what maps depend on beside the image (``map_settings``).
        images: file of each page by name.
    """

    def __init__(self, folder: Path, settings: str, images: Mapping[str, Path]) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        for name, image in images.items():
            digest = hashlib.blake2b(settings.encode() + b"\0", digest_size=16)
            try:
                file, number = split_page(image)
                digest.update(file.read_bytes() + b"%d" % number * (number > 0))
            except OSError as error:
                raise InputError(f"{image}: cannot be read ({error.strerror})") from error
            self._files[name] = folder / f"{digest.hexdigest()}.map"

    def __contains__(self, name: str) -> bool:
        return name in self._files and self._files[name].exists()

    def add(self, page: PageMap) -> None:
        """Keep one page's map, in 8 bits."""
        head = {
            "name": page.name,
            "shape": page.probability.shape,
            "to_page": page.to_page.tolist(),
            "page": [page.page_width, page.page_height],
        }
        data = json.dumps(head).encode() + b"\n" + zlib.compress(quantise(page.probability).tobytes(), level=1)
        write_with(self._files[page.name], lambda out: out.write(data))

    def read(self, name: str) -> PageMap:
        """Load one page's map.

        Raises:
            InputError: if its file is missing or damaged.
        """
        return read_map(self._files[name], name)


def read_map(path: Path, name: str) -> PageMap:
    """Load the map of the page of this name; raises as ``MapStore.read`` does."""
    try:
        head, _, data = path.read_bytes().partition(b"\n")
        about = json.loads(head)
        probability = np.frombuffer(zlib.decompress(data), dtype=np.uint8).reshape(about["shape"])
        return PageMap(name, probability, np.array(about["to_page"]), *about["page"])
    except (OSError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged or missing ({error}); delete it and run again") from error


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
    """The map files of these pages, anywhere under a folder.

    Raises:
        InputError: listing pages without one, or with several: then nothing says which model's is meant.
    """
    found: dict[str, list[Path]] = {name: [] for name in names}
    for path in sorted(folder.rglob("*.map")):
        with path.open("rb") as file:
            try:
                found.get(json.loads(file.readline()).get("name"), []).append(path)
            except ValueError as error:
                raise InputError(f"{path}: damaged ({error}); delete it and run again") from error
    faults = [f"{name}: has {len(paths)} maps" for name, paths in found.items() if len(paths) != 1]
    if faults:
        raise InputError.listing(f"{folder}: must hold one map of each page (hmean evaluate writes them):", faults)
    return {name: path for name, (path,) in found.items()}


def quantise(probability: MapArray) -> NDArray[np.uint8]:
    """P in [0, 1] to 0..255, rounded; 8 bits stay what they are."""
    return probability if probability.dtype == np.uint8 else np.round(probability * 255).astype(np.uint8)  # type: ignore[return-value]  # numpy's types do not follow the dtype
