"""CLEval detection counts in plain Python: the rules one by one, for comparison. Slow on purpose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import shapely
from shapely.geometry import Point, Polygon

from hmean.metrics.cleval import Counts


def distance(p, q):
    return math.sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2)


def middle(p, q):
    return ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)


@dataclass
class Quad:
    points: list

    def __post_init__(self):
        self.whole = [(int(x), int(y)) for x, y in self.points]
        self.region = shapely.make_valid(Polygon(self.whole)).buffer(0)
        a, b, c, d = self.points
        across, along = (distance(a, b) + distance(c, d)) / 2, (distance(b, c) + distance(d, a)) / 2
        self.aspect = (across + 1e-5) / (along + 1e-5)

    @property
    def area(self):
        return abs(sum(p[0] * q[1] - p[1] * q[0] for p, q in self.edges())) / 2

    def edges(self):
        return list(zip(self.whole, self.whole[1:] + self.whole[:1], strict=True))

    def contains(self, x, y):
        crossed = 0
        for p, q in self.edges():
            if min(p[1], q[1]) <= y < max(p[1], q[1]):
                crossed += x < (p[0] - q[0]) * (y - q[1]) / (p[1] - q[1]) + q[0]
        return crossed % 2 == 1

    def centres(self, length):
        a, b, c, d = self.points
        if self.aspect < 0.5:
            a, b, c, d = d, a, b, c
        start, end = middle(a, d), middle(b, c)
        step = [(e - s) / length for s, e in zip(start, end, strict=True)]
        return [[s + u / 2 + u * i for s, u in zip(start, step, strict=True)] for i in range(length)]


@dataclass
class Poly:
    points: list

    def __post_init__(self):
        if len(self.points) == 3:
            self.points = [*self.points, (self.points[0][0], self.points[2][1])]
        self.region = Polygon(self.points).buffer(0)
        _, (width, height), _ = cv2.minAreaRect(np.array(self.points, dtype=np.float32))
        self.aspect = min(10, (height + 1e-6) / (width + 1e-6)) + 1e-5

    @property
    def area(self):
        return self.region.area

    def contains(self, x, y):
        return self.region.contains(Point(x, y))

    def centres(self, length):
        half = len(self.points) // 2

        def line(points):
            out = []
            for (x, y), (u, v) in pairwise(points[:half]):
                out.append((x, y))
                out += [(int(x + (u - x) / length * i), int(y + (v - y) / length * i)) for i in range(1, length)]
            return [*out, points[-1]]

        top, bottom = line(self.points[:half]), line(self.points[half:][::-1])
        ends = [(i * (half - 1), (i + 1) * (half - 1)) for i in range(length)]
        return [[(top[i][a] + top[j][a] + bottom[i][a] + bottom[j][a]) / 4 for a in (0, 1)] for i, j in ends]


def shape(points):
    points = [tuple(map(float, p)) for p in points]
    return Quad(points) if len(points) == 4 else Poly(points)


def pseudo_length(aspect):
    return min(round(0.5 + aspect), 10)


def count_page(page, detections, characters):  # noqa: C901, PLR0912 - one rule after the other
    words, found = [shape(p) for p in page.polygons], [shape(p) for p in detections.polygons]
    gt_ids, det_ids = range(len(words)), range(len(found))
    care = {g for g in gt_ids if not page.ignored[g]}
    centres = []
    for g in gt_ids:
        text = page.texts[g] if characters == "transcription" and g in care else None
        centres.append(
            words[g].centres(len(text) if text else pseudo_length(max(words[g].aspect, 1 / words[g].aspect)))
        )

    share = np.zeros((len(words), len(found)), dtype=np.float32)
    for g in gt_ids:
        region = words[g].region
        if g not in care:
            for other in care:
                region = region.difference(words[other].region)
        for d in det_ids:
            if found[d].area > 0:
                share[g, d] = region.intersection(found[d].region).area / found[d].area
    hit = {(g, d): {i for i, c in enumerate(centres[g]) if found[d].contains(*c)} for g in gt_ids for d in det_ids}
    enough = np.float32(0.3)
    held = {(g, d) for g, d in hit if hit[g, d] and share[g, d] >= enough}

    valid = set(det_ids)
    for d in det_ids:
        ignored = [g for g in gt_ids if g not in care]
        total = sum((share[g, d] for g in ignored if hit[g, d]), np.float32(0))
        if any(share[g, d] >= enough for g in ignored) or total >= enough:
            valid.discard(d)

    match = set()
    for g in care:
        parts = [d for d in valid if (g, d) in held]
        if len(parts) > 1:
            match |= {(g, d) for d in parts}
        for d in parts:
            if sum((g, e) in held for e in det_ids) == 1 and sum((h, d) in held for h in gt_ids) == 1:
                match.add((g, d))
    for d in valid:
        parts = [g for g in care if hit[g, d]]
        if len(parts) > 1 and sum(float(share[g, d]) for g in parts) >= 0.3:
            match |= {(g, d) for g in parts}

    tp = len({(g, i) for g, d in match for i in hit[g, d]})
    per_word = [sum(h == g for h, _ in match) for g in gt_ids]
    per_region = [sum(e == d for _, e in match) for d in det_ids]
    return Counts(
        gt=sum(len(centres[g]) for g in care),
        tp=tp,
        overlapped=sum(len(hit[pair]) for pair in match) - tp,
        fp=sum(pseudo_length(1 / (1e-5 + found[d].aspect)) for d in valid if not per_region[d]),
        recall_penalty=sum(max(n - 1, 0) for n in per_word),
        precision_penalty=sum(max(n - 1, 0) for n in per_region),
        split=sum(n > 1 for n in per_word),
        merged=sum(n > 1 for n in per_region),
    )
