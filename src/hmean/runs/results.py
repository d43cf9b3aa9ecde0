"""Predictions and scores as files: ``predictions.json``, ``submission.csv``, ``scores.json``."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hmean.errors import InputError
from hmean.files import atomic, read_json
from hmean.labels.formats import images_of, open_labels
from hmean.metrics.bootstrap import hmean_intervals
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer, choose_characters, score_pages
from hmean.types import Characters, Detections, Points, Polygons, Statistic

Key = tuple[str, int, int]  # of a page: name, size and time of its file, so that a changed one is done again
IOUS = ("iou50", "iou70")


class PredictionWriter(Protocol):
    """Takes one page after another."""

    def __call__(self, name: str, detections: Detections, width: int | None, height: int | None) -> None:
        """Write one page's regions; without a size, where it could not be read."""


@contextmanager
def write_predictions(json_path: Path, csv_path: Path | None) -> Iterator[PredictionWriter]:
    """Open both files for writing page by page; they appear, complete, when the block ends without an error."""
    with ExitStack() as stack:
        out = stack.enter_context(stack.enter_context(atomic(json_path)).open("w", encoding="utf-8"))
        rows = None
        if csv_path is not None:
            table = stack.enter_context(stack.enter_context(atomic(csv_path)).open("w", encoding="utf-8", newline=""))
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(["filename", "polygons"])
        out.write('{"images": {')
        count = 0

        def write(name: str, detections: Detections, width: int | None, height: int | None) -> None:
            nonlocal count
            entry = json.dumps(detections.to_ufo(width, height), ensure_ascii=False)
            out.write((",\n" if count else "\n") + f"{json.dumps(name, ensure_ascii=False)}: {entry}")
            count += 1
            if rows is not None:
                rows.writerow([name, csv_polygons(detections)])

        yield write
        out.write("\n}}\n")


class Journal:
    """Predictions page by page, each on the disk before the next, so that a killed run goes on: lines of JSON.

    The first line says what made them. A last line that was cut off is dropped.

    Raises:
        InputError: if ``made_by`` is not what made the lines that are there.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any], *, overwrite: bool = False) -> None:
        for other in path.parent.glob("*.jsonl"):
            with suppress(FileNotFoundError), other.open("rb") as lines:  # another shard may take it away as well
                if (first := lines.readline()).endswith(b"\n") and _entry(first) != made_by:
                    if overwrite:  # this one alone: other shards may have begun theirs anew
                        other.unlink(missing_ok=True)
                        continue
                    raise InputError(
                        f"{path.parent.parent}: holds an unfinished prediction by another model or with other values; "
                        "set overwrite=true to drop it, or another output"
                    )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._path, self._file = path, path.open("r+b")
        lengths = array("q", (len(line) for line in self._file if line.endswith(b"\n")))
        self._file.seek(whole := sum(lengths))
        self._file.truncate()
        self.empty = len(lengths) < 2  # of pages
        if not whole:
            self._file.write(_line(made_by))
            self._file.flush()

    def write(self, page: Key, detections: Detections, width: int, height: int) -> None:
        """One page and its regions."""
        self._add({"page": page, **detections.to_ufo(width, height)})

    def skip(self, page: Key, why: str) -> None:
        """One page that cannot be read."""
        self._add({"page": page, "why": why})

    def close(self) -> None:
        """End it; without a page, as when the model cannot be started, it leaves no trace."""
        self._file.close()
        if self.empty:
            self._path.unlink()

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._file.write(_line(entry))
        self._file.flush()
        self.empty = False


class Journals:
    """All journals of a folder. ``in`` asks whether a page is done, not skipped; only where it stands is kept."""

    def __init__(self, folder: Path) -> None:
        self._files = {path: path.open("rb") for path in sorted(folder.glob("*.jsonl"))}
        self._at: dict[Key, tuple[Path, int, bool]] = {}
        for path, file in self._files.items():
            start = len(file.readline())
            for line in file:
                if line.endswith(b"\n") and "page" in (entry := _entry(line)):
                    page, read = tuple(entry["page"]), "why" not in entry
                    if read or page not in self:
                        self._at[page] = path, start, read
                start += len(line)

    def __contains__(self, page: Key) -> bool:
        return page in self._at and self._at[page][2]

    def __getitem__(self, page: Key) -> tuple[Detections, int, int] | str:
        """Regions, width and height of a page, or why there are none."""
        path, start, _ = self._at[page]
        self._files[path].seek(start)
        entry = json.loads(self._files[path].readline())
        if "why" in entry:
            return str(entry["why"])
        words = entry["words"].values()
        scores = np.array([word["score"] for word in words], dtype=np.float32)
        return Detections(Polygons.of([word["points"] for word in words]), scores), entry["img_w"], entry["img_h"]

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def _entry(line: bytes) -> dict[str, Any]:
    """A line of a journal; empty where it is damaged, so that its page is done again."""
    with suppress(ValueError, TypeError):
        return dict(json.loads(line))
    return {}


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
    labels = open_labels(truth, images or images_of(truth))
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
    return {name: list(interval) for name, interval in hmean_intervals(pages).items()}


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
