"""CLEval, detection only: character-level counts of one page (Baek et al. 2020, arXiv 2006.06244).

With ``c`` the character centres of the words that lie in matched regions, counted once,

    R = max(0, c - G_r) / (characters of the words),   P = max(0, c - G_p) / (c + o + f),   H = 2PR / (P + R),

``G_r`` (``G_p``) is the granularity penalty: one for every region of a word (word of a region) beyond the first; ``o``
are centres that lie in a second region and ``f`` the characters that unmatched regions stand for. An empty denominator
gives 0, so a page without text and without regions scores 0, not 1: the convention of the authors' program.

Polygons with four corners follow that program's QUAD rules (coordinates cut to whole pixels for areas and inclusion,
even-odd regions, areas by the shoelace formula, character centres from uncut corners) and hence its LTRB rules, where a
rectangle is turned into a quad. Others follow its POLY rules (uncut, boundary outside; a triangle gets the corner
(x of its first, y of its third point)), with an epsilon of 1e-5 in the aspect where the program adds 1e5 by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from hmean.geometry import min_area_rect
from hmean.metrics import kernels
from hmean.metrics.kernels import Flags, Floats, Ints
from hmean.metrics.shapes import Shapes, pack
from hmean.types import PRH, Characters, Detections, Page, Points, Polygons


def harmonic(p: float, r: float) -> PRH:
    """Precision and recall with their harmonic mean, 0 where both are 0."""
    return PRH(p, r, 2 * p * r / (p + r) if p + r > 0 else 0.0)


@dataclass(frozen=True)
class Counts:
    """Everything CLEval counts, in characters unless said otherwise; sums of pages give the pooled result."""

    gt: int = 0  # of the words that count
    tp: int = 0  # found, each once
    overlapped: int = 0  # found again after another region had found them
    fp: int = 0  # that regions without a word stand for, from their aspect
    recall_penalty: int = 0  # regions beyond the first, summed over words
    precision_penalty: int = 0  # words beyond the first, summed over regions
    split: int = 0  # words found in more than one region
    merged: int = 0  # regions that hold more than one word

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def det(self) -> int:
        """Characters of the regions that count: the denominator of precision."""
        return self.tp + self.overlapped + self.fp

    @property
    def prh(self) -> PRH:
        """Precision, recall and hmean of these counts, each in [0, 1]."""
        p = max(0, self.tp - self.precision_penalty) / self.det if self.det else 0.0
        r = max(0, self.tp - self.recall_penalty) / self.gt if self.gt else 0.0
        return harmonic(p, r)


def count_page(page: Page, detections: Detections, characters: Characters) -> Counts:
    """CLEval counts of one page: see ``count_array``."""
    return Counts(*count_array([page], [detections], characters)[0, 0].tolist())


def count_array(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    characters: Characters,
    *,
    min_scores: Sequence[float] = (0.0,),
) -> Ints:
    """The fields of ``Counts`` (N, T, 8) of each page, keeping the regions of at least each score.

    Overlaps are found once for all T.

    Ignored words are don't-care regions, less the area of the words that count: a region that lies in them by 0.3 of
    its area counts nowhere. The GIL is released but for pages that are not all quads.

    Args:
        pages: each with K words in page pixels.
        detections: found regions of each page, in page pixels; texts are not used.
        characters: where a word's number of characters comes from. ``transcription``: the length of its text; a word
            without one (None or empty) falls back on the aspect, so that it can be found at all. ``aspect``:
            min(round(0.5 + long side / short side), 10) for all.
        min_scores: T least scores; sorted, neighbours share more work.
    """
    least = np.array(min_scores, dtype=np.float32)
    gt, det = pack([page.polygons for page in pages]), pack([found.polygons for found in detections])
    care = ~np.concatenate([page.ignored for page in pages])
    read = _read_lengths(pages, characters)
    keep = np.concatenate([found.scores for found in detections]) >= least[:, None]
    counts = np.zeros((len(pages), len(least), len(fields(Counts))), dtype=np.int64)
    exotic = kernels.count_pages(*gt, care, read, *det, keep, counts)
    for i in np.flatnonzero(exotic).tolist():
        words, regions = slice(gt[2][i], gt[2][i + 1]), slice(det[2][i], det[2][i + 1])
        _count_exotic(pages[i].polygons, care[words], read[words], detections[i].polygons, keep[:, regions], counts[i])
    return counts


def attribute(page: Page, detections: Detections, characters: Characters) -> tuple[Ints, Ints]:
    """What each word (K, 4) and each region (D, 3) has in the counts of its page: see ``kernels.attribute``."""
    pairs = _pairs(page.polygons, ~page.ignored, _read_lengths([page], characters), detections.polygons)
    of_words = np.zeros((len(page.polygons), 4), dtype=np.int64)
    of_regions = np.zeros((len(detections), 3), dtype=np.int64)
    kernels.attribute(*pairs, np.ones(len(detections), dtype=np.bool_), of_words, of_regions)
    return of_words, of_regions


def _read_lengths(pages: Sequence[Page], characters: Characters) -> Ints:
    """Characters of each word's text, 0 where the aspect tells them."""
    if characters == "aspect":
        return np.zeros(sum(len(page.texts) for page in pages), dtype=np.int64)
    return np.array([len(text or "") for page in pages for text in page.texts], dtype=np.int64)


def _count_exotic(words: Polygons, care: Flags, read: Ints, found: Polygons, keep: Flags, counts: Ints) -> None:
    """As ``kernels.count_pages``, of one page with any polygons."""
    pairs = _pairs(words, care, read, found)
    for t in range(len(keep)):
        kernels.tally(*pairs, keep[t], counts[t])


@np.errstate(all="ignore")
def _pairs(
    words: Polygons, care: Flags, read: Ints, found: Polygons
) -> tuple[Ints, Ints, NDArray[np.float32], Flags, Ints, Flags, Ints]:
    """What ``kernels.attribute`` needs first, of any polygons; shapely does what the kernels cannot."""
    (words, gt), (found, det) = _official(words), _official(found)
    aspects = _aspects(words, gt)
    lengths = kernels.word_lengths(aspects, care, read)
    centres = kernels.quad_centres(words.points, words.offsets, aspects, lengths)
    ends = np.cumsum(lengths)
    for k in np.flatnonzero(~gt.quad):
        centres[ends[k] - lengths[k] : ends[k]] = _polygon_centres(words[int(k)], int(lengths[k]))
    first, region, area = gt.overlaps(det, kernels.reaches(gt.bounds, centres, lengths))
    for i in np.flatnonzero(~care):  # the words that count are taken out of it
        hit = first[i] + np.flatnonzero(area[first[i] : first[i + 1]] > 0)
        x0, y0, x1, y1 = gt.bounds[i]
        near = care & (gt.bounds[:, 0] < x1) & (gt.bounds[:, 2] > x0) & (gt.bounds[:, 1] < y1) & (gt.bounds[:, 3] > y0)
        if len(hit) and near.any():
            rest = shapely.difference(gt.regions[i], shapely.union_all(gt.regions[near]))
            area[hit] = shapely.area(shapely.intersection(rest, det.regions[region[hit]]))
    share = kernels.shares(region, area, np.where(det.quad, det.shoelace, det.areas))
    inside = kernels.inclusion(centres, lengths, first, region, det.corners, det.bounds)
    word = np.repeat(np.arange(len(lengths)), np.diff(first))
    at = np.concatenate([[0], np.cumsum(lengths[word])])
    for n in np.flatnonzero(~det.quad[region]):
        k = word[n]
        inside[at[n] : at[n + 1]] = shapely.contains_xy(det.regions[region[n]], centres[ends[k] - lengths[k] : ends[k]])
    return first, region, share, inside, lengths, care, kernels.stand_ins(_aspects(found, det))


def _official(polygons: Polygons) -> tuple[Polygons, Shapes]:
    """The polygons with triangles completed, and the shapes that the program takes their areas from."""
    counts = np.diff(polygons.offsets)
    quad = counts == 4
    if (counts == 3).any():
        polygons = Polygons.of(np.vstack([p, (p[0, 0], p[2, 1])]) if len(p) == 3 else p for p in polygons)
    whole = np.repeat(quad, np.diff(polygons.offsets))[:, None]
    return polygons, Shapes.of(polygons.with_points(np.where(whole, np.trunc(polygons.points), polygons.points)), quad)


def _aspects(polygons: Polygons, shapes: Shapes) -> Floats:
    """Width / height of quads; of others height / width of the smallest rectangle, at most 10 (K,)."""
    aspects: Floats = kernels.quad_aspects(polygons.points, polygons.offsets)
    for i in np.flatnonzero(~shapes.quad):
        _, (width, height), _ = min_area_rect(polygons[int(i)])
        aspects[i] = min(10.0, (height + 1e-6) / (width + 1e-6)) + 1e-5
    return aspects


def _polygon_centres(points: Points, length: int) -> Points:
    """Centres (length, 2) along a polygon whose first half of points is its top, left to right, the rest its bottom."""
    half = len(points) // 2
    sections = half - 1

    def steps(line: Points) -> Points:
        start = line[:sections, None]
        between = np.trunc(start + (line[1:half, None] - start) / length * np.arange(length)[:, None])
        between[:, 0] = line[:sections]  # given points stay uncut
        return np.vstack([between.reshape(-1, 2), line[-1:]])

    top, bottom = steps(points[:half]), steps(points[half:][::-1])
    left = np.arange(length) * sections
    right = left + sections
    return np.asarray((top[left] + top[right] + bottom[left] + bottom[right]) / 4)
