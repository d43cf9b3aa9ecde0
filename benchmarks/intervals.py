"""How often intervals hold: simulations with groups of pages as unequal as the shops of real receipts.

usage: python benchmarks/intervals.py [repeats=2000]

Writes docs/results/intervals.json, and its tables into docs/concepts/intervals.md. Pages of one group share a part of
their score. What is known in a simulation, the true value, is compared with the intervals of this version, and with two
that one meets elsewhere: percentiles of a bootstrap over pages, and over groups.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import harness
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.files import write_text
from hmean.metrics.groups import PageGroups
from hmean.metrics.intervals import Contributions, Interval, interval_pairs, intervals
from hmean.records import Record

Floats = NDArray[np.float64]
Shape = Literal["normal", "skewed"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/concepts/intervals.md"
RECORD = ROOT / "docs/results/intervals.json"
CANDIDATES = 12
FLIPS = 4_000
RESAMPLES = 1_000
AT_ONCE = 200  # simulated data sets
CORRELATIONS = (0.0, 0.1, 0.2, 0.5)
# Shops of samples of SROIE, and of a small set of German receipts, largest first.
SIZES = {
    "24 pages, 7 groups": (8, 6, 4, 2, 2, 1, 1),
    "68 pages, 33 groups": (12, 7, 5, 4, *[3] * 3, *[2] * 5, *[1] * 21),
    "100 pages, 34 groups, one with 49": (49, 5, 4, 3, *[2] * 9, *[1] * 21),
    "400 pages, 114 groups": (46, 42, 36, 31, 27, 22, 17, 12, 12, 5, *[4] * 3, *[3] * 5, *[2] * 27, *[1] * 69),
}


class Row(Record):
    """How often intervals held in one case; shares of the simulated data sets."""

    sizes: str = Field(description="pages and groups")
    effective: float = Field(description="effective number of groups")
    correlation: float = Field(description="of the scores of two pages of one group")
    over_pages: float = Field(description="percentiles over pages: true mean difference covered")
    over_pages_better: float = Field(description="percentiles over pages: an equal system called better")
    over_groups: float = Field(description="percentiles over groups: true mean difference covered")
    covered: float = Field(description="this version: true mean difference covered")
    better: float = Field(description="this version: an equal system called better")
    covered_skewed: float = Field(description="this version: true mean of very skewed scores covered")
    covered_pooled: float = Field(description="this version: true pooled score covered")
    covered_pooled_difference: float = Field(description="this version: true difference of pooled scores covered")
    single_any_better: float = Field(description="of 12 equal candidates, any called better by its single interval")
    family_any_better: float = Field(description="of 12 equal candidates, any called better by its family interval")
    family_covered: float = Field(description="true differences of all 12 candidates covered by family intervals")


class IntervalsRecord(Record):
    """The content of intervals.json."""

    repeats: int = Field(description="simulated data sets of each case")
    environment: harness.PageProvenance = Field(description="what it was made with")
    rows: tuple[Row, ...] = Field(description="each case")


@dataclass(frozen=True)
class Case:
    """Groups of pages, and how much the pages of a group resemble each other."""

    sizes: tuple[int, ...]
    correlation: float

    @property
    def groups(self) -> PageGroups:
        """The groups of the pages."""
        return PageGroups.of_keys(np.repeat(np.arange(len(self.sizes)), self.sizes))

    def scores(self, rng: np.random.Generator, shape: Shape, data_sets: int) -> Floats:
        """Page scores (data_sets, N) with mean 0 and variance 1."""
        index = self.groups.index
        if shape == "normal":
            of_group = rng.standard_normal((data_sets, len(self.sizes)))
            of_page = rng.standard_normal((data_sets, len(index)))
        else:  # a long tail of bad pages, as scores near 1 have it
            of_group = 1 - rng.exponential(size=(data_sets, len(self.sizes)))
            of_page = 1 - rng.exponential(size=(data_sets, len(index)))
        found: Floats = np.sqrt(self.correlation) * of_group[:, index] + np.sqrt(1 - self.correlation) * of_page
        return found


def of_means(values: Floats, groups: PageGroups) -> Contributions:
    """Of the means (K,) of page values (K, N)."""
    pages = values.shape[1]
    mean = values.mean(axis=1)
    share = np.bincount(groups.index) / pages
    sums = groups.sums(values[..., None])[..., 0] / pages
    return Contributions(mean, sums - mean[:, None] * share, np.broadcast_to(share, sums.shape))


def percentiles(values: Floats, units: PageGroups, rng: np.random.Generator) -> list[Interval]:
    """Percentile intervals of means of page values (K, N), resampling pages or groups."""
    drawn = rng.integers(units.count, size=(RESAMPLES, units.count))
    drawn += units.count * np.arange(RESAMPLES)[:, None]
    times = np.bincount(drawn.ravel(), minlength=RESAMPLES * units.count).reshape(RESAMPLES, units.count)
    sums = units.sums(values[..., None])[..., 0]
    pages = times @ np.bincount(units.index)
    means = (times @ sums.T) / pages[:, None]
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return [Interval(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)]


def simulate(name: str, case: Case, repeats: int) -> Row:
    """One row of the table."""
    rng = np.random.default_rng(0)
    groups = case.groups
    pages = PageGroups.of_keys(range(len(groups.index)))
    counts: dict[str, list[bool]] = {key: [] for key in Row.model_fields}
    for _ in range(repeats // AT_ONCE):
        differences = case.scores(rng, "normal", AT_ONCE)
        over_pages = percentiles(differences, pages, rng)
        counts["over_pages"] += [holds(interval) for interval in over_pages]
        counts["over_pages_better"] += [says_better(interval) for interval in over_pages]
        counts["over_groups"] += [holds(interval) for interval in percentiles(differences, groups, rng)]
        ours = intervals(of_means(differences, groups), flips=FLIPS)
        counts["covered"] += [holds(interval) for interval in ours]
        counts["better"] += [says_better(interval) for interval in ours]
        skewed = intervals(of_means(case.scores(rng, "skewed", AT_ONCE), groups), flips=FLIPS)
        counts["covered_skewed"] += [holds(interval) for interval in skewed]
        pooled = [of_equal_systems(case, rng) for _ in range(2)]
        counts["covered_pooled"] += [holds(interval, 0.8) for interval in intervals(pooled[0], flips=FLIPS)]
        of_difference = intervals(pooled[0].minus(pooled[1]), flips=FLIPS)
        counts["covered_pooled_difference"] += [holds(interval) for interval in of_difference]
    for _ in range(repeats // 4):
        candidates = case.scores(rng, "normal", CANDIDATES) * rng.uniform(0.5, 2, (CANDIDATES, 1))
        base = case.scores(rng, "normal", 1)
        pair = interval_pairs(of_means(candidates - base, groups), flips=FLIPS // 2)
        counts["single_any_better"].append(any(says_better(interval) for interval in pair.single))
        counts["family_any_better"].append(any(says_better(interval) for interval in pair.family))
        counts["family_covered"].append(all(holds(interval) for interval in pair.family))
    shares = {key: float(np.mean(found)) for key, found in counts.items() if found}
    return Row(sizes=name, effective=groups.grouping().effective, correlation=case.correlation, **shares)


def of_equal_systems(case: Case, rng: np.random.Generator) -> Contributions:
    """Of the pooled recall of a system that finds 80 % of the words of pages with 20 to 120 words."""
    groups = case.groups
    words = rng.integers(20, 121, (AT_ONCE, len(groups.index)))
    share = np.clip(0.8 + 0.05 * case.scores(rng, "normal", AT_ONCE), 0, 1)
    found = rng.binomial(words, share)
    return Contributions.of_sums(groups.sums(np.stack([found, words], axis=-1).astype(np.float64)))


def holds(interval: Interval | None, truth: float = 0.0) -> bool:
    """Whether it contains the true value."""
    return interval is not None and interval.low <= truth <= interval.high


def says_better(interval: Interval | None) -> bool:
    """Whether it lies above the true value, which is 0."""
    return interval is not None and interval.low > 0


def tables(record: IntervalsRecord) -> str:
    """The tables of the page, in percent."""
    lines = [
        (
            '| pages | effective groups | correlation | bootstrap over pages | its false "better" | bootstrap over groups '
            '| **hmean** | **its false "better"** | skewed scores | pooled score | pooled difference |'
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in record.rows:
        shares = [
            row.over_pages,
            row.over_pages_better,
            row.over_groups,
            row.covered,
            row.better,
            row.covered_skewed,
            row.covered_pooled,
            row.covered_pooled_difference,
        ]
        cells = [f"{100 * share:.1f}" for share in shares]
        lines.append(f"| {row.sizes} | {row.effective:.1f} | {row.correlation:g} | {' | '.join(cells)} |")
    lines += [
        "",
        "Twelve candidates that are as good as the base:",
        "",
        '| pages | correlation | any "better" by single intervals | any "better" by family intervals | all covered by family intervals |',
        "|---|--:|--:|--:|--:|",
    ]
    for row in record.rows:
        cells = [f"{100 * share:.1f}" for share in (row.single_any_better, row.family_any_better, row.family_covered)]
        lines.append(f"| {row.sizes} | {row.correlation:g} | {' | '.join(cells)} |")
    lines += [
        "",
        f"{record.repeats} simulated data sets a row ({record.repeats // 4} for families).",
        "",
        record.environment.footer(),
    ]
    return "\n".join(lines)


def main() -> None:
    """Simulate all cases and write both files."""
    repeats = 2000
    for argument in sys.argv[1:]:
        repeats = int(argument.removeprefix("repeats="))
    rows = []
    for name, sizes in SIZES.items():
        for correlation in CORRELATIONS:
            row = simulate(name, Case(sizes, correlation), repeats)
            print(row, flush=True)
            rows.append(row)
    record = IntervalsRecord(repeats=repeats, environment=harness.PageProvenance.collect("numpy"), rows=tuple(rows))
    record.write(RECORD)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- tables:begin -->\n")
    _, _, after = rest.partition("<!-- tables:end -->")
    write_text(PAGE, f"{before}<!-- tables:begin -->\n{tables(record)}\n<!-- tables:end -->{after}")


if __name__ == "__main__":
    main()
