"""Words and regions for tests of the score."""

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
