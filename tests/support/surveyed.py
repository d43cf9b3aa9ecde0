"""Surveyed pages that no image stands behind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmean.data.likeness import SIDE
from hmean.data.scripts import count_scripts
from hmean.data.survey import SurveyedPage, WordShapes
from hmean.data.views import TextPlace
from hmean.types import Page, Polygons


def surveyed_page(
    name: str,
    boxes: Sequence[tuple[float, float, float, float]],
    *,
    size: tuple[int, int] = (400, 800),
    ignored: Sequence[int] = (),
    texts: Sequence[str] = (),
    group: str | None = None,
    labelled: bool = True,
    readable: bool = True,
) -> SurveyedPage:
    """A page of words at (left, top, width, height); ``ignored`` are places in the list."""
    polygons = Polygons.of(
        [[[x, y], [x + w, y], [x + w, y + h], [x, y + h]] for x, y, w, h in boxes],
    )
    flags = np.isin(np.arange(len(boxes)), ignored)
    page = Page(name, *size, polygons, texts=tuple(texts), ignore=flags, group=group)
    seed = sum(name.encode())
    look = np.random.default_rng(seed).integers(-127, 127, SIDE * SIDE).astype(np.int8)
    return SurveyedPage(
        name=name,
        group=group,
        width=size[0],
        height=size[1],
        is_labelled=labelled,
        faults=() if readable else ("no such image",),
        words=WordShapes.of(page),
        texts=len(texts),
        scripts=count_scripts(texts),
        place=TextPlace.of(list(polygons)),
        print=look if readable else None,
    )
