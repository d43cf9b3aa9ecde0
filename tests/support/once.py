"""What all tests share, and is slow to make, is made once for all processes of pytest-xdist."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder ``name``, made by the first process that asks for it; the others wait until it is complete.

    Args:
        factory: pytest's ``tmp_path_factory``.
        name: of the folder, in one that all processes of this session share.
        make: fills the folder that it is given, which does not exist yet.
    """
    shared = shared_folder(factory)
    folder = shared / name
    complete = shared / f"{name}.complete"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed at it
            make(folder)
            complete.touch()
    return folder


@contextmanager
def kernels_compiled_once(factory: pytest.TempPathFactory) -> Iterator[None]:
    """Within this, a kernel is compiled by one process, while others that need it wait and then read numba's cache.

    Where the cache is empty, as in a fresh clone, all kernels together take a minute. The lock is one for each kernel,
    so that processes compile different ones side by side. A kernel takes the locks of those it calls while it holds its
    own; as none calls itself through another, the processes cannot wait for each other in a circle.
    """
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    locks = shared_folder(factory) / "kernels"
    locks.mkdir(exist_ok=True)
    compile_kernel = Dispatcher.compile
    held = set()

    def compile_in_turn(kernel: Dispatcher, signature: object) -> object:
        name = f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}"
        if not name.startswith("hmean."):  # numba's own, which it does not keep
            return compile_kernel(kernel, signature)
        # Of this process one thread compiles at a time anyhow: numba's own lock comes first.
        with global_compiler_lock:
            if name in held:
                return compile_kernel(kernel, signature)
            with (locks / name).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                held.add(name)
                try:
                    return compile_kernel(kernel, signature)
                finally:
                    held.remove(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "compile", compile_in_turn)
        yield


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this session share."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        return base.parent
    return base


def run_in_process(command, _lock, on_tick=None) -> int:
    """Stands in for ``execute.processes.run_command``: each process would load torch anew."""
    from hmean.cli import main
    from hmean.execute.processes import HMEAN

    return main(command[len(HMEAN) :])
