"""The compiled part of both scores: overlaps of words and detections, CLEval's tally, IoU's pairs.

Everything works on quads, as one convex part or two, and says where it cannot (another polygon, an ignored word that
overlaps a word that counts): ``cleval`` and ``iou`` then put in what shapely says. All kernels stand in this one file,
since numba's cache of a function does not notice that one it calls, from another file, has changed.

Legend of shapes: K words, D detections, N pairs, C character centres of all words, T selections of detections.

The pairs of a page are the words and detections whose bounds meet, word by word: pairs ``first[k]`` to ``first[k + 1]``
are those of word k, in the order of their detections, and ``detection[n]`` is the detection of pair n. Everything that
depends on which detections are kept is a pass over the pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Shares = NDArray[np.float32]  # single precision as in the official program, where it decides ties at the threshold

AREA_PRECISION = 0.3  # smallest share of a detection that its words must cover
UPRIGHT_ASPECT = 0.5  # a quad narrower than this (width / height) is read along its height
MAX_PSEUDO_LENGTH = 10
IGNORED_SHARE = 0.5  # IoU: a detection covered by an ignored word by more than this is ignored too
NOT_A_QUAD = -1.0  # in place of an area that shapely must find

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

# --- polygons -------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def measure(points: Floats, offsets: Ints, whole: bool) -> tuple[Floats, Floats, Floats, Ints, Floats]:
    """Measure K polygons.

    Args:
        points: of all polygons (P, 2).
        offsets: of the first point of each polygon (K + 1,).
        whole: cut the coordinates of quads to whole pixels first.

    Returns:
        Corners (K, 4, 2), bounds x0, y0, x1, y1 (K, 4), convex parts (K, 2, 4, 2), their number (K,) and the shoelace
        area (K,). Of a polygon that is no quad, corners and area are 0 and there are no parts.
    """
    polygons = len(offsets) - 1
    corners = np.zeros((polygons, 4, 2))
    bounds = np.empty((polygons, 4))
    parts = np.zeros((polygons, 2, 4, 2))
    part_count = np.zeros(polygons, dtype=np.int64)
    shoelace = np.zeros(polygons)
    for k in range(polygons):
        start = offsets[k]
        end = offsets[k + 1]
        is_quad = end - start == 4
        x0 = np.inf
        y0 = np.inf
        x1 = -np.inf
        y1 = -np.inf
        for i in range(start, end):
            x = points[i, 0]
            y = points[i, 1]
            if is_quad:
                if whole:
                    x = np.trunc(x)
                    y = np.trunc(y)
                corners[k, i - start, 0] = x
                corners[k, i - start, 1] = y
            x0 = min(x0, x)
            y0 = min(y0, y)
            x1 = max(x1, x)
            y1 = max(y1, y)
        bounds[k, 0] = x0
        bounds[k, 1] = y0
        bounds[k, 2] = x1
        bounds[k, 3] = y1
        if is_quad:
            part_count[k] = _convex_parts(corners[k], parts[k])
            shoelace[k] = abs(_doubled_quad_area(corners[k])) / 2
    return corners, bounds, parts, part_count, shoelace


@njit(cache=True, nogil=True)
def _doubled_quad_area(quad: Floats) -> float:
    """Twice the signed area of a quad (4, 2): the cross product of its diagonals."""
    ax = quad[2, 0] - quad[0, 0]
    ay = quad[2, 1] - quad[0, 1]
    bx = quad[3, 0] - quad[1, 0]
    by = quad[3, 1] - quad[1, 1]
    doubled: float = ax * by - ay * bx
    return doubled


@njit(cache=True, nogil=True)
def _convex_parts(quad: Floats, parts: Floats) -> int:
    """Write the convex parts of a quad (4, 2) under the even-odd rule into ``parts``; returns their number, 1 or 2."""
    turns = _turns(quad)
    if turns.min() >= 0 or turns.max() <= 0:  # four turns of one sign cannot wind twice
        parts[0] = quad
        return 1
    for c in range(4):
        if turns[c] == 0:  # there and back on a line: what is left has an area only without this corner
            _put_triangle(parts[0], quad[(c + 1) % 4], quad[(c + 2) % 4], quad[(c + 3) % 4])
            return 1
    left_turns = (turns > 0).sum()
    if left_turns == 2:
        _split_crossed(quad, turns, parts)
        return 2
    for r in range(4):  # one corner points inward: cut from there to the opposite one
        if (turns[r] > 0) == (left_turns == 1):
            _put_triangle(parts[0], quad[r], quad[(r + 1) % 4], quad[(r + 2) % 4])
            _put_triangle(parts[1], quad[r], quad[(r + 2) % 4], quad[(r + 3) % 4])
    return 2


@njit(cache=True, nogil=True)
def _turns(quad: Floats) -> Floats:
    """Cross product of the two edges at each corner (4,): its sign says which way the outline turns there."""
    turns = np.empty(4)
    for c in range(4):
        d = (c + 1) % 4
        e = (c + 2) % 4
        before_x = quad[d, 0] - quad[c, 0]
        before_y = quad[d, 1] - quad[c, 1]
        after_x = quad[e, 0] - quad[d, 0]
        after_y = quad[e, 1] - quad[d, 1]
        turns[d] = before_x * after_y - before_y * after_x
    return turns


@njit(cache=True, nogil=True)
def _put_triangle(part: Floats, a: Floats, b: Floats, c: Floats) -> None:
    """Write a triangle into a part of four corners, its last one twice."""
    part[0] = a
    part[1] = b
    part[2] = c
    part[3] = c


@njit(cache=True, nogil=True)
def _split_crossed(quad: Floats, turns: Floats, parts: Floats) -> None:
    """Write the two lobes of a crossed quad: triangles that meet where two opposite edges cross."""
    start = 0
    if (turns[1] > 0) != (turns[2] > 0):
        start = 1
    a = quad[start]
    b = quad[start + 1]
    d = quad[start + 2]
    e = quad[(start + 3) % 4]
    # Corners b and d turn alike, e and a the other way: the edges between those pairs cross, b to a and d to e.
    first = b - a
    second = e - d
    between = d - a
    cross = first[0] * second[1] - first[1] * second[0]
    t = (between[0] * second[1] - between[1] * second[0]) / cross
    meeting = a + t * first
    _put_triangle(parts[0], b, d, meeting)
    _put_triangle(parts[1], e, a, meeting)


@njit(cache=True, nogil=True)
def part_areas(parts: Floats, part_count: Ints) -> Floats:
    """Area of each shape (K,) from its convex parts (K, 2, 4, 2); 0 without any."""
    areas = np.zeros(len(parts))
    for k in range(len(parts)):
        for n in range(part_count[k]):
            areas[k] += abs(_doubled_quad_area(parts[k, n])) / 2
    return areas


@njit(cache=True, nogil=True)
def clipped_area(subject: Floats, clip: Floats, work: Floats) -> float:
    """Area of a convex quad (4, 2) inside another, by Sutherland and Hodgman (1974).

    Args:
        subject: corners that are clipped.
        clip: corners of the other quad.
        work: scratch (2, 32, 2): the outline before and after a cut, in turns.
    """
    x = clip[0, 0]  # all is relative to this corner: differences of large coordinates are exact
    y = clip[0, 1]
    doubled_clip = 0.0
    for k in range(4):
        ax = clip[k, 0] - x
        ay = clip[k, 1] - y
        bx = clip[(k + 1) % 4, 0] - x
        by = clip[(k + 1) % 4, 1] - y
        doubled_clip += ax * by - ay * bx
        work[0, k, 0] = subject[k, 0] - x
        work[0, k, 1] = subject[k, 1] - y
    if doubled_clip == 0:
        return 0.0
    corners = 4
    source = 0
    for k in range(4):
        ax = clip[k, 0] - x
        ay = clip[k, 1] - y
        edge_x = clip[(k + 1) % 4, 0] - x - ax
        edge_y = clip[(k + 1) % 4, 1] - y - ay
        target = 1 - source
        kept = 0
        px = work[source, corners - 1, 0]
        py = work[source, corners - 1, 1]
        p_side = (edge_x * (py - ay) - edge_y * (px - ax)) * doubled_clip  # not negative: inside of this edge
        for i in range(corners):
            qx = work[source, i, 0]
            qy = work[source, i, 1]
            q_side = (edge_x * (qy - ay) - edge_y * (qx - ax)) * doubled_clip
            if (q_side >= 0) != (p_side >= 0):
                t = p_side / (p_side - q_side)
                work[target, kept, 0] = px + t * (qx - px)
                work[target, kept, 1] = py + t * (qy - py)
                kept += 1
            if q_side >= 0:
                work[target, kept, 0] = qx
                work[target, kept, 1] = qy
                kept += 1
            px = qx
            py = qy
            p_side = q_side
        corners = kept
        source = target
        if corners < 3:
            return 0.0
    doubled = 0.0
    for i in range(corners):
        j = (i + 1) % corners
        doubled += work[source, i, 0] * work[source, j, 1] - work[source, i, 1] * work[source, j, 0]
    return abs(doubled) / 2


# --- pairs ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def find_pairs(
    reach: Floats,
    words: Floats,
    word_parts: Ints,
    word_bounds: Floats,
    detections: Floats,
    detection_parts: Ints,
    detection_bounds: Floats,
) -> tuple[Ints, Ints, Floats]:
    """Find the pairs of words and detections whose bounds meet.

    Args:
        reach: bounds of each word by which pairs are found (K, 4).
        words: convex parts of each word (K, 2, 4, 2).
        word_parts: number of parts (K,).
        word_bounds: bounds of each word (K, 4).
        detections: convex parts of each detection (D, 2, 4, 2).
        detection_parts: number of parts (D,).
        detection_bounds: bounds of each detection (D, 4).

    Returns:
        ``first`` (K + 1,), ``detection`` (N,) and the area of each overlap (N,), or ``NOT_A_QUAD``.
    """
    first = np.zeros(len(words) + 1, dtype=np.int64)
    detection = np.empty(64, dtype=np.int64)
    area = np.empty(64)
    work = np.empty((2, 32, 2))  # a convex quad grows by one corner a cut; rounding can at worst double that
    n = 0
    for k in range(len(words)):
        for j in range(len(detections)):
            if not _touch(reach, k, detection_bounds, j):
                continue
            if n == len(detection):
                detection = np.append(detection, np.empty_like(detection))
                area = np.append(area, np.empty_like(area))
            detection[n] = j
            area[n] = 0.0
            if _overlap(word_bounds, k, detection_bounds, j):
                if word_parts[k] == 0 or detection_parts[j] == 0:
                    area[n] = NOT_A_QUAD
                for part in range(word_parts[k] * detection_parts[j]):
                    a = part % word_parts[k]
                    b = part // word_parts[k]
                    area[n] += clipped_area(words[k, a], detections[j, b], work)
            n += 1
        first[k + 1] = n
    return first, detection[:n], area[:n]


@njit(cache=True, nogil=True)
def _touch(a: Floats, i: int, b: Floats, j: int) -> bool:
    """Whether bounds i of ``a`` (K, 4) and j of ``b`` (D, 4) have a point in common."""
    beside = a[i, 0] > b[j, 2] or b[j, 0] > a[i, 2]
    above = a[i, 1] > b[j, 3] or b[j, 1] > a[i, 3]
    return not (beside or above)


@njit(cache=True, nogil=True)
def _overlap(a: Floats, i: int, b: Floats, j: int) -> bool:
    """Whether bounds i of ``a`` (K, 4) and j of ``b`` (D, 4) have an area in common."""
    along_x = a[i, 0] < b[j, 2] and b[j, 0] < a[i, 2]
    along_y = a[i, 1] < b[j, 3] and b[j, 1] < a[i, 3]
    return bool(along_x and along_y)


@njit(cache=True, nogil=True)
def shares(detection: Ints, area: Floats, whole: Floats) -> Shares:
    """Overlap over the detection's own area (N,), 0 where it has none.

    Args:
        detection: of each pair (N,).
        area: of each overlap (N,).
        whole: area of each detection (D,).
    """
    share = np.zeros(len(detection), dtype=np.float32)
    for n in range(len(detection)):
        if whole[detection[n]] > 0:
            share[n] = area[n] / whole[detection[n]]
    return share


# --- characters of words --------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def quad_aspects(points: Floats, offsets: Ints) -> Floats:
    """Width / height of quads from the means of opposite sides (K,); 1 for other polygons."""
    aspects = np.ones(len(offsets) - 1)
    side = np.empty(4)
    for k in range(len(aspects)):
        if offsets[k + 1] - offsets[k] != 4:
            continue
        for c in range(4):
            p = offsets[k] + c
            q = offsets[k] + (c + 1) % 4
            dx = points[q, 0] - points[p, 0]
            dy = points[q, 1] - points[p, 1]
            side[c] = np.sqrt(dx * dx + dy * dy)
        width = (side[0] + side[2]) / 2
        height = (side[1] + side[3]) / 2
        aspects[k] = (width + 1e-5) / (height + 1e-5)
    return aspects


@njit(cache=True, nogil=True)
def pseudo_length(aspect: float) -> int:
    """min(round(0.5 + aspect), 10), halves to the even number."""
    return int(min(np.rint(0.5 + aspect), MAX_PSEUDO_LENGTH))


@njit(cache=True, nogil=True)
def word_lengths(aspects: Floats, care: Flags, text_lengths: Ints) -> Ints:
    """Characters of each word (K,).

    Args:
        aspects: width / height of each word (K,).
        care: words that count (K,).
        text_lengths: characters of each word's text (K,); where it is 0, or the word does not count, the aspect says.
    """
    lengths = np.empty(len(aspects), dtype=np.int64)
    for k in range(len(aspects)):
        if care[k] and text_lengths[k] > 0:
            lengths[k] = text_lengths[k]
        else:
            lengths[k] = pseudo_length(max(aspects[k], 1 / aspects[k]))
    return lengths


@njit(cache=True, nogil=True)
def stand_ins(aspects: Floats) -> Ints:
    """Characters that each detection counts for if it is a false positive (D,).

    As in the official program: of a wide detection 1 / aspect is below 1, it is not the long side over the short one.
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
        if offsets[k + 1] - offsets[k] == 4:
            quad = points[offsets[k] : offsets[k + 1]]
            turn = 0
            if aspects[k] < UPRIGHT_ASPECT:  # a tall quad is read from its bottom to its top
                turn = 3
            for axis in range(2):
                first = (quad[turn, axis] + quad[(turn + 3) % 4, axis]) / 2
                last = (quad[(turn + 1) % 4, axis] + quad[(turn + 2) % 4, axis]) / 2
                step = (last - first) / lengths[k]
                for i in range(lengths[k]):
                    centres[start + i, axis] = first + step / 2 + step * i
        start += lengths[k]
    return centres


@njit(cache=True, nogil=True)
def reaches(bounds: Floats, centres: Floats, lengths: Ints) -> Floats:
    """Bounds of each word and its character centres together (K, 4)."""
    reach = bounds.copy()
    start = 0
    for k in range(len(lengths)):
        for c in range(start, start + lengths[k]):
            reach[k, 0] = min(reach[k, 0], centres[c, 0])
            reach[k, 1] = min(reach[k, 1], centres[c, 1])
            reach[k, 2] = max(reach[k, 2], centres[c, 0])
            reach[k, 3] = max(reach[k, 3], centres[c, 1])
        start += lengths[k]
    return reach


@njit(cache=True, nogil=True)
def inclusion(centres: Floats, lengths: Ints, first: Ints, detection: Ints, corners: Floats, bounds: Floats) -> Flags:
    """Whether each centre of the word lies in the detection, pair after pair; detections are quads.

    Args:
        centres: of all words' characters (C, 2).
        lengths: characters of each word (K,).
        first: see the module (K + 1,).
        detection: of each pair (N,).
        corners: of each detection (D, 4, 2).
        bounds: of each detection (D, 4).
    """
    pairs_of_word = first[1:] - first[:-1]
    inside = np.zeros((pairs_of_word * lengths).sum(), dtype=np.bool_)
    start = 0
    at = 0
    for k in range(len(lengths)):
        for n in range(first[k], first[k + 1]):
            quad = corners[detection[n]]
            b = bounds[detection[n]]
            for c in range(start, start + lengths[k]):
                x = centres[c, 0]
                y = centres[c, 1]
                if b[0] <= x <= b[2] and b[1] <= y <= b[3]:
                    inside[at] = _quad_contains(quad, x, y)
                at += 1
        start += lengths[k]
    return inside


@njit(cache=True, nogil=True)
def _quad_contains(quad: Floats, x: float, y: float) -> bool:
    """The crossing-number test on a quad (4, 2): left and top edges belong to it."""
    odd = False
    for i in range(4):
        px = quad[i, 0]
        py = quad[i, 1]
        qx = quad[i - 1, 0]
        qy = quad[i - 1, 1]
        if (py <= y) != (qy <= y) and x < (qx - px) * (y - py) / (qy - py) + px:
            odd = not odd
    return odd


# --- CLEval ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def attribute(
    first: Ints,
    detection: Ints,
    share: Shares,
    inside: Flags,
    lengths: Ints,
    care: Flags,
    stands_for: Ints,
    keep: Flags,
    of_words: Ints,
    of_detections: Ints,
) -> None:
    """What CLEval counts of each word and each kept detection, into zeros.

    Args:
        first: see the module (K + 1,).
        detection: of each pair (N,).
        share: of the detection's area that lies in the word (N,).
        inside: see ``inclusion``.
        lengths: characters of each word (K,).
        care: words that count (K,).
        stands_for: see ``stand_ins`` (D,).
        keep: detections that are there (D,).
        of_words: written to (K, 4), columns ``WORD_*``.
        of_detections: written to (D, 3), columns ``DETECTION_*``.
    """
    hits = _hits(first, detection, inside, lengths, keep)
    ignored = _ignored_detections(first, detection, share, hits, care, keep)
    matched = _matched_pairs(first, detection, share, hits, care, ignored, len(keep))
    longest = 0
    if len(lengths) > 0:
        longest = lengths.max()
    found = np.zeros(longest, dtype=np.bool_)
    at = 0
    for k in range(len(lengths)):
        found[:] = False
        for n in range(first[k], first[k + 1]):
            if matched[n]:
                j = detection[n]
                of_words[k, WORD_HITS] += hits[n]
                of_words[k, WORD_DETECTIONS] += 1
                of_detections[j, DETECTION_HITS] += hits[n]
                of_detections[j, DETECTION_WORDS] += 1
                for c in range(lengths[k]):
                    found[c] |= inside[at + c]
            at += lengths[k]
        if of_words[k, WORD_DETECTIONS] > 0:
            of_words[k, WORD_FOUND] = found.sum()
        if care[k]:
            of_words[k, WORD_CHARACTERS] = lengths[k]
    for j in range(len(keep)):
        if keep[j] and not ignored[j] and of_detections[j, DETECTION_WORDS] == 0:
            of_detections[j, DETECTION_FALSE] = stands_for[j]


@njit(cache=True, nogil=True)
def _hits(first: Ints, detection: Ints, inside: Flags, lengths: Ints, keep: Flags) -> Ints:
    """Characters of the word that lie in the detection (N,); 0 where the detection is not kept."""
    hits = np.zeros(len(detection), dtype=np.int64)
    at = 0
    for k in range(len(lengths)):
        for n in range(first[k], first[k + 1]):
            if keep[detection[n]]:
                for c in range(at, at + lengths[k]):
                    hits[n] += inside[c]
            at += lengths[k]
    return hits


@njit(cache=True, nogil=True)
def _ignored_detections(first: Ints, detection: Ints, share: Shares, hits: Ints, care: Flags, keep: Flags) -> Flags:
    """Detections (D,) that lie in ignored words: enough of them in one, or in several in which they find characters."""
    enough = np.float32(AREA_PRECISION)
    ignored = np.zeros(len(keep), dtype=np.bool_)
    covered = np.zeros(len(keep), dtype=np.float32)
    for k in range(len(care)):
        if care[k]:
            continue
        for n in range(first[k], first[k + 1]):
            j = detection[n]
            if keep[j]:
                ignored[j] |= share[n] >= enough
                if hits[n] > 0:
                    covered[j] += share[n]
    for j in range(len(keep)):
        ignored[j] |= covered[j] >= enough
    return ignored


@njit(cache=True, nogil=True)
def _matched_pairs(
    first: Ints, detection: Ints, share: Shares, hits: Ints, care: Flags, ignored: Flags, detections: int
) -> Flags:
    """Pairs (N,) that match: one to one, one word to several detections, or several words to one detection."""
    enough = np.float32(AREA_PRECISION)
    # Of all words, ignored ones too: whether word and detection have only each other.
    held_of_word = np.zeros(len(care), dtype=np.int64)
    held_of_detection = np.zeros(detections, dtype=np.int64)
    # Of the words that count and the detections that are not ignored:
    parts = np.zeros(len(care), dtype=np.int64)  # detections of the word
    pieces = np.zeros(detections, dtype=np.int64)  # words of the detection
    covered = np.zeros(detections)  # share of the detection; double precision here, as in the official program
    for k in range(len(care)):
        for n in range(first[k], first[k + 1]):
            j = detection[n]
            if hits[n] == 0:
                continue
            if share[n] >= enough:
                held_of_word[k] += 1
                held_of_detection[j] += 1
            if care[k] and not ignored[j]:
                parts[k] += share[n] >= enough
                pieces[j] += 1
                covered[j] += share[n]

    matched = np.zeros(len(detection), dtype=np.bool_)
    for k in range(len(care)):
        if not care[k]:
            continue
        for n in range(first[k], first[k + 1]):
            j = detection[n]
            if hits[n] == 0 or ignored[j]:
                continue
            one_to_one = held_of_word[k] == 1 and held_of_detection[j] == 1
            one_to_many = parts[k] > 1
            many_to_one = pieces[j] > 1 and covered[j] >= AREA_PRECISION
            matched[n] = (share[n] >= enough and (one_to_one or one_to_many)) or many_to_one
    return matched


@njit(cache=True, nogil=True)
def tally(
    first: Ints,
    detection: Ints,
    share: Shares,
    inside: Flags,
    lengths: Ints,
    care: Flags,
    stands_for: Ints,
    keep: Flags,
    counts: Ints,
) -> None:
    """Add what ``attribute`` finds to ``counts`` (8,), columns ``CLEVAL_*``."""
    of_words = np.zeros((len(lengths), WORD_COLUMNS), dtype=np.int64)
    of_detections = np.zeros((len(stands_for), DETECTION_COLUMNS), dtype=np.int64)
    attribute(first, detection, share, inside, lengths, care, stands_for, keep, of_words, of_detections)
    for k in range(len(lengths)):
        counts[CLEVAL_GT] += of_words[k, WORD_CHARACTERS]
        counts[CLEVAL_TP] += of_words[k, WORD_FOUND]
        counts[CLEVAL_OVERLAPPED] += of_words[k, WORD_HITS] - of_words[k, WORD_FOUND]
        counts[CLEVAL_RECALL_PENALTY] += max(of_words[k, WORD_DETECTIONS] - 1, 0)
        counts[CLEVAL_SPLIT] += of_words[k, WORD_DETECTIONS] > 1
    for j in range(len(stands_for)):
        counts[CLEVAL_FP] += of_detections[j, DETECTION_FALSE]
        counts[CLEVAL_PRECISION_PENALTY] += max(of_detections[j, DETECTION_WORDS] - 1, 0)
        counts[CLEVAL_MERGED] += of_detections[j, DETECTION_WORDS] > 1


@njit(cache=True, nogil=True)
def ignored_words_overlap(first: Ints, area: Floats, bounds: Floats, care: Flags) -> bool:
    """Whether an ignored word with a detection in it also meets a word that counts, whose area it then loses."""
    for k in range(len(care)):
        if care[k] or not (area[first[k] : first[k + 1]] > 0).any():
            continue
        for i in range(len(care)):
            if care[i] and _overlap(bounds, i, bounds, k):
                return True
    return False


@njit(cache=True, nogil=True)
def _all_quads(offsets: Ints) -> bool:
    return bool((offsets[1:] - offsets[:-1] == 4).all())


@njit(cache=True, nogil=True)
def count_pages(
    gt_points: Floats,
    gt_offsets: Ints,
    gt_starts: Ints,
    care: Flags,
    text_lengths: Ints,
    det_points: Floats,
    det_offsets: Ints,
    det_starts: Ints,
    keep: Flags,
    counts: Ints,
) -> Flags:
    """CLEval of many pages of quads, whose polygons lie behind one another.

    Args:
        gt_points: of all words.
        gt_offsets: of each word's points.
        gt_starts: of each page's words (pages + 1,).
        care: words that count.
        text_lengths: characters of each word's text, 0 to estimate them from the aspect.
        det_points: of all detections.
        det_offsets: of each detection's points.
        det_starts: of each page's detections (pages + 1,).
        keep: for each of T selections, the detections that are there (T, detections of all pages).
        counts: written to (pages, T, 8), columns ``CLEVAL_*``.

    Returns:
        Pages that need shapely (pages,); theirs are not counted.
    """
    needs_shapely = np.zeros(len(gt_starts) - 1, dtype=np.bool_)
    for page in range(len(needs_shapely)):
        g0 = gt_starts[page]
        g1 = gt_starts[page + 1]
        d0 = det_starts[page]
        d1 = det_starts[page + 1]
        words = gt_offsets[g0 : g1 + 1]
        detections = det_offsets[d0 : d1 + 1]
        if not (_all_quads(words) and _all_quads(detections)):
            needs_shapely[page] = True
            continue
        _, gt_bounds, gt_parts, gt_part_count, _ = measure(gt_points, words, True)
        det_corners, det_bounds, det_parts, det_part_count, det_areas = measure(det_points, detections, True)
        aspects = quad_aspects(gt_points, words)
        lengths = word_lengths(aspects, care[g0:g1], text_lengths[g0:g1])
        centres = quad_centres(gt_points, words, aspects, lengths)
        reach = reaches(gt_bounds, centres, lengths)
        first, detection, area = find_pairs(
            reach, gt_parts, gt_part_count, gt_bounds, det_parts, det_part_count, det_bounds
        )
        if (area == NOT_A_QUAD).any() or ignored_words_overlap(first, area, gt_bounds, care[g0:g1]):
            needs_shapely[page] = True
            continue
        share = shares(detection, area, det_areas)
        inside = inclusion(centres, lengths, first, detection, det_corners, det_bounds)
        stands_for = stand_ins(quad_aspects(det_points, detections))
        for t in range(len(keep)):
            kept = keep[t, d0:d1]
            if t > 0 and (kept == keep[t - 1, d0:d1]).all():  # nothing of this page has changed
                counts[page, t] = counts[page, t - 1]
            else:
                tally(first, detection, share, inside, lengths, care[g0:g1], stands_for, kept, counts[page, t])
    return needs_shapely


# --- IoU ------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def ious(first: Ints, detection: Ints, area: Floats, gt_areas: Floats, det_areas: Floats) -> Floats:
    """Intersection over union of each pair (N,), 0 where there is no union."""
    iou = np.zeros(len(detection))
    for k in range(len(gt_areas)):
        for n in range(first[k], first[k + 1]):
            union = gt_areas[k] + det_areas[detection[n]] - area[n]
            if union > 0:
                iou[n] = area[n] / union
    return iou


@njit(cache=True, nogil=True)
def counted_detections(first: Ints, detection: Ints, area: Floats, det_areas: Floats, care: Flags) -> Flags:
    """Detections (D,) that do not lie in one ignored word by more than half."""
    counted = np.ones(len(det_areas), dtype=np.bool_)
    for k in range(len(care)):
        if not care[k]:
            for n in range(first[k], first[k + 1]):
                if area[n] > IGNORED_SHARE * det_areas[detection[n]]:
                    counted[detection[n]] = False
    return counted


@njit(cache=True, nogil=True)
def pair_up(
    first: Ints, detection: Ints, iou: Floats, care: Flags, counted: Flags, thresholds: Floats, counts: Ints
) -> None:
    """Greedy pairs, word by word, at each threshold.

    Args:
        first: see the module (K + 1,).
        detection: of each pair (N,).
        iou: of each pair (N,).
        care: words that count (K,).
        counted: detections that count (D,).
        thresholds: smallest IoU of a match.
        counts: written to (thresholds, 3), columns ``MATCH_*``; the number of matches must be 0.
    """
    for t in range(len(thresholds)):
        free = counted.copy()
        counts[t, MATCH_GT] = care.sum()
        counts[t, MATCH_DET] = counted.sum()
        for k in range(len(care)):
            if not care[k]:
                continue
            for n in range(first[k], first[k + 1]):
                if free[detection[n]] and iou[n] >= thresholds[t]:
                    free[detection[n]] = False
                    counts[t, MATCH_TP] += 1
                    break


@njit(cache=True, nogil=True)
def match_pages(
    gt_points: Floats,
    gt_offsets: Ints,
    gt_starts: Ints,
    care: Flags,
    det_points: Floats,
    det_offsets: Ints,
    det_starts: Ints,
    keep: Flags,
    thresholds: Floats,
    counts: Ints,
) -> Flags:
    """IoU matches of many pages of quads into ``counts`` (pages, T, thresholds, 3); all else as ``count_pages``."""
    needs_shapely = np.zeros(len(gt_starts) - 1, dtype=np.bool_)
    for page in range(len(needs_shapely)):
        g0 = gt_starts[page]
        g1 = gt_starts[page + 1]
        d0 = det_starts[page]
        d1 = det_starts[page + 1]
        _, gt_bounds, gt_parts, gt_part_count, _ = measure(gt_points, gt_offsets[g0 : g1 + 1], False)
        _, det_bounds, det_parts, det_part_count, _ = measure(det_points, det_offsets[d0 : d1 + 1], False)
        if (gt_part_count == 0).any() or (det_part_count == 0).any():
            needs_shapely[page] = True
            continue
        gt_areas = part_areas(gt_parts, gt_part_count)
        det_areas = part_areas(det_parts, det_part_count)
        first, detection, area = find_pairs(
            gt_bounds, gt_parts, gt_part_count, gt_bounds, det_parts, det_part_count, det_bounds
        )
        iou = ious(first, detection, area, gt_areas, det_areas)
        counted = counted_detections(first, detection, area, det_areas, care[g0:g1])
        for t in range(len(keep)):
            kept = keep[t, d0:d1]
            if t > 0 and (kept == keep[t - 1, d0:d1]).all():
                counts[page, t] = counts[page, t - 1]
            else:
                pair_up(first, detection, iou, care[g0:g1], counted & kept, thresholds, counts[page, t])
    return needs_shapely
