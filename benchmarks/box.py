"""The card of the detector that comes with hmean: its scores, and RapidOCR's as it comes, on the same pages; damage; time.

usage: python benchmarks/box.py DATA FOLDER [EIGHT_BITS.xml]

FOLDER keeps maps and what RapidOCR found. The last is what ``hmean export precision=int8`` made of the model's run, with its loss on
the validation pages; its time is measured too. Writes docs/results/receipts_lite_box.{json,md} and the README's table.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import harness
import numpy as np
import readme
import score_rows
import sroie
from pydantic import Field
from score_rows import (
    WITHOUT_SHOPS,
    DifferenceRow,
    Row,
    Side,
    difference_rows,
    difference_table,
    score_row,
    score_table,
)

import hmean
from hmean.data.pages import LabelledImages
from hmean.data.views import PageView
from hmean.files import write_text
from hmean.geometry import Image
from hmean.images import Pixels, read_image
from hmean.inference.bundled import BUNDLED
from hmean.inference.metadata import ExportedProvenance, Loss, read_metadata
from hmean.metrics.scorer import PageScore, Scorer, score_pages
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.types import Detections, Page

PAGE = harness.ROOT / "docs/results/receipts_lite_box.md"
OURS = "receipts-lite"
PEER = "RapidOCR as it comes"
VALIDATION = "SROIE validation"
GERMAN = "receipts_de"
DAMAGED = 40  # pages of the curves of damage: every one takes both detectors many times
TIMED = 20  # pages
Finder = Callable[[Image], Detections]
Damage = Callable[[Image, Page], tuple[Image, Page]]


class Damaged(Record):
    """What both find on damaged pages."""

    damage: str = Field(description="in words")
    ours: Row = Field(description="of the bundled model")
    peer: Row = Field(description="of RapidOCR as it comes")


class EightBits(Record):
    """The model in 8 bits."""

    loss: Loss = Field(description="against single precision")
    ratio: float = Field(description="RapidOCR's time over its")
    low: float = Field(description="5th percentile")
    high: float = Field(description="95th percentile")


class Card(Record):
    """The content of ``receipts_lite_box.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    provenance: ExportedProvenance = Field(description="training and export of the model, from its file")
    postprocess: PostprocessParams = Field(description="the values that it carries")
    long_side: int = Field(description="of a page as it sees it, pixels")
    bytes: int = Field(description="size of the file")
    trained_on: int = Field(description="number of pages")
    rows: tuple[Row, ...] = Field(description="scores")
    differences: tuple[DifferenceRow, ...] = Field(description="to RapidOCR on SROIE's validation pages")
    german_differences: tuple[DifferenceRow, ...] = Field(description="likewise on receipts_de")
    damages: tuple[Damaged, ...] = Field(description="on damaged pages")
    speed: dict[str, Any] = Field(description="RapidOCR's time over ours")
    eight_bits: EightBits | None = Field(description="null: no such file was given")


# --- damage -----------------------------------------------------------------------------------------------------------


def none(image: Image, page: Page) -> tuple[Image, Page]:
    """The page as it is."""
    return image, page


def turned(degrees: float) -> Damage:
    """The page turned about its middle, on a larger white sheet."""
    c = math.cos(math.radians(degrees))
    s = math.sin(math.radians(degrees))

    def damage(image: Image, page: Page) -> tuple[Image, Page]:
        width = math.ceil(c * page.width + s * page.height)
        height = math.ceil(c * page.height + s * page.width)
        x = page.width / 2
        y = page.height / 2
        matrix = np.array([[c, -s, width / 2 - c * x + s * y], [s, c, height / 2 - s * x - c * y], [0, 0, 1]])
        view = PageView(matrix, width, height)
        drawn = view.image(Pixels(image, page.width, page.height), (255, 255, 255))
        return drawn, replace(page, width=width, height=height, polygons=view.polygons(page.polygons))

    return damage


def blurred(sigma: float) -> Damage:
    """The page out of focus."""

    def damage(image: Image, page: Page) -> tuple[Image, Page]:
        return cv2.GaussianBlur(image, (0, 0), sigma), page

    return damage


def jpeg(quality: int) -> Damage:
    """The page saved again."""

    def damage(image: Image, page: Page) -> tuple[Image, Page]:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(data, cv2.IMREAD_COLOR), page

    return damage


DAMAGES: dict[str, Damage] = {
    "none": none,
    "turned by 2 degrees": turned(2),
    "turned by 5 degrees": turned(5),
    "turned by 10 degrees": turned(10),
    "blur, sigma 1 px": blurred(1),
    "blur, sigma 2 px": blurred(2),
    "blur, sigma 3 px": blurred(3),
    "JPEG quality 30": jpeg(30),
    "JPEG quality 10": jpeg(10),
}


def score_damaged(find: Finder, damage: Damage, pages: Sequence[tuple[Image, Page]], name: str) -> Row:
    """What a detector finds on damaged pages."""
    scorer = Scorer(sroie.CHARACTERS)
    for image, page in pages:
        worse, labels = damage(image, page)
        scorer.update(labels, find(worse))
    return score_row([scorer.pages], model=name, pages=VALIDATION, values="as it comes", shown=WITHOUT_SHOPS)


# --- the measurements -------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure and write."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    model = BUNDLED["receipts-lite"]
    ours = hmean.load("receipts-lite", threads=sroie.THREADS)
    theirs = sroie.rapidocr_detector()
    validation = sroie.open_pages(data / "sroie", sroie.VALIDATION)
    german = sroie.open_pages(data / GERMAN)

    rows = []
    cross_fitted: list[PageScore] = []
    for side in (640, 960):
        maps = sroie.bundled_maps(validation, folder / "bundled_maps", side)
        (tuned,) = sroie.tune(maps)
        cross_fitted = tuned.cross_fitted
        row = score_row([cross_fitted], model=OURS, pages=VALIDATION, values="cross-fitted", long_side=side,
                        postprocess=tuned.chosen_by_folds, shown=WITHOUT_SHOPS)  # fmt: skip
        rows.append(row)
    of_peer = _rapidocr(validation, folder / "rapidocr_sroie.json")
    rows.append(score_row([of_peer], model=PEER, pages=VALIDATION, values="its defaults", shown=WITHOUT_SHOPS))
    german_maps = sroie.bundled_maps(german, folder / "bundled_maps")
    on_german = german_maps.score_with(german_maps.postprocess)
    rows.append(
        score_row([on_german], model=OURS, pages=GERMAN, values="as it comes", long_side=ours.view.long_side,
                  postprocess=[german_maps.postprocess], shown=WITHOUT_SHOPS)
    )  # fmt: skip
    of_peer_german = _rapidocr(german, folder / "rapidocr_receipts_de.json")
    rows.append(score_row([of_peer_german], model=PEER, pages=GERMAN, values="its defaults", shown=WITHOUT_SHOPS))
    print(table(rows), flush=True)

    some = _images(validation, DAMAGED)
    damages = []
    for name, damage in DAMAGES.items():
        damaged = Damaged(
            damage=name,
            ours=score_damaged(ours, damage, some, OURS),
            peer=score_damaged(theirs, damage, some, PEER),
        )
        damages.append(damaged)
        print(damage_row(damaged), flush=True)
    timed = [image for image, _ in some[:TIMED]]
    speed = harness.compare(
        "a page, image to boxes", "RapidOCR's detection", timed, ours, theirs, exact="the scores above"
    )
    eight_bits = None
    if sys.argv[3:]:
        eight_bits = measure_eight_bits(Path(sys.argv[3]), timed, theirs)
    metadata = read_metadata(model)
    card = Card(
        provenance=metadata.provenance,
        postprocess=metadata.postprocess,
        long_side=metadata.preprocess.long_side,
        bytes=model.stat().st_size,
        trained_on=len(metadata.pages.train),
        rows=tuple(rows),
        differences=tuple(_difference(cross_fitted, "cross-fitted", of_peer)),
        german_differences=tuple(_difference(on_german, "as it comes", of_peer_german)),
        damages=tuple(damages),
        speed=asdict(speed),
        eight_bits=eight_bits,
        environment=harness.PageProvenance.collect("numpy", "onnxruntime", "opencv-python-headless", "rapidocr"),
    )
    card.write(PAGE.with_suffix(".json"))
    write_text(PAGE, page(card))
    if not readme.LEADERBOARD.exists():
        readme.write_results(readme.OF_THE_CARD, table(card.rows), score_rows.describe_groups(card.rows))


def _rapidocr(pages: LabelledImages, file: Path) -> list[PageScore]:
    found = sroie.rapidocr_found(pages, file)
    truth = sroie.labels_of(pages)
    scored = score_pages(truth, [found[page.name] for page in truth], sroie.CHARACTERS)
    return [page for (page,) in scored]


def _difference(ours: Sequence[PageScore], values: str, theirs: Sequence[PageScore]) -> list[DifferenceRow]:
    pair = (Side(f"{OURS}, {values}", [ours]), Side(PEER, [theirs]))
    return difference_rows([pair], same_trainings=False, shown=WITHOUT_SHOPS)


def _images(pages: LabelledImages, count: int) -> list[tuple[Image, Page]]:
    found = []
    for position in range(min(count, len(pages))):
        found.append((read_image(pages.file(position)), pages.page(position)))
    return found


def measure_eight_bits(file: Path, images: Sequence[Image], theirs: Finder) -> EightBits:
    """Loss and time of the model in 8 bits."""
    small = hmean.load(file, threads=sroie.THREADS)
    if small.metadata.loss is None:
        raise SystemExit(f"{file}: does not say what it loses; export it with precision=int8")
    ratio = harness.compare("a page, int8", "RapidOCR's detection", images, small, theirs, exact="")
    return EightBits(loss=small.metadata.loss, ratio=ratio.ratio, low=ratio.low, high=ratio.high)


# --- the page ---------------------------------------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> str:
    """Scores, also for the README."""
    return score_table(rows, WITHOUT_SHOPS)


def damage_row(damaged: Damaged) -> str:
    """A line of the table of damage."""
    cells = []
    for name in ("macro", "iou50"):
        for row in (damaged.ours, damaged.peer):
            cells.append(score_rows.percent(row.scores[name].value, row.scores[name].interval95))
    return f"| {damaged.damage} | {' | '.join(cells)} |"


def in_8_bits(result: EightBits | None) -> str:
    """What quantising the model costs and gains."""
    if result is None:
        return ""
    differences = []
    for name in ("macro", "iou50", "iou70"):
        change = getattr(result.loss, name)
        differences.append(f"{name} {100 * change.difference:+.2f} {score_rows.points(change.interval95)}")
    return f"""
In 8 bits on OpenVINO (`hmean export run=... precision=int8 format=openvino`), against single precision on {result.loss.pages} pages of
SROIE validation, in points of H: {", ".join(differences)}. RapidOCR's time is **{result.ratio:.1f}** times its
[{result.low:.1f}, {result.high:.1f}].
"""


def page(card: Card) -> str:
    """The model card."""
    speed = card.speed
    newline = "\n"
    on_damage = card.damages[0].ours.grouping
    warning = on_damage.warning()
    careful = "" if warning is None else f" Careful: {warning}."
    return f"""# receipts-lite: the detector that comes with hmean

- **What**: finds segments of lines of printed text (columns of one row apart) on receipts, as four-cornered outlines. DBNet,
  EfficientNet-Lite0 encoder (ImageNet weights, Apache-2.0), {card.bytes / 1e6:.1f} MB, weights in half precision, long side {card.long_side}.
- **Trained on** {card.trained_on} pages: SROIE's training shops (ICDAR 2019, CC BY 4.0; four fifths of the shops of the development
  part) and 240 synthetic receipts (`hmean data synth`): `bash scripts/train_box_model.sh DATA/sroie`.
- **Licence**: of the weights as of hmean; SROIE asks for attribution.
- **What it cannot do**: curved text, handwriting, photos of scenes, single words apart (it was taught segments, which is why IoU on
  word labels such as receipts_de's is low where CLEval is not), scripts other than Latin (never tried).

Percent. {score_rows.INTERVALS} CLEval with characters by transcription. {sroie.CROSS_FITTED} The file carries the values that were
chosen on all of SROIE's validation pages, thresh / box_thresh / unclip {score_rows.describe_values([card.postprocess])}.

{table(card.rows)}

{score_rows.describe_groups(card.rows)}

One training: another seed may say otherwise, and these intervals know nothing of it. Five folds by shop with three seeds of a
shorter training of the same kind: [out of fold](crossval_sroie.md). Differences at {card.rows[1].long_side} px, paired by page:

{difference_table([*card.differences], WITHOUT_SHOPS)}

On receipts_de:

{difference_table([*card.german_differences], WITHOUT_SHOPS)}

**Which pages had a part in what.** Weights: none of these pages or shops. Epoch: none; the last of a fixed number was taken.
Values: in the rows that are not cross-fitted, none of receipts_de; RapidOCR's defaults none that we know of. The recipe
(encoder, sizes, augmentation, schedule) was developed on SROIE's development pages, the validation pages too: on other
receipts it may do a little worse. What RapidOCR's detector was trained on is not known to us.

Damaged pages ({on_damage.text()} of SROIE validation; receipts-lite with the values that it carries, which these
pages helped to choose).{careful}

| damage | macro H, {OURS} | macro H, RapidOCR | IoU50 H, {OURS} | IoU50 H, RapidOCR |
|---|---|---|---|---|
{newline.join(damage_row(damaged) for damaged in card.damages)}

Time from image to boxes, {sroie.THREADS} threads each, in turn on {TIMED} pages: RapidOCR's is **{speed["ratio"]:.1f}** times ours
[{speed["low"]:.1f}, {speed["high"]:.1f}] (median, 5th and 95th percentile of {speed["pairs"]} pairs).
{in_8_bits(card.eight_bits)}
## Where it comes from

The training:

```text
{card.provenance.describe_training()}
```

The export: {card.provenance.describe_export()}.

This page: {card.environment.footer()}
"""


if __name__ == "__main__":
    main()
