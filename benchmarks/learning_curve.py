"""How much a detector learns from 10, 25, ... 396 labelled receipts, by what its training starts from.

usage: python benchmarks/learning_curve.py DATA FOLDER [do=train,page] [sizes=10,25,50,100,200,396] [seeds=42,1,2]
           [starts=imagenet,synthetic,pp-ocrv6-small] [epochs=4] [samples=400] [drawn=800] [drawn_epochs=6] [fold=0]
           [also=KEY=VALUE ...]

Each training sees ``epochs`` times ``samples`` samples of pages, or each of its pages once an epoch where that is more.
FOLDER keeps everything under learning_curve/: drawn pages, splits, trainings. Stopped, the same command continues. Sizes,
seeds and starts can be trained in pieces (do=train); do=page shows whatever is trained of what it is asked for.
``also=`` adds an override to every training. Writes docs/results/learning_curve.{json,md,svg}.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import harness
import learning_curve_page
import numpy as np
import sroie
from learning_curve_page import LearningPage, Point
from score_rows import DifferenceRow, Side, difference_rows, score_row
from trainings import LABELS, in_one_line, mapped, open_unseen, run_hmean, write_start

from hmean.crossval.folds import is_trained
from hmean.data.folds import Splits, fold_of
from hmean.labels.formats import open_labels
from hmean.metrics.scorer import PageScore
from hmean.runs.folder import RunFolder
from hmean.settings.sections import Folds

PAGE = harness.ROOT / "docs/results/learning_curve.md"
SIZES = (10, 25, 50, 100, 200, 396)
FOLDS = 5
FOLDS_SEED = 42
IMAGENET = "imagenet"
SYNTHETIC = "synthetic"
PUBLISHED = "pp-ocrv6-small"
TITLES = {
    IMAGENET: "ImageNet encoder (receipts_lite)",
    SYNTHETIC: "drawn pages (receipts_lite)",
    PUBLISHED: "PP-OCRv6 small",
}
FINE_TUNING_LR = 0.0005  # of receipts_lite after drawn pages: a third of its rate from ImageNet; not tuned
PAGES = "SROIE, held-out shops"
VALUES = "cross-fitted"


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        data: the data set, a folder with images/ and labels.json.
        folder: of everything that is made.
        starts: what trainings start from.
        sizes: numbers of pages to train on.
        seeds: of the trainings.
        epochs: of each training.
        samples: of an epoch at least.
        drawn: pages of the synthetic pretraining.
        drawn_epochs: of the synthetic pretraining.
        fold: whose pages judge.
        also: overrides of every training.
    """

    data: Path
    folder: Path
    starts: Sequence[str] = (IMAGENET, SYNTHETIC, PUBLISHED)
    sizes: Sequence[int] = SIZES
    seeds: Sequence[int] = sroie.SEEDS
    epochs: int = 4
    samples: int = 400
    drawn: int = 800
    drawn_epochs: int = 6
    fold: int = 0
    also: Sequence[str] = field(default=())

    @property
    def synthetic(self) -> RunFolder:
        """The training on drawn pages."""
        return RunFolder(self.folder / f"drawn_{self.drawn}x{self.drawn_epochs}")

    @property
    def judges(self) -> Folds:
        """The pages that judge."""
        return Folds(k=FOLDS, seed=FOLDS_SEED, fold=self.fold, split="val")


class Training(NamedTuple):
    """One training of the curve."""

    start: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.start}_{self.size}_seed{self.seed}"


def main() -> None:
    """Train, score, write."""
    plan, jobs = read_plan(sys.argv[1:])
    if "train" in jobs:
        train(plan)
    if "page" in jobs:
        record = make_page(plan)
        learning_curve_page.write_page(record, PAGE)
        print(learning_curve_page.page(record))


def read_plan(words: Sequence[str]) -> tuple[Plan, list[str]]:
    """The plan of a command line, and which of train and page are to be done."""
    data, folder, *rest = words
    also = [word.removeprefix("also=") for word in rest if word.startswith("also=")]
    options = dict(word.split("=", 1) for word in rest if not word.startswith("also="))
    jobs = options.pop("do", "train,page").split(",")
    lists = {}
    for name in ("sizes", "seeds"):
        if name in options:
            lists[name] = [int(word) for word in options.pop(name).split(",")]
    starts = options.pop("starts", ",".join(TITLES)).split(",")
    unknown = [start for start in starts if start not in TITLES]
    if unknown:
        sys.exit(f"starts={unknown[0]}: choose among {', '.join(TITLES)}")
    numbers = {name: int(value) for name, value in options.items()}
    own = Path(folder) / "learning_curve"
    return Plan(Path(data) / "sroie", own, starts=starts, also=also, **lists, **numbers), jobs


# --- trainings --------------------------------------------------------------------------------------------------------


def train(plan: Plan) -> None:
    """Train whatever is not trained yet, the smallest sizes first."""
    write_all_splits(plan)
    if SYNTHETIC in plan.starts and not is_trained(plan.synthetic, plan.drawn_epochs):
        run_hmean(draw_command(plan))
        run_hmean(pretraining_command(plan))
    for training in trainings(plan):
        if not is_trained(RunFolder(plan.folder / training.name), plan.epochs, validated=False):
            run_hmean(command(plan, training))


def trainings(plan: Plan) -> Iterator[Training]:
    """All trainings, in order."""
    for size in plan.sizes:
        for seed in plan.seeds:
            for start in plan.starts:
                yield Training(start, size, seed)


def draw_command(plan: Plan) -> list[str]:
    """Draws the pages of the synthetic pretraining."""
    pages = ["--train", str(plan.drawn), "--val", "40", "--test", "0", "--level", "line", "--overwrite"]
    return ["data", "synth", str(plan.folder / f"drawn_{plan.drawn}"), *pages]


def pretraining_command(plan: Plan) -> list[str]:
    """Trains on drawn pages."""
    return [
        "train",
        "preset=receipts_lite",
        f"dataset_base_path={plan.folder / f'drawn_{plan.drawn}'}",
        f"output_dir={plan.folder}",
        f"exp_name={plan.synthetic.path.name}",
        "resume=auto",
        f"trainer.max_epochs={plan.drawn_epochs}",
        f"trainer.check_val_every_n_epoch={plan.drawn_epochs}",
        *plan.also,
    ]


def start_overrides(plan: Plan, start: str) -> list[str]:
    """The recipe of a start."""
    if start == PUBLISHED:
        return ["preset=pp_ocrv6_small"]
    if start == SYNTHETIC:
        return ["preset=receipts_lite", f"from={plan.synthetic.best}", f"models.optimizer.lr={FINE_TUNING_LR}"]
    return ["preset=receipts_lite"]


def command(plan: Plan, training: Training) -> list[str]:
    """Trains on the first pages of the order of the seed."""
    splits = splits_file(plan, training.size, training.seed)
    return [
        "train",
        *start_overrides(plan, training.start),
        f"dataset_base_path={plan.data}",
        LABELS,
        f"datasets.train_dataset.folds={{file: '{splits}', fold: {plan.fold}, split: train}}",
        "datasets.val_dataset=null",
        f"output_dir={plan.folder}",
        f"exp_name={training.name}",
        f"seed={training.seed}",
        "resume=auto",
        f"trainer.max_epochs={plan.epochs}",
        f"transforms.train.min_samples={plan.samples}",
        *plan.also,
    ]


def splits_file(plan: Plan, size: int, seed: int) -> Path:
    """Says which pages a training sees."""
    return plan.folder / f"splits_{size}_seed{seed}.json"


def write_all_splits(plan: Plan) -> None:
    """The pages of every size and seed: those of the judging fold keep its number, those trained on get another one."""
    labels = open_labels(plan.data / "labels.json", plan.data / "images")
    fold = fold_of(labels.names, labels.groups, FOLDS, FOLDS_SEED)
    for seed in plan.seeds:
        order = pages_in_order(labels.names, fold == plan.fold, seed)
        for size in plan.sizes:
            if size > len(order):
                sys.exit(f"sizes={size}: there are {len(order)} pages to train on")
            chosen = set(order[:size])
            of_page: dict[str, int | None] = dict.fromkeys(labels.names)
            for name, number in zip(labels.names, fold.tolist(), strict=True):
                if number == plan.fold:
                    of_page[name] = plan.fold
                elif name in chosen:
                    of_page[name] = (plan.fold + 1) % FOLDS
            Splits(labels="labels.json", k=FOLDS, seed=FOLDS_SEED, fold=of_page).write(splits_file(plan, size, seed))


def pages_in_order(names: Sequence[str], judges: np.ndarray, seed: int) -> list[str]:
    """The pages that do not judge in a random order of the seed."""
    others = [name for name, judge in zip(names, judges.tolist(), strict=True) if not judge]
    shuffled = np.random.default_rng(seed).permutation(sorted(others))
    return [str(name) for name in shuffled]


# --- the page ---------------------------------------------------------------------------------------------------------


def make_page(plan: Plan) -> LearningPage:
    """Score everything that is trained, and the starts."""
    scored: dict[tuple[str, int], list[list[PageScore]]] = {}
    points = []
    compared = []
    for start in plan.starts:
        zero = checkpoint_of_start(plan, start)
        if zero is not None:
            scored[start, 0] = [score(plan, zero)]
            points.append(point(plan, start, 0, (), scored[start, 0]))
        runs = []
        for size in plan.sizes:
            done = [one for one in trainings(plan) if (one.start, one.size) == (start, size) and is_done(plan, one)]
            if not done:
                continue
            scored[start, size] = [score(plan, RunFolder(plan.folder / one.name).best) for one in done]
            points.append(point(plan, start, size, [one.seed for one in done], scored[start, size]))
            runs += [harness.read_run(plan.folder / one.name) for one in done]
        if runs:
            compared.append(in_one_line(TITLES[start], runs))
    minutes = None
    if SYNTHETIC in plan.starts and is_trained(plan.synthetic, plan.drawn_epochs):
        pretraining = harness.read_run(plan.synthetic.path)
        compared.append(pretraining)
        minutes = pretraining.minutes
    return LearningPage(
        environment=harness.PageProvenance.collect("torch", "timm", "numpy", "opencv-python-headless", runs=compared),
        fold=plan.fold,
        samples=plan.epochs * plan.samples,
        pretraining_minutes=minutes,
        points=tuple(points),
        differences=tuple(differences(plan, scored)),
    )


def is_done(plan: Plan, training: Training) -> bool:
    """Whether a training has ended."""
    return is_trained(RunFolder(plan.folder / training.name), plan.epochs, validated=False)


def checkpoint_of_start(plan: Plan, start: str) -> Path | None:
    """The start as a checkpoint, before any training; None of an encoder alone."""
    if start == SYNTHETIC:
        if plan.synthetic.best.exists():
            return plan.synthetic.best
        return None
    if start != PUBLISHED:
        return None
    path = plan.folder / f"{start}_0" / "checkpoints" / "start.ckpt"
    write_start(path, command(plan, Training(start, plan.sizes[0], plan.seeds[0]))[1:])
    return path


def score(plan: Plan, checkpoint: Path) -> list[PageScore]:
    """The judging pages, each with values chosen on pages of other shops; from cached maps; kept beside them.

    Raises:
        ValueError: if the model was trained on one of them.
    """
    model = open_unseen(checkpoint, plan.data, plan.judges)
    pages = mapped(model, plan.data, plan.judges)
    (tuned,) = sroie.tune(pages)
    print(f"{checkpoint}: {len(pages.truth)} pages", flush=True)
    return tuned.cross_fitted


def point(plan: Plan, start: str, size: int, seeds: Sequence[int], runs: Sequence[Sequence[PageScore]]) -> Point:
    """A start at a size."""
    minutes = [harness.read_run(plan.folder / Training(start, size, seed).name).minutes for seed in seeds]
    mean = 0.0
    if minutes:
        mean = sum(minutes) / len(minutes)
    row = score_row(runs, model=TITLES[start], pages=PAGES, values=VALUES)
    return Point(start=TITLES[start], size=size, seeds=tuple(seeds), minutes=mean, row=row)


def differences(plan: Plan, scored: dict[tuple[str, int], list[list[PageScore]]]) -> list[DifferenceRow]:
    """The published start against the others at each size, and against itself before any training."""
    pairs = []
    for size in plan.sizes:
        if (PUBLISHED, size) not in scored:
            continue
        ours = Side(f"{TITLES[PUBLISHED]}, {size} pages", scored[PUBLISHED, size])
        for other, other_size in ((IMAGENET, size), (SYNTHETIC, size), (PUBLISHED, 0)):
            if (other, other_size) in scored:
                pairs.append((ours, Side(f"{TITLES[other]}, {other_size} pages", scored[other, other_size])))
    if not pairs:
        return []
    return difference_rows(pairs, same_trainings=False)


if __name__ == "__main__":
    main()
