"""The results of a campaign as its report compares them: each of one training, or of several with other seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmean.campaign.side_score import SideScore, score_of_side
from hmean.campaign.state import PhaseResult
from hmean.metrics.seeds import SeedSpread
from hmean.runs.comparison import Comparison, compare_sides
from hmean.runs.scores import Scores
from hmean.runs.sides import Side, open_result


@dataclass(frozen=True, eq=False)
class Row:
    """A result.

    Attributes:
        name: of the result.
        phase: that scored it.
        folders: of the scores of its trainings.
        config: its preset and overrides, in words.
        scores: of its first training.
        side: all of them, for comparisons.
        score: their mean.
    """

    name: str
    phase: str
    folders: Sequence[Path]
    config: str
    scores: Scores
    side: Side
    score: SideScore

    @classmethod
    def read(cls, name: str, phase: str, folders: Sequence[Path], config: str) -> Row:
        """Read its scores."""
        side = Side(name, [open_result(folder) for folder in folders])
        return cls(name, phase, folders, config, Scores.read(folders[0] / "scores.json"), side, score_of_side(side))

    @property
    def h(self) -> float:
        """Macro H."""
        return self.score.prh.h

    @property
    def preset(self) -> str:
        """The preset of its config."""
        for word in self.config.split():
            if word.startswith("preset="):
                return word.removeprefix("preset=")
        return ""

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial of a sweep."""
        return "/" in self.name


@dataclass(frozen=True, eq=False)
class Table:
    """The results on one set of pages, in the order of the phases; the first is the base of the others."""

    rows: Sequence[Row]

    @property
    def split(self) -> str:
        """The pages."""
        return str(self.rows[0].scores.split)

    def changes(self) -> dict[str, Comparison]:
        """The other results compared with the base, as one family; by name."""
        base, *others = self.rows
        return compare_rows(base, others)


def compare_rows(base: Row, others: Sequence[Row]) -> dict[str, Comparison]:
    """Results compared with one of the same pages, as one family; by name."""
    comparisons = compare_sides(base.side, [other.side for other in others])
    return {comparison.name: comparison for comparison in comparisons}


def read_tables(folder: Path, done: Mapping[str, PhaseResult]) -> list[Table]:
    """All results of a campaign, a table for each set of pages, in the order in which these were scored."""
    found: dict[tuple[str | None, str | None], list[Row]] = {}
    for phase, result in done.items():
        for name, score in result.scores.items():
            row = Row.read(name, phase, [folder / of for of in score.folders], score.config)
            found.setdefault((row.scores.split, row.scores.data_hash), []).append(row)
    return [Table(rows) for rows in found.values()]


def seed_spread(done: Mapping[str, PhaseResult]) -> SeedSpread | None:
    """The spread of macro H over seeds, from all trainings of a campaign that differ by nothing else."""
    scores: list[list[float]] = []
    for result in done.values():
        scores += result.seed_scores
    return SeedSpread.of(*scores)
