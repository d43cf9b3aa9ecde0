"""CLEval, detection only: character-level counts of one page (Baek et al. 2020, arXiv 2006.06244).

With ``c`` the character centres of the words that lie in matched detections, counted once,

    R = max(0, c - G_r) / (characters of the words),   P = max(0, c - G_p) / (c + o + f),   H = 2PR / (P + R),

``G_r`` (``G_p``) is the granularity penalty: one for every detection of a word (word of a detection) beyond the first;
``o`` are centres that lie in a second detection and ``f`` the characters that unmatched detections stand for. An empty
denominator gives 0, so a page without text and without detections scores 0, not 1: the convention of the authors'
program.

Polygons with four corners follow that program's QUAD rules (coordinates cut to whole pixels for areas and inclusion,
even-odd regions, areas by the shoelace formula, character centres from uncut corners) and hence its LTRB rules, where a
rectangle is turned into a quad. Others follow its POLY rules (uncut, boundary outside; a triangle gets the corner
(x of its first, y of its third point)), with an epsilon of 1e-5 in the aspect where the program adds 1e5 by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from hmean.geometry import min_area_rect
from hmean.metrics import kernels
from hmean.metrics.kernels import (
    CLEVAL_COLUMNS,
    DETECTION_COLUMNS,
    WORD_COLUMNS,
    Flags,
    Floats,
    Ints,
    Shares,
)
from hmean.metrics.shapes import Overlaps, Shapes, pack, shared_areas
from hmean.types import PRH, Characters, Detections, Page, Points, Polygons


def harmonic(p: float, r: float) -> PRH:
    """Precision and recall with their harmonic mean, 0 where both are 0."""
    if p + r > 0:
        return PRH(p, r, 2 * p * r / (p + r))
    return PRH(p, r, 0.0)


@dataclass(frozen=True)
class Counts:
    """Everything that CLEval counts, in characters unless said otherwise; sums over pages give the pooled result.

    Attributes:
        gt: of the words that count.
        tp: found, each once.
        overlapped: found again after another detection had found them.
        fp: that detections without a word stand for, estimated from their aspect.
        recall_penalty: detections beyond the first, summed over words.
        precision_penalty: words beyond the first, summed over detections.
        split: number of words found in more than one detection.
        merged: number of detections that hold more than one word.
    """

    gt: int = 0
    tp: int = 0
    overlapped: int = 0
    fp: int = 0
    recall_penalty: int = 0
    precision_penalty: int = 0
    split: int = 0
    merged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            gt=self.gt + other.gt,
            tp=self.tp + other.tp,
            overlapped=self.overlapped + other.overlapped,
            fp=self.fp + other.fp,
            recall_penalty=self.recall_penalty + other.recall_penalty,
            precision_penalty=self.precision_penalty + other.precision_penalty,
            split=self.split + other.split,
            merged=self.merged + other.merged,
        )

    @property
    def det(self) -> int:
        """Characters of the detections that count: the denominator of precision."""
        return self.tp + self.overlapped + self.fp

    @property
    def prh(self) -> PRH:
        """Precision, recall and hmean of these counts, each in [0, 1]."""
        precision = 0.0
        recall = 0.0
        if self.det:
            precision = max(0, self.tp - self.precision_penalty) / self.det
        if self.gt:
            recall = max(0, self.tp - self.recall_penalty) / self.gt
        return harmonic(precision, recall)


def count_page(page: Page, detections: Detections, characters: Characters) -> Counts:
    """CLEval's counts of one page: see ``count_array``."""
    return Counts(*count_array([page], [detections], characters)[0, 0].tolist())


def count_array(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    characters: Characters,
    *,
    min_scores: Sequence[float] = (0.0,),
) -> Ints:
    """CLEval's counts of many pages, with the detections that have at least each score.

    Overlaps are found once for all scores. The GIL is released but for pages that are not all quads.

    Ignored words are ignore regions, less the area of the words that count: a detection that lies in them by 0.3 of
    its area counts nowhere.

    Args:
        pages: with words, in page pixels.
        detections: of each page, in page pixels; their texts are not used.
        characters: where a word's number of characters comes from. ``transcription``: the length of its text; a word
            without one (None or empty) falls back on the aspect, so that it can be found at all. ``aspect``:
            min(round(0.5 + long side / short side), 10) for all.
        min_scores: T smallest scores; sorted, neighbours share more work.

    Returns:
        (pages, T, 8): the columns are the fields of ``Counts``.
    """
    least = np.array(min_scores, dtype=np.float32)
    gt = pack([page.polygons for page in pages])
    det = pack([found.polygons for found in detections])
    care = ~np.concatenate([page.ignored for page in pages])
    text_lengths = _text_lengths(pages, characters)
    keep = np.concatenate([found.scores for found in detections]) >= least[:, None]
    counts = np.zeros((len(pages), len(least), CLEVAL_COLUMNS), dtype=np.int64)
    needs_shapely = kernels.count_pages(*gt, care, text_lengths, *det, keep, counts)
    for i in np.flatnonzero(needs_shapely).tolist():
        words = gt.of_page(i)
        pairs = _pairs(pages[i].polygons, care[words], text_lengths[words], detections[i].polygons)
        for t, kept in enumerate(keep[:, det.of_page(i)]):
            kernels.tally(*pairs, kept, counts[i, t])
    return counts


def attribute(page: Page, detections: Detections, characters: Characters) -> tuple[Ints, Ints]:
    """What each word (K, 4) and each detection (D, 3) has in the counts of its page: see ``kernels.attribute``."""
    pairs = _pairs(page.polygons, ~page.ignored, _text_lengths([page], characters), detections.polygons)
    of_words = np.zeros((len(page.polygons), WORD_COLUMNS), dtype=np.int64)
    of_detections = np.zeros((len(detections), DETECTION_COLUMNS), dtype=np.int64)
    every = np.ones(len(detections), dtype=np.bool_)
    kernels.attribute(*pairs, every, of_words, of_detections)
    return of_words, of_detections


def _text_lengths(pages: Sequence[Page], characters: Characters) -> Ints:
    """Characters of each word's text, 0 where the aspect says how many there are."""
    if characters == "aspect":
        return np.zeros(sum(len(page.texts) for page in pages), dtype=np.int64)
    return np.array([len(text or "") for page in pages for text in page.texts], dtype=np.int64)


class _Pairs(NamedTuple):
    """The pairs of a page, as ``kernels.attribute`` and ``kernels.tally`` take them, which say what each is."""

    first: Ints
    detection: Ints
    share: Shares
    inside: Flags
    lengths: Ints
    care: Flags
    stands_for: Ints


@np.errstate(all="ignore")
def _pairs(words: Polygons, care: Flags, text_lengths: Ints, found: Polygons) -> _Pairs:
    """The pairs of one page with any polygons; shapely does what the kernels cannot."""
    words, gt = _official(words)
    found, det = _official(found)
    aspects = _aspects(words, gt)
    lengths = kernels.word_lengths(aspects, care, text_lengths)
    centres = _centres(words, gt, aspects, lengths)
    overlaps = gt.overlaps(det, kernels.reaches(gt.bounds, centres, lengths))
    _take_counted_words_out(overlaps, gt, det, care)
    detection_areas = np.where(det.quad, det.shoelace, det.areas)
    return _Pairs(
        first=overlaps.first,
        detection=overlaps.detection,
        share=kernels.shares(overlaps.detection, overlaps.area, detection_areas),
        inside=_inclusion(overlaps, det, centres, lengths),
        lengths=lengths,
        care=care,
        stands_for=kernels.stand_ins(_aspects(found, det)),
    )


def _official(polygons: Polygons) -> tuple[Polygons, Shapes]:
    """The polygons with triangles completed, and the shapes that the program takes their areas from."""
    corners = np.diff(polygons.offsets)
    quad = corners == 4
    if (corners == 3).any():
        polygons = Polygons.of([_completed(polygon) for polygon in polygons])
    point_of_quad = np.repeat(quad, np.diff(polygons.offsets))[:, None]
    points = np.where(point_of_quad, np.trunc(polygons.points), polygons.points)
    return polygons, Shapes.of(polygons.with_points(points), quad)


def _completed(polygon: Points) -> Points:
    """A triangle gets the corner that the program gives it."""
    if len(polygon) != 3:
        return polygon
    return np.vstack([polygon, (polygon[0, 0], polygon[2, 1])])


def _aspects(polygons: Polygons, shapes: Shapes) -> Floats:
    """Width / height of quads; of others height / width of the smallest rectangle, at most 10 (K,)."""
    aspects: Floats = kernels.quad_aspects(polygons.points, polygons.offsets)
    for i in np.flatnonzero(~shapes.quad):
        _, (width, height), _ = min_area_rect(polygons[int(i)])
        aspects[i] = min(10.0, (height + 1e-6) / (width + 1e-6)) + 1e-5
    return aspects


def _centres(words: Polygons, shapes: Shapes, aspects: Floats, lengths: Ints) -> Floats:
    """Centres (C, 2) of the characters of all words, word after word."""
    centres: Floats = kernels.quad_centres(words.points, words.offsets, aspects, lengths)
    ends = np.cumsum(lengths)
    for k in np.flatnonzero(~shapes.quad).tolist():
        length = int(lengths[k])
        centres[ends[k] - length : ends[k]] = _polygon_centres(words[k], length)
    return centres


def _polygon_centres(points: Points, length: int) -> Points:
    """Centres (length, 2) along a polygon whose first half of points is its top, left to right, the rest its bottom."""
    half = len(points) // 2
    sections = half - 1
    top = _steps(points[:half], sections, length)
    bottom = _steps(points[half:][::-1], sections, length)
    left = np.arange(length) * sections
    right = left + sections
    return np.asarray((top[left] + top[right] + bottom[left] + bottom[right]) / 4)


def _steps(line: Points, sections: int, length: int) -> Points:
    """The first ``sections`` sections of a line, each in ``length`` steps, and the line's last point.

    As in the official program, points between the given ones are cut to whole pixels.
    """
    starts = line[:sections, None]
    ends = line[1 : sections + 1, None]
    between = np.trunc(starts + (ends - starts) / length * np.arange(length)[:, None])
    between[:, 0] = line[:sections]  # given points stay uncut
    return np.vstack([between.reshape(-1, 2), line[-1:]])


def _take_counted_words_out(overlaps: Overlaps, words: Shapes, found: Shapes, care: Flags) -> None:
    """Cut the words that count out of the ignored ones: correct the areas of these, in place."""
    for i in np.flatnonzero(~care):
        in_word = overlaps.area[overlaps.first[i] : overlaps.first[i + 1]] > 0
        pairs = overlaps.first[i] + np.flatnonzero(in_word)
        near = care & _bounds_overlap(words.bounds, words.bounds[i])
        if len(pairs) and near.any():
            rest = shapely.difference(words.regions[i], shapely.union_all(words.regions[near]))
            overlaps.area[pairs] = shared_areas(rest, found.regions[overlaps.detection[pairs]])


def _bounds_overlap(bounds: Floats, other: Floats) -> Flags:
    """Which bounds (K, 4) have an area in common with other ones (4,)."""
    x0, y0, x1, y1 = other
    along_x = (bounds[:, 0] < x1) & (bounds[:, 2] > x0)
    along_y = (bounds[:, 1] < y1) & (bounds[:, 3] > y0)
    overlap: Flags = along_x & along_y
    return overlap


def _inclusion(overlaps: Overlaps, found: Shapes, centres: Floats, lengths: Ints) -> Flags:
    """Whether each centre of the word lies in the detection, pair after pair."""
    inside: Flags = kernels.inclusion(centres, lengths, overlaps.first, overlaps.detection, found.corners, found.bounds)
    word = overlaps.word
    ends = np.cumsum(lengths)
    at = np.concatenate([[0], np.cumsum(lengths[word])])
    for n in np.flatnonzero(~found.quad[overlaps.detection]):
        k = word[n]
        of_word = centres[ends[k] - lengths[k] : ends[k]]
        region = found.regions[overlaps.detection[n]]
        inside[at[n] : at[n + 1]] = shapely.contains_xy(region, of_word)
    return inside
