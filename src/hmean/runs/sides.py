"""Sides of a comparison: the results of one training, or of several that differ by their seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hmean.errors import InputError
from hmean.metrics.scorer import PageScore, Scorer
from hmean.runs.folder import NOT_LEARNED_FROM, RunFolder, differences, load_yaml
from hmean.runs.manifest import Manifest
from hmean.runs.scores import Scores
from hmean.runs.scoring import score_files
from hmean.types import Characters, Score

# What scores.json says beside the config of the training: with what the pages were scored.
SCORED_WITH = ("weights_hash", "epoch", "long_side", "text", "postprocess")
# Keys of a config that name a run or belong to other commands; the post-processing that counted is in scores.json.
NO_DIFFERENCE = (
    "exp_name",
    "output_dir",
    "output",
    "resume",
    "overwrite",
    "wandb",
    "logger",
    "tune",
    "score_start",
    "predict",
    "models.head.postprocess",
)
# Keys that repeats of one training may differ in. Where the file of the folds lies says nothing: the hash of the pages
# that were trained on is compared instead.
REPEATS_MAY_DIFFER = (
    *NO_DIFFERENCE,
    *NOT_LEARNED_FROM,
    "seed",
    "split",
    "maps",
    "trusted_targets",
)


@dataclass(frozen=True, eq=False)
class Result:
    """One result: what each page scored, and how it came about.

    Attributes:
        name: for messages and tables.
        pages: the scored pages.
        characters: how characters were counted.
        data_hash: hash of labels and images; None if they were given as files to score against.
        config: of the run; None where there is no run.
        scored_with: what its scores.json says of the model and the post-processing that the pages were scored with.
        knows_groups: whether a page without a group is known to have none; False for files of earlier versions.
        trained_on: hash of the pages that the run was trained on; None where it is not known.
        file: that the result was read from; None if it was not.
    """

    name: str
    pages: Sequence[PageScore]
    characters: Characters
    data_hash: str | None
    config: Any
    scored_with: Mapping[str, Any] = field(default_factory=dict)
    knows_groups: bool = True
    trained_on: str | None = None
    file: Path | None = None

    def score(self) -> Score:
        """The score of all pages."""
        return Scorer(self.characters, self.pages).compute()


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison.

    Attributes:
        name: for messages and tables.
        results: of one training, or of several that differ by their seed alone.
    """

    name: str
    results: Sequence[Result]

    @classmethod
    def of(cls, result: Result) -> Self:
        """A side of one result, which has its name."""
        return cls(result.name, [result])


def open_result(path: Path, truth: Path | None = None, images: Path | None = None) -> Result:
    """Read a result.

    Args:
        path: a folder with ``scores.json``; with ``truth`` also a prediction file, or a folder with one.
        truth: labels to score the predictions against.
        images: of ``truth``, where its labels are txt files.

    Raises:
        InputError: if there is no such result, or it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    config = None
    trained_on = None
    run = _run_of(path)
    if run is not None:
        config = load_yaml(run.config)
        trained_on = _trained_on(run)
    if truth is not None:
        predictions = path
        if path.is_dir():
            predictions = path / "predictions.json"
        scorer = score_files(truth, predictions, images=images)
        return Result(
            name=str(path),
            pages=scorer.pages,
            characters=scorer.characters,
            data_hash=None,
            config=config,
            trained_on=trained_on,
            file=predictions.resolve(),
        )
    file = path / "scores.json"
    if not file.is_file():
        raise InputError(f"{path}: has no scores.json; give a run folder, or a prediction file and --truth")
    scores = Scores.read(file)
    values = scores.to_json()
    scored_with = {key: values[key] for key in SCORED_WITH if values[key] is not None}
    return Result(
        name=str(path),
        pages=scores.page_scores(),
        characters=scores.cleval.characters,
        data_hash=scores.data_hash,
        config=config,
        scored_with=scored_with,
        knows_groups=scores.grouping is not None,
        trained_on=trained_on,
        file=file.resolve(),
    )


def _run_of(path: Path) -> RunFolder | None:
    """The run with a config whose folder this is, or in whose folder it lies (an evaluation); None if there is none."""
    if not path.is_dir():
        return None
    for folder in (RunFolder(path), RunFolder(path.absolute().parent)):
        is_run = folder.path == path or folder.manifest.is_file()
        if is_run and folder.config.is_file():
            return folder
    return None


def _trained_on(run: RunFolder) -> str | None:
    """Hash of the pages that a run was trained on; None where its manifest does not say it."""
    try:
        return Manifest.read(run.manifest).data_hash.get("train")
    except InputError:  # missing, or of an earlier version
        return None


def know_groups(results: Sequence[Result]) -> bool:
    """Whether some result on the same pages knows their groups, or that they have none."""
    return any(result.knows_groups for result in results)


def require_comparable(sides: Sequence[Side]) -> None:
    """Check that all results are of the same pages, and that those of one side are repeats of one training.

    Raises:
        InputError: listing all that are not.
    """
    first = sides[0].results[0]
    results = [result for side in sides for result in side.results]
    faults = []
    for result in results[1:]:
        fault = mismatch(first, result)
        if fault is not None:
            faults.append(fault)
    for side in sides:
        faults += _faults_of_repeats(side)
    if faults:
        raise InputError.listing("These results cannot be compared:", faults)


def mismatch(a: Result, b: Result) -> str | None:
    """Why two results cannot be compared; None if they can."""
    if a.characters != b.characters:
        return (
            f"{a.name} counts characters by {a.characters}, {b.name} by {b.characters}; "
            "give the labels with --truth to count them alike"
        )
    names = [page.name for page in a.pages]
    other_names = [page.name for page in b.pages]
    if names != other_names:
        only_one_has = sorted(set(names) ^ set(other_names))
        if only_one_has:
            where = f"only one of them has {only_one_has[0]}"
        else:
            where = "the order differs"
        return f"{a.name} has {len(names)} pages and {b.name} has {len(other_names)}, not the same ones ({where})"
    if a.data_hash != b.data_hash:
        return (
            f"{a.name} and {b.name} have pages of the same names, but other labels or images. If the files are the "
            "same, their labels were read by different versions of hmean: evaluate both again, or give the labels "
            "with --truth"
        )
    return None


def _faults_of_repeats(side: Side) -> list[str]:
    """Why the results of a side are not those of trainings that differ by their seed alone."""
    first = side.results[0]
    faults = []
    for i, result in enumerate(side.results):
        for earlier in side.results[:i]:
            fault = _same_training(earlier, result)
            if fault is not None:
                faults.append(f"{side.name}: {fault}; give each training once")
        changed = []
        if first.config and result.config:
            changed += differences(first.config, result.config, REPEATS_MAY_DIFFER)
        if None not in (first.trained_on, result.trained_on) and first.trained_on != result.trained_on:
            changed.append("it was trained on other pages")
        if first.scored_with and result.scored_with:
            changed += differences(first.scored_with, result.scored_with, ("weights_hash", "epoch", "postprocess"))
        faults += [f"{side.name}: {result.name} is not a repeat of {first.name}: {change}" for change in changed]
    return faults


def _same_training(a: Result, b: Result) -> str | None:
    """Why two results are of one training; None if they are of two."""
    weights = a.scored_with.get("weights_hash")
    other_weights = b.scored_with.get("weights_hash")
    if weights is not None and other_weights is not None:
        if weights == other_weights:
            return f"{a.name} and {b.name} have the same weights"
    elif list(a.pages) == list(b.pages):
        return f"{a.name} and {b.name} found the same on every page"
    seed = _seed_of(a)
    if seed is not None and seed == _seed_of(b):
        return f"{a.name} and {b.name} have the same seed ({seed})"
    return None


def _seed_of(result: Result) -> Any:
    if isinstance(result.config, Mapping):
        return result.config.get("seed")
    return None


def notes_on(side: Side, sides: Sequence[Side]) -> Iterator[str]:
    """What to know about one of the sides that are compared, beside its numbers: what is known of its trainings."""
    if len(side.results) == 1:
        several = [other.name for other in sides if len(other.results) > 1]
        if several:
            yield f"{side.name} is one training: the spread of its seeds is taken from {', '.join(several)}"
        return
    for result in side.results:
        if not result.config:
            yield f"{result.name} has no config: that it differs by its seed alone is not checked"
    first = side.results[0].scored_with.get("postprocess")
    if any(result.scored_with.get("postprocess") != first for result in side.results):
        yield f"the trainings of {side.name} were scored with post-processing values of their own"
