"""Folds: a pure function of pages, their groups, their number and a seed; kept in a file that a person can open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.errors import InputError
from hmean.labels.label_set import LabelSet
from hmean.records import Record
from hmean.types import Page

HOLDOUT = -1  # the fold of held-out pages, which no member of an ensemble sees
FoldNumber = Annotated[int, Field(ge=0, strict=True)]


class Splits(Record):
    """``splits.json``: the fold of each page of a label set, and how the pages were dealt."""

    labels: str | None = Field(None, description="label file whose pages were dealt")
    k: int | None = Field(None, description="number of folds")
    holdout: float | None = Field(None, description="share of the pages that was to be held out")
    seed: int | None = Field(None, description="seed of the order in which groups were dealt")
    fold: dict[str, FoldNumber | None] = Field(description="fold of each page, from 0 to k - 1; null: held out")


def write_splits(
    path: Path,
    labels: LabelSet,
    *,
    k: int,
    holdout: float,
    seed: int,
) -> NDArray[np.int64]:
    """Deal the pages of a label set to folds, alike in text density and page size, and write ``splits.json``.

    Returns:
        The fold of each page (n,), ``HOLDOUT`` for held-out ones.

    Raises:
        InputError: if there are fewer groups than folds.
    """
    pages = [labels.page(index, []) for index in range(len(labels.names))]
    try:
        folds = fold_of(labels.names, labels.groups, k, seed, holdout=holdout, strata=kinds_of(pages))
    except ValueError as error:
        raise InputError(f"{labels.source}: {error}") from error
    fold: dict[str, int | None] = {}
    for name, number in zip(labels.names, folds.tolist(), strict=True):
        if number == HOLDOUT:
            fold[name] = None
        else:
            fold[name] = number
    Splits(labels=labels.source.name, k=k, holdout=holdout, seed=seed, fold=fold).write(path)
    return folds


def read_splits(path: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each of these pages (n,), ``HOLDOUT`` for held-out ones.

    Raises:
        InputError: if the file is not a ``splits.json``, or does not name every page.
    """
    fold = Splits.read(path).fold
    missing = [name for name in names if name not in fold]
    if missing:
        raise InputError(f"{path}: does not say the fold of {len(missing)} pages, first {missing[0]}")
    found = np.empty(len(names), dtype=np.int64)
    for i, name in enumerate(names):
        number = fold[name]
        if number is None:
            number = HOLDOUT
        found[i] = number
    return found


def group_keys(names: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """What folds keep together: the page's group, or the page itself where it has none."""
    keys = []
    for name, group in zip(names, groups, strict=True):
        if group:
            keys.append(f"group {group}")
        else:
            keys.append(f"page {name}")
    return keys


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
        holdout: share of the pages that is held out.
        strata: what the folds are to have in equal shares beside pages (n, C), such as flags of kinds of pages.

    Raises:
        ValueError: if there are fewer groups than folds.
    """
    keys = group_keys(names, groups)
    unique_keys, group_of_page = np.unique(keys, return_inverse=True)
    parts = k
    what = f"{k} folds"
    if holdout > 0:
        parts = k + 1
        what = f"{k} folds and a held-out part"
    if k < 1 or not 2 <= parts <= len(unique_keys):
        raise ValueError(f"{what} need as many groups of pages, there are {len(unique_keys)}")
    shares = np.full(parts, (1 - holdout) / k)
    if holdout > 0:
        shares[k] = holdout
    kinds = np.ones((len(keys), 1))
    if strata is not None:
        kinds = np.column_stack([kinds, strata])
    contents = np.zeros((len(unique_keys), kinds.shape[1]))
    np.add.at(contents, group_of_page, kinds)
    contents /= np.maximum(kinds.sum(axis=0), 1e-12)
    salted = [hashlib.sha256(f"{seed} {key}".encode()).digest() for key in unique_keys]
    order = sorted(range(len(unique_keys)), key=lambda group: (-contents[group, 0], salted[group]))
    part_of_group = _deal(contents, order, shares)
    part_of_group[part_of_group == k] = HOLDOUT
    folds: NDArray[np.int64] = part_of_group[group_of_page]
    return folds


def _deal(
    contents: NDArray[np.float64],
    order: Sequence[int],
    shares: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Deal groups to parts so that every part comes near its share of everything.

    Args:
        contents: what each group has of each kind, as a share of all there is (G, C).
        order: groups, in the order in which they are dealt.
        shares: of each part, in sum 1 (P,).

    Returns:
        The part of each group (G,).
    """
    part_of_group = np.zeros(len(contents), dtype=np.int64)
    filled = np.zeros((len(shares), contents.shape[1]))
    share = shares[:, None]
    for group in order:
        before = filled / share
        after = (filled + contents[group]) / share
        cost = ((after**2 - before**2) * share).sum(axis=1)
        # Rounded, so that equal parts stay equal whatever the order of the sums: then the first one takes the group.
        part = int(np.argmin(np.round(cost, 12)))
        part_of_group[group] = part
        filled[part] += contents[group]
    return part_of_group


def kinds_of(pages: Sequence[Page]) -> NDArray[np.float64]:
    """Flags (n, 6): in which third of the text density (words a pixel) and of the long side a page lies."""
    density = [len(page.polygons) / (page.width * page.height) for page in pages]
    long_side = [max(page.width, page.height) for page in pages]
    flags = []
    for values in (density, long_side):
        third_of_page = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="right")
        for third in range(3):
            flags.append(third_of_page == third)
    return np.array(flags, dtype=np.float64).T
