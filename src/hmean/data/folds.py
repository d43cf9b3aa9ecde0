"""Folds: a pure function of names, groups, their number and a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def group_keys(names: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """What folds keep together: the page's group, or the page itself where it has none."""
    return [f"group {group}" if group else f"page {name}" for name, group in zip(names, groups, strict=True)]


def fold_of(names: Sequence[str], groups: Sequence[str | None], k: int, seed: int) -> NDArray[np.int64]:
    """Fold (0..k-1) of each page (n,); pages of one group share a fold, a page without group is its own.

    Large groups are dealt first, each to the fold with the fewest pages so far; equal sizes in the order of a salted
    hash of the group's name, so that neither the order of the label file nor Python's hash seed plays a part.

    Raises:
        ValueError: if there are fewer groups than folds.
    """
    keys = group_keys(names, groups)
    sizes: dict[str, int] = {}
    for key in keys:
        sizes[key] = sizes.get(key, 0) + 1
    if not 2 <= k <= len(sizes):
        raise ValueError(f"{k} folds cannot be made from {len(sizes)} groups of pages")
    totals, assigned = [0] * k, dict[str, int]()
    for key in sorted(sizes, key=lambda key: (-sizes[key], hashlib.sha256(f"{seed} {key}".encode()).digest())):
        fold = min(range(k), key=lambda fold: (totals[fold], fold))
        assigned[key] = fold
        totals[fold] += sizes[key]
    return np.array([assigned[key] for key in keys], dtype=np.int64)
