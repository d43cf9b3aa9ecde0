"""What several models, or several views of one, find on a page together: from the mean of their maps, or by votes.

Everything meets in the frame of the page: a map brings the matrix that leads there, so that members may differ in size
and crop. Nothing here runs a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmean.ensemble.voting import VotingParams, vote_each
from hmean.geometry import Matrix, corners, transform, translation, warp
from hmean.postprocess.decoding import PageMap, detect_each
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections

ROUNDING = 1e-6  # of a pixel


def detect_combined(maps: Sequence[PageMap], params: PostprocessParams) -> Detections:
    """What the maps of one page say together: by votes if the parameters are of a vote, else from their mean."""
    if isinstance(params, VotingParams):
        return detect_voted(maps, [params])[0]
    return detect_mean(maps, [params])[0]


def detect_mean(maps: Sequence[PageMap], many: Sequence[PostprocessParams]) -> list[Detections]:
    """What the mean of the maps says with each of many parameters (N)."""
    return detect_each(mean_map(maps), many)


def detect_voted(maps: Sequence[PageMap], many: Sequence[VotingParams]) -> list[Detections]:
    """What the maps of distinct models agree on by each of many rules (N).

    Rules that post-process the members in the same way share that work.
    """
    rules_of: dict[PostprocessParams, list[VotingParams]] = {}
    for rule in many:
        rules_of.setdefault(rule.of_members(), []).append(rule)
    # For each member what it finds with each of the member parameters.
    found_by_member = [detect_each(one, list(rules_of)) for one in maps]
    found: dict[VotingParams, Detections] = {}
    for k, rules in enumerate(rules_of.values()):
        members = [each[k] for each in found_by_member]
        found |= zip(rules, vote_each(members, rules), strict=True)
    return [found[rule] for rule in many]


def mean_map(maps: Sequence[PageMap]) -> PageMap:
    """Mean of P (float32) in the pixels of the first map, continued to whatever part of the page another map shows.

    A member whose view does not reach a pixel does not count there. Maps of one frame are added as they are, others are
    resampled once.

    Raises:
        ValueError: if the maps are not of one page.
    """
    first = maps[0]
    if len({(one.name, one.page_width, one.page_height) for one in maps}) > 1:
        raise ValueError("maps of different pages have no mean")
    frame = _frame(maps)
    total = np.zeros((frame.height, frame.width), dtype=np.float32)
    count = np.zeros_like(total)  # of the members that see a pixel
    for one in maps:
        probability = _as_float(one)
        if probability.shape == total.shape and np.array_equal(one.to_page, frame.to_page):
            total += probability
            count += 1
        else:
            matrix = np.linalg.inv(frame.to_page) @ one.to_page
            total += warp(probability, matrix, frame.width, frame.height, (0,))
            count += warp(np.ones_like(probability), matrix, frame.width, frame.height, (0,))
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return PageMap(first.name, mean, frame.to_page, first.page_width, first.page_height)


class _Frame(NamedTuple):
    """The pixels that maps meet in: their number, and the matrix from them to the page."""

    width: int
    height: int
    to_page: Matrix


def _frame(maps: Sequence[PageMap]) -> _Frame:
    """The first map's pixels, and more of the same size where another map shows more of the page."""
    first = maps[0]
    height, width = first.probability.shape
    from_page: Matrix = np.asarray(np.linalg.inv(first.to_page), dtype=np.float64)
    page = transform(from_page, corners(first.page_width, first.page_height))
    low = np.zeros(2)
    high = np.array([width, height], dtype=np.float64)
    for one in maps[1:]:
        one_height, one_width = one.probability.shape
        shown = transform(from_page @ one.to_page, corners(one_width, one_height))
        shown = np.clip(shown, page.min(axis=0), page.max(axis=0))  # what lies beyond the page is padding
        low = np.minimum(low, np.floor(shown.min(axis=0) + ROUNDING))
        high = np.maximum(high, np.ceil(shown.max(axis=0) - ROUNDING))
    if not low.any() and high.tolist() == [width, height]:
        return _Frame(width, height, first.to_page)
    wide, tall = (high - low).astype(int).tolist()
    return _Frame(wide, tall, first.to_page @ translation(low[0], low[1]))


def _as_float(page: PageMap) -> NDArray[np.float32]:
    """P in [0, 1]; maps that were kept on disk are in 8 bits."""
    probability = page.probability.astype(np.float32, copy=False)
    if page.probability.dtype == np.uint8:
        probability = probability / np.float32(255)
    return probability
