"""The scores of runs, ranked: one table for each set of pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hmean.files import read_json
from hmean.inference.metadata import SUFFIXES, read_metadata
from hmean.metrics.intervals import page_groups
from hmean.postprocess.parameters import PostprocessParams
from hmean.reports.groups import say_grouping, say_warning
from hmean.reports.words import Words
from hmean.runs.carried import read_carried
from hmean.runs.comparison import Comparison, compare_sides
from hmean.runs.folder import RunFolder
from hmean.runs.scores import Scores
from hmean.runs.sides import SCORED_WITH, Result, Side, know_groups
from hmean.types import Characters


@dataclass(frozen=True, eq=False)
class ScoreRow:
    """One ``scores.json``.

    Attributes:
        name: its folder, from the run's name on.
        note: what the score is of, where that is not the run's checkpoint as it is now.
        scores: its content.
        result: the same, to be compared with others.
        change: against the first score of the same pages; None for that score itself.
        is_start: whether it is of the detector that the run's training started from.
    """

    name: str
    note: str
    scores: Scores
    result: Result
    change: Comparison | None = None
    is_start: bool = False

    @property
    def place(self) -> tuple[bool, float]:
        """What rows of a table are sorted by: starts first, then the best macro H."""
        return (not self.is_start, -self.scores.cleval.macro.h)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The scores of one set of pages: what trainings started from, then the best macro H first.

    Attributes:
        split: the name of the pages.
        images: how many they are.
        characters: how characters were counted.
        base: the score that the others are compared with.
        grouping: how the pages lie in groups, in words.
        warning: what to be careful about in that; None if there is nothing.
        rows: all scores.
    """

    split: str | None
    images: int
    characters: Characters
    base: ScoreRow
    grouping: str
    warning: str | None
    rows: Sequence[ScoreRow]


def score_files(folder: Path) -> list[Path]:
    """Every ``scores.json`` of a run: of its start, its training, then of tuning, evaluations and exported models."""
    start = RunFolder(folder).start_scores
    found = sorted(folder.glob("**/scores.json"), key=lambda path: (len(path.parts), path))
    if start in found:
        found.remove(start)
        found.insert(0, start)
    return found


def read_rows(folder: Path, model: Path, config: Mapping[str, Any], words: Words) -> list[ScoreRow]:
    """All scores of a run.

    Args:
        folder: of the run.
        model: the file of its model.
        config: of its training.
        words: the language of the notes.

    Raises:
        InputError: if a file cannot be read.
    """
    models = _models(folder, model)
    start = RunFolder(folder).start_scores
    first_hash = None
    rows: list[ScoreRow] = []
    for path in score_files(folder):
        scores = Scores.read(path)
        if path == start:
            name = str(path.parent.relative_to(folder.parent))
            result = _result(name, scores, config)
            rows.append(ScoreRow(name, words.say("run.note.start"), scores, result, is_start=True))
            continue
        if first_hash is None:
            first_hash = scores.weights_hash
        name = str(path.parent.relative_to(folder.parent))
        scored_model = next(models[parent] for parent in path.parents if parent in models)
        note = words.say("run.note.ensemble")
        if not _is_of_ensemble(path):
            note = _note(scores, scored_model, words, own=model, same_weights=scores.weights_hash == first_hash)
        rows.append(ScoreRow(name, note, scores, _result(name, scores, config)))
    return rows


def _models(folder: Path, model: Path) -> dict[Path, Path]:
    """The model whose results lie in a folder: the run's own, or an exported one beside the folder of its name."""
    models = {folder: model}
    for suffix in SUFFIXES:
        for exported in folder.glob(f"**/*{suffix}"):
            models[exported.with_suffix("")] = exported
    return models


def _is_of_ensemble(path: Path) -> bool:
    return "members" in read_json(path)


def _note(scores: Scores, scored_model: Path, words: Words, *, own: Path, same_weights: bool) -> str:
    notes = []
    if scored_model != own:
        notes.append(words.say("run.note.model", file=scored_model.name))
    if not same_weights:
        notes.append(words.say("run.note.weights"))
    has_known_model = scored_model.is_file() and (same_weights or scored_model != own)
    if has_known_model and scores.postprocess != _postprocess_of(scored_model):
        notes.append(words.say("run.note.values"))
    if scores.grouping is None:
        notes.append(words.say("run.note.groups"))
    return ", ".join(notes)


def _postprocess_of(model: Path) -> PostprocessParams:
    """The values that a checkpoint or an exported model holds."""
    if model.suffix in SUFFIXES:
        return read_metadata(model).postprocess
    return read_carried(model).postprocess


def _result(name: str, scores: Scores, config: Mapping[str, Any]) -> Result:
    scored_with = {key: value for key, value in scores.to_json().items() if key in SCORED_WITH}
    return Result(
        name=name,
        pages=scores.page_scores(),
        characters=scores.cleval.characters,
        data_hash=scores.data_hash,
        knows_groups=scores.grouping is not None,
        config={**config, **scored_with},
    )


def rank(rows: Sequence[ScoreRow], words: Words) -> list[ScoreTable]:
    """One table for each set of pages, best macro H first: scores of different pages are never in one ranking.

    Args:
        rows: all scores.
        words: the language of what is said of groups.
    """
    by_pages: dict[str | None, list[ScoreRow]] = {}
    for row in rows:
        by_pages.setdefault(row.scores.data_hash, []).append(row)
    tables = []
    for base, *others in by_pages.values():
        results = [row.result for row in (base, *others)]
        first, *rest = [Side.of(result) for result in results]
        changes = compare_sides(first, rest)
        compared = [base]
        for row, change in zip(others, changes, strict=True):
            compared.append(replace(row, change=change))
        groups = page_groups(*[result.pages for result in results])
        grouping = groups.grouping(known=know_groups(results))
        table = ScoreTable(
            split=base.scores.split,
            images=base.scores.images,
            characters=base.scores.cleval.characters,
            base=base,
            grouping=say_grouping(grouping, words),
            warning=say_warning(grouping, words),
            rows=sorted(compared, key=lambda row: row.place),
        )
        tables.append(table)
    return tables
