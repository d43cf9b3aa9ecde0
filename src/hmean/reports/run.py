"""The report of one or several runs: their scores in one ranking for each set of pages, then each run by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmean import __version__
from hmean.errors import InputError
from hmean.files import read_json, write_text
from hmean.inference.metadata import SUFFIXES, read_metadata
from hmean.postprocess.parameters import PostprocessParams
from hmean.reports.evaluation import Evaluation, count_drawn, read_evaluations
from hmean.reports.figures import draw_learning_curves
from hmean.reports.groups import say_grouping, say_warning
from hmean.reports.page import render
from hmean.reports.score_tables import ScoreTable, rank, read_rows
from hmean.reports.tuning_figures import Effect, draw_tuning, effects
from hmean.reports.words import DEFAULT_LANGUAGE, Language, Words
from hmean.runs.comparison import Difference
from hmean.runs.folder import RunFolder, load_yaml
from hmean.runs.metrics import read_epochs
from hmean.runs.start import JUDGED, StartRecord
from hmean.tuning.result import GridRow, TuneResult
from hmean.types import Statistic

PICTURES = 12  # of the worst pages, and of the best, in all evaluations together
BEST_SETTINGS = 15  # of a tuning that are shown
SETTINGS = ("models", "transforms", "trainer", "dataloaders", "seed")


@dataclass(frozen=True)
class Reported:
    """A run folder with its best checkpoint, or an exported model with the folder of its results.

    Attributes:
        folder: with the results.
        model: the model's file.
        config: of the training.
        manifest: of the training; empty if there is none.
    """

    folder: Path
    model: Path
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class ShownTuning:
    """A tuning as the report shows it.

    Attributes:
        result: the content of ``tuned.json``.
        objective: what was maximised, in words.
        effects: of each parameter.
        figures: as SVG.
        best: the best settings of the grid.
        chosen_by_folds: the settings that were chosen without each fold, each of them once.
        left_by_folds: likewise those that the whole rule leaves.
        grouping: how the pages lie in groups, in words; None for files of earlier versions.
        warning: what to be careful about in that; None if there is nothing.
    """

    result: TuneResult
    objective: str
    effects: Sequence[Effect]
    figures: Sequence[str]
    best: Sequence[GridRow]
    chosen_by_folds: Sequence[PostprocessParams]
    left_by_folds: Sequence[PostprocessParams]
    grouping: str | None
    warning: str | None


@dataclass(frozen=True)
class ShownStart:
    """A fine-tuned model beside its start, as the report shows it.

    Attributes:
        record: the content of ``start.json``.
        rows: the judged statistics, and the difference in each.
        grouping: how the pages lie in groups, in words.
        warning: what to be careful about in that; None if there is nothing.
    """

    record: StartRecord
    rows: Sequence[tuple[Statistic, Difference]]
    grouping: str
    warning: str | None


@dataclass(frozen=True)
class ShownRun:
    """A run as the report shows it.

    Attributes:
        name: of its folder.
        epochs: how many it was trained for; 0 where there is no training in the folder.
        hours: that they took.
        curves: learning curves as SVG.
        start: the model beside the detector that its training started from; None if it started from none.
        tuning: None if it was not tuned.
        evaluations: those that drew pages.
        settings: of the training, by dotted key.
        manifest: likewise.
    """

    name: str
    epochs: int
    hours: float
    curves: Sequence[str]
    start: ShownStart | None
    tuning: ShownTuning | None
    evaluations: Sequence[Evaluation]
    settings: Mapping[str, str]
    manifest: Mapping[str, str]


def open_reported(path: Path) -> Reported:
    """What a run folder or an exported model stands for.

    Raises:
        InputError: if it is neither, or its files cannot be read.
    """
    if path.suffix in SUFFIXES:
        metadata = read_metadata(path)
        return Reported(path.with_suffix(""), path, metadata.config, metadata.provenance.to_json())
    manifest = {}
    if (path / "manifest.json").exists():
        manifest = read_json(path / "manifest.json")
    config = load_yaml(path / "config.yaml")
    missing = [key for key in SETTINGS if key not in config]
    if missing:
        raise InputError(f"{path / 'config.yaml'}: is not the config of a run (it has no {', '.join(missing)})")
    return Reported(path, RunFolder(path).best, config, manifest)


def require_reportable(paths: Sequence[Path]) -> None:
    """Check that all paths are run folders or exported models.

    Raises:
        InputError: naming those that are not.
    """
    faults = []
    for path in paths:
        if path.suffix not in SUFFIXES and not (path / "config.yaml").exists():
            faults.append(f"{path}: is neither a run folder (it has no config.yaml) nor an exported model")
    if not paths:
        faults.append("name a run folder or an exported model")
    if faults:
        raise InputError.listing("Cannot report:", faults)


def render_runs(paths: Sequence[Path], words: Words) -> str:
    """The report as an HTML page.

    Args:
        paths: run folders and exported models.
        words: the language.

    Raises:
        InputError: if a path is neither, or none has a score.
    """
    require_reportable(paths)
    reported = [open_reported(path) for path in paths]
    rows = []
    for one in reported:
        rows += read_rows(one.folder, one.model, one.config, words)
    if not rows:
        raise InputError(f"{paths[0]}: has no scores.json yet; run hmean evaluate first")
    drawn = sum(count_drawn(one.folder) for one in reported)
    pictures = max(1, PICTURES // max(1, drawn))
    tables: list[ScoreTable] = rank(rows, words)
    return render(
        "run.html.j2",
        lang=words.lang,
        say=words.say,
        word=words.word,
        title=", ".join(path.name for path in paths),
        version=__version__,
        tables=tables,
        runs=[_show(one, pictures, words) for one in reported],
    )


def write_run_report(paths: Sequence[Path], target: Path | None = None, lang: Language = DEFAULT_LANGUAGE) -> Path:
    """Write the report of one or several runs.

    Args:
        paths: run folders and exported models.
        target: the HTML file; by default ``report.html`` (``report.ko.html``) in the folder of the first.
        lang: the language.

    Returns:
        The file.

    Raises:
        InputError: as ``render_runs`` does.
    """
    words = Words(lang)
    html = render_runs(paths, words)
    if target is None:
        target = open_reported(paths[0]).folder / words.file_name(".html")
    write_text(target, html)
    return target


def _show(one: Reported, pictures: int, words: Words) -> ShownRun:
    epochs = read_epochs(RunFolder(one.folder).metrics)
    curves: list[str] = []
    if epochs:
        curves = draw_learning_curves(epochs, words)
    return ShownRun(
        name=one.folder.name,
        epochs=len(epochs),
        hours=sum(row.seconds for row in epochs) / 3600,
        curves=curves,
        start=_show_start(RunFolder(one.folder).start_record, words),
        tuning=_show_tuning(one.folder / "tuned.json", words),
        evaluations=read_evaluations(one.folder, pictures, words),
        settings=flatten({key: one.config[key] for key in SETTINGS}),
        manifest=flatten(one.manifest),
    )


def _show_start(path: Path, words: Words) -> ShownStart | None:
    if not path.exists():
        return None
    record = StartRecord.read(path)
    return ShownStart(
        record=record,
        rows=[(statistic, record.of(statistic)) for statistic in JUDGED],
        grouping=say_grouping(record.grouping, words),
        warning=say_warning(record.grouping, words),
    )


def _show_tuning(path: Path, words: Words) -> ShownTuning | None:
    if not path.exists():
        return None
    result = TuneResult.read(path)
    chosen_by_folds: Sequence[PostprocessParams] = ()
    if result.cross_fitted is not None:
        chosen_by_folds = _each_once(result.cross_fitted.chosen)
    left_by_folds: Sequence[PostprocessParams] = ()
    if result.rule is not None:
        left_by_folds = _each_once(result.rule.left)
    grouping = None
    warning = None
    if result.grouping is not None:
        grouping = say_grouping(result.grouping, words)
        warning = say_warning(result.grouping, words)
    return ShownTuning(
        result=result,
        objective=" + ".join(words.word(f"{statistic} H") for statistic in result.objective),
        effects=effects(result),
        figures=draw_tuning(result, words),
        best=result.grid[:BEST_SETTINGS],
        chosen_by_folds=chosen_by_folds,
        left_by_folds=left_by_folds,
        grouping=grouping,
        warning=warning,
    )


def _each_once(settings: Sequence[PostprocessParams]) -> list[PostprocessParams]:
    """Settings in their order, each of them once."""
    found: list[PostprocessParams] = []
    for params in settings:
        if params not in found:
            found.append(params)
    return found


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as text by dotted key."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{key}."))
        else:
            flat[key] = str(value)
    return flat
