"""The card of the detector that comes with hmean: its scores beside its parent's and its predecessor's; its time.

usage: python benchmarks/box.py DATA FOLDER [EIGHT_BITS.xml]

FOLDER has the trainings of ``scripts/train_box_model.sh``, and keeps maps and what RapidOCR found. The last is what ``hmean export
precision=int8`` made of the model's run, with its loss on the validation pages; its time is measured too.
Writes docs/results/receipts_lite_box.{json,md} and the README's table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import harness
import readme
import score_rows
import sroie
from damages import DAMAGES
from pydantic import Field
from score_rows import (
    SHOWN,
    WITH_SINGLE,
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
from hmean.files import write_text
from hmean.geometry import Image
from hmean.images import read_image
from hmean.inference.bundled import BUNDLED
from hmean.inference.metadata import ExportedProvenance, Loss, read_metadata
from hmean.metrics.scorer import PageScore, score_pages
from hmean.metrics.single_characters import with_single
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.types import Detections

PAGE = harness.ROOT / "docs/results/receipts_lite_box.md"
OUT_OF_FOLD = harness.ROOT / "docs/results/fine_tuned_sroie.md"
OURS = "receipts-lite"
FIRST = "receipts-lite as it was (EfficientNet-Lite0)"
PARENT = f"{sroie.PEER}, the parent"
RAPIDOCR = "RapidOCR as it comes"
RUNS = "receipts_lite_fold0_seed"  # and the seed
VALIDATION = "SROIE validation"
GERMAN = "receipts_de"
CROSS_FITTED = "cross-fitted"
PRESET = "the preset's"
AS_IT_COMES = "as it comes"
DEFAULTS = "its defaults"
OF_VALIDATION = "chosen on SROIE validation"
TIMED = 20  # pages
ROUNDS = 5
Finder = Callable[[Image], Detections]


class Ratio(Record):
    """How much longer another detector takes for a page."""

    other: str = Field(description="the other")
    ratio: float = Field(description="its time over that of the bundled model: median over pages")
    low: float = Field(description="5th percentile of the ratio over all pairs")
    high: float = Field(description="95th percentile")
    pairs: int = Field(description="pages times rounds")


class EightBits(Record):
    """The model in 8 bits."""

    loss: Loss = Field(description="against single precision")
    time: Ratio = Field(description="RapidOCR's time over its")


class Card(Record):
    """The content of ``receipts_lite_box.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    provenance: ExportedProvenance = Field(description="training and export of the model, from its file")
    postprocess: PostprocessParams = Field(description="the values that it carries")
    long_side: int = Field(description="of a page as it sees it, pixels")
    bytes: int = Field(description="size of the file")
    trained_on: int = Field(description="number of pages")
    seeds: tuple[int, ...] = Field(description="of the trainings of which the middle one is shipped")
    rows: tuple[Row, ...] = Field(description="scores on SROIE's validation pages")
    differences: tuple[DifferenceRow, ...] = Field(
        description="of the shipped recipe to others on them, with all seeds"
    )
    german: tuple[Row, ...] = Field(description="scores on receipts_de")
    german_differences: tuple[DifferenceRow, ...] = Field(description="of the shipped file to others on them")
    times: tuple[Ratio, ...] = Field(description="others' time over the bundled model's")
    eight_bits: EightBits | None = Field(description="null: no such file was given")
    out_of_fold: bool = Field(
        default=False, description="whether there is a page of the recipe out of fold beside this one"
    )


# --- the measurements -------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure and write."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    validation = sroie.open_pages(data / "sroie", sroie.VALIDATION)
    runs = [folder / f"{RUNS}{seed}" for seed in sroie.SEEDS]
    on_validation, parent_values = score_validation(validation, folder, runs)
    on_german = score_german(sroie.open_pages(data / GERMAN), folder, parent_values)
    print(table(on_validation.rows), table(on_german.rows), sep="\n", flush=True)

    images = [read_image(validation.file(position)) for position in range(TIMED)]
    ours = hmean.load(OURS, threads=sroie.THREADS)
    theirs = sroie.rapidocr_detector()
    first = hmean.load(sroie.first_bundled(folder), threads=sroie.THREADS)
    times = [time_of(RAPIDOCR, images, ours, theirs), time_of(FIRST, images, ours, first)]
    eight_bits = None
    if sys.argv[3:]:
        eight_bits = measure_eight_bits(Path(sys.argv[3]), images, theirs)

    metadata = read_metadata(BUNDLED[OURS])
    card = Card(
        provenance=metadata.provenance,
        postprocess=metadata.postprocess,
        long_side=metadata.preprocess.long_side,
        bytes=BUNDLED[OURS].stat().st_size,
        trained_on=len(metadata.pages.train),
        seeds=sroie.SEEDS,
        rows=tuple(on_validation.rows),
        differences=tuple(on_validation.differences),
        german=tuple(on_german.rows),
        german_differences=tuple(on_german.differences),
        times=tuple(times),
        eight_bits=eight_bits,
        out_of_fold=OUT_OF_FOLD.exists(),
        environment=harness.PageProvenance.collect(
            "torch",
            "numpy",
            "onnxruntime",
            "opencv-python-headless",
            "rapidocr",
            runs=[harness.read_run(run) for run in runs],
        ),
    )
    card.write(PAGE.with_suffix(".json"))
    write_text(PAGE, page(card))
    if not readme.LEADERBOARD.exists():
        shown = [*card.rows, *card.german]
        readme.write_results(readme.OF_THE_CARD, table(shown), score_rows.describe_groups(shown))


class Scored(Record):
    """What a set of pages scored."""

    rows: tuple[Row, ...] = Field(description="scores")
    differences: tuple[DifferenceRow, ...] = Field(description="of the bundled model to others")


def score_validation(pages: LabelledImages, folder: Path, runs: Sequence[Path]) -> tuple[Scored, PostprocessParams]:
    """All rows on SROIE's validation pages, values cross-fitted; and the values that the parent gets from all of them."""
    as_trained = []
    tuned_runs = []
    chosen: list[PostprocessParams] = []
    for run in runs:
        maps = sroie.run_maps(pages, run)
        (tuned,) = sroie.tune(maps)
        as_trained.append(maps.score_with(maps.postprocess))
        tuned_runs.append(tuned.cross_fitted)
        chosen += tuned.chosen_by_folds
    shipped = sroie.bundled_maps(pages, folder / "bundled_maps")
    first_maps = sroie.bundled_maps(pages, folder / "first_bundled_maps", file=sroie.first_bundled(folder))
    (first,) = sroie.tune(first_maps)
    (parent,) = sroie.tune(sroie.peer_maps(pages, folder / "peer_maps"))
    rapidocr = found_by_rapidocr(pages, folder / "rapidocr_sroie.json")

    seeds = f"{OURS}, mean of {len(runs)} seeds"
    rows = [
        row(VALIDATION, seeds, PRESET, as_trained, [shipped.postprocess]),
        row(VALIDATION, seeds, CROSS_FITTED, tuned_runs, chosen),
        row(
            VALIDATION, f"{OURS}, as shipped", PRESET, [shipped.score_with(shipped.postprocess)], [shipped.postprocess]
        ),
        row(VALIDATION, FIRST, CROSS_FITTED, [first.cross_fitted], first.chosen_by_folds),
        row(VALIDATION, PARENT, CROSS_FITTED, [parent.cross_fitted], parent.chosen_by_folds),
        row(VALIDATION, RAPIDOCR, DEFAULTS, [rapidocr]),
    ]
    ours = Side(f"{OURS}, {CROSS_FITTED}", tuned_runs)
    pairs = [
        (ours, Side(f"{FIRST}, {CROSS_FITTED}", [first.cross_fitted])),
        (ours, Side(f"{PARENT}, {CROSS_FITTED}", [parent.cross_fitted])),
        (Side(f"{OURS}, {PRESET}", as_trained), Side(f"{RAPIDOCR}, {DEFAULTS}", [rapidocr])),
    ]
    differences = difference_rows(pairs, same_trainings=False, shown=WITH_SINGLE)
    return Scored(rows=tuple(rows), differences=tuple(differences)), parent.chosen


def score_german(pages: LabelledImages, folder: Path, parent_values: PostprocessParams) -> Scored:
    """All rows on receipts_de, with values that were chosen elsewhere."""
    shipped_maps = sroie.bundled_maps(pages, folder / "bundled_maps_de")
    shipped = shipped_maps.score_with(shipped_maps.postprocess)
    first_maps = sroie.bundled_maps(pages, folder / "first_bundled_maps_de", file=sroie.first_bundled(folder))
    first = first_maps.score_with(first_maps.postprocess)
    parent = sroie.peer_maps(pages, folder / "peer_maps_de").score_with(parent_values)
    rapidocr = found_by_rapidocr(pages, folder / "rapidocr_receipts_de.json")
    turned = score_turned(pages)
    rows = [
        row(GERMAN, OURS, AS_IT_COMES, [shipped], [shipped_maps.postprocess]),
        row(f"{GERMAN}, turned by 90 degrees", OURS, AS_IT_COMES, [turned], [shipped_maps.postprocess]),
        row(GERMAN, FIRST, AS_IT_COMES, [first], [first_maps.postprocess]),
        row(GERMAN, PARENT, OF_VALIDATION, [parent], [parent_values]),
        row(GERMAN, RAPIDOCR, DEFAULTS, [rapidocr]),
    ]
    ours = Side(f"{OURS}, {AS_IT_COMES}", [shipped])
    others = [Side(FIRST, [first]), Side(PARENT, [parent]), Side(RAPIDOCR, [rapidocr])]
    differences = difference_rows([(ours, other) for other in others], same_trainings=False, shown=WITH_SINGLE)
    return Scored(rows=tuple(rows), differences=tuple(differences))


def score_turned(pages: LabelledImages) -> list[PageScore]:
    """What the shipped file finds on the pages turned by a right angle."""
    find = hmean.load(OURS, threads=sroie.THREADS)
    (turn,) = [damage for damage in DAMAGES if damage.name == "turned by right angles"]
    truth = []
    detections = []
    for position in range(len(pages)):
        image, page = turn(read_image(pages.file(position)), pages.page(position), 90)
        truth.append(page)
        detections.append(find(image))
    scored = [page for (page,) in score_pages(truth, detections, sroie.CHARACTERS)]
    return with_single(scored, truth, detections)


def row(
    pages: str,
    model: str,
    values: str,
    runs: Sequence[Sequence[PageScore]],
    postprocess: Sequence[PostprocessParams] = (),
) -> Row:
    """One row."""
    return score_row(runs, model=model, pages=pages, values=values, postprocess=postprocess, shown=WITH_SINGLE)


def found_by_rapidocr(pages: LabelledImages, file: Path) -> list[PageScore]:
    """What RapidOCR scores as it comes."""
    found = sroie.rapidocr_found(pages, file)
    truth = sroie.labels_of(pages)
    detections = [found[page.name] for page in truth]
    scored = [page for (page,) in score_pages(truth, detections, sroie.CHARACTERS)]
    return with_single(scored, truth, detections)


def time_of(other: str, images: Sequence[Image], ours: Finder, theirs: Finder) -> Ratio:
    """Another detector's time over ours."""
    found = harness.compare("a page, image to boxes", other, images, ours, theirs, exact="", rounds=ROUNDS)
    return Ratio(other=other, ratio=found.ratio, low=found.low, high=found.high, pairs=found.pairs)


def measure_eight_bits(file: Path, images: Sequence[Image], theirs: Finder) -> EightBits:
    """Loss and time of the model in 8 bits."""
    small = hmean.load(file, threads=sroie.THREADS)
    if small.metadata.loss is None:
        raise SystemExit(f"{file}: does not say what it loses; export it with precision=int8")
    return EightBits(loss=small.metadata.loss, time=time_of(RAPIDOCR, images, small, theirs))


# --- the page ---------------------------------------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> str:
    """Scores, also for the README."""
    return score_table(rows, WITH_SINGLE)


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
SROIE validation, in points of H: {", ".join(differences)}. {time_sentence(result.time)}
"""


def in_short(card: Card) -> str:
    """What the tables say of the model beside its predecessor and its parent, in a paragraph."""
    sentences = []
    for difference in card.differences[:2]:
        by_verdict: dict[str, list[str]] = {}
        for name in WITH_SINGLE:
            cell = difference.scores.get(name)
            if cell is not None:
                by_verdict.setdefault(cell.verdict, []).append(f"{SHOWN[name]} {100 * cell.difference:+.2f}")
        parts = [f"{verdict} in {', '.join(found)}" for verdict, found in by_verdict.items()]
        sentences.append(f"{difference.name} against {difference.minus}: {'; '.join(parts)}.")
    times = " ".join(time_sentence(time) for time in card.times)
    return "**In short**, on SROIE validation, in points: " + " ".join(sentences) + " " + times


def all_pages(card: Card) -> str:
    """Where the recipe is scored on more pages; nothing if that page is not there."""
    if not card.out_of_fold:
        return ""
    return (
        "All pages of SROIE's development part, by models that were trained without the page's shop: "
        "[out of fold](fine_tuned_sroie.md).\n\n"
    )


def time_sentence(time: Ratio) -> str:
    """What a ratio says."""
    return f"{time.other} takes **{time.ratio:.2f}** times as long [{time.low:.2f}, {time.high:.2f}]."


def page(card: Card) -> str:
    """The model card."""
    seeds = ", ".join(str(seed) for seed in card.seeds)
    start = card.provenance.training.started_from[0]
    times = " ".join(time_sentence(time) for time in card.times)
    return f"""# receipts-lite: the detector that comes with hmean

- **What**: finds segments of lines of printed text (columns of one row apart) on receipts, as four-cornered outlines. DBNet with
  the network of PP-OCRv6 small, {card.bytes / 1e6:.1f} MB, weights in half precision, long side {card.long_side}.
- **Descends from** {start.title}: a changed version of its weights ({start.licence}; {start.holder}), which neither PaddlePaddle
  nor RapidOCR has made or endorsed. RapidOCR, which brings {sroie.PEER}, is its parent here and not an independent rival.
- **Fine-tuned on** {card.trained_on} pages: SROIE's training shops (ICDAR 2019, CC BY 4.0; four fifths of the shops of the
  development part), with three seeds ({seeds}), of which the middle one is shipped: `bash scripts/train_box_model.sh DATA/sroie`.
- **Licence**: Apache License 2.0, as of hmean and of the weights that it started from; SROIE asks for attribution.
- **What it cannot do**: pages turned by right angles as well as upright ones (below, and on [damaged pages](robustness.md)), curved text, handwriting, photos of scenes, single words apart (it was taught segments, which is why IoU on
  word labels such as receipts_de's is low where CLEval is not). Scripts other than Latin were never tried after the fine-tuning.

{in_short(card)}

Percent; "single characters R": the share of words of one character that a box of their own finds. {score_rows.INTERVALS} CLEval
with characters by transcription. {sroie.CROSS_FITTED} The file carries the preset's values, which are fixed:
thresh / box_thresh / unclip {score_rows.describe_values([card.postprocess])}.

{table(card.rows)}

{table(card.german)}

{score_rows.describe_groups([*card.rows, *card.german])}

Differences on SROIE validation, paired by page, over shops and over the three seeds; both sides are tuned and cross-fitted, or
neither is:

{difference_table(card.differences, WITH_SINGLE)}

On receipts_de, of the shipped file alone (another seed may say otherwise):

{difference_table(card.german_differences, WITH_SINGLE)}

{all_pages(card)}**Which pages had a part in what.** Weights: none of these pages or shops in the fine-tuning. What {sroie.PEER} was trained on is not
known to us; it may include receipts of these sets. Epoch: none; the last of a fixed number was taken. The seed: the middle
one of three by the validation pages. Values: the preset's none, RapidOCR's defaults none that we know of; those of the parent
and of the model as it was, on receipts_de, come from SROIE's validation pages. The recipe (sizes, augmentation, schedule, the preset's values) was developed on SROIE's development pages, the validation pages
too: on other receipts it may do a little worse.

Time from image to boxes, {sroie.THREADS} threads each, in turn on {TIMED} pages, median and 5th and 95th percentile of
{card.times[0].pairs} pairs: {times}
{in_8_bits(card.eight_bits)}
Pages of results that were made before this one (views of the text, tuning, the service, times of stages) show the model as it
was, under the same name; each page says its day and commit.

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
