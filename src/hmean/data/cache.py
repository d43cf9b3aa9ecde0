"""Decoded pages kept on a disk: reading one back is quicker than decoding it again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import numpy as np

from hmean.errors import InputError
from hmean.files import atomic
from hmean.images import Pixels, decode

_HEAD = 24  # bytes: width, height, shrink as int64


class PageCache:
    """Stands in for ``decode``; several processes may share a folder.

    There is no index. A file is named by a hash of its image's path, size, time of change and shrink, so an image that
    changes is decoded anew; what a crash cut off is not read. Where room is short the least recently used pages go, but
    none used since this cache was made: in shuffled epochs every page is as likely the next as any other, so a cache
    too small for the data keeps what it has.

    Args:
        folder: made if missing; the pages lie in ``hmean-pages`` below it.
        size: bytes, kept to within what other processes write at the same moment.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size, self.began = folder / "hmean-pages", size, time.time()
        self._allowance = 0  # bytes that may be written before the folder is measured again
        self._full = False

    def __call__(self, path: Path, shrink: int = 1) -> Pixels:
        """See ``hmean.images.decode``."""
        try:
            about = path.stat()
        except OSError:
            return decode(path, shrink)  # which tells what is wrong
        key = f"{os.path.abspath(path)}\0{about.st_size}\0{about.st_mtime_ns}\0{shrink}"  # noqa: PTH100 - links unread
        entry = self.folder / f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:40]}.page"
        return self._read(entry) or self._write(entry, decode(path, shrink))

    def _read(self, entry: Path) -> Pixels | None:
        try:
            stored = np.fromfile(entry, dtype=np.uint8)
            if entry.stat().st_mtime < self.began:
                os.utime(entry)  # used in this run
        except OSError:
            return None
        if len(stored) < _HEAD:
            return None
        width, height, shrink = stored[:_HEAD].view(np.int64).tolist()
        shape = -(-height // max(shrink, 1)), -(-width // max(shrink, 1)), 3
        if len(stored) != _HEAD + shape[0] * shape[1] * 3:
            return None
        return Pixels(stored[_HEAD:].reshape(shape), width, height, shrink)

    def _write(self, entry: Path, page: Pixels) -> Pixels:
        size = _HEAD + page.image.size
        if not self._full and size > self._allowance:
            self._allowance = self._make_room(size)
            self._full = size > self._allowance
        if not self._full:
            self._allowance -= size
            try:
                with atomic(entry) as part, part.open("wb") as file:
                    file.write(np.array([page.width, page.height, page.shrink], dtype=np.int64).tobytes())
                    file.write(page.image.data)
            except InputError:  # a full disk: go on without
                self._full = True
        return page

    def _make_room(self, wanted: int) -> int:
        """An eighth of what is free, since others write too, after removing old pages until ``wanted`` bytes are."""
        kept = []
        for file in self.folder.glob("*.page*"):  # also .part files of processes that died
            with contextlib.suppress(OSError):
                about = file.stat()
                kept.append((about.st_mtime, about.st_size, file))
        free = self.size - sum(size for _, size, _ in kept)
        for used, size, file in sorted(kept):
            if used >= self.began or free >= 8 * wanted:
                break
            file.unlink(missing_ok=True)
            free += size
        return free // 8
