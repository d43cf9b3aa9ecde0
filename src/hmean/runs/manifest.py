"""``manifest.json``: what it takes to run a training again. No secret, and no path of the machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import Field

from hmean import __version__
from hmean.records import Record

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "numpy",
    "opencv-python-headless",
    "numba",
    "shapely",
    "onnxruntime",
    "onnx",
    "openvino",
)
_SECRET = re.compile(r"[^=]*(key|token|secret|passw|credential)[^=]*=", re.IGNORECASE)


class GitState(Record):
    """The commit of the folder that the command was started in."""

    commit: str = Field(description="hash of the commit")
    dirty: bool = Field(description="whether files differed from it")


class Machine(Record):
    """The machine, and the command line."""

    system: str = Field(description="operating system")
    processor: str = Field(description="name of the processor")
    command: list[str] = Field(description="command line, without secrets; absolute paths are made relative")
    device: str | None = Field(default=None, description="devices and precision of the training")


class Manifest(Record):
    """What it takes to run this again."""

    hmean: str = Field(description="version of hmean")
    config_hash: str = Field(description="hash of the resolved config")
    data_hash: dict[str, str] = Field(description="hash of names, labels and images, for each split")
    git: GitState | None = Field(description="state of the git repository; null if there was none")
    seed: int = Field(description="seed of the training")
    python: str = Field(description="version of Python")
    versions: dict[str, str | None] = Field(description="versions of the packages that results depend on")
    machine: Machine = Field(description="the machine")

    @classmethod
    def collect(
        cls, config: Mapping[str, Any], data_hash: Mapping[str, str], seed: int, *, device: str | None = None
    ) -> Manifest:
        """The manifest of the command that is running.

        Args:
            config: resolved config, plain values.
            data_hash: hash of the pages of each split.
            seed: of the training.
            device: the devices that it runs on, in words.
        """
        return cls(
            hmean=__version__,
            config_hash=config_hash(config),
            data_hash=dict(data_hash),
            git=git_state(),
            seed=seed,
            python=platform.python_version(),
            versions=package_versions(),
            machine=Machine(
                system=platform.platform(),
                processor=_processor(),
                command=command_line(sys.argv),
                device=device,
            ),
        )


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash of the values of a config."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def command_line(arguments: Sequence[str]) -> list[str]:
    """A command line, without secrets, and with paths relative to the folder that it was typed in."""
    program = Path(arguments[0]).name
    if program == "__main__.py":  # python -m hmean
        program = "hmean"
    shown = [program]
    for argument in arguments[1:]:
        if not _SECRET.match(argument):
            shown.append(_with_relative_path(argument))
    return shown


def _with_relative_path(argument: str) -> str:
    if Path(argument).is_absolute():
        return os.path.relpath(argument)
    key, equals, value = argument.rpartition("=")
    if Path(value).is_absolute():
        return f"{key}{equals}{os.path.relpath(value)}"
    return argument


def package_versions() -> dict[str, str | None]:
    """Versions of the packages that results depend on; None for one that is not installed."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def git_state(leaving_out: Sequence[str] = ()) -> GitState | None:
    """The commit of the current folder; None if it is in no git repository.

    Args:
        leaving_out: files and folders, from the root of the repository, whose changes do not count.
    """
    elsewhere = [f":(top,exclude){path}" for path in leaving_out]
    try:
        commit = _git("rev-parse", "HEAD")
        status = _git("status", "--porcelain", "--", ":(top)", *elsewhere)
    except (OSError, subprocess.SubprocessError):
        return None
    return GitState(commit=commit, dirty=status != "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603, S607
    return done.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
