"""How long hmean takes to begin: the help, and the first score and detection after an installation and after that."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from harness import Result, compare

PEERS: tuple[str, ...] = ()
ABOUT = (
    "Whole processes. Kernels are compiled by numba at their first call and kept beside the installed package "
    "(or under NUMBA_CACHE_DIR), so an installation pays once. `hmean --help` imports none of them (tests/unit/test_structure.py)."
)
WORK = """
import numpy as np
from hmean.metrics.scorer import score_pages
from hmean.postprocess.decoding import PageMap, detect
from hmean.data.targets import make_targets
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Page, Polygons
words = Polygons.of([[[10, 10], [60, 10], [60, 30], [10, 30]]])
made = make_targets(words, np.zeros(1, bool), 96, 64, shrink_ratio=0.6, min_side=2)
page = PageMap("a", made.shrink, np.eye(3), 96, 64)
for use_polygon in (False, True):
    found = detect(page, PostprocessParams(use_polygon=use_polygon))
score_pages([Page("a", 96, 64, words, texts=("A",))], [found], "transcription")
"""


def process(code: list[str], **environment: str) -> None:
    subprocess.run([sys.executable, *code], check=True, capture_output=True, env={**os.environ, **environment})


def run() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as warm:

        def cold(_: None) -> None:
            with tempfile.TemporaryDirectory() as empty:
                process(["-c", WORK], NUMBA_CACHE_DIR=empty)

        yield compare(
            "Score, post-processing and targets once, compiled before", "the same, first time after an installation", [None],
            lambda _: process(["-c", WORK], NUMBA_CACHE_DIR=warm), cold, exact="",
        )  # fmt: skip
    yield compare(
        "hmean --help", "python -c pass", [None],
        lambda _: process(["-c", "from hmean.cli import main; main(['--help'])"]), lambda _: process(["-c", "pass"]), exact="", rounds=9,
    )  # fmt: skip
