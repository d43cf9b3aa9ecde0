"""Probability maps on disk, so that post-processing is tuned without running the network again.

One zlib file a page (uint8) and ``maps.json``: the key they were made with, and for each page its name,
file, map size and matrix. Another key (other weights, preprocessing or pages) never reads them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.components import MapArray
from hmean.errors import InputError
from hmean.files import read_json, write_json, write_with
from hmean.postprocess import PageMap


class MapStore:
    """A folder of maps made with one ``key``."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._entries: dict[str, dict[str, Any]] = {}
        index = folder / "maps.json"
        if index.exists():
            stored = read_json(index)
            if stored.get("key") == key:
                self._entries = stored["pages"]

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def add(self, page: PageMap) -> None:
        """Keep one page's map, in 8 bits; ``save`` makes it count."""
        if not self._entries:  # maps of another key end here, before the first of their files is replaced
            (self.folder / "maps.json").unlink(missing_ok=True)
        file = f"{len(self._entries):06d}.z"
        data = zlib.compress(quantise(page.probability).tobytes(), level=1)
        write_with(self.folder / file, lambda out: out.write(data))
        self._entries[page.name] = {
            "file": file,
            "shape": list(page.probability.shape),
            "to_page": page.to_page.tolist(),
            "page": [page.page_width, page.page_height],
        }

    def save(self) -> None:
        """Write the index: from now on the maps added are found again."""
        write_json(self.folder / "maps.json", {"key": self.key, "pages": self._entries})

    def read(self, name: str) -> PageMap:
        """Load one page's map.

        Raises:
            InputError: if its file is missing or damaged.
        """
        entry = self._entries[name]
        path = self.folder / entry["file"]
        try:
            flat = np.frombuffer(zlib.decompress(path.read_bytes()), dtype=np.uint8)
            probability = flat.reshape(entry["shape"])
        except (OSError, zlib.error, ValueError) as error:
            raise InputError(
                f"{path}: damaged or missing ({error}); delete {self.folder} and evaluate again"
            ) from error
        return PageMap(name, probability, np.array(entry["to_page"]), *entry["page"])

    def __iter__(self) -> Iterator[PageMap]:
        return (self.read(name) for name in self._entries)


def quantise(probability: MapArray) -> NDArray[np.uint8]:
    """P in [0, 1] to 0..255, rounded; 8 bits stay what they are."""
    return probability if probability.dtype == np.uint8 else np.round(probability * 255).astype(np.uint8)  # type: ignore[return-value]  # numpy's types do not follow the dtype
