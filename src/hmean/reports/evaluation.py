"""An evaluation as a report shows it: where the errors are, and pictures of the worst and the best pages."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hmean.images import read_image
from hmean.metrics.breakdown import Bin, Breakdown, PageErrors
from hmean.reports.score_tables import score_files
from hmean.reports.words import Words
from hmean.runs.pictures import Picture, jpeg, read_pictures, shrunk
from hmean.runs.scores import ScoredPage, Scores

MOST_BYTES = 150_000  # of a picture; what is larger is shown smaller: a report stays under 5 MB
MOST_GROUPS = 15
FIRST = 6  # bins that are named first
NO_GROUP = "None"
# How errors.json names the bins of what is measured.
RANGES = {
    "errors.under": re.compile(r"under (?P<value>\S+)"),
    "errors.between": re.compile(r"(?P<low>\S+) to (?P<high>\S+)"),
    "errors.above": re.compile(r"(?P<value>\S+) and more"),
}


# What words are told apart by, as ``errors.json`` names it. The table of words has the title of each, a longer one, and
# what helps where such words lose more than their share.
TRAITS = ("height", "aspect", "angle", "position", "group")


@dataclass(frozen=True)
class NamedBin:
    """A bin with its name in words."""

    name: str
    bin: Bin


@dataclass(frozen=True)
class TraitTable:
    """The faults by one trait, a row for each bin."""

    title: str
    bins: Sequence[NamedBin]


@dataclass(frozen=True)
class CostlyBin:
    """A bin that loses more than its share of the text."""

    short_title: str
    name: str
    bin: Bin
    advice: str


@dataclass(frozen=True)
class PageRow:
    """The faults of one page, and its score."""

    errors: PageErrors
    scored: ScoredPage


@dataclass(frozen=True)
class ShownErrors:
    """Where the errors of an evaluation are.

    Attributes:
        breakdown: the content of ``errors.json``.
        first: what loses more than its share, worst first.
        tables: one for each trait that tells words apart.
        pages: each page, lowest H first.
    """

    breakdown: Breakdown
    first: Sequence[CostlyBin]
    tables: Sequence[TraitTable]
    pages: Sequence[PageRow]


@dataclass(frozen=True)
class ShownPicture:
    """A picture of a page with its faults.

    Attributes:
        kind: ``worst`` or ``best``.
        page: name of the page.
        h: its CLEval H.
        src: the picture itself, as a data URL.
    """

    kind: str
    page: str
    h: float
    src: str


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Attributes:
        name: its split, and its folder where that is not the run's.
        pictures: of the worst and the best pages.
        errors: None for evaluations of versions that wrote none.
    """

    name: str
    pictures: Sequence[ShownPicture]
    errors: ShownErrors | None


def count_drawn(run: Path) -> int:
    """How many evaluations of a run drew their pages."""
    return len(_drawn(run))


def read_evaluations(run: Path, pictures: int, words: Words) -> list[Evaluation]:
    """The evaluations of a run that drew their pages.

    Args:
        run: its folder.
        pictures: how many of the worst pages to show, and how many of the best.
        words: the language.
    """
    return [_read_evaluation(path, run, pictures, words) for path in _drawn(run)]


def _drawn(run: Path) -> list[Path]:
    """The ``scores.json`` of evaluations that drew their pages."""
    return [path for path in score_files(run) if (path.parent / "pictures" / "pictures.json").exists()]


def _read_evaluation(path: Path, run: Path, pictures: int, words: Words) -> Evaluation:
    scores = Scores.read(path)
    folder = path.parent
    name = words.word(str(scores.split))
    if folder != run:
        name = f"{name} ({folder.relative_to(run)})"
    errors = None
    if (folder / "errors.json").exists():
        errors = _show_errors(Breakdown.read(folder / "errors.json"), scores, words)
    return Evaluation(name, _show_pictures(folder / "pictures", pictures), errors)


def _show_pictures(folder: Path, most: int) -> list[ShownPicture]:
    drawn = read_pictures(folder)
    shown = []
    for kind in ("worst", "best"):
        of_kind = [picture for picture in drawn if picture.kind == kind]
        for picture in of_kind[:most]:
            shown.append(_embed(picture, folder))
    return shown


def _embed(picture: Picture, folder: Path) -> ShownPicture:
    data = base64.b64encode(_small(folder / picture.file)).decode()
    return ShownPicture(picture.kind, picture.page, picture.h, f"data:image/jpeg;base64,{data}")


def _small(file: Path) -> bytes:
    """A JPEG file, drawn smaller until it is small enough to be embedded."""
    data = file.read_bytes()
    while len(data) > MOST_BYTES:
        image = read_image(io.BytesIO(data))
        scale = 0.95 * math.sqrt(MOST_BYTES / len(data))
        smaller, _ = shrunk(image, round(scale * max(image.shape)))
        data = jpeg(smaller)
    return data


def _show_errors(breakdown: Breakdown, scores: Scores, words: Words) -> ShownErrors:
    rows = []
    for errors, scored in zip(breakdown.pages, scores.pages, strict=True):
        rows.append(PageRow(errors, scored))
    tables = []
    for trait in TRAITS:
        bins = breakdown.by[trait]
        if trait == "group":
            bins = _costliest_groups(bins)
        if bins:
            named = [NamedBin(name_bin(trait, row.bin, words), row) for row in bins]
            tables.append(TraitTable(words.say(f"trait.{trait}.long"), named))
    return ShownErrors(
        breakdown=breakdown,
        first=costly_bins(breakdown, words),
        tables=tables,
        pages=sorted(rows, key=lambda row: row.scored.h),
    )


def _costliest_groups(groups: Sequence[Bin]) -> list[Bin]:
    """The groups that lose most; none if all pages are of one group."""
    if len(groups) < 2:
        return []
    return sorted(groups, key=lambda row: -row.recall_lost - row.precision_lost)[:MOST_GROUPS]


def costly_bins(breakdown: Breakdown, words: Words) -> list[CostlyBin]:
    """The bins that lose most beyond their share of the text, worst first."""
    found = []
    for trait in TRAITS:
        bins = breakdown.by[trait]
        if len(bins) < 2:
            continue
        for row in bins:
            if row.excess > 0:
                costly = CostlyBin(
                    short_title=words.say(f"trait.{trait}"),
                    name=name_bin(trait, row.bin, words),
                    bin=row,
                    advice=words.say(f"trait.{trait}.advice"),
                )
                found.append(costly)
    found.sort(key=lambda costly: -costly.bin.excess)
    return found[:FIRST]


def name_bin(trait: str, name: str, words: Words) -> str:
    """The name of a bin, which ``errors.json`` has in English."""
    if trait == "group":
        if name == NO_GROUP:
            return words.say("errors.no_group")
        return name
    if trait == "position":
        return words.say(f"place.{name}")
    for key, pattern in RANGES.items():
        found = pattern.fullmatch(name)
        if found is not None:
            return words.say(key, **found.groupdict())
    return name
