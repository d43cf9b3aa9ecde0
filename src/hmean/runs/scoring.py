"""Scoring a prediction file against a label file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hmean.errors import InputError
from hmean.labels.formats import images_of, open_labels
from hmean.metrics.scorer import Scorer, choose_characters, score_pages
from hmean.runs.predictions import read_predictions
from hmean.types import Characters, Detections, Page


def score_files(
    truth: Path, predictions: Path, characters: Characters | None = None, images: Path | None = None
) -> Scorer:
    """Score a prediction file on the labelled images of a label file.

    Args:
        truth: labels.
        predictions: see ``read_predictions``.
        characters: how characters are counted; by default ``transcription`` if every word has a text.
        images: folder of the images, where the labels are txt files.

    Raises:
        InputError: if the two are not about the same images.
    """
    labels = open_labels(truth, images or images_of(truth))
    pages = []
    for position in range(len(labels.names)):
        page = labels.page(position)
        if page.words_known:
            pages.append(page)
    found = read_predictions(predictions)
    _check_same_images(truth, labels.names, pages, predictions, found)
    scorer = Scorer(characters or choose_characters(pages))
    scored = score_pages(pages, [found[page.name] for page in pages], scorer.characters)
    scorer.pages = [page for (page,) in scored]
    return scorer


def _check_same_images(
    truth: Path, names: Sequence[str], pages: Sequence[Page], predictions: Path, found: Mapping[str, Detections]
) -> None:
    """Refuse predictions of other images than the labelled ones: the score would be of neither set."""
    faults = []
    for page in pages:
        if page.name not in found:
            faults.append(f"{page.name}: has labels but no predictions")
    for name in sorted(set(found) - set(names)):
        faults.append(f"{name}: has predictions but no labels")
    if faults:
        raise InputError.listing(f"{predictions} and {truth} are about different images:", faults)
    if not pages:
        raise InputError(f"{truth}: no image has labels")
