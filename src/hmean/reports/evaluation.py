"""An evaluation as a report shows it: where the errors are, and pictures of the worst and the best pages."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hmean.images import read_image
from hmean.metrics.breakdown import Bin, Breakdown, PageErrors
from hmean.reports.score_tables import score_files
from hmean.runs.pictures import Picture, jpeg, read_pictures, shrunk
from hmean.runs.scores import ScoredPage, Scores

MOST_BYTES = 150_000  # of a picture; what is larger is shown smaller: a report stays under 5 MB
MOST_GROUPS = 15
FIRST = 6  # traits that are named first


@dataclass(frozen=True)
class Trait:
    """What words are told apart by, such as their height.

    Attributes:
        key: in ``errors.json``.
        title: in words.
        advice: what helps where such words lose more than their share.
    """

    key: str
    title: str
    advice: str


TRAITS = (
    Trait(
        "height",
        "text height, pixels of the network's view",
        "Try another transforms.long_side, or label more such text.",
    ),
    Trait(
        "aspect",
        "aspect, long side / short side",
        "Label more such words, and check whether they are cut or joined.",
    ),
    Trait(
        "angle",
        "angle to the horizontal, degrees",
        "Raise transforms.train.augment.rotate, or label more such text.",
    ),
    Trait(
        "position",
        "place on the page",
        "Look at what stands there: logos, stamps, folds, the edge of the page.",
    ),
    Trait("group", "group", "Label more pages of it."),
)


@dataclass(frozen=True)
class TraitTable:
    """The faults by one trait, a row for each bin."""

    title: str
    bins: Sequence[Bin]


@dataclass(frozen=True)
class CostlyBin:
    """A bin that loses more than its share of the text."""

    short_title: str
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


def read_evaluations(run: Path, pictures: int) -> list[Evaluation]:
    """The evaluations of a run that drew their pages.

    Args:
        run: its folder.
        pictures: how many of the worst pages to show, and how many of the best.
    """
    return [_read_evaluation(path, run, pictures) for path in _drawn(run)]


def _drawn(run: Path) -> list[Path]:
    """The ``scores.json`` of evaluations that drew their pages."""
    return [path for path in score_files(run) if (path.parent / "pictures" / "pictures.json").exists()]


def _read_evaluation(path: Path, run: Path, pictures: int) -> Evaluation:
    scores = Scores.read(path)
    folder = path.parent
    name = str(scores.split)
    if folder != run:
        name = f"{scores.split} ({folder.relative_to(run)})"
    errors = None
    if (folder / "errors.json").exists():
        errors = _show_errors(Breakdown.read(folder / "errors.json"), scores)
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


def _show_errors(breakdown: Breakdown, scores: Scores) -> ShownErrors:
    rows = []
    for errors, scored in zip(breakdown.pages, scores.pages, strict=True):
        rows.append(PageRow(errors, scored))
    tables = []
    for trait in TRAITS:
        bins = breakdown.by[trait.key]
        if trait.key == "group":
            bins = _costliest_groups(bins)
        if bins:
            tables.append(TraitTable(trait.title, bins))
    return ShownErrors(
        breakdown=breakdown,
        first=costly_bins(breakdown),
        tables=tables,
        pages=sorted(rows, key=lambda row: row.scored.h),
    )


def _costliest_groups(groups: Sequence[Bin]) -> list[Bin]:
    """The groups that lose most; none if all pages are of one group."""
    if len(groups) < 2:
        return []
    return sorted(groups, key=lambda row: -row.recall_lost - row.precision_lost)[:MOST_GROUPS]


def costly_bins(breakdown: Breakdown) -> list[CostlyBin]:
    """The bins that lose most beyond their share of the text, worst first."""
    found = []
    for trait in TRAITS:
        bins = breakdown.by[trait.key]
        if len(bins) < 2:
            continue
        for row in bins:
            if row.excess > 0:
                found.append(CostlyBin(trait.title.split(",")[0], row, trait.advice))
    found.sort(key=lambda costly: -costly.bin.excess)
    return found[:FIRST]
