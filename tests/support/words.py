"""Random words for tests of the targets."""

from hmean.types import Polygons
from support import plane

RULE = {"shrink_ratio": 0.4, "min_side": 2.0}


def random_words(rng, count, width, height):
    """Rectangles at all angles, within the view, across its border and outside, and some random outlines."""
    words = [
        plane.rect_corners(
            *rng.uniform(-20, (width + 20, height + 20)), *rng.uniform(3, (90, 25)), rng.uniform(-90, 90)
        )
        for _ in range(count)
    ]
    words += [rng.uniform(0, (width, height), (n, 2)) for n in rng.integers(3, 9, count // 4)]
    return Polygons.of(words), rng.random(len(words)) < 0.2
