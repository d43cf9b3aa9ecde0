"""The standing table of robustness: what detectors find on damaged pages (benchmarks/damages.py), and what that costs.

usage: python benchmarks/robustness.py DATA FOLDER [DETECTOR ...]

A DETECTOR is receipts-lite, rapidocr, rapidocr-tuned, or the path of a checkpoint or exported model, which NAME=PATH
gives a name; by default receipts-lite and rapidocr-tuned. FOLDER keeps what each scored at each strength of each
damage, so that a stopped run continues, and a further detector costs only its own pages.
Writes docs/results/robustness.{json,md,svg}.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import harness
import matplotlib as mpl
import numpy as np
import sroie
from damages import DAMAGES, Damage
from harness import ROOT
from matplotlib.figure import Figure
from pydantic import Field
from score_rows import DifferenceCell, Row, Shown, Side, difference_rows, score_row

from hmean.data.pages import LabelledImages
from hmean.data.views import PageView
from hmean.files import write_text
from hmean.geometry import Image, scaling
from hmean.images import read_image
from hmean.inference.bundled import model_path
from hmean.inference.opening import open_model
from hmean.inference.prediction import ModelPredictor
from hmean.inference.trained import PageFile, Unreadable
from hmean.metrics.groups import Grouping
from hmean.metrics.scorer import PageScore, score_pages
from hmean.records import Record
from hmean.runs.carried import Influence
from hmean.types import Detections, Page

PAGE = ROOT / "docs/results/robustness.md"
FIGURE = PAGE.with_suffix(".svg")
SEED = 16
PAGES = 24  # each of another shop: pages of a shop resemble each other, and intervals are over shops
LONG_SIDE = 1280  # pixels: larger pages are reduced, so that all are damaged at about one size
SHOWN: tuple[Shown, ...] = ("macro", "iou50")
TUNED = {"unclip_ratio": 1.2, "use_dilation": False}  # of RapidOCR, chosen on SROIE's development pages
PEERS: dict[str, dict[str, float | bool]] = {"rapidocr": {}, "rapidocr-tuned": TUNED}
COLOURS = ("#1f6f8b", "#d1495b", "#66a182", "#edae49", "#8d6a9f", "#444444")


class CellFile(Record):
    """What a detector scored on pages with one damage: the file that is kept."""

    key: str = Field(description="hash of the detector, of the pages as they were damaged, and of their labels")
    pages: tuple[PageScore, ...] = Field(description="counts of each")


class Tested(Record):
    """A detector of the table."""

    name: str = Field(description="of the detector")
    what: str = Field(description="what it is, and with which values")
    hash: str = Field(description="of its file, or of its values")
    influence: Influence = Field(description="pages of the table that had a part in its making")


class Measured(Record):
    """What one detector scored at one strength of a damage."""

    row: Row = Field(description="scores, with intervals")
    lost: dict[Shown, DifferenceCell] = Field(description="difference to its own scores on the undamaged pages")


class Strength(Record):
    """One strength of a damage."""

    damage: str = Field(description="name")
    unit: str = Field(description="of the strength")
    strength: float | None = Field(description="null: undamaged")
    detectors: dict[str, Measured] = Field(description="by name")


class Robustness(Record):
    """The content of ``robustness.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    grouping: Grouping = Field(description="of the pages")
    detectors: tuple[Tested, ...] = Field(description="in the order of the table")
    strengths: tuple[Strength, ...] = Field(description="undamaged pages first")


# --- pages ------------------------------------------------------------------------------------------------------------


def one_of_each_shop(pages: LabelledImages) -> LabelledImages:
    """One page of a shop, of ``PAGES`` shops: a function of names, shops and seed."""
    order = np.random.default_rng(SEED).permutation(len(pages))
    taken: dict[str | None, int] = {}
    for position in order.tolist():
        taken.setdefault(pages.page(position).group, position)
    chosen = sorted([*taken.values()][:PAGES])
    return replace(pages, indices=[pages.indices[position] for position in chosen])


def read_pages(pages: LabelledImages) -> list[tuple[Image, Page]]:
    """Images and labels at a long side of at most ``LONG_SIDE``."""
    found = []
    for position in range(len(pages)):
        page = pages.page(position)
        image = read_image(pages.file(position))
        factor = LONG_SIDE / max(page.width, page.height)
        if factor < 1:
            width = round(page.width * factor)
            height = round(page.height * factor)
            view = PageView(scaling(width / page.width, height / page.height), width, height)
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
            page = replace(page, width=width, height=height, polygons=view.polygons(page.polygons))
        found.append((image, page))
    return found


@dataclass(frozen=True)
class Damaged:
    """Pages with one damage, as files without loss, and their labels."""

    files: list[PageFile]
    labels: list[Page]
    key: str


def damage_pages(pages: Sequence[tuple[Image, Page]], damage: Damage | None, strength: float, folder: Path) -> Damaged:
    """Write the damaged pages into a folder."""
    files = []
    labels = []
    digest = hashlib.sha256()
    for number, (image, page) in enumerate(pages):
        worse, labelled = image, page
        if damage is not None:
            worse, labelled = damage(image, page, strength)
        file = folder / f"{number:03d}.png"
        cv2.imwrite(str(file), worse[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        digest.update(worse.tobytes())
        digest.update(labelled.polygons.points.tobytes())
        digest.update(labelled.ignored.tobytes())
        files.append(PageFile(page.name, file))
        labels.append(labelled)
    return Damaged(files, labels, digest.hexdigest())


# --- detectors --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Detector:
    """A detector, what is told of it, and how it finds text on the pages of a folder."""

    tested: Tested
    find: Callable[[Sequence[PageFile]], list[Detections]]


def open_detector(typed: str, pages: LabelledImages) -> Detector:
    """From a word of the command line."""
    if typed in PEERS:
        return _open_peer(typed)
    name, equals, path = typed.partition("=")
    if not equals:
        path = typed
        name = Path(typed).stem
    model = open_model(model_path(path))
    predictor = ModelPredictor(model)
    params = predictor.params
    unclip = f"ratio {params.unclip_ratio}" if params.unclip == "ratio" else f"inverse {params.inverse_r}"
    tested = Tested(
        name=name,
        what=f"long side {predictor.view.long_side} px, thresh {params.thresh}, box_thresh {params.box_thresh}, {unclip}",
        hash=hashlib.sha256(repr(predictor.made_by).encode()).hexdigest(),
        influence=model.influenced_by(pages.page_keys()),
    )

    def find(files: Sequence[PageFile]) -> list[Detections]:
        found = []
        for page in predictor.find(files, accelerator="cpu"):
            if isinstance(page, Unreadable):
                raise SystemExit(f"{page.name}: {page.reason}")
            found.append(page.detections)
        return found

    return Detector(tested, find)


def _open_peer(name: str) -> Detector:
    values = PEERS[name]
    told = ", ".join(f"{key} {value}" for key, value in values.items()) or "its defaults"
    tested = Tested(
        name=name,
        what=f"RapidOCR's detector, PP-OCRv6 small, short side 736 px; {told}",
        hash=hashlib.sha256(told.encode()).hexdigest(),
        influence=Influence(trained=0, epoch_chosen=0, tuned=0),
    )

    def find(files: Sequence[PageFile]) -> list[Detections]:
        detect = sroie.rapidocr_detector(**values)
        return [detect(read_image(file.path)) for file in files]

    return Detector(tested, find)


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(
    pages: Sequence[tuple[Image, Page]],
    damage: Damage | None,
    strength: float,
    detectors: Sequence[Detector],
    folder: Path,
) -> dict[str, list[PageScore]]:
    """The scores of each detector: read, or found now."""
    scores = {}
    kind = "undamaged" if damage is None else f"{damage.name.replace(' ', '_')}_{strength:g}"
    with tempfile.TemporaryDirectory() as temporary:
        damaged = damage_pages(pages, damage, strength, Path(temporary))
        for detector in detectors:
            key = hashlib.sha256((damaged.key + detector.tested.hash).encode()).hexdigest()
            file = folder / "robustness" / detector.tested.name / f"{kind}.json"
            if file.exists() and (kept := CellFile.read(file)).key == key:
                scores[detector.tested.name] = list(kept.pages)
                continue
            found = detector.find(damaged.files)
            scored = [page for (page,) in score_pages(damaged.labels, found, sroie.CHARACTERS)]
            file.parent.mkdir(parents=True, exist_ok=True)
            CellFile(key=key, pages=tuple(scored)).write(file)
            scores[detector.tested.name] = scored
    return scores


def measured(name: str, scores: list[PageScore], undamaged: list[PageScore], values: str) -> Measured:
    """Scores with their intervals, and what the damage cost."""
    row = score_row([scores], model=name, pages="SROIE validation", values=values, shown=SHOWN)
    pair = (Side("damaged", [scores]), Side("undamaged", [undamaged]))
    (lost,) = difference_rows([pair], same_trainings=False, shown=SHOWN)
    return Measured(row=row, lost=dict(lost.scores))


def main() -> None:
    """Measure and write."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    chosen = one_of_each_shop(sroie.open_pages(data / "sroie", sroie.VALIDATION))
    detectors = [open_detector(typed, chosen) for typed in sys.argv[3:] or ("receipts-lite", "rapidocr-tuned")]
    pages = read_pages(chosen)
    undamaged = measure(pages, None, 0, detectors, folder)
    strengths = [_strength(None, None, undamaged, undamaged, detectors)]
    print(_line(strengths[-1]), flush=True)
    for damage in DAMAGES:
        for strength in damage.strengths:
            scores = measure(pages, damage, strength, detectors, folder)
            strengths.append(_strength(damage, strength, scores, undamaged, detectors))
            print(_line(strengths[-1]), flush=True)
    packages = ["numpy", "onnxruntime", "opencv-python-headless"]
    if any(detector.tested.name in PEERS for detector in detectors):
        packages.append("rapidocr")
    record = Robustness(
        grouping=strengths[0].detectors[detectors[0].tested.name].row.grouping,
        detectors=tuple(detector.tested for detector in detectors),
        strengths=tuple(strengths),
        environment=harness.PageProvenance.collect(*packages),
    )
    record.write(PAGE.with_suffix(".json"))
    write_text(FIGURE, figure(record))
    write_text(PAGE, page_of(record))


def _strength(
    damage: Damage | None,
    strength: float | None,
    scores: dict[str, list[PageScore]],
    undamaged: dict[str, list[PageScore]],
    detectors: Sequence[Detector],
) -> Strength:
    found = {}
    for detector in detectors:
        name = detector.tested.name
        found[name] = measured(name, scores[name], undamaged[name], detector.tested.what)
    if damage is None:
        return Strength(damage="undamaged", unit="", strength=None, detectors=found)
    return Strength(damage=damage.name, unit=damage.unit, strength=strength, detectors=found)


# --- the page ---------------------------------------------------------------------------------------------------------


def _line(strength: Strength) -> str:
    """A row of the table."""
    cells = [strength.damage, "" if strength.strength is None else f"{strength.strength:g} {strength.unit}".strip()]
    for name in SHOWN:
        for found in strength.detectors.values():
            text = f"{100 * found.row.scores[name].value:.1f}"
            if strength.strength is not None:
                text += f" ({100 * found.lost[name].difference:+.1f})"
            cells.append(text)
    return f"| {' | '.join(cells)} |"


def page_of(record: Robustness) -> str:
    """The page."""
    names = [detector.name for detector in record.detectors]
    heads = [f"{title}, {name}" for title in ("macro H", "IoU50 H") for name in names]
    told = []
    for detector in record.detectors:
        line = f"- **{detector.name}**: {detector.what}."
        influence = detector.influence
        if influence.trained or influence.epoch_chosen:
            line += f" **It was trained on {influence.trained} of these pages**, and its epoch chosen on"
            line += f" {influence.epoch_chosen}: its scores are too good."
        if influence.tuned:
            line += f" Its values were chosen with {influence.tuned} of these pages, undamaged."
        told.append(line)
    newline = "\n"
    return f"""# Damaged pages

What detectors find on {record.grouping.pages} pages of as many shops, from the part of SROIE that receipts-lite was not
trained on, each damaged in {len(DAMAGES)} ways at several strengths: `benchmarks/damages.py` says exactly how, and
`python benchmarks/robustness.py sheet DATA FILE.png` draws them. Labels move with the page. Pages are reduced to a long
side of at most {LONG_SIDE} px first; lengths in pixels are for a page of long side 1000.

Percent, CLEval with characters by transcription; in parentheses the difference to the same detector on undamaged
pages, in points. `robustness.json` has the 95 % intervals of both. Every page has the values that a detector carries.

{newline.join(told)}

![Curves of macro H and IoU50 H over the strength of each damage](robustness.svg)

| damage | strength | {" | ".join(heads)} |
|---|---|{"---|" * len(heads)}
{newline.join(_line(strength) for strength in record.strengths)}

{record.environment.footer()}
"""


def figure(record: Robustness) -> str:
    """A panel for each damage: solid lines macro H, dashed ones IoU50 H; the undamaged pages at the left."""
    columns = 5
    rows = -(-len(DAMAGES) // columns)
    with mpl.rc_context({"font.size": 7, "svg.fonttype": "none", "svg.hashsalt": "hmean"}):
        sheet = Figure(figsize=(2.2 * columns, 1.7 * rows), layout="constrained")
        axes = sheet.subplots(rows, columns, sharey=True).ravel()
        for axis, damage in zip(axes, DAMAGES, strict=False):
            points = [record.strengths[0], *(s for s in record.strengths if s.damage == damage.name)]
            for detector, colour in zip(record.detectors, COLOURS, strict=False):
                for name, dash in zip(SHOWN, ("-", "--"), strict=True):
                    values = [100 * point.detectors[detector.name].row.scores[name].value for point in points]
                    axis.plot(values, dash, color=colour, linewidth=1.2, label=f"{detector.name}, {name}")
            axis.set_title(damage.name, fontsize=8)
            axis.set_xticks(range(len(points)), ["none", *(f"{point.strength:g}" for point in points[1:])])
            axis.set_xlabel(damage.unit)
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_ylim(0, 101)
        for axis in axes[len(DAMAGES) :]:
            axis.axis("off")
        handles, labels = axes[0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="lower right", ncols=2, frameon=False)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "figure.svg"
            sheet.savefig(file, metadata={"Date": None})
            return file.read_text(encoding="utf-8")


def draw_sheet(data: Path, file: Path) -> None:
    """One page at all strengths of all damages."""
    pages = read_pages(one_of_each_shop(sroie.open_pages(data / "sroie", sroie.VALIDATION)))
    lines = []
    for number, damage in enumerate(DAMAGES):
        image, page = pages[number % len(pages)]
        tiles = []
        for strength in damage.strengths[:5]:
            worse, labels = damage(image, page, strength)
            shown = np.ascontiguousarray(worse)
            for polygon in labels.polygons:
                cv2.polylines(shown, [np.round(polygon).astype(np.int32)], True, (255, 0, 0), 1)
            factor = 400 / max(shown.shape[:2])
            small = cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            height, width = small.shape[:2]
            tiles.append(
                cv2.copyMakeBorder(small, 0, 400 - height, 0, 400 - width, cv2.BORDER_CONSTANT, value=(90,) * 3)
            )
        line = np.hstack(tiles)
        lines.append(cv2.copyMakeBorder(line, 0, 0, 0, 2000 - line.shape[1], cv2.BORDER_CONSTANT, value=(90,) * 3))
    cv2.imwrite(str(file), np.vstack(lines)[:, :, ::-1])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(sroie.THREADS))
    if sys.argv[1:2] == ["sheet"]:
        draw_sheet(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
