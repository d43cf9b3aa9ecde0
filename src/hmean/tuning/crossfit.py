"""Cross-fitting: what something that is decided on some pages is worth on others.

Cross-fitted means: the pages are dealt to folds, groups of pages (such as the receipts of one shop) kept whole, and
each page is scored with the values that were decided on without the pages of its fold. What a choice, or the whole
rule of ``tuning.rule``, scores on the pages that it was made on is too good; the difference to its cross-fitted score
is its optimism.
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

LEFT_OUT = -1  # the fold of pages that have no part in a cross-fitting
FoldOfPage = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What cross-fitting found.

    Attributes:
        scores: every page scored with the setting that was decided on without its fold: one row of counts, no settings.
        chosen: the setting decided on without each fold.
    """

    scores: SettingScores
    chosen: list[PostprocessParams]


def deal(names: Sequence[str], groups: Sequence[str | None], folds: int) -> FoldOfPage | None:
    """The fold of each page (N,), with whole groups, and no more folds than groups; None if there is one group."""
    count = min(folds, len(set(group_keys(names, groups))))
    if count < 2:
        return None
    return fold_of(names, groups, count, seed=0)


def crossfit(decide_on: Callable[[Flags], SettingScores], fold: FoldOfPage) -> CrossFitted:
    """Decide without each fold of the pages, and score what was decided on it.

    Args:
        decide_on: the scores on all N pages of one setting, which is decided on the pages of the mask (N,) alone.
        fold: of each page (N,); pages that are ``LEFT_OUT`` are neither decided on nor scored.
    """
    pages = fold != LEFT_OUT
    decided = []
    parts = []
    for number in np.unique(fold[pages]).tolist():
        held_out = fold == number
        scores = decide_on(pages & ~held_out)
        decided.append(scores.settings[0])
        parts.append((held_out, scores))
    _, first = parts[0]
    counts = first.counts.copy()
    matches = first.matches.copy()
    for held_out, scores in parts:
        counts[:, held_out] = scores.counts[:, held_out]
        matches[:, held_out] = scores.matches[:, held_out]
    return CrossFitted(SettingScores([], counts, matches, first.groups).of_pages(pages), decided)


def crossfit_settings(
    scores: SettingScores,
    names: Sequence[str],
    groups: Sequence[str | None],
    folds: int,
    pick: Callable[[SettingScores], Choice],
) -> CrossFitted | None:
    """``crossfit`` of a choice among given settings; None where there are fewer than two groups."""
    fold = deal(names, groups, folds)
    if fold is None:
        return None

    def choose_on(pages: Flags) -> SettingScores:
        return scores.of_settings(pick(scores.of_pages(pages)).chosen)

    return crossfit(choose_on, fold)


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
