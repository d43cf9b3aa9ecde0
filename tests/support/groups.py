"""Groups of pages as unequal as those of real receipts, and scores that resemble each other within them."""

from __future__ import annotations

import numpy as np

# Sizes of shops in samples of a public set of receipts (SROIE's and a smaller one), largest first.
GROUP_SIZES = {
    "24 pages": (8, 6, 4, 2, 2, 1, 1),
    "68 pages": (12, 7, 5, 4, *[3] * 3, *[2] * 5, *[1] * 21),
    "100 pages": (49, 5, 4, 3, *[2] * 9, *[1] * 21),
    "400 pages": (46, 42, 36, 31, 27, 22, 17, 12, 12, 5, *[4] * 3, *[3] * 5, *[2] * 27, *[1] * 69),
}


def group_of_page(sizes: tuple[int, ...]) -> np.ndarray:
    """The number of each page's group (N,)."""
    return np.repeat(np.arange(len(sizes)), sizes)


def correlated(rng: np.random.Generator, groups: np.ndarray, correlation: float, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal values (*shape, N), with that correlation between pages of one group and none between groups."""
    of_group = rng.standard_normal((*shape, int(groups.max()) + 1))[..., groups]
    of_page = rng.standard_normal((*shape, len(groups)))
    return np.sqrt(correlation) * of_group + np.sqrt(1 - correlation) * of_page
