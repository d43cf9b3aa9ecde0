"""What each part of the recipe is worth: the base, and variants of it that differ in one thing, on held-out shops.

usage: python benchmarks/ablation.py DATA FOLDER [do=train,page] [variants=base,rough,...] [seeds=42,1,2] [fold=0]
           [splits=FILE] [also=KEY=VALUE ...]

The variants are those of benchmarks/ablation_variants.py; all of one seed are trained before those of the next. FOLDER
keeps everything under ablation/. A training is known by its settings and its pages, not by its name: one in any run folder
of FOLDER (FOLDER/RUN, FOLDER/*/RUN), such as those of the learning curve, is taken over, and a variant that was changed is trained again.
Stopped, the same command continues, and two at a time share the work. do=page shows whatever is trained of what it is asked
for, and names the rest. The pages that judge are those of a fold by shop (of five, seed 42), or of the fold of that number
in a splits.json. ``also=`` adds an override to every training. Writes docs/results/ablation.{json,md}.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import ablation_page
import harness
import numpy as np
import robustness
import sroie
from ablation_page import AblationPage, DamageRow, VariantRow
from ablation_variants import (
    BASE,
    DRAWN,
    DRAWN_PAGES,
    ROUGH,
    SHIPPED,
    STYLES,
    VARIANTS,
    Variant,
    find_variant,
    folder_name,
)
from damages import DAMAGES, Damage
from pydantic import Field
from score_rows import WITH_SINGLE, Cell, DifferenceRow, Row, Side, difference_rows, score_row
from trainings import LABELS, in_one_line, mapped, open_unseen, run_hmean, write_start

from hmean.crossval.folds import NOT_IN_THE_RECIPE, is_trained
from hmean.errors import InputError
from hmean.locks import locked
from hmean.metrics.scorer import PageScore
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.carried import read_carried
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import config_hash
from hmean.runs.metrics import read_epochs
from hmean.settings.build import open_dataset, open_validation
from hmean.settings.build_training import build_data
from hmean.settings.compose import read_saved, read_settings
from hmean.settings.keys import pruned
from hmean.settings.sections import Folds
from hmean.settings.training import RecipeSettings, TrainSettings

PAGE = harness.ROOT / "docs/results/ablation.md"
FOLDS = 5
FOLDS_SEED = 42
PAGES = "SROIE, held-out shops"
VALUES = "cross-fitted"
# Beside what decides nothing in a fold: a run of which more than the last epoch was validated is not taken over.
NOT_COMPARED = (*NOT_IN_THE_RECIPE, "trainer.check_val_every_n_epoch")
# Names of damages, and the strengths that are shown.
SHOWN_DAMAGES: dict[str, tuple[float, ...]] = {
    "turned by right angles": (90, 180),
    "low light with noise": (0.2,),
    "blur": (2,),
}


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        data: the data set, a folder with images/ and labels.json.
        results: where runs may be that are taken over.
        variants: in the order of the page and of the trainings.
        seeds: of the trainings.
        fold: whose pages judge.
        splits: says which these are; None: five folds by shop.
        also: overrides of every training.
    """

    data: Path
    results: Path
    variants: Sequence[Variant] = VARIANTS
    seeds: Sequence[int] = sroie.SEEDS
    fold: int = 0
    splits: Path | None = None
    also: Sequence[str] = field(default=())

    @property
    def folder(self) -> Path:
        """Of everything that is made."""
        return self.results / "ablation"

    @property
    def drawn(self) -> Path:
        """Drawn pages."""
        return self.folder / f"drawn_{DRAWN_PAGES}"

    @property
    def judges(self) -> Folds:
        """The pages that judge."""
        if self.splits is not None:
            return Folds(file=str(self.splits), fold=self.fold, split="val")
        return Folds(k=FOLDS, seed=FOLDS_SEED, fold=self.fold, split="val")


class Training(NamedTuple):
    """One training: of a variant that has its own."""

    variant: Variant
    seed: int


def main() -> None:
    """Train, score, write."""
    plan, jobs = read_plan(sys.argv[1:])
    if "train" in jobs:
        train(plan)
    if "page" in jobs:
        record = make_page(plan)
        ablation_page.write_page(record, PAGE)
        print(ablation_page.page(record))


def read_plan(words: Sequence[str]) -> tuple[Plan, list[str]]:
    """The plan of a command line, and which of train and page are to be done."""
    data, folder, *rest = words
    also = [word.removeprefix("also=") for word in rest if word.startswith("also=")]
    options = dict(word.split("=", 1) for word in rest if not word.startswith("also="))
    jobs = options.pop("do", "train,page").split(",")
    variants = VARIANTS
    if "variants" in options:
        variants = tuple(find_variant(name) for name in options.pop("variants").split(","))
    seeds = [int(word) for word in options.pop("seeds", ",".join(map(str, sroie.SEEDS))).split(",")]
    fold = int(options.pop("fold", "0"))
    splits = None
    if "splits" in options:
        splits = Path(options.pop("splits")).resolve()
    if options:
        sys.exit(f"{next(iter(options))}: unknown option; see benchmarks/ablation.py")
    plan = Plan(
        Path(data) / "sroie",
        Path(folder),
        variants=variants,
        seeds=seeds,
        fold=fold,
        splits=splits,
        also=also,
    )
    return plan, jobs


# --- trainings --------------------------------------------------------------------------------------------------------


def train(plan: Plan) -> None:
    """Train whatever is not trained yet. What fails is named at the end, the rest is trained all the same."""
    failed = []
    for training in trainings(plan):
        if find_run(plan, training) is not None:
            continue
        name = run_name(plan, training)
        try:
            with locked(plan.folder, f".{name}.lock"):
                draw(plan, training.variant)
                run_hmean(command(plan, training))
        except InputError as error:  # another process trains it
            print(f"{name}: {error}", flush=True)
        except subprocess.CalledProcessError:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def trainings(plan: Plan) -> Iterator[Training]:
    """All trainings, in order."""
    for seed in plan.seeds:
        for variant in plan.variants:
            if variant.weights == "own":
                yield Training(variant, seed)


def draw(plan: Plan, variant: Variant) -> None:
    """Draw the pages that a variant asks for, once."""
    if is_to_be_drawn(plan, variant):
        with locked(plan.folder, ".drawn.lock"):
            run_hmean(draw_command(plan))


def is_to_be_drawn(plan: Plan, variant: Variant) -> bool:
    """Whether the pages that a variant asks for are not there yet."""
    asks = any(DRAWN in word for word in variant.overrides)
    return asks and not (plan.drawn / "jsons" / "train.json").exists()


def draw_command(plan: Plan) -> list[str]:
    """Draws pages."""
    pages = ["--train", str(DRAWN_PAGES), "--val", "0", "--test", "0", "--level", "line"]
    return ["data", "synth", str(plan.drawn), *pages, "--styles", *STYLES, "--overwrite"]


def command(plan: Plan, training: Training) -> list[str]:
    """Trains a variant on the pages that do not judge, without validation: its last epoch is kept."""
    return [
        "train",
        *recipe_words(plan, training),
        f"output_dir={plan.folder}",
        f"exp_name={run_name(plan, training)}",
        "resume=auto",
    ]


def recipe_words(plan: Plan, training: Training) -> list[str]:
    """What a variant is trained with, and on which pages."""
    variant = training.variant
    overrides = [word.replace(DRAWN, str(plan.drawn)) for word in variant.overrides]
    folds = f"{{k: {FOLDS}, seed: {FOLDS_SEED}, fold: {plan.fold}, split: train}}"
    if plan.splits is not None:
        folds = f"{{file: '{plan.splits}', fold: {plan.fold}, split: train}}"
    return [
        f"preset={variant.preset}",
        *overrides,
        f"dataset_base_path={plan.data}",
        LABELS,
        f"datasets.train_dataset.folds={folds}",
        "datasets.val_dataset=null",
        f"seed={training.seed}",
        *plan.also,
    ]


def run_name(plan: Plan, training: Training) -> str:
    """Of its folder: of a variant that was changed another one."""
    digest = recipe_hash(read_settings(TrainSettings, recipe_words(plan, training)).to_dict())
    return f"{folder_name(training.variant)}_seed{training.seed}_{digest[:8]}"


# --- trainings that are there -----------------------------------------------------------------------------------------


def recipe_hash(settings: Mapping[str, Any]) -> str:
    """Hash of all that decides what a training learns from its pages; these are compared by content.

    Args:
        settings: of a training, plain values.
    """
    recipe = pruned(settings, RecipeSettings)
    train_dataset = recipe["datasets"]["train_dataset"]
    shares = [part["share"] for part in train_dataset["also"] or []]
    plain = {**recipe, "datasets": {"train_dataset": {**train_dataset, "also": shares}}}
    return config_hash(_without(plain, NOT_COMPARED))


def _without(values: Mapping[str, Any], keys: Sequence[str], path: str = "") -> dict[str, Any]:
    """Nested values without some dotted keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{path}{name}"
        if key in keys:
            continue
        if isinstance(value, Mapping):
            value = _without(value, keys, f"{key}.")
        found[name] = value
    return found


class Recipe(NamedTuple):
    """What a run folder says of its training."""

    digest: str
    epochs: int


@cache
def read_recipe(config: Path, changed_ns: int) -> Recipe | None:  # noqa: ARG001 - a file that was changed is read again
    """The recipe in a ``config.yaml``; None if it is of a version with other keys."""
    settings = read_saved(config, RecipeSettings)
    try:
        return Recipe(recipe_hash(settings), settings["trainer"]["max_epochs"])
    except (KeyError, TypeError):
        return None


def find_run(plan: Plan, training: Training) -> RunFolder | None:
    """A finished training of this recipe on the same pages, wherever it is; None if there is none."""
    if is_to_be_drawn(plan, training.variant):
        return None
    settings = read_settings(TrainSettings, recipe_words(plan, training))
    runs = finished_runs(plan.results, recipe_hash(settings.to_dict()))
    if not runs:
        return None
    pages = open_dataset(settings.datasets.train_dataset)
    batches = build_data(settings, pages, open_validation(None, pages), (0, 0, 0)).train_batches(1)
    if settings.trainer.limit_train_batches is not None:
        batches = min(batches, settings.trainer.limit_train_batches)
    steps = settings.trainer.max_epochs * batches
    keys = np.sort(pages.page_keys())
    for run in runs:
        # An earlier version took 792 samples where 400 were asked for.
        is_as_long = read_epochs(run.metrics)[-1].step == steps
        if is_as_long and np.array_equal(np.sort(read_carried(run.best).pages.train), keys):
            return run
    return None


def finished_runs(results: Path, digest: str) -> list[RunFolder]:
    """The runs of a recipe whose training has ended, and whose kept epoch no page has chosen: it is the last one."""
    found = []
    for config in sorted([*results.glob("*/config.yaml"), *results.glob("*/*/config.yaml")]):
        recipe = read_recipe(config, config.stat().st_mtime_ns)
        run = RunFolder(config.parent)
        if recipe is None or recipe.digest != digest or not is_trained(run, recipe.epochs, validated=False):
            continue
        validated = [row.epoch + 1 for row in read_epochs(run.metrics) if "val/hmean" in row.metrics]
        if validated in ([], [recipe.epochs]):
            found.append(run)
    return found


# --- scores -----------------------------------------------------------------------------------------------------------


class ScoredFile(Record):
    """What one model scores on the judging pages: the file that is kept."""

    key: str = Field(
        description="hash of the model, of how it sees pages, of what values are chosen among, and of the pages"
    )
    pages: tuple[PageScore, ...] = Field(description="each with values that were chosen on pages of other shops")
    chosen: tuple[PostprocessParams, ...] = Field(description="these values, each set of them once")


@dataclass(frozen=True, eq=False)
class Scored:
    """A variant, as each of its seeds scored the judging pages.

    Attributes:
        variant: the variant.
        seeds: of the trainings; empty where none took part.
        runs: the trainings, one for each seed.
        files: what they score, or the start does.
    """

    variant: Variant
    seeds: Sequence[int]
    runs: Sequence[RunFolder]
    files: Sequence[ScoredFile]

    @property
    def side(self) -> Side:
        """As a side of a comparison."""
        return Side(self.variant.name, [file.pages for file in self.files])


def score_variant(plan: Plan, variant: Variant) -> Scored | None:
    """Everything of a variant that is trained; None if nothing is."""
    if variant.weights == "start":
        checkpoint = start_of(plan)
        return Scored(variant, (), (), [score(plan, variant, checkpoint)])
    source = variant
    if variant.weights == "base":
        source = BASE
    seeds = []
    runs = []
    for seed in plan.seeds:
        run = find_run(plan, Training(source, seed))
        if run is not None:
            seeds.append(seed)
            runs.append(run)
    if not runs:
        return None
    return Scored(variant, seeds, runs, [score(plan, variant, run.best) for run in runs])


def start_of(plan: Plan) -> Path:
    """What the base starts from, as a checkpoint."""
    path = plan.folder / "start" / "checkpoints" / "start.ckpt"
    write_start(path, recipe_words(plan, Training(BASE, plan.seeds[0])))
    return path


def score(plan: Plan, variant: Variant, checkpoint: Path) -> ScoredFile:
    """The judging pages, each with values chosen on pages of other shops; kept in a file.

    Raises:
        ValueError: if the model was trained on one of them.
    """
    # Validation pages of finished_runs chose nothing: the last epoch was the only one to be validated.
    model = open_unseen(checkpoint, plan.data, plan.judges, epoch_chosen=False)
    axes = dict(sroie.AXES)
    if variant.edge_levels:
        axes["edge_level"] = list(variant.edge_levels)
    judges = sroie.open_pages(plan.data, plan.judges).page_keys().tolist()
    parts = (model.weights_hash(), variant.view or model.view, axes, model.postprocess, sroie.OBJECTIVE, judges)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    file = plan.folder / "scores" / f"{key[:16]}.json"
    if file.exists():
        return ScoredFile.read(file)
    pages = mapped(model, plan.data, plan.judges, variant.view)
    (tuned,) = sroie.tune(pages, axes=axes)
    scored = ScoredFile(key=key, pages=tuple(tuned.cross_fitted), chosen=tuple(tuned.chosen_by_folds))
    file.parent.mkdir(parents=True, exist_ok=True)
    scored.write(file)
    print(f"{variant.name}: {checkpoint}: {len(pages.truth)} pages", flush=True)
    return scored


# --- the page ---------------------------------------------------------------------------------------------------------


def make_page(plan: Plan) -> AblationPage:
    """Score everything that is trained, and what the base starts from."""
    found: dict[str, Scored] = {}
    for variant in plan.variants:
        scored = score_variant(plan, variant)
        if scored is not None:
            found[variant.name] = scored
    if BASE.name not in found:
        sys.exit(f"{BASE.name}: is not trained for any of these seeds; do=train trains it")
    base = found[BASE.name]
    compared = [one for one in found.values() if one is not base]
    of_other_weights = differences(
        [one for one in compared if one.variant.weights != "base"], base, same_trainings=False
    )
    of_same_weights = differences([one for one in compared if one.variant.weights == "base"], base, same_trainings=True)
    of_variant = {row.name: row for row in (*of_other_weights, *of_same_weights)}
    rows = []
    for variant in plan.variants:
        rows.append(variant_row(variant, found.get(variant.name), of_variant.get(variant.name)))
    runs = []
    for one in found.values():
        if one.variant.weights == "own":
            runs.append(in_one_line(one.variant.name, [harness.read_run(run.path) for run in one.runs]))
    damaged = score_damages(plan, found)
    packages = ["torch", "timm", "numpy", "opencv-python-headless"]
    return AblationPage(
        environment=harness.PageProvenance.collect(*packages, runs=runs),
        fold=plan.fold,
        splits=plan.splits is not None,
        seeds=tuple(plan.seeds),
        variants=tuple(rows),
        damages=tuple(damaged),
    )


def differences(compared: Sequence[Scored], base: Scored, *, same_trainings: bool) -> list[DifferenceRow]:
    """Each of them to the base; all are one family."""
    if not compared:
        return []
    pairs = [(one.side, base.side) for one in compared]
    return difference_rows(pairs, same_trainings=same_trainings, shown=WITH_SINGLE)


def variant_row(variant: Variant, scored: Scored | None, difference: DifferenceRow | None) -> VariantRow:
    """A variant on the page."""
    row: Row | None = None
    seeds: tuple[int, ...] = ()
    minutes = None
    steps = None
    if scored is not None:
        seeds = tuple(scored.seeds)
        chosen = [values for file in scored.files for values in file.chosen]
        row = score_row(
            scored.side.runs, model=variant.name, pages=PAGES, values=VALUES, postprocess=chosen, shown=WITH_SINGLE
        )
        if variant.weights == "own":
            of_runs = [harness.read_run(run.path).minutes for run in scored.runs]
            minutes = sum(of_runs) / len(of_runs)
            steps = read_epochs(scored.runs[0].metrics)[-1].step
    overrides = variant.overrides
    if variant.preset != BASE.preset:
        overrides = (f"preset={variant.preset}", *overrides)
    return VariantRow(
        name=variant.name,
        group=variant.group,
        what=variant.what,
        overrides=overrides,
        weights=variant.weights,
        seeds=seeds,
        steps=steps,
        minutes=minutes,
        row=row,
        difference=difference,
    )


# --- damaged pages ----------------------------------------------------------------------------------------------------


def score_damages(plan: Plan, found: Mapping[str, Scored]) -> list[DamageRow]:
    """Base, rough and the shipped recipe on a few damages, the first seed of each, with the values that it carries."""
    judges = robustness.one_of_each_shop(sroie.open_pages(plan.data, plan.judges))
    detectors = []
    for variant in (BASE, ROUGH, SHIPPED):
        if variant.name in found:
            best = found[variant.name].runs[0].best
            detectors.append(robustness.open_detector(f"{variant.name}={best}", judges))
    pages = robustness.read_pages(judges)
    rows = []
    for damage, strength in shown_damages():
        scores = robustness.measure(pages, damage, strength, detectors, plan.folder)
        cells: dict[str, Cell] = {}
        for name, scored in scores.items():
            row = score_row([scored], model=name, pages=PAGES, values="its own", shown=("macro",))
            cells[name] = row.scores["macro"]
        label = "undamaged"
        if damage is not None:
            label = f"{damage.name}: {strength:g} ({damage.unit})"
        rows.append(DamageRow(damage=label, pages=len(pages), macro=cells))
        print(f"{label}: {', '.join(f'{name} {100 * cell.value:.1f}' for name, cell in cells.items())}", flush=True)
    return rows


def shown_damages() -> Iterator[tuple[Damage | None, float]]:
    """The damages of the page and their strengths, no damage first."""
    yield None, 0.0
    for damage in DAMAGES:
        for strength in SHOWN_DAMAGES.get(damage.name, ()):
            yield damage, strength


if __name__ == "__main__":
    main()
