"""Real pages for tests of the score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hmean.types import Page, Polygons


@pytest.fixture(scope="session")
def sroie_pages(sroie: Path) -> list[Page]:
    """300 receipts; on every second of them some words are ignored."""
    images = json.loads((sroie / "labels.json").read_text(encoding="utf-8"))["images"]
    pages = []
    for i, (name, image) in enumerate(sorted(images.items())[:300]):
        words = list(image["words"].values())
        skip = np.random.default_rng(i).random(len(words)) < (0.15 if i % 2 else 0.0)
        polygons = Polygons.of(w["points"] for w in words)
        texts = tuple(w["transcription"] for w in words)
        pages.append(Page(name, image["img_w"], image["img_h"], polygons, texts=texts, ignore=skip))
    return pages
