"""What views of the text are worth, and what they cost: beside views of the page at three sizes, on four sets of pages.

usage: python benchmarks/views.py DATA FOLDER [MODEL=receipts-lite]

MODEL is a bundled model or an exported one. SROIE's pages are those of shops that the model was not trained on, at most 8 of
each. Two sets are made of them, and kept in FOLDER with all maps: each receipt on a quarter of a white A4 sheet, and
each page at a long side of 640 pixels. Writes docs/results/views.{json,md}; of another model views_NAME.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import harness
import numpy as np
import score_rows
import sroie
from pydantic import Field
from score_rows import WITHOUT_SHOPS, DifferenceRow, Row, Side, difference_rows, difference_table, score_row

from hmean.data.pages import LabelledImages
from hmean.data.views import text_heights
from hmean.files import write_json, write_text
from hmean.geometry import Image
from hmean.images import read_image
from hmean.inference.bundled import BUNDLED, model_path
from hmean.inference.detector import TextDetector
from hmean.inference.maps import make_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import TrainedModel
from hmean.metrics.scorer import PageScore
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.looks import LookCosts
from hmean.runs.maps import MapStore
from hmean.tuning.choose import choose
from hmean.tuning.crossfit import crossfit_settings
from hmean.tuning.grid import make_grid
from hmean.tuning.scores import SettingScores
from hmean.types import Page, TextView, View

VIEWS = {
    "page, 640": View(640, "stride"),
    "page, 960": View(960, "stride"),
    "page, 1280": View(1280, "stride"),
    "text": View(960, "stride", TextView()),
}
TEXT = "text"
BASES = ("page, 960", "page, 1280")
# Fewer values than elsewhere: they are chosen for each view and set.
AXES: dict[str, list[Any]] = {
    "thresh": [0.15, 0.2, 0.25, 0.3],
    "box_thresh": [0.4, 0.5, 0.6, 0.7],
    "inverse_r": [0.5, 0.6, 0.65, 0.7, 0.75],
}
A4 = 2**0.5  # height over width
OF_A_SHOP = 8
TIMED_PAGES = 12  # of each set
CHOSEN = """The values of the view (20 pixels, a first look of 480, one more look beyond a factor of 1.3) were chosen on about 50 of the
pages that the bundled model was trained on, for that model. None of the pages that it is judged on here had a part in it."""


class ViewResult(Record):
    """What one view finds on one set of pages."""

    view: str = Field(description="name of the view")
    cross_fitted: Row = Field(description="with post-processing values that are chosen on other groups of pages")
    as_it_comes: Row = Field(description="with the model's own values")
    looks: LookCosts = Field(
        description="pixels of the looks; their milliseconds are of a machine that did other work, too"
    )
    cpu_ms: float = Field(
        description="milliseconds of one processor from image to boxes, median over some pages, the views in turn"
    )
    text_height: float = Field(
        description="of typical text in the view, pixels: median over pages of the labels' median"
    )


class SetResult(Record):
    """All views on one set of pages."""

    pages: str = Field(description="name of the set")
    results: tuple[ViewResult, ...] = Field(description="of each view")
    differences: tuple[DifferenceRow, ...] = Field(
        description="of the view of the text to views of the page, cross-fitted"
    )


class ViewsPage(Record):
    """The content of ``views.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    model: str = Field(description="name of the model")
    sets: tuple[SetResult, ...] = Field(description="of each set of pages")


# --- sets of pages ----------------------------------------------------------------------------------------------------


def on_sheet(page: Page, image: Image) -> tuple[Page, Image]:
    """The page on a quarter of a white A4 sheet, at a place that its name decides."""
    rng = np.random.default_rng(zlib.crc32(page.name.encode()))
    height = round(2 * max(page.height, page.width * A4))
    width = round(height / A4)
    x = int(rng.uniform(0.03, 0.97) * (width - page.width))
    y = int(rng.uniform(0.03, 0.97) * (height - page.height))
    sheet = np.full((height, width, 3), 250, dtype=np.uint8)
    sheet[y : y + page.height, x : x + page.width] = image
    moved = page.polygons.with_points(page.polygons.points + np.array([x, y]))
    return replace(page, width=width, height=height, polygons=moved), sheet


def at_640(page: Page, image: Image) -> tuple[Page, Image]:
    """The page with its longest side at 640 pixels."""
    scale = 640 / max(page.width, page.height)
    width = round(page.width * scale)
    height = round(page.height * scale)
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    factors = [width / page.width, height / page.height]
    moved = page.polygons.with_points(page.polygons.points * factors)
    return replace(page, width=width, height=height, polygons=moved), small


def made_of(pages: LabelledImages, folder: Path, make: Callable[[Page, Image], tuple[Page, Image]]) -> LabelledImages:
    """The pages, each made into another; kept in a folder."""
    labels = folder / "labels.json"
    if not labels.exists():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        entries = {}
        for position in range(len(pages)):
            page, image = make(pages.page(position), read_image(pages.file(position)))
            name = f"{Path(page.name).stem}.png"
            cv2.imwrite(str(folder / "images" / name), image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            entries[name] = page.to_ufo()
        write_json(labels, {"images": entries})
    return sroie.open_pages(folder)


def few_of_each_shop(pages: LabelledImages) -> LabelledImages:
    """At most ``OF_A_SHOP`` pages of each shop: one has half of the pages, and more of them would tell little."""
    count: Counter[str | None] = Counter()
    names = []
    for page in sroie.labels_of(pages):
        count[page.group] += 1
        if page.group is None or count[page.group] <= OF_A_SHOP:
            names.append(page.name)
    return sroie.named(pages, names)


def unseen(pages: LabelledImages, model: TrainedModel) -> LabelledImages:
    """The pages that a model was not trained on."""
    keys = pages.page_keys()
    trained = np.isin(keys, model.pages.train)
    return sroie.named(pages, [pages.name(position) for position in np.flatnonzero(~trained).tolist()])


def sets_of_pages(data: Path, folder: Path, model: TrainedModel) -> dict[str, LabelledImages]:
    """All sets by name."""
    receipts = few_of_each_shop(unseen(sroie.open_pages(data / "sroie"), model))
    return {
        "SROIE": receipts,
        "SROIE on a quarter of an A4 sheet": made_of(receipts, folder / "a4", on_sheet),
        "SROIE at 640 pixels": made_of(receipts, folder / "at_640", at_640),
        "receipts_de": sroie.open_pages(data / "receipts_de"),
    }


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Scored:
    """One view on one set of pages."""

    cross_fitted: list[PageScore]
    chosen: list[PostprocessParams]
    as_it_comes: list[PageScore]


def cross_fit(maps: sroie.MappedPages) -> _Scored:
    """Values chosen on four fifths of the groups, and the last fifth scored with them, in turn."""
    scores = maps.score(make_grid(maps.postprocess, AXES))
    own = scores.settings.index(maps.postprocess)

    def pick(some: SettingScores) -> Any:
        return choose(some, sroie.OBJECTIVE)

    crossed = crossfit_settings(scores, maps.names, maps.groups, 5, pick)
    if crossed is None:
        raise ValueError("cross-fitting needs pages of two groups or more")
    return _Scored(
        cross_fitted=maps.page_scores(crossed.scores),
        chosen=list(dict.fromkeys(crossed.chosen)),
        as_it_comes=maps.page_scores(scores.of_settings(own)),
    )


def cpu_milliseconds(detector: TextDetector, pages: LabelledImages) -> dict[str, float]:
    """Of each view, from an image in memory to boxes."""
    detectors = {name: detector.at(view) for name, view in VIEWS.items()}
    spent: dict[str, list[float]] = {name: [] for name in VIEWS}
    step = max(1, len(pages) // TIMED_PAGES)
    for position in range(0, len(pages), step):
        image = read_image(pages.file(position))
        for name, one in detectors.items():
            start = time.process_time()
            one.detect([image])
            spent[name].append(1e3 * (time.process_time() - start))
    return {name: round(median(times), 1) for name, times in spent.items()}


def reader(store: MapStore) -> Callable[[Page], PageMap]:
    """Reads the map of a page."""
    return lambda page: store.read(page.name)


def row(view: str, pages: str, values: str, scored: Sequence[PageScore], chosen: Sequence[PostprocessParams]) -> Row:
    """The row of one view."""
    return score_row([scored], model=view, pages=pages, values=values, postprocess=chosen, shown=WITHOUT_SHOPS)


def measure(path: Path, name: str, pages: LabelledImages, folder: Path, detector: TextDetector) -> SetResult:
    """All views on one set of pages."""
    model = open_model(path)
    truth = sroie.labels_of(pages)
    cpu_ms = cpu_milliseconds(detector, pages)
    results = []
    scored = {}
    for view_name, view in VIEWS.items():
        store = make_maps(model, pages, folder / "maps", view=view)
        maps = sroie.MappedPages(truth, reader(store), model.postprocess)
        one = cross_fit(maps)
        scored[view_name] = one
        looks = LookCosts.of([store.read(page.name).looks for page in truth])
        assert looks is not None
        results.append(
            ViewResult(
                view=view_name,
                cross_fitted=row(view_name, name, "cross-fitted", one.cross_fitted, one.chosen),
                as_it_comes=row(view_name, name, "own", one.as_it_comes, [model.postprocess]),
                looks=looks,
                cpu_ms=cpu_ms[view_name],
                text_height=_text_height(maps),
            )
        )
        print(f"{name}, {view_name}: {looks.text()}", flush=True)
    pairs = []
    for base in BASES:
        pairs.append((Side(TEXT, [scored[TEXT].cross_fitted]), Side(base, [scored[base].cross_fitted])))
    differences = difference_rows(pairs, same_trainings=True, shown=WITHOUT_SHOPS)
    return SetResult(pages=name, results=tuple(results), differences=tuple(differences))


def _text_height(maps: sroie.MappedPages) -> float:
    heights = []
    for page in maps.truth:
        if len(page.polygons):
            typical = float(np.median(text_heights(list(page.polygons))))
            heights.append(typical * maps.read(page).scale)
    return round(median(heights), 1)


# --- the page ---------------------------------------------------------------------------------------------------------


def table(sets: Sequence[SetResult]) -> str:
    """Scores and costs of all views."""
    lines = [
        "| pages | view | macro H | IoU50 H | IoU70 H | own values | megapixels | looks | text, px | CPU ms |",
        "|---|---|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    for one in sets:
        for result in one.results:
            cells = []
            for statistic in ("macro", "iou50", "iou70"):
                cell = result.cross_fitted.scores[statistic]
                cells.append(score_rows.percent(cell.value, cell.interval95))
            own = result.as_it_comes.scores
            without = " / ".join(f"{100 * own[statistic].value:.1f}" for statistic in ("macro", "iou50", "iou70"))
            looks = result.looks
            pixels = looks.first_megapixels + looks.later_megapixels
            lines.append(
                f"| {one.pages} | {result.view} | {' | '.join(cells)} | {without} | {pixels:.2f} | {looks.looks:.2f} | "
                f"{result.text_height:.0f} | {result.cpu_ms:.0f} |"
            )
    return "\n".join(lines)


def page(record: ViewsPage) -> str:
    """The page in Markdown."""
    differences = []
    for one in record.sets:
        differences += [f"### {one.pages}", "", difference_table(one.differences, WITHOUT_SHOPS), ""]
    groups = score_rows.describe_groups([one.results[0].cross_fitted for one in record.sets])
    text = VIEWS[TEXT]
    assert text.text is not None
    return f"""# Views of the text beside views of the page

The network is that of {record.model}. [Views](../concepts/views.md) says what a view of the text is; here typical text is to be
{text.text.height:g} pixels tall, with at most {text.long_side} x {text.long_side} pixels and a first look of {text.text.first_look}.
{CHOSEN}

{table(record.sets)}

{score_rows.INTERVALS}
{sroie.CROSS_FITTED}
"Own values" are macro, IoU50 and IoU70 H with those that the model carries, which may have been chosen on some of these pages.
Megapixels are those of all looks at a page; "text" is the height that typical labelled words have in the last look, median
over pages; CPU ms are of one processor, from an image in memory to boxes, median over {TIMED_PAGES} pages or so, the views in turn.

{groups}

## Differences

Of the view of the text to views of the page, cross-fitted; of each set, both are one family.

{chr(10).join(differences)}
{record.environment.footer()}
"""


def main() -> None:
    """Measure, and write the page."""
    data = Path(sys.argv[1])
    source = sys.argv[3] if len(sys.argv) > 3 else "receipts-lite"
    path = model_path(source)
    name = "views"
    if source not in BUNDLED:
        name = f"views_{path.stem}"
    folder = Path(sys.argv[2]) / name
    detector = TextDetector(path, threads=1)
    sets = []
    for set_name, pages in sets_of_pages(data, folder, open_model(path)).items():
        sets.append(measure(path, set_name, pages, folder, detector))
    environment = harness.PageProvenance.collect("numpy", "opencv-python-headless", "onnxruntime")
    record = ViewsPage(environment=environment, model=source if source in BUNDLED else path.stem, sets=tuple(sets))
    target = harness.ROOT / "docs/results" / f"{name}.md"
    record.write(target.with_suffix(".json"))
    write_text(target, page(record))
    print(page(record))


if __name__ == "__main__":
    main()
