"""Scoring a prediction file against a label file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hmean.errors import InputError
from hmean.labels.formats import images_of, open_labels
from hmean.labels.label_set import LabelSet
from hmean.metrics.scorer import PAGES_AT_ONCE, Scorer, choose_characters, score_pages
from hmean.runs.predictions import PredictionFile
from hmean.types import Characters, Page


def score_files(
    truth: Path, predictions: Path, characters: Characters | None = None, images: Path | None = None
) -> Scorer:
    """Score a prediction file on the labelled images of a label file, a few pages at a time.

    Args:
        truth: labels.
        predictions: see ``PredictionFile``.
        characters: how characters are counted; by default ``transcription`` if every word has a text.
        images: folder of the images, where the labels are txt files.

    Raises:
        InputError: if the two are not about the same images.
    """
    labels = open_labels(truth, images or images_of(truth))
    found = PredictionFile(predictions)
    _check_same_images(labels, found)
    scorer = Scorer(characters or "transcription")
    for pages in _batches(labels):
        if characters is None and choose_characters(pages) == "aspect":
            # One convention holds for all pages, so start again.
            return score_files(truth, predictions, "aspect", images)
        scored = score_pages(pages, [found[page.name] for page in pages], scorer.characters)
        scorer.pages += [page for (page,) in scored]
    if not scorer.pages:
        raise InputError(f"{truth}: no image has labels")
    return scorer


def _batches(labels: LabelSet) -> Iterator[list[Page]]:
    """The labelled pages, a few at a time; the others are let go before these are scored."""
    pages: list[Page] = []
    for position in range(len(labels.names)):
        page = labels.page(position)
        if not page.words_known:
            continue
        pages.append(page)
        if len(pages) == PAGES_AT_ONCE:
            yield pages
            pages = []
    if pages:
        yield pages


def _check_same_images(labels: LabelSet, found: PredictionFile) -> None:
    """Refuse predictions of other images than the labelled ones: the score would be of neither set."""
    faults = []
    for position, name in enumerate(labels.names):
        if name not in found and labels.page(position).words_known:
            faults.append(f"{name}: has labels but no predictions")
    for name in sorted(set(found.names) - set(labels.names)):
        faults.append(f"{name}: has predictions but no labels")
    if faults:
        raise InputError.listing(f"{found.source} and {labels.source} are about different images:", faults)
