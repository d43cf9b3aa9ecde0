"""Decoded pages kept on a disk: reading one back is quicker than decoding it again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmean.errors import InputError
from hmean.files import atomic
from hmean.images import Pixels, decode

_HEAD_BYTES = 24  # width, height and shrink as int64


class PageCache:
    """Stands in for ``decode``; several processes may share a folder.

    There is no index. A file is named by a hash of its image's path, size, time of change and shrink, so an image that
    changes is decoded anew; a file that a crash cut off is not read. Where room is short, the least recently used pages
    go, but none that was used since this cache was made: in shuffled epochs every page is as likely the next as any
    other, so a cache too small for the data keeps what it has.

    Args:
        folder: made if missing; the pages lie in ``hmean-pages`` below it.
        size: bytes. What other processes write at the same moment may pass it by a little.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder / "hmean-pages"
        self.size = size
        self.began = time.time()
        self._allowance = 0  # bytes that may be written before the folder is measured again
        self._is_full = False

    def __call__(self, path: Path, shrink: int = 1) -> Pixels:
        """See ``hmean.images.decode``."""
        try:
            entry = self._entry(path, shrink)
        except OSError:
            return decode(path, shrink)  # which says what is wrong
        page = self._read(entry)
        if page is None:
            page = decode(path, shrink)
            self._keep(entry, page)
        return page

    def _entry(self, path: Path, shrink: int) -> Path:
        status = path.stat()
        absolute = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
        key = f"{absolute}\0{status.st_size}\0{status.st_mtime_ns}\0{shrink}"
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
        return self.folder / f"{digest[:40]}.page"

    def _read(self, entry: Path) -> Pixels | None:
        try:
            stored = np.fromfile(entry, dtype=np.uint8)
            if entry.stat().st_mtime < self.began:
                os.utime(entry)  # used in this run
        except OSError:
            return None
        if len(stored) < _HEAD_BYTES:
            return None
        width, height, shrink = stored[:_HEAD_BYTES].view(np.int64).tolist()
        rows = -(-height // max(shrink, 1))
        columns = -(-width // max(shrink, 1))
        if len(stored) != _HEAD_BYTES + rows * columns * 3:
            return None
        image = stored[_HEAD_BYTES:].reshape(rows, columns, 3)
        return Pixels(image, width, height, shrink)

    def _keep(self, entry: Path, page: Pixels) -> None:
        """Write a page if there is room for it."""
        size = _HEAD_BYTES + page.image.size
        if not self._is_full and size > self._allowance:
            self._allowance = self._make_room(size)
            self._is_full = size > self._allowance
        if self._is_full:
            return
        self._allowance -= size
        head = np.array([page.width, page.height, page.shrink], dtype=np.int64)
        try:
            with atomic(entry) as part, part.open("wb") as file:
                file.write(head.tobytes())
                file.write(page.image.data)
        except InputError:  # a full disk: continue without
            self._is_full = True

    def _make_room(self, wanted: int) -> int:
        """Remove old pages until 8 x ``wanted`` bytes are free; return an eighth of what is: others write as well."""
        kept = self._kept_files()
        free = self.size - sum(file.size for file in kept)
        for file in sorted(kept):
            if file.used >= self.began or free >= 8 * wanted:
                break
            file.path.unlink(missing_ok=True)
            free += file.size
        return free // 8

    def _kept_files(self) -> list[_KeptFile]:
        kept = []
        for path in self.folder.glob("*.page*"):  # also .part files of processes that died
            with contextlib.suppress(OSError):
                status = path.stat()
                kept.append(_KeptFile(status.st_mtime, status.st_size, path))
        return kept


class _KeptFile(NamedTuple):
    """A file of the cache; sorts by ``used``, oldest first."""

    used: float  # seconds since the epoch
    size: int  # bytes
    path: Path
