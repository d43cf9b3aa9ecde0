"""Cross-fitting: what a choice is worth on pages that it has not seen.

A choice looks a little too good on the pages that it was made on. So it is made again without each fold of the pages,
and scored on that fold; groups of pages, such as the receipts of one shop, are never on both sides. The cross-fitted
score is the one to believe, and the difference between the two is the optimism of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmean.data.folds import fold_of, group_keys
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.metrics.kernels import Flags
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.choose import Choice
from hmean.tuning.scores import SettingScores
from hmean.tuning.search import Found


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What cross-fitting found.

    Attributes:
        scores: every page scored with the setting that was chosen without its fold: one row of counts, no settings.
        chosen: the setting chosen without each fold.
    """

    scores: SettingScores
    chosen: list[PostprocessParams]


def crossfit(
    search_without: Callable[[Flags], Found],
    names: Sequence[str],
    groups: Sequence[str | None],
    folds: int,
) -> CrossFitted | None:
    """Choose without each fold of the pages and score the choice on it.

    Args:
        search_without: gives scores on all N pages and a choice from them that sees only the pages of the mask (N,).
        names: of the pages.
        groups: of the pages.
        folds: number of folds, at most as many as groups.

    Returns:
        None where there are fewer than two groups.
    """
    k = min(folds, len(set(group_keys(names, groups))))
    if k < 2:
        return None
    fold = fold_of(names, groups, k, seed=0)
    found = [search_without(fold != f) for f in range(k)]
    first = found[0].scores.of_settings(0)
    counts = np.empty_like(first.counts)
    matches = np.empty_like(first.matches)
    for f, of_fold in enumerate(found):
        held_out = fold == f
        chosen = of_fold.scores.of_settings(of_fold.choice.chosen).of_pages(held_out)
        counts[:, held_out] = chosen.counts
        matches[:, held_out] = chosen.matches
    return CrossFitted(SettingScores([], counts, matches, first.groups), [of_fold.setting for of_fold in found])


def crossfit_settings(
    scores: SettingScores,
    names: Sequence[str],
    groups: Sequence[str | None],
    folds: int,
    pick: Callable[[SettingScores], Choice],
) -> CrossFitted | None:
    """``crossfit`` of a choice among given settings."""

    def choose_on(pages: Flags) -> Found:
        return Found(scores, pick(scores.of_pages(pages)))

    return crossfit(choose_on, names, groups, folds)


def require_distinct(pages: LabelledImages, keys: NDArray[np.int64]) -> None:
    """Refuse a set in which a page is there twice: a choice must not be checked on a copy of a page it was made on.

    Args:
        pages: the pages.
        keys: of these (N,).

    Raises:
        InputError: naming the two.
    """
    copies = find_copies([pages.name(position) for position in range(len(pages))], keys)
    if copies is not None:
        first, second = copies
        raise InputError(f"{pages.labels.source}: {first} and {second} are the same page; remove one of them")


def find_copies(names: Sequence[str], keys: NDArray[np.int64]) -> tuple[str, str] | None:
    """The names of two pages that are copies of each other, by their keys (N,); None if there are none."""
    first: dict[int, str] = {}
    for name, key in zip(names, keys.tolist(), strict=True):
        if key in first:
            return first[key], name
        first[key] = name
    return None
