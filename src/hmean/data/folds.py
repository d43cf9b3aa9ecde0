"""Folds: a pure function of pages, their groups, their number and a seed; kept in a file that a person can open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.files import read_json, write_json
from hmean.types import Page

HOLDOUT = -1  # the fold of pages that no member sees


def group_keys(names: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """What folds keep together: the page's group, or the page itself where it has none."""
    return [f"group {group}" if group else f"page {name}" for name, group in zip(names, groups, strict=True)]


def fold_of(
    names: Sequence[str],
    groups: Sequence[str | None],
    k: int,
    seed: int,
    *,
    holdout: float = 0.0,
    strata: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Fold (0..k-1, or ``HOLDOUT``) of each page (n,); pages of one group share a fold, one without group is its own.

    Large groups are dealt first, each to the fold that lacks most of what the group has; equal sizes in the order of a
    salted hash of the group's name, so that neither the order of the label file nor Python's hash seed plays a part.

    Args:
        names: of the pages.
        groups: of the pages.
        k: number of folds.
        seed: of the order.
        holdout: share of the pages that is put aside before.
        strata: what the folds shall have in equal shares beside pages (n, C), such as flags of kinds of pages.

    Raises:
        ValueError: if there are fewer groups than folds.
    """
    keys = group_keys(names, groups)
    order, member = np.unique(keys, return_inverse=True)
    if k < 1 or not 2 <= k + (holdout > 0) <= len(order):
        raise ValueError(f"{k} folds{' and a held-out part' if holdout else ''} need as many groups of pages, "
                         f"there are {len(order)}")  # fmt: skip
    kinds = np.ones((len(keys), 1)) if strata is None else np.column_stack([np.ones(len(keys)), strata])
    has = np.zeros((len(order), kinds.shape[1]))
    np.add.at(has, member, kinds)
    has /= np.maximum(kinds.sum(axis=0), 1e-12)
    share = np.array([(1 - holdout) / k] * k + [holdout] * (holdout > 0))
    filled, assigned = np.zeros((len(share), kinds.shape[1])), np.zeros(len(order), dtype=np.int64)
    salted = [hashlib.sha256(f"{seed} {key}".encode()).digest() for key in order]
    for group in sorted(range(len(order)), key=lambda g: (-has[g, 0], salted[g])):
        after = (filled + has[group]) / share[:, None]
        # Rounded, so that equal folds stay equal whatever the order of the sums: then the first one takes it.
        need = np.round(((after**2 - (filled / share[:, None]) ** 2) * share[:, None]).sum(axis=1), 12)
        assigned[group] = int(np.argmin(need))
        filled[assigned[group]] += has[group]
    assigned[assigned == k] = HOLDOUT
    found: NDArray[np.int64] = assigned[member]
    return found


def kinds_of(pages: Sequence[Page]) -> NDArray[np.float64]:
    """Flags (n, 6): in which third of the text density (words a megapixel) and of the long side a page lies."""
    density = [len(page.polygons) / (page.width * page.height) for page in pages]
    side = [max(page.width, page.height) for page in pages]
    flags = []
    for values in (density, side):
        third = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="right")
        flags += [third == part for part in range(3)]
    return np.array(flags, dtype=np.float64).T


def write_splits(path: Path, names: Sequence[str], folds: NDArray[np.int64], about: dict[str, Any]) -> None:
    """Write ``splits.json``: how it was made, and the fold of each page (null: held out)."""
    fold = {name: None if f == HOLDOUT else f for name, f in zip(names, folds.tolist(), strict=True)}
    write_json(path, {**about, "fold": fold})


def read_splits(path: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each of these pages (n,).

    Raises:
        InputError: if the file is not one of ``write_splits``, or does not name every page.
    """
    record = read_json(path)
    fold = record.get("fold") if isinstance(record, dict) else None
    if not isinstance(fold, dict) or not all(f is None or (type(f) is int and f >= 0) for f in fold.values()):
        raise InputError(f"{path}: is no splits.json; hmean data split writes one")
    missing = [name for name in names if name not in fold]
    if missing:
        raise InputError(f"{path}: does not say the fold of {len(missing)} pages, first {missing[0]}")
    return np.array([HOLDOUT if fold[name] is None else fold[name] for name in names], dtype=np.int64)
