"""What the overrides of a phase come to, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Recipe:
    """The settings that overrides give.

    Attributes:
        values: all settings, plain and by section; ``config=FILE`` of any command takes them.
        labels: label files or folders of the training pages.
        images: folder of their images.
        count_pages: number of pages of a split.
        folds: of a cross-validation.
        holdout: share of the training pages that is kept out of all folds.
        base: whether it trains one model of the pages of all folds, too.
        epochs: of a training.
        epochs_between_validations: 1 validates after every epoch.
        samples_of_epoch: training samples of one epoch, of so many pages.
        batch_size: of a training.
    """

    values: Mapping[str, Any]
    labels: Sequence[Path]
    images: Path
    count_pages: Callable[[SplitName], int]
    folds: int
    holdout: float
    base: bool
    epochs: int
    epochs_between_validations: int
    samples_of_epoch: Callable[[int], int]
    batch_size: int


class RecipeReader(Protocol):
    """Composes overrides, once for the same ones."""

    def __call__(self, args: Sequence[str]) -> Recipe:
        """The recipe.

        Raises:
            InputError: listing every fault of the overrides.
        """


def replaced(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, some of which are replaced: ``{"trainer.max_epochs": 3}``."""
    found = dict(values)
    for key, value in changes.items():
        name, _, below = key.partition(".")
        if below:
            found[name] = replaced(found.get(name) or {}, {below: value})
        else:
            found[name] = value
    return found


def without(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Nested values without some keys, with all below them."""
    found = dict(values)
    for key in keys:
        name, _, below = key.partition(".")
        if name not in found:
            continue
        if below:
            found[name] = without(found[name], [below])
        else:
            del found[name]
    return found
