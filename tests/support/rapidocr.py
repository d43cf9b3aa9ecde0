"""A Python that has RapidOCR, which is not installed beside hmean: it would bring a second OpenCV."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rapidocr_python() -> str:
    """The program named by HMEAN_RAPIDOCR_PYTHON, or that of the leaderboard's environment; skips without either."""
    found = _find()
    if found is None:
        pytest.skip("no Python with rapidocr: make leaderboard makes one, or name one in HMEAN_RAPIDOCR_PYTHON")
    return found


@cache
def _find() -> str | None:
    programs = [os.environ.get("HMEAN_RAPIDOCR_PYTHON", "")]
    environments = (ROOT / "outputs").glob("*/leaderboard/venvs/pp_ocrv6_small-*/bin/python")
    programs += [str(path) for path in environments]
    for program in programs:
        if program and _has_rapidocr(program):
            return program
    return None


def _has_rapidocr(program: str) -> bool:
    try:
        answer = subprocess.run([program, "-c", "import rapidocr"], capture_output=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0
