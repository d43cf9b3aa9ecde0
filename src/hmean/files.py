"""Files that are complete or not there: they are written beside their place, and moved into it when complete."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hmean.errors import InputError

# Errors of a disk that is full, or of a place that cannot be written.
_CANNOT_WRITE = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file as a whole.

    Yields:
        A path beside ``path`` to write to. It replaces ``path`` if the block ends without an error.

    Raises:
        InputError: if the disk is full or the folder cannot be written; ``path`` is then the same as before.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:  # the block failed for another reason
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Write a folder as a whole.

    Yields:
        A path beside ``path`` at which the block makes a folder. It takes the place of ``path`` if the block ends
        without an error.

    Raises:
        InputError: if the disk is full or the place cannot be written; ``path`` is then the same as before.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if path.exists():
            path.replace(old)
        try:
            part.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:  # the block failed for another reason
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_with(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a binary file with ``write``, atomically; it is on the disk when this returns."""
    with atomic(path) as part, part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_with(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write JSON atomically.

    Raises:
        ValueError: if a number is not finite: JSON has none.
    """
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: if it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise InputError(f"{path}: is not JSON ({error})") from error
    except RecursionError as error:
        raise InputError(f"{path}: is not JSON that can be read (it is nested too deeply)") from error
