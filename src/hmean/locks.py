"""Locks on folders: never two processes at work in one folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hmean.errors import InputError


@contextmanager
def locked(folder: Path, name: str = ".lock", *, shared: bool = False) -> Iterator[int]:
    """Hold a lock on a folder.

    Args:
        folder: made if it does not exist.
        name: of the lock file in it.
        shared: hold it together with other processes that share it, and against those that do not.

    Yields:
        The descriptor of the lock file. A child process that inherits it keeps the lock after this process has ended.

    Raises:
        InputError: if another process holds the lock, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); choose another output folder") from error
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        raise InputError(f"{folder}: another process is using this folder; wait until it ends, or stop it") from None
    finally:
        os.close(descriptor)
