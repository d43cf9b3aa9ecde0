"""What several models, or several views of one, find on a page together: the mean of their maps, or a vote.

Everything meets in the page's frame: a map brings the matrix that leads there, so members may differ in size, crop and
flip. Nothing here runs a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmean.ensemble.voting import VotingParams, vote_each
from hmean.geometry import warp
from hmean.postprocess.decoding import PageMap, detect_each
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections


def mean_map(maps: Sequence[PageMap]) -> PageMap:
    """Mean of P (float32) in the pixels of the first map, which has to show the whole page.

    A member whose view does not reach a pixel has no say there. Maps of one frame are added as they are, others are
    resampled once.

    Raises:
        ValueError: if the maps are not of one page.
    """
    first = maps[0]
    if len({(m.name, m.page_width, m.page_height) for m in maps}) > 1:
        raise ValueError("maps of different pages have no mean")
    height, width = first.probability.shape
    total = np.zeros((height, width), dtype=np.float32)
    seen = np.zeros_like(total)
    for one in maps:
        p = one.probability if one.probability.dtype == np.float32 else one.probability.astype(np.float32) / 255
        if p.shape == first.probability.shape and np.array_equal(one.to_page, first.to_page):
            total += p
            seen += 1
        else:
            matrix = np.linalg.inv(first.to_page) @ one.to_page
            total += warp(p, matrix, width, height, (0,))
            seen += warp(np.ones_like(p), matrix, width, height, (0,))
    mean = np.divide(total, seen, out=np.zeros_like(total), where=seen > 0)
    return PageMap(first.name, mean, first.to_page, first.page_width, first.page_height)


def detect_voted(maps: Sequence[PageMap], many: Sequence[VotingParams]) -> list[Detections]:
    """What the maps of distinct models agree on, by many rules (N): members are post-processed once for each kind."""
    kinds: dict[PostprocessParams, list[VotingParams]] = {}
    for params in many:
        kinds.setdefault(params.member(), []).append(params)
    members = [detect_each(one, list(kinds)) for one in maps]
    found: dict[VotingParams, Detections] = {}
    for k, rules in enumerate(kinds.values()):
        found |= zip(rules, vote_each([each[k] for each in members], rules), strict=True)
    return [found[params] for params in many]
