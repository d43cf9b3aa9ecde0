"""A preset on all pages of SROIE's development part, out of fold, with several seeds, beside a peer on the same pages.

usage: python benchmarks/crossval_sroie.py DATA FOLDER [recipe=receipts_lite|receipts-lite] [seeds=42,1,2]

FOLDER has the trainings of scripts/results.sh (of the preset receipts_lite, or of the bundled model's recipe), and keeps the peer's maps. Writes docs/results/crossval_sroie.{json,md} or fine_tuned_sroie.{json,md}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import harness
import score_rows
import sroie
from pydantic import Field
from score_rows import (
    DEFAULT_SHOWN,
    DifferenceRow,
    Row,
    Shown,
    Side,
    difference_rows,
    difference_table,
    score_row,
    score_table,
)

from hmean.files import write_text
from hmean.metrics.scorer import score_pages
from hmean.metrics.single_characters import with_single
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.scores import Scores

PAGES = "SROIE development"
RAPIDOCR = "RapidOCR as it comes"
CHOSEN = "cross-fitted"
FIRST = "the first bundled model (EfficientNet-Lite0)"
FIRST_PAGES = "SROIE validation"


@dataclass(frozen=True)
class Recipe:
    """What was trained, and what its page says of it.

    Attributes:
        name: of the preset, or of the bundled model.
        folders: of its cross-validations, without the seed; empty: trainings of ``scripts/train_box_model.sh``.
        page: name of the page's file.
        peer: what the peer is to it.
        shown: numbers of each row.
        beside_first: whether the first bundled model stands beside it, on the pages that that one has not seen.
    """

    name: str
    folders: str
    page: str
    peer: str
    shown: tuple[Shown, ...] = DEFAULT_SHOWN
    beside_first: bool = False

    @property
    def path(self) -> Path:
        """The page."""
        return harness.ROOT / f"docs/results/{self.page}.md"

    def runs(self, folder: Path, seed: int) -> list[sroie.FoldRun]:
        """The trainings with one seed."""
        if self.folders == "":
            return sroie.shipped_runs(folder, seed)
        return sroie.crossval_runs(folder / f"{self.folders}{seed}")

    def describe_runs(self, folder: Path, seed: int) -> list[harness.ComparedRun]:
        """What they have recorded of themselves."""
        if self.folders == "":
            return [harness.read_run(one.run) for one in self.runs(folder, seed)]
        return [harness.read_crossval(folder / f"{self.folders}{seed}")]


RECIPES = (
    Recipe(
        "receipts_lite",
        "sroie_folds_seed",
        "crossval_sroie",
        "What the peer was trained on is not\nknown to us; it may include receipts of this set.",
    ),
    Recipe(
        "receipts-lite",
        "",
        "fine_tuned_sroie",
        f"{sroie.PEER} is no\nrival here but the parent: these models start from its weights. What it was trained on is "
        "not known to us; it may include receipts of\nthis set.",
        (*DEFAULT_SHOWN, "single"),
        beside_first=True,
    ),
)


def recipe_of(name: str) -> Recipe:
    """The recipe of a name."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise SystemExit(f"recipe={name}: not found; there are {', '.join(recipe.name for recipe in RECIPES)}")


class CrossvalPage(Record):
    """The content of ``crossval_sroie.json`` and ``fine_tuned_sroie.json``."""

    recipe: str = Field(default="receipts_lite", description="preset, or bundled model, that was trained")
    environment: harness.PageProvenance = Field(description="what the page was made with")
    seeds: tuple[int, ...] = Field(description="of the trainings")
    relabelled: int = Field(default=0, description="pages whose labels were others when the models were trained")
    rows: tuple[Row, ...] = Field(description="scores")
    differences: tuple[DifferenceRow, ...] = Field(description="the preset minus the peer")
    folds: tuple[tuple[float, ...], ...] = Field(description="macro H of each fold's pages, for each seed")
    first_rows: tuple[Row, ...] = Field(default=(), description="beside the first bundled model: scores")
    first_differences: tuple[DifferenceRow, ...] = Field(default=(), description="likewise, differences to it")


def main() -> None:
    """Score, write."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    options = dict(word.split("=", 1) for word in sys.argv[3:])
    recipe = recipe_of(options.get("recipe", "receipts_lite"))
    seeds = [int(seed) for seed in options.get("seeds", ",".join(map(str, sroie.SEEDS))).split(",")]
    ours = f"{recipe.name}, out of fold"

    shown = recipe.shown
    preset_runs = []
    tuned_runs = []
    all_pages = []
    chosen: list[PostprocessParams] = []
    preset = PostprocessParams()
    names: list[str] = []
    relabelled = 0
    trained: list[harness.ComparedRun] = []
    for seed in seeds:
        pages = sroie.out_of_fold(data / "sroie", recipe.runs(folder, seed))
        trained += recipe.describe_runs(folder, seed)
        preset = pages.postprocess
        names = pages.names
        relabelled = pages.relabelled
        all_pages.append(pages)
        (tuned,) = sroie.tune(pages)
        preset_runs.append(pages.score_with(preset))
        tuned_runs.append(tuned.cross_fitted)
        chosen += tuned.chosen_by_folds
        print(f"seed {seed}: {len(pages.truth)} pages", flush=True)

    same_pages = sroie.named(sroie.open_pages(data / "sroie"), names)
    peer = sroie.peer_maps(same_pages, folder / "peer_maps")
    (peer_tuned,) = sroie.tune(peer)
    peer_defaults = peer.score_with(peer.postprocess)
    found = sroie.rapidocr_found(same_pages, folder / "rapidocr_sroie.json")
    detections = [found[name] for name in peer.names]
    rapidocr = [page for (page,) in score_pages(peer.truth, detections, sroie.CHARACTERS)]
    rapidocr = with_single(rapidocr, peer.truth, detections)

    rows = [
        score_row(preset_runs, model=ours, pages=PAGES, values="the preset's", postprocess=[preset],
                  shown=shown),
        score_row(tuned_runs, model=ours, pages=PAGES, values=CHOSEN, postprocess=chosen, shown=shown),
        score_row([rapidocr], model=RAPIDOCR, pages=PAGES, values="its defaults", shown=shown),
        score_row([peer_defaults], model=sroie.PEER, pages=PAGES, values="its defaults, our post-processing",
                  postprocess=[peer.postprocess], shown=shown),
        score_row([peer_tuned.cross_fitted], model=sroie.PEER, pages=PAGES, values=CHOSEN,
                  postprocess=peer_tuned.chosen_by_folds, shown=shown),
    ]  # fmt: skip
    pairs = [
        (Side(f"{recipe.name}, the preset's", preset_runs), Side(RAPIDOCR, [rapidocr])),
        (Side(f"{recipe.name}, the preset's", preset_runs), Side(f"{sroie.PEER}, its defaults", [peer_defaults])),
        (
            Side(f"{recipe.name}, {CHOSEN}", tuned_runs),
            Side(f"{sroie.PEER}, {CHOSEN}", [peer_tuned.cross_fitted]),
        ),
    ]
    first_rows: list[Row] = []
    first_differences: list[DifferenceRow] = []
    if recipe.beside_first:
        first_rows, first_differences = beside_first(data, folder, ours, all_pages, shown)
    record = CrossvalPage(
        recipe=recipe.name,
        environment=harness.PageProvenance.collect(
            "torch",
            "numpy",
            "onnxruntime",
            "opencv-python-headless",
            "rapidocr",
            runs=trained,
        ),
        seeds=tuple(seeds),
        relabelled=relabelled,
        rows=tuple(rows),
        differences=tuple(difference_rows(pairs, same_trainings=False, shown=shown)),
        first_rows=tuple(first_rows),
        first_differences=tuple(first_differences),
        folds=tuple(_of_folds(recipe.runs(folder, seed)) for seed in seeds),
    )
    record.write(recipe.path.with_suffix(".json"))
    write_text(recipe.path, page(record))
    print(page(record))


def beside_first(
    data: Path, folder: Path, ours: str, of_seeds: Sequence[sroie.MappedPages], shown: Sequence[Shown]
) -> tuple[list[Row], list[DifferenceRow]]:
    """The recipe and the first bundled model on the pages of shops that neither was trained on; both are tuned on these."""
    pages = sroie.open_pages(data / "sroie", sroie.VALIDATION)
    file = sroie.first_bundled(folder)
    (first,) = sroie.tune(sroie.bundled_maps(pages, folder / "first_bundled_maps", file=file))
    runs = []
    chosen: list[PostprocessParams] = []
    names = [page.name for page in first.cross_fitted]
    for seed in of_seeds:
        (tuned,) = sroie.tune(seed.only(names))
        runs.append(tuned.cross_fitted)
        chosen += tuned.chosen_by_folds
    rows = [
        score_row(runs, model=ours, pages=FIRST_PAGES, values=CHOSEN, postprocess=chosen, shown=shown),
        score_row(
            [first.cross_fitted],
            model=FIRST,
            pages=FIRST_PAGES,
            values=CHOSEN,
            postprocess=first.chosen_by_folds,
            shown=shown,
        ),
    ]
    pair = (Side(f"{ours}, {CHOSEN}", runs), Side(f"{FIRST}, {CHOSEN}", [first.cross_fitted]))
    return rows, difference_rows([pair], same_trainings=False, shown=shown)


def _of_folds(runs: Sequence[sroie.FoldRun]) -> tuple[float, ...]:
    """Macro H of each fold's own pages, as its training scored them."""
    return tuple(Scores.read(one.run / "scores.json").hmean("macro") for one in runs)


def page(record: CrossvalPage) -> str:
    """The page."""
    recipe = recipe_of(record.recipe)
    shown = recipe.shown
    seeds = f"one seed ({record.seeds[0]}): another seed may say otherwise"
    if len(record.seeds) > 1:
        seeds = f"{len(record.seeds)} seeds ({', '.join(map(str, record.seeds))}), of which each number is the mean"
    folds = []
    for seed, of_folds in zip(record.seeds, record.folds, strict=True):
        folds.append(f"seed {seed}: {', '.join(f'{100 * value:.2f}' for value in of_folds)}")
    return f"""# {recipe.name} on SROIE, out of fold

Every labelled page of SROIE's development part, scored by a model that was trained without the page's shop (five folds by
shop), and a peer on the same pages. {recipe.name} was trained with {seeds};
{short(record)}. Percent. {score_rows.INTERVALS}
{sroie.CROSS_FITTED} "Over shops": the mean over shops of the mean over their pages, so that a shop with many receipts counts as
much as any other.

{score_table(record.rows, shown)}

{score_rows.describe_groups(record.rows)}

Differences, paired by page, intervals over shops and seeds; the verdict is that of the family of all differences of one kind:

{difference_table(record.differences, shown)}

{values(record.rows)}
{of_first(record, shown)}
Macro H of each fold, the preset's values ({"; ".join(folds)}): other folds are other shops.

**Which pages had a part in what.** Weights: none of the page's own shop.{sroie.describe_relabelled(record.relabelled)} Epoch: none; the last epoch of a fixed number is
scored. Values: the preset's are fixed; cross-fitted ones come from pages of other shops, though through maps of models that
were trained on them. The recipe itself (encoder, sizes, augmentation, shrink ratio, the preset's values) was developed on
SROIE's development pages, these ones: on new receipts it may do a little worse than here. {recipe.peer}

{record.environment.footer()}
"""


def of_first(record: CrossvalPage, shown: Sequence[Shown]) -> str:
    """The paragraphs about the first bundled model; nothing where there are none."""
    if not record.first_rows:
        return ""
    return f"""
## Beside the first bundled model

On the pages of the fifth of the shops that it was not trained on either, the values of both cross-fitted on these pages alone:

{score_table(record.first_rows, shown)}

{score_rows.describe_groups(record.first_rows)}

{difference_table(record.first_differences, shown)}
"""


def short(record: CrossvalPage) -> str:
    """How long each training was."""
    trainings = sum(len(of_folds) for of_folds in record.folds)
    epochs = sum(run.epochs for run in record.environment.runs)
    minutes = sum(run.minutes for run in record.environment.runs)
    if trainings == 0:
        return "how long is not recorded"
    return f"each training is a short one, {epochs / trainings:g} epochs in {minutes / trainings:.0f} minutes"


def values(rows: Sequence[Row]) -> str:
    """The post-processing values of each row that has some."""
    lines = ["Values (thresh / box_thresh / unclip):", ""]
    for row in rows:
        if row.postprocess:
            lines.append(f"- {row.model}, {row.values}: {score_rows.describe_values(row.postprocess)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
