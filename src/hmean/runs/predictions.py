"""``predictions.json`` and ``submission.csv``: the text polygons found on each image."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import numpy as np
import pydantic
from pydantic import Field

from hmean.errors import InputError
from hmean.files import atomic, read_json
from hmean.labels.entries import Entries
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


class _QuickWord(msgspec.Struct):
    """What a score needs of a ``PredictedWord``."""

    points: Annotated[list[tuple[float, float]], msgspec.Meta(min_length=3)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    transcription: str | None = None


class _QuickPage(msgspec.Struct):
    """A ``PredictedPage`` that is decoded in a fraction of its time, and refused where that might accept it."""

    img_w: int | None = None
    img_h: int | None = None
    words: dict[str, _QuickWord] | None = None


_QUICK_DECODER = msgspec.json.Decoder(_QuickPage)


class PredictionFile:
    """The text polygons of each image in ``predictions.json`` or any UFO file, read one page at a time.

    Only the names of the images, and where they stand in the file, are held in memory. A word without a score counts
    as 1.

    Raises:
        InputError: if the file cannot be read, does not have this form, or lists an image twice.
    """

    def __init__(self, path: Path) -> None:
        self.source = path
        try:
            self._entries = Entries.of(path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            read_json(path)  # says what is wrong if it is no JSON at all
            raise InputError(f'{path}: is not {{"images": {{name: {{"words": ...}}}}}} ({error})') from None
        self._entries.require_single()
        self._positions = {name: i for i, name in enumerate(self._entries.names)}

    @property
    def names(self) -> Sequence[str]:
        """Names of the images, in the order of the file."""
        return self._entries.names

    def __contains__(self, name: str) -> bool:
        return name in self._positions

    def __getitem__(self, name: str) -> Detections:
        """The text polygons of an image.

        Raises:
            InputError: if an entry has a fault; the message lists those of all images of the file.
        """
        faults: list[str] = []
        found = _parse_entry(name, self._entries.read(self._positions[name]), faults)
        if found is None:
            raise InputError.listing(f"{self.source}: has faults:", self._faults())
        return found

    def read_all(self) -> dict[str, Detections]:
        """The text polygons of every image, all in memory; errors as ``__getitem__``."""
        return {name: self[name] for name in self.names}

    def _faults(self) -> list[str]:
        faults: list[str] = []
        for name, content in zip(self.names, self._entries, strict=True):
            _parse_entry(name, content, faults)
        return faults


def _parse_entry(name: str, content: bytes, faults: list[str]) -> Detections | None:
    """The text polygons of one entry; None, and sentences in ``faults``, if something is wrong with it."""
    try:
        words = (_QUICK_DECODER.decode(content).words or {}).values()
        polygons = Polygons.joined([word.points for word in words])
        return Detections(polygons, np.array([word.score for word in words], dtype=np.float32))
    except (ValueError, RecursionError):
        pass  # the record is slower, and says which word has which fault
    try:
        return PredictedPage.model_validate(json.loads(content)).detections()
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        faults.append(f"{name}: its entry cannot be read ({error})")
    except pydantic.ValidationError as error:
        faults += [f"{name}: {describe_fault(detail)}" for detail in error.errors()]
    except (ValueError, RecursionError) as error:
        faults.append(f"{name}: {error}")
    return None


def read_predictions(path: Path) -> dict[str, Detections]:
    """The text polygons of each image, all in memory: see ``PredictionFile``.

    Raises:
        InputError: if the file does not have this form; the message names images and words.
    """
    return PredictionFile(path).read_all()
