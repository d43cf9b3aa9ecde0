"""``predictions.json`` and ``submission.csv``: the text polygons found on each image."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pydantic
from pydantic import Field

from hmean.errors import InputError
from hmean.files import atomic, read_json
from hmean.records import Record, describe_fault
from hmean.types import Detections, Points, Polygons

CSV_COLUMNS = ("filename", "polygons")


class PredictedWord(Record):
    """One text polygon."""

    points: list[tuple[float, float]] = Field(min_length=3, description="corners [x, y] in pixels of the upright page")
    score: float = Field(default=1.0, ge=0, le=1, description="mean probability inside the outline")
    transcription: str | None = Field(default=None, description="text, where it was read")


class PredictedPage(Record):
    """What was found on one image: an entry of ``images``."""

    img_w: int | None = Field(default=None, description="width of the upright page; null if it could not be read")
    img_h: int | None = Field(default=None, description="height of the upright page; null if it could not be read")
    words: dict[str, PredictedWord] = Field(default={}, description="text polygons by rank, those of high score first")

    @pydantic.field_validator("words", mode="before")
    @classmethod
    def _none_is_empty(cls, words: Any) -> Any:
        if words is None:
            return {}
        return words

    def detections(self) -> Detections:
        """The text polygons and their scores."""
        polygons = [word.points for word in self.words.values()]
        scores = [word.score for word in self.words.values()]
        return Detections(Polygons.of(polygons), np.array(scores, dtype=np.float32))


class PredictionWriter:
    """Writes predictions page by page: see ``write_predictions``."""

    def __init__(self, json_file: IO[str], csv_file: IO[str] | None) -> None:
        self._json = json_file
        self._rows: Any = None
        if csv_file is not None:
            self._rows = csv.writer(csv_file, lineterminator="\n")
            self._rows.writerow(CSV_COLUMNS)
        self._separator = "\n"
        self._json.write('{"images": {')

    def write(self, name: str, found: Detections, width: int | None, height: int | None) -> None:
        """Write one page; ``width`` and ``height`` are None if it could not be read."""
        entry = json.dumps(found.to_ufo(width, height), ensure_ascii=False)
        self._json.write(f"{self._separator}{json.dumps(name, ensure_ascii=False)}: {entry}")
        self._separator = ",\n"
        if self._rows is not None:
            self._rows.writerow([name, csv_polygons(found)])

    def finish(self) -> None:
        """Write the end of the JSON file."""
        self._json.write("\n}}\n")


@contextmanager
def write_predictions(json_path: Path, csv_path: Path | None = None) -> Iterator[PredictionWriter]:
    """Open the files to be written page by page; they appear, complete, when the block ends without an error."""
    with ExitStack() as stack:
        json_file = stack.enter_context(stack.enter_context(atomic(json_path)).open("w", encoding="utf-8"))
        csv_file = None
        if csv_path is not None:
            part = stack.enter_context(atomic(csv_path))
            csv_file = stack.enter_context(part.open("w", encoding="utf-8", newline=""))
        writer = PredictionWriter(json_file, csv_file)
        yield writer
        writer.finish()


def csv_polygons(found: Detections) -> str:
    """``x y x y ...`` in whole pixels, polygons separated by ``|``, in falling order of score."""
    order = np.argsort(-found.scores, kind="stable")
    return "|".join(_whole_pixels(found.polygons[int(i)]) for i in order)


def _whole_pixels(polygon: Points) -> str:
    return " ".join(str(int(value)) for value in np.round(polygon).flatten())


def read_predictions(path: Path) -> dict[str, Detections]:
    """The text polygons of each image, from ``predictions.json`` or any UFO file; a word without a score counts as 1.

    Raises:
        InputError: if the file does not have this form; the message names images and words.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("images"), dict):
        raise InputError(f'{path}: is not {{"images": {{name: {{"words": ...}}}}}}')
    found: dict[str, Detections] = {}
    faults: list[str] = []
    for name, entry in content["images"].items():
        try:
            found[name] = PredictedPage.model_validate(entry).detections()
        except pydantic.ValidationError as error:
            faults += [f"{name}: {describe_fault(detail)}" for detail in error.errors()]
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise InputError.listing(f"{path}: has faults:", faults)
    return found
