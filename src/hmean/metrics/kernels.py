"""The compiled part of both scores: overlaps of words and regions, CLEval's tally, IoU's pairs.

Everything works on quads, as one convex part or two, and says where it cannot (another polygon, a don't-care region
with words inside): ``cleval`` and ``iou`` then put in what shapely says. All kernels stand
in this one file, since numba's cache of a function does not notice that one it calls, from another file, has changed.

A page's pairs are those whose bounds meet, word by word: pairs ``first[k]`` to ``first[k + 1]`` are those of word k,
in the order of their regions. Everything that depends on which regions are kept is a pass over them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

AREA_PRECISION = 0.3  # least share of a region that its words must cover
UPRIGHT_ASPECT = 0.5  # a quad narrower than this (width / height) is read along its height
MAX_PSEUDO_LENGTH = 10
IGNORED_SHARE = 0.5  # IoU: a region covered by an ignored word by more than this is ignored too
EXOTIC = -1.0  # an area that shapely must find

# Columns of the arrays that hold counts. Those of CLEval, in the order of the fields of ``cleval.Counts``:
CLEVAL_GT = 0
CLEVAL_TP = 1
CLEVAL_OVERLAPPED = 2
CLEVAL_FP = 3
CLEVAL_RECALL_PENALTY = 4
CLEVAL_PRECISION_PENALTY = 5
CLEVAL_SPLIT = 6
CLEVAL_MERGED = 7
CLEVAL_COLUMNS = 8
# What CLEval counts of one word:
WORD_CHARACTERS = 0
WORD_FOUND = 1  # characters found, each once
WORD_HITS = 2  # characters found, once for each detection that finds them
WORD_DETECTIONS = 3  # detections that find it
WORD_COLUMNS = 4
# What CLEval counts of one detection:
DETECTION_HITS = 0  # characters that it finds
DETECTION_WORDS = 1  # words that it finds
DETECTION_FALSE = 2  # characters that it stands for if it finds none
DETECTION_COLUMNS = 3
# IoU matches, in the order of the fields of ``iou.MatchCounts``:
MATCH_TP = 0
MATCH_GT = 1
MATCH_DET = 2
MATCH_COLUMNS = 3


@njit(cache=True, nogil=True)
def measure(points: Floats, offsets: Ints, whole: bool) -> tuple[Floats, Floats, Floats, Ints, Floats]:
    """Corners (K, 4, 2), bounds (K, 4), convex parts (K, 2, 4, 2), how many (K,), shoelace area (K,) of K polygons.

    ``whole``: coordinates of quads are cut to whole pixels first. Corners and area are 0 for other polygons, which have
    no parts either.
    """
    k_all = len(offsets) - 1
    corners, bounds, shoelace = np.zeros((k_all, 4, 2)), np.empty((k_all, 4)), np.zeros(k_all)
    parts, count = np.zeros((k_all, 2, 4, 2)), np.zeros(k_all, dtype=np.int64)
    for k in range(k_all):
        start, end = offsets[k], offsets[k + 1]
        quad = end - start == 4
        x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
        for i in range(start, end):
            x, y = points[i, 0], points[i, 1]
            if quad:
                if whole:
                    x, y = np.trunc(x), np.trunc(y)
                corners[k, i - start, 0], corners[k, i - start, 1] = x, y
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        bounds[k, 0], bounds[k, 1], bounds[k, 2], bounds[k, 3] = x0, y0, x1, y1
        if quad:
            p = corners[k]
            count[k] = _split(p, parts[k])
            shoelace[k] = abs((p[2, 0] - p[0, 0]) * (p[3, 1] - p[1, 1]) - (p[2, 1] - p[0, 1]) * (p[3, 0] - p[1, 0])) / 2
    return corners, bounds, parts, count, shoelace


@njit(cache=True, nogil=True)
def _split(p: Floats, parts: Floats) -> int:
    """Convex parts of a quad (4, 2) under the even-odd rule into ``parts``; returns their number, 1 or 2."""
    turns = np.empty(4)
    for c in range(4):
        d, e = (c + 1) % 4, (c + 2) % 4
        turns[d] = (p[d, 0] - p[c, 0]) * (p[e, 1] - p[d, 1]) - (p[d, 1] - p[c, 1]) * (p[e, 0] - p[d, 0])
    if turns.min() >= 0 or turns.max() <= 0:  # four turns of one sign cannot wind twice
        parts[0] = p
        return 1
    for c in range(4):
        if turns[c] == 0:  # there and back on a line: what is left has an area only without this corner
            parts[0, 0], parts[0, 1], parts[0, 2] = p[(c + 1) % 4], p[(c + 2) % 4], p[(c + 3) % 4]
            parts[0, 3] = parts[0, 2]
            return 1
    left = (turns > 0).sum()
    if left == 2:  # two lobes, each a triangle at the point where two opposite edges cross
        c = 0 if (turns[1] > 0) == (turns[2] > 0) else 1
        a, b, d, e = p[c], p[c + 1], p[c + 2], p[(c + 3) % 4]
        # Corners b and d turn alike, e and a the other way: the edges between those pairs cross, b to a and d to e.
        cross = (b[0] - a[0]) * (e[1] - d[1]) - (b[1] - a[1]) * (e[0] - d[0])
        t = ((d[0] - a[0]) * (e[1] - d[1]) - (d[1] - a[1]) * (e[0] - d[0])) / cross
        x, y = a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])
        parts[0, 0], parts[0, 1] = b, d
        parts[1, 0], parts[1, 1] = e, a
        parts[:, 2:, 0], parts[:, 2:, 1] = x, y
        return 2
    for r in range(4):  # one corner points inward: cut from there to the opposite one
        if (turns[r] > 0) == (left == 1):
            parts[0, 0], parts[0, 1], parts[0, 2] = p[r], p[(r + 1) % 4], p[(r + 2) % 4]
            parts[1, 0], parts[1, 1], parts[1, 2] = p[r], p[(r + 2) % 4], p[(r + 3) % 4]
            parts[0, 3], parts[1, 3] = parts[0, 2], parts[1, 2]
    return 2


@njit(cache=True, nogil=True)
def quad_aspects(points: Floats, offsets: Ints) -> Floats:
    """Width / height of quads from the means of opposite sides (K,); 1 for other polygons."""
    aspects = np.ones(len(offsets) - 1)
    side = np.empty(4)
    for k in range(len(aspects)):
        if offsets[k + 1] - offsets[k] != 4:
            continue
        for c in range(4):
            p, q = offsets[k] + c, offsets[k] + (c + 1) % 4
            dx, dy = points[q, 0] - points[p, 0], points[q, 1] - points[p, 1]
            side[c] = np.sqrt(dx * dx + dy * dy)
        aspects[k] = ((side[0] + side[2]) / 2 + 1e-5) / ((side[1] + side[3]) / 2 + 1e-5)
    return aspects


@njit(cache=True, nogil=True)
def pseudo_length(aspect: float) -> int:
    """min(round(0.5 + aspect), 10), halves to the even number."""
    return int(min(np.rint(0.5 + aspect), MAX_PSEUDO_LENGTH))


@njit(cache=True, nogil=True)
def word_lengths(aspects: Floats, care: Flags, read: Ints) -> Ints:
    """Characters of each word (K,): ``read`` where it is positive and the word counts, else from its aspect."""
    lengths = np.empty(len(aspects), dtype=np.int64)
    for k in range(len(aspects)):
        estimate = pseudo_length(max(aspects[k], 1 / aspects[k]))
        lengths[k] = read[k] if care[k] and read[k] > 0 else estimate
    return lengths


@njit(cache=True, nogil=True)
def stand_ins(aspects: Floats) -> Ints:
    """Characters that each region counts for if it is a false positive (D,).

    As in the official program: of a wide region 1 / aspect is below 1, it is not the long side over the short one.
    """
    lengths = np.empty(len(aspects), dtype=np.int64)
    for j in range(len(aspects)):
        lengths[j] = pseudo_length(1 / (1e-5 + aspects[j]))
    return lengths


@njit(cache=True, nogil=True)
def quad_centres(points: Floats, offsets: Ints, aspects: Floats, lengths: Ints) -> Floats:
    """Centres (C, 2) of the characters of all words, word after word; zeros for words that are no quads."""
    centres = np.zeros((lengths.sum(), 2))
    start = 0
    for k in range(len(lengths)):
        n = lengths[k]
        if offsets[k + 1] - offsets[k] == 4:
            p = points[offsets[k] : offsets[k + 1]]
            turn = 0 if aspects[k] >= UPRIGHT_ASPECT else 3  # a tall quad is read from its bottom to its top
            for axis in range(2):
                first = (p[turn, axis] + p[(turn + 3) % 4, axis]) / 2
                step = ((p[(turn + 1) % 4, axis] + p[(turn + 2) % 4, axis]) / 2 - first) / n
                for i in range(n):
                    centres[start + i, axis] = first + step / 2 + step * i
        start += n
    return centres


@njit(cache=True, nogil=True)
def reaches(bounds: Floats, centres: Floats, lengths: Ints) -> Floats:
    """Bounds of each word and its character centres together (K, 4)."""
    reach = bounds.copy()
    start = 0
    for k in range(len(lengths)):
        for c in range(start, start + lengths[k]):
            x, y = centres[c, 0], centres[c, 1]
            reach[k, 0], reach[k, 1] = min(reach[k, 0], x), min(reach[k, 1], y)
            reach[k, 2], reach[k, 3] = max(reach[k, 2], x), max(reach[k, 3], y)
        start += lengths[k]
    return reach


@njit(cache=True, nogil=True)
def find_pairs(
    reach: Floats, a: Floats, a_count: Ints, a_bounds: Floats, b: Floats, b_count: Ints, b_bounds: Floats
) -> tuple[Ints, Ints, Floats]:
    """``first`` (K + 1,), ``region`` (N,) and the area of each overlap (N,), or ``EXOTIC``."""
    first = np.zeros(len(a) + 1, dtype=np.int64)
    region, area = np.empty(64, dtype=np.int64), np.empty(64)
    work = np.empty((2, 32, 2))  # a convex quad grows by one corner a cut; rounding can at worst double that
    n = 0
    for i in range(len(a)):
        x0, y0, x1, y1 = reach[i]
        for j in range(len(b)):
            if x0 > b_bounds[j, 2] or b_bounds[j, 0] > x1 or y0 > b_bounds[j, 3] or b_bounds[j, 1] > y1:
                continue
            if n == len(region):
                region, area = np.append(region, np.empty_like(region)), np.append(area, np.empty_like(area))
            region[n], area[n] = j, 0.0
            if (
                a_bounds[i, 0] < b_bounds[j, 2]
                and b_bounds[j, 0] < a_bounds[i, 2]
                and a_bounds[i, 1] < b_bounds[j, 3]
                and b_bounds[j, 1] < a_bounds[i, 3]
            ):
                if a_count[i] == 0 or b_count[j] == 0:
                    area[n] = EXOTIC
                for k in range(a_count[i] * b_count[j]):
                    area[n] += clipped_area(a[i, k % a_count[i]], b[j, k // a_count[i]], work)
            n += 1
        first[i + 1] = n
    return first, region[:n], area[:n]


@njit(cache=True, nogil=True)
def part_areas(parts: Floats, count: Ints) -> Floats:
    """Area of each shape (K,) from its convex parts; 0 without any."""
    areas = np.zeros(len(parts))
    for k in range(len(parts)):
        for n in range(count[k]):
            p = parts[k, n]
            twice = (p[2, 0] - p[0, 0]) * (p[3, 1] - p[1, 1]) - (p[2, 1] - p[0, 1]) * (p[3, 0] - p[1, 0])
            areas[k] += abs(twice) / 2
    return areas


@njit(cache=True, nogil=True)
def clipped_area(subject: Floats, clip: Floats, work: Floats) -> float:
    """Area of a convex quad (4, 2) inside another, by Sutherland and Hodgman (1974); ``work`` is scratch."""
    x, y = clip[0]  # all relative to this corner: differences of large coordinates are exact
    twice = 0.0
    for k in range(4):
        ax, ay, bx, by = clip[k, 0] - x, clip[k, 1] - y, clip[(k + 1) % 4, 0] - x, clip[(k + 1) % 4, 1] - y
        twice += ax * by - ay * bx
        work[0, k, 0], work[0, k, 1] = subject[k, 0] - x, subject[k, 1] - y
    if twice == 0:
        return 0.0
    n, src = 4, 0
    for k in range(4):
        ax, ay = clip[k, 0] - x, clip[k, 1] - y
        ex, ey = clip[(k + 1) % 4, 0] - x - ax, clip[(k + 1) % 4, 1] - y - ay
        dst, m = 1 - src, 0
        px, py = work[src, n - 1]
        before = (ex * (py - ay) - ey * (px - ax)) * twice
        for i in range(n):
            qx, qy = work[src, i]
            now = (ex * (qy - ay) - ey * (qx - ax)) * twice
            if (now >= 0) != (before >= 0):
                t = before / (before - now)
                work[dst, m, 0], work[dst, m, 1] = px + t * (qx - px), py + t * (qy - py)
                m += 1
            if now >= 0:
                work[dst, m, 0], work[dst, m, 1] = qx, qy
                m += 1
            px, py, before = qx, qy, now
        n, src = m, dst
        if n < 3:
            return 0.0
    doubled = 0.0
    for i in range(n):
        j = (i + 1) % n
        doubled += work[src, i, 0] * work[src, j, 1] - work[src, i, 1] * work[src, j, 0]
    return abs(doubled) / 2


@njit(cache=True, nogil=True)
def inclusion(centres: Floats, lengths: Ints, first: Ints, region: Ints, corners: Floats, bounds: Floats) -> Flags:
    """Whether each centre of the word lies in the region, pair after pair.

    By the crossing-number test on quads: left and top edges belong to the quad.
    """
    pairs = first[1:] - first[:-1]
    inside = np.zeros((pairs * lengths).sum(), dtype=np.bool_)
    start, at = 0, 0
    for k in range(len(lengths)):
        for n in range(first[k], first[k + 1]):
            corner, b = corners[region[n]], bounds[region[n]]
            for c in range(start, start + lengths[k]):
                x, y = centres[c, 0], centres[c, 1]
                if b[0] <= x <= b[2] and b[1] <= y <= b[3]:
                    odd = False
                    for i in range(4):
                        px, py = corner[i]
                        qx, qy = corner[i - 1]
                        if (py <= y) != (qy <= y) and x < (qx - px) * (y - py) / (qy - py) + px:
                            odd = not odd
                    inside[at] = odd
                at += 1
        start += lengths[k]
    return inside


@njit(cache=True, nogil=True)
def attribute(  # noqa: C901, PLR0912 - one pass after another over the pairs
    first: Ints, region: Ints, share: NDArray[np.float32], inside: Flags, lengths: Ints, care: Flags, stands_for: Ints,
    keep: Flags, of_words: Ints, of_regions: Ints,
) -> None:  # fmt: skip
    """What CLEval counts of each word and each kept region, into zeros.

    Args:
        first: see the module (K + 1,).
        region: of each pair (N,).
        share: of the region's area that lies in the word (N,); single precision as in the official program, where it
            decides ties at 0.3.
        inside: see ``inclusion``.
        lengths: characters of each word (K,).
        care: words that count (K,).
        stands_for: see ``stand_ins`` (D,).
        keep: regions that are there (D,).
        of_words: written to (K, 4): characters, those found, finds of them, regions that find them.
        of_regions: written to (D, 3): finds, words found, characters that it stands for if it finds none.
    """
    least = np.float32(AREA_PRECISION)
    words, regions = len(lengths), len(stands_for)
    hits = np.zeros(len(region), dtype=np.int64)
    held_of_word, held_of_region = np.zeros(words, dtype=np.int64), np.zeros(regions, dtype=np.int64)
    lost, ignored = np.zeros(regions, dtype=np.bool_), np.zeros(regions, dtype=np.float32)
    at = 0
    for k in range(words):
        for n in range(first[k], first[k + 1]):
            j = region[n]
            for c in range(at, at + lengths[k]):
                hits[n] += inside[c]
            at += lengths[k]
            if not keep[j]:
                hits[n] = 0
                continue
            if hits[n] > 0 and share[n] >= least:
                held_of_word[k] += 1
                held_of_region[j] += 1
            if not care[k]:
                lost[j] |= share[n] >= least
                if hits[n] > 0:
                    ignored[j] += share[n]
    for j in range(regions):
        lost[j] |= ignored[j] >= least

    parts, pieces, covered = np.zeros(words, dtype=np.int64), np.zeros(regions, dtype=np.int64), np.zeros(regions)
    for k in range(words):
        for n in range(first[k], first[k + 1]):
            j = region[n]
            if care[k] and hits[n] > 0 and not lost[j]:
                parts[k] += share[n] >= least
                pieces[j] += 1
                covered[j] += share[n]  # double precision here, single above: as in the program

    found = np.zeros(lengths.max() if words else 0, dtype=np.bool_)
    at = 0
    for k in range(words):
        found[:] = False
        for n in range(first[k], first[k + 1]):
            j = region[n]
            if care[k] and hits[n] > 0 and not lost[j]:
                one_to_one = held_of_word[k] == 1 and held_of_region[j] == 1
                one_to_many = parts[k] > 1
                many_to_one = pieces[j] > 1 and covered[j] >= AREA_PRECISION
                if (share[n] >= least and (one_to_one or one_to_many)) or many_to_one:
                    of_words[k, 2] += hits[n]
                    of_words[k, 3] += 1
                    of_regions[j, 0] += hits[n]
                    of_regions[j, 1] += 1
                    for c in range(lengths[k]):
                        found[c] |= inside[at + c]
            at += lengths[k]
        if of_words[k, 3]:
            of_words[k, 1] = found.sum()
        if care[k]:
            of_words[k, 0] = lengths[k]
    for j in range(regions):
        if keep[j] and not lost[j] and of_regions[j, 1] == 0:
            of_regions[j, 2] = stands_for[j]


@njit(cache=True, nogil=True)
def tally(
    first: Ints, region: Ints, share: NDArray[np.float32], inside: Flags, lengths: Ints, care: Flags, stands_for: Ints,
    keep: Flags, counts: Ints,
) -> None:  # fmt: skip
    """Sums of what ``attribute`` finds into ``counts`` (8,), in the order of ``cleval.Counts``."""
    of_words = np.zeros((len(lengths), 4), dtype=np.int64)
    of_regions = np.zeros((len(stands_for), 3), dtype=np.int64)
    attribute(first, region, share, inside, lengths, care, stands_for, keep, of_words, of_regions)
    for k in range(len(lengths)):
        counts[0] += of_words[k, 0]
        counts[1] += of_words[k, 1]
        counts[2] += of_words[k, 2] - of_words[k, 1]
        counts[4] += max(of_words[k, 3] - 1, 0)
        counts[6] += of_words[k, 3] > 1
    for j in range(len(stands_for)):
        counts[3] += of_regions[j, 2]
        counts[5] += max(of_regions[j, 1] - 1, 0)
        counts[7] += of_regions[j, 1] > 1


@njit(cache=True, nogil=True)
def shares(region: Ints, area: Floats, whole: Floats) -> NDArray[np.float32]:
    """Overlap over the region's own area (N,), 0 where it has none."""
    out = np.zeros(len(region), dtype=np.float32)
    for n in range(len(region)):
        if whole[region[n]] > 0:
            out[n] = area[n] / whole[region[n]]
    return out


@njit(cache=True, nogil=True)
def has_ignored_words_inside(first: Ints, area: Floats, bounds: Floats, care: Flags) -> bool:
    """Whether a don't-care region with a region in it also meets a word that counts, whose area it then loses."""
    for k in range(len(care)):
        if care[k] or not (area[first[k] : first[k + 1]] > 0).any():
            continue
        for i in range(len(care)):
            if (
                care[i]
                and bounds[i, 0] < bounds[k, 2]
                and bounds[i, 2] > bounds[k, 0]
                and bounds[i, 1] < bounds[k, 3]
                and bounds[i, 3] > bounds[k, 1]
            ):
                return True
    return False


@njit(cache=True, nogil=True)
def count_pages(
    gt_points: Floats, gt_offsets: Ints, gt_starts: Ints, care: Flags, read: Ints,
    det_points: Floats, det_offsets: Ints, det_starts: Ints, keep: Flags, counts: Ints,
) -> Flags:  # fmt: skip
    """CLEval of N pages of quads, whose polygons lie behind one another, into ``counts`` (N, T, 8).

    Args:
        gt_points: of all words.
        gt_offsets: of each word's points.
        gt_starts: of each page's words (N + 1,).
        care: words that count.
        read: characters of each word, 0 to estimate it from the aspect.
        det_points: of all regions.
        det_offsets: of each region's points.
        det_starts: of each page's regions (N + 1,).
        keep: for each of T selections, the regions that are there (T, regions of all pages).
        counts: written to.

    Returns:
        Pages that need shapely (N,); theirs are not counted.
    """
    exotic = np.zeros(len(gt_starts) - 1, dtype=np.bool_)
    for page in range(len(exotic)):
        g0, g1, d0, d1 = gt_starts[page], gt_starts[page + 1], det_starts[page], det_starts[page + 1]
        words, found = gt_offsets[g0 : g1 + 1], det_offsets[d0 : d1 + 1]
        if ((words[1:] - words[:-1]) != 4).any() or ((found[1:] - found[:-1]) != 4).any():
            exotic[page] = True
            continue
        _, gt_bounds, gt, gt_count, _ = measure(gt_points, words, True)
        corners, det_bounds, det, det_count, det_areas = measure(det_points, found, True)
        aspects = quad_aspects(gt_points, words)
        lengths = word_lengths(aspects, care[g0:g1], read[g0:g1])
        centres = quad_centres(gt_points, words, aspects, lengths)
        reach = reaches(gt_bounds, centres, lengths)
        first, region, area = find_pairs(reach, gt, gt_count, gt_bounds, det, det_count, det_bounds)
        if (area == EXOTIC).any() or has_ignored_words_inside(first, area, gt_bounds, care[g0:g1]):
            exotic[page] = True
            continue
        share = shares(region, area, det_areas)
        inside = inclusion(centres, lengths, first, region, corners, det_bounds)
        stands_for = stand_ins(quad_aspects(det_points, found))
        for t in range(len(keep)):
            now = keep[t, d0:d1]
            if t and (now == keep[t - 1, d0:d1]).all():  # nothing of this page has changed
                counts[page, t] = counts[page, t - 1]
            else:
                tally(first, region, share, inside, lengths, care[g0:g1], stands_for, now, counts[page, t])
    return exotic


@njit(cache=True, nogil=True)
def pair_up(
    first: Ints, region: Ints, iou: Floats, care: Flags, det_care: Flags, thresholds: Floats, counts: Ints
) -> None:
    """Greedy pairs, word by word, at each threshold, into ``counts`` (thresholds, 3): pairs, words, regions."""
    for t in range(len(thresholds)):
        free = det_care.copy()
        counts[t, 1], counts[t, 2] = care.sum(), det_care.sum()
        for k in range(len(care)):
            if not care[k]:
                continue
            for n in range(first[k], first[k + 1]):
                if free[region[n]] and iou[n] >= thresholds[t]:
                    free[region[n]] = False
                    counts[t, 0] += 1
                    break


@njit(cache=True, nogil=True)
def ious(first: Ints, region: Ints, area: Floats, gt_areas: Floats, det_areas: Floats) -> Floats:
    """Intersection over union of each pair (N,), 0 where there is no union."""
    out = np.zeros(len(region))
    for k in range(len(gt_areas)):
        for n in range(first[k], first[k + 1]):
            union = gt_areas[k] + det_areas[region[n]] - area[n]
            if union > 0:
                out[n] = area[n] / union
    return out


@njit(cache=True, nogil=True)
def counted_regions(first: Ints, region: Ints, area: Floats, det_areas: Floats, care: Flags) -> Flags:
    """Regions (D,) that do not lie in one ignored word by more than half."""
    det_care = np.ones(len(det_areas), dtype=np.bool_)
    for k in range(len(care)):
        if not care[k]:
            for n in range(first[k], first[k + 1]):
                if area[n] > IGNORED_SHARE * det_areas[region[n]]:
                    det_care[region[n]] = False
    return det_care


@njit(cache=True, nogil=True)
def match_pages(
    gt_points: Floats, gt_offsets: Ints, gt_starts: Ints, care: Flags,
    det_points: Floats, det_offsets: Ints, det_starts: Ints, keep: Flags, thresholds: Floats, counts: Ints,
) -> Flags:  # fmt: skip
    """IoU pairs of N pages of quads into ``counts`` (N, T, thresholds, 3); arguments as ``count_pages``."""
    exotic = np.zeros(len(gt_starts) - 1, dtype=np.bool_)
    for page in range(len(exotic)):
        g0, g1, d0, d1 = gt_starts[page], gt_starts[page + 1], det_starts[page], det_starts[page + 1]
        _, gt_bounds, gt, gt_count, _ = measure(gt_points, gt_offsets[g0 : g1 + 1], False)
        _, det_bounds, det, det_count, _ = measure(det_points, det_offsets[d0 : d1 + 1], False)
        if (gt_count == 0).any() or (det_count == 0).any():
            exotic[page] = True
            continue
        gt_areas, det_areas = part_areas(gt, gt_count), part_areas(det, det_count)
        first, region, area = find_pairs(gt_bounds, gt, gt_count, gt_bounds, det, det_count, det_bounds)
        iou = ious(first, region, area, gt_areas, det_areas)
        det_care = counted_regions(first, region, area, det_areas, care[g0:g1])
        for t in range(len(keep)):
            now = keep[t, d0:d1]
            if t and (now == keep[t - 1, d0:d1]).all():
                counts[page, t] = counts[page, t - 1]
            else:
                pair_up(first, region, iou, care[g0:g1], det_care & now, thresholds, counts[page, t])
    return exotic
