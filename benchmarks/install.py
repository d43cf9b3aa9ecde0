"""What ``pip install hmean`` brings, without torch: the wheel alone in a fresh virtual environment, by package."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

PEERS: tuple[str, ...] = ()
ABOUT = (
    "The wheel, installed alone into a fresh virtual environment: files of site-packages without pip and setuptools, as "
    "installed, before anything has run. tests/e2e/test_wheel.py runs the commands there."
)
COLUMNS = ("package", "MB")
ROOT = Path(__file__).parents[1]


def install(folder: Path) -> Path:
    """Build the wheel and install it alone; returns the environment's python."""
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "-w", folder, ROOT], check=True)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", *quiet, next(folder.glob("hmean-*.whl"))], check=True)
    return python


def sizes(python: Path) -> dict[str, float]:
    """MB of each distribution's files, its shared libraries beside it included."""
    code = """
import json, os
from importlib import metadata
sizes = {d.metadata["Name"].lower(): sum(os.path.getsize(p) for f in d.files or () if os.path.exists(p := d.locate_file(f))) for d in metadata.distributions()}
print(json.dumps(sizes))
"""
    import json  # noqa: PLC0415

    found: dict[str, int] = json.loads(subprocess.check_output([python, "-c", code]))
    return {name: size / 1e6 for name, size in found.items() if name not in ("pip", "setuptools")}


def run() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        found = sizes(install(Path(folder)))
    rows = sorted(found.items(), key=lambda item: -item[1])
    yield {"package": "all", "MB": f"{sum(found.values()):.0f}"}
    yield from ({"package": name, "MB": f"{size:.0f}"} for name, size in rows if size >= 1)
