"""Predictions and scores as files: ``predictions.json``, ``submission.csv``, ``scores.json``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hmean.data.annotations import open_labels
from hmean.errors import InputError
from hmean.files import atomic, read_json
from hmean.metrics.cleval import Counts
from hmean.metrics.hmean import PageScore, Scorer, bootstrap_interval, choose_characters, score_pages
from hmean.metrics.iou import MatchCounts
from hmean.types import Characters, Detections, Points, Polygons, Statistic

IOUS = ("iou50", "iou70")
STATISTICS: tuple[Statistic, ...] = ("macro", "pooled", "iou50", "iou70")


class PredictionWriter(Protocol):
    """Takes one page after another."""

    def __call__(self, name: str, detections: Detections, width: int, height: int) -> None:
        """Write one page's regions."""


@contextmanager
def write_predictions(json_path: Path, csv_path: Path | None) -> Iterator[PredictionWriter]:
    """Open both files for writing page by page; they appear, complete, when the block ends without an error."""
    import json  # noqa: PLC0415 - beside its one use

    with ExitStack() as stack:
        out = stack.enter_context(stack.enter_context(atomic(json_path)).open("w", encoding="utf-8"))
        rows = None
        if csv_path is not None:
            table = stack.enter_context(stack.enter_context(atomic(csv_path)).open("w", encoding="utf-8", newline=""))
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(["filename", "polygons"])
        out.write('{"images": {')
        count = 0

        def write(name: str, detections: Detections, width: int, height: int) -> None:
            nonlocal count
            entry = json.dumps(detections.to_ufo(width, height), ensure_ascii=False)
            out.write((",\n" if count else "\n") + f"{json.dumps(name, ensure_ascii=False)}: {entry}")
            count += 1
            if rows is not None:
                rows.writerow([name, csv_polygons(detections)])

        yield write
        out.write("\n}}\n")


def csv_polygons(detections: Detections) -> str:
    """``x y x y ...`` in whole pixels, regions joined by ``|``, in falling order of score."""
    order = np.argsort(-detections.scores, kind="stable")
    return "|".join(_integers(detections.polygons[int(i)]) for i in order)


def _integers(polygon: Points) -> str:
    return " ".join(str(int(v)) for v in np.round(polygon).flatten())


def read_predictions(path: Path) -> dict[str, Detections]:
    """Regions of each image, from a ``predictions.json`` (or any UFO file; a word without score counts as 1).

    Raises:
        InputError: if the file is not in this form.
    """
    images = read_json(path)
    if not isinstance(images, dict) or not isinstance(images.get("images"), dict):
        raise InputError(f'{path}: is not {{"images": {{name: {{"words": ...}}}}}}')
    found: dict[str, Detections] = {}
    faults: list[str] = []
    for name, entry in images["images"].items():
        polygons, scores = [], []
        words = (entry.get("words") or {}) if isinstance(entry, dict) else None
        if not isinstance(words, dict):
            faults.append(f"{name}: is not an object with an object of words")
            continue
        for key, word in words.items():
            try:
                polygon = Polygons.of([word["points"]])[0]
                score = float(word.get("score", 1.0))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                faults.append(f"{name}: word {key}: {error}")
                continue
            polygons.append(polygon)
            scores.append(score)
        try:
            found[name] = Detections(Polygons.of(polygons), np.array(scores, dtype=np.float32))
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise InputError.listing(f"{path}: wrong predictions:", faults)
    return found


def score_files(
    truth: Path, predictions: Path, characters: Characters | None = None, images: Path | None = None
) -> Scorer:
    """Score a prediction file against a label file, on the labelled images of the latter.

    Raises:
        InputError: if the images are not the same: a score of half a set, or of another, is no score.
    """
    beside = truth.parent / "images"
    labels = open_labels(truth, images or (beside if beside.is_dir() else truth.parent))
    pages = [page for page in (labels.page(i) for i in range(len(labels.names))) if page.words_known]
    found = read_predictions(predictions)
    missing = [page.name for page in pages if page.name not in found]
    extra = sorted(set(found) - set(labels.names))
    if missing or extra:
        lines = [f"{name}: has labels but no predictions" for name in missing]
        raise InputError.listing(
            f"{predictions} is not about the images of {truth}:",
            lines + [f"{n}: has predictions but no labels" for n in extra],
        )
    if not pages:
        raise InputError(f"{truth}: no image has labels")
    scorer = Scorer(characters or choose_characters(pages))
    scored = score_pages(pages, [found[page.name] for page in pages], scorer.characters)
    scorer.pages = [page for (page,) in scored]
    return scorer


def intervals(pages: Sequence[PageScore]) -> dict[str, list[float]]:
    """95 % bootstrap interval over pages of each hmean."""
    return {name: list(bootstrap_interval(pages, name)) for name in STATISTICS}


def read_page_scores(path: Path, record: Any) -> list[PageScore]:
    """The pages of a ``scores.json`` that was read.

    Raises:
        InputError: if it does not hold them.
    """
    try:
        pages = [
            PageScore(p["name"], Counts(*p["counts"]), MatchCounts(*p["iou50"]), MatchCounts(*p["iou70"]))
            for p in record["pages"]
        ]
        known = record["cleval"]["characters"] in ("transcription", "aspect")
    except (KeyError, TypeError):
        pages, known = [], False
    if not pages or not known:
        raise InputError(f"{path}: does not hold the counts of each page; run hmean evaluate again")
    return pages


def score_record(scorer: Scorer, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``scores.json``: the score, its intervals, what was scored, and each page."""
    pages = [
        {"name": p.name, **asdict(p.prh), "counts": astuple(p.counts), **{k: astuple(getattr(p, k)) for k in IOUS}}
        for p in scorer.pages
    ]
    return {**scorer.compute().to_dict(), "interval95": intervals(scorer.pages), **about, "pages": pages}


def hmean_of(record: Mapping[str, Any], statistic: Statistic) -> float:
    """One hmean of a ``scores.json``."""
    return float((record if statistic in IOUS else record["cleval"])[statistic]["h"])
