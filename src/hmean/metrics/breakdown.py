"""Where the errors are: what CLEval's P and R lack, by page and by what words and regions look like.

In characters: R lacks those ``missed``, and one for each further region of a word (``split``); P lacks ``false`` ones,
finds of what another region had found (``doubled``), and one for each further word in a region (``merged``). Nothing
else lowers them: P = 1 - (false + doubled + merged) / claimed, R = 1 - (missed + split) / characters, where regions
claim what they find and what they stand for if they find nothing.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.geometry import min_area_rect
from hmean.metrics.cleval import attribute
from hmean.metrics.kernels import Ints
from hmean.types import Characters, Detections, Page, Points

COLUMNS = ("words", "characters", "missed", "split", "doubled", "regions", "claimed", "false", "merged")
OF_WORDS, OF_REGIONS = COLUMNS[:5], COLUMNS[5:]
EDGES = {"height": (8, 12, 16, 24, 40), "aspect": (1.5, 3, 6, 12), "angle": (1, 3, 10, 30, 80)}
PLACES = [f"{v} {h}" for v in ("top", "middle", "bottom") for h in ("left", "centre", "right")]
SQUARE = 1.5  # below this aspect the longer side says nothing of the text's direction


def page_faults(page: Page, detections: Detections, characters: Characters) -> tuple[Ints, Ints]:
    """``OF_WORDS`` of each word (K, 5), ignored ones zeros, and ``OF_REGIONS`` of each region (D, 4)."""
    words, regions = attribute(page, detections, characters)
    count, found, finds, parts = words.T
    hits, pieces, false = regions.T
    of_words = (~page.ignored, count, count - found, np.maximum(parts - 1, 0), finds - found)
    of_regions = ((pieces > 0) | (false > 0), hits + false, false, np.maximum(pieces - 1, 0))
    return np.stack(of_words, axis=1).astype(np.int64), np.stack(of_regions, axis=1).astype(np.int64)


def fault_kinds(words: Ints, regions: Ints) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """The fault of each word (K,) and of each region (D,), empty where there is none, from what ``page_faults`` gives.

    Words are ``missed``, or ``split`` (in more than one region, whether or not it costs), regions ``false`` or
    ``merged``.
    """
    of_words = np.where(words[:, 2] > 0, "missed", np.where(words[:, 3:].sum(axis=1) > 0, "split", ""))
    return of_words, np.where(regions[:, 2] > 0, "false", np.where(regions[:, 3] > 0, "merged", ""))


def break_down(
    pages: Sequence[Page], detections: Sequence[Detections], characters: Characters, long_side: int
) -> dict[str, Any]:
    """The faults of N pages in total, by traits of words and regions, and of each page with its faulty ones.

    Args:
        pages: with labels.
        detections: regions of each page, in falling order of score.
        characters: how the words' characters are counted.
        long_side: of the network's view, in whose pixels text height is told.

    Returns:
        ``total``: ``COLUMNS``; ``by``: for each trait its bins with the same columns, what R and P lack because of the
        bin (``recall_lost``, ``precision_lost``, which sum to 1 - R and 1 - P of pooled CLEval) and ``excess``, how
        much of both is more than the bin's share of the text lets expect; ``pages``: each with its columns and its
        faulty words and regions, by their ids in the labels and in ``predictions.json``.
    """
    bins: dict[str, dict[str, Ints]] = {axis: {} for axis in (*EDGES, "position", "group")}
    rows = []
    for page, found in zip(pages, detections, strict=True):
        words, regions = page_faults(page, found, characters)
        scale = long_side / max(page.width, page.height)
        for polygons, values, place in ((page.polygons, words, slice(0, 5)), (found.polygons, regions, slice(5, 9))):
            for i in np.flatnonzero(values.any(axis=1)).tolist():
                for axis, name in traits(polygons[i], page, scale).items():
                    bins[axis].setdefault(name, np.zeros(len(COLUMNS), dtype=np.int64))[place] += values[i]
        sums = np.concatenate([words.sum(axis=0), regions.sum(axis=0)])
        rows.append({
            "name": page.name, "group": page.group, **dict(zip(COLUMNS, sums.tolist(), strict=True)),
            "faulty_words": {page.ids[i]: dict(zip(OF_WORDS[1:], words[i, 1:].tolist(), strict=True))
                      for i in np.flatnonzero(words[:, 2:].any(axis=1))},
            "faulty_regions": {f"{i + 1:04d}": dict(zip(OF_REGIONS[1:], regions[i, 1:].tolist(), strict=True))
                        for i in np.flatnonzero(regions[:, 2:].any(axis=1))},
        })  # fmt: skip
    total = {name: sum(row[name] for row in rows) for name in COLUMNS}
    by = {axis: [_bin(name, values, total) for name, values in _ordered(axis, found)] for axis, found in bins.items()}
    return {"characters": characters, "long_side": long_side, "total": total, "by": by, "pages": rows}


def traits(polygon: Points, page: Page, scale: float) -> dict[str, str]:
    """The bin of a polygon on each axis; its height is the shorter side in pixels of the view."""
    (x, y), (w, h), angle = min_area_rect(polygon)
    aspect, angle = max(w, h) / max(min(w, h), 1e-6), abs((angle + 90 * (w >= h)) % 180 - 90)
    tilt = min(angle, 90 - angle) if aspect < SQUARE else angle
    third = int(np.clip(y / page.height * 3, 0, 2)) * 3 + int(np.clip(x / page.width * 3, 0, 2))
    values = {"height": min(w, h) * scale, "aspect": aspect, "angle": tilt}
    named = {axis: _names(axis)[bisect(EDGES[axis], value)] for axis, value in values.items()}
    return {**named, "position": PLACES[third], "group": str(page.group)}


def _names(axis: str) -> list[str]:
    edges = EDGES[axis]
    between = [f"{a:g} to {b:g}" for a, b in pairwise(edges)]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} and more"]


def _ordered(axis: str, found: dict[str, Ints]) -> list[tuple[str, Ints]]:
    names = sorted(found) if axis == "group" else PLACES if axis == "position" else _names(axis)
    return [(name, found[name]) for name in names if name in found]


def _bin(name: str, values: Ints, total: dict[str, int]) -> dict[str, Any]:
    row = dict(zip(COLUMNS, values.tolist(), strict=True))
    excess = 0.0
    for lost, faults, whole in (("recall_lost", ("missed", "split"), "characters"),
                                ("precision_lost", ("false", "doubled", "merged"), "claimed")):  # fmt: skip
        mine, every, size = sum(row[f] for f in faults), sum(total[f] for f in faults), max(total[whole], 1)
        row[lost] = mine / size
        excess += (mine - every * row[whole] / size) / size
    return {"bin": name, **row, "excess": excess}
