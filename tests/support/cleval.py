"""Words and regions for tests of the score."""

from itertools import pairwise

import numpy as np

from hmean.types import Detections, Page, Polygons

SIZE = 120


def page_of(polygons, texts=None, ignore=None, size=SIZE):
    return Page("page", size, size, Polygons.of(polygons), texts=tuple(texts or ()), ignore=ignore)


def detections_of(polygons):
    return Detections(Polygons.of(polygons), np.ones(len(polygons), dtype=np.float32))


def rect(x, y, w, h):
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=np.float64)


def rotated(rng, size=SIZE):
    w, h = rng.uniform(4, 50), rng.uniform(4, 20)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.normal(0, 0.1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (rect(-w / 2, -h / 2, w, h) @ turn) + rng.uniform(0, size, 2)


def texts_for(rng, count):
    return ["x" * int(n) for n in rng.integers(1, 12, count)]


def jittered(polygons, rng):
    return [p + rng.normal(0, 0.12 * np.ptp(p[:, 1]) + 1, p.shape) for p in polygons]


def split(polygons, rng):
    out = []
    for p in polygons:
        cuts = np.concatenate([[0.0], np.sort(rng.uniform(0, 1, rng.integers(0, 3))), [1.0]])
        for s, t in pairwise(cuts):
            top, bottom = p[1] - p[0], p[2] - p[3]
            out.append(np.array([p[0] + s * top, p[0] + t * top, p[3] + t * bottom, p[3] + s * bottom]))
    return out


def merged(polygons, rng):
    out, todo = [], list(polygons)
    while todo:
        group = np.concatenate([todo.pop(0) for _ in range(min(len(todo), int(rng.integers(1, 4))))])
        (x0, y0), (x1, y1) = group.min(axis=0), group.max(axis=0)
        out.append(rect(x0, y0, x1 - x0, y1 - y0))
    return out


def dropped_and_false(polygons, rng):
    kept = [p for p in polygons if rng.random() < 0.7]
    far = np.concatenate(list(polygons)).max(axis=0)
    return kept + [rect(*rng.uniform(0, far), *rng.uniform(3, 150, 2)) for _ in range(12)]


KINDS = [jittered, split, merged, dropped_and_false]


def ribbon(rng, points):
    """A bent word: its upper outline left to right, then its lower one back."""
    x = np.linspace(0, rng.uniform(20, 60), points)
    y = rng.uniform(-8, 8) * np.sin(x / 20) + rng.normal(0, 1, points)
    height = rng.uniform(5, 15)
    outline = np.concatenate([np.stack([x, y], 1), np.stack([x, y + height], 1)[::-1]])
    return outline + rng.uniform(0, SIZE - 40, 2)
