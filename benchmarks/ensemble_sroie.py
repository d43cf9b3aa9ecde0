"""Ways of combining the members of a cross-validation on SROIE, judged on pages held out of all folds, for each seed.

usage: python benchmarks/ensemble_sroie.py DATA FOLDER [tune.key=value ...]

FOLDER has the cross-validation sroie_holdout of scripts/results.sh; others with another seed, sroie_holdout_seed1, ..., are judged too.
The ensembles go to FOLDER/sroie_ensemble_seed42, ... Writes docs/results/ensemble_sroie.{json,md}.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import harness
import score_rows
from pydantic import Field

from hmean.commands import ensemble
from hmean.commands.ensemble import EnsembleSettings
from hmean.crossval.base import BASE
from hmean.ensemble.records import EnsembleRecord, StrategyRow, minutes_text
from hmean.files import write_text
from hmean.metrics.seeds import student_t
from hmean.records import Record
from hmean.settings.compose import read_settings

PAGE = harness.ROOT / "docs/results/ensemble_sroie.md"
GRID = (
    "tune.thresh=[0.2,0.25,0.3]",
    "tune.box_thresh=[0.3,0.4,0.5,0.6]",
    "tune.inverse_r=[0.6,0.65,0.7,0.75]",
    "tune.objective={macro: 3, iou70: 1}",
)


class SeedResult(Record):
    """The verdicts with one seed."""

    seed: int = Field(description="of the trainings")
    ensemble: EnsembleRecord = Field(description="what hmean ensemble wrote")


class EnsemblePage(Record):
    """The content of ``ensemble_sroie.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    grid: tuple[str, ...] = Field(description="values of the post-processing that were tried")
    results: tuple[SeedResult, ...] = Field(description="for each seed")


def main() -> None:
    """Judge, write."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    grid = [*GRID, *sys.argv[3:]]
    results = []
    trainings = []
    for members in sorted(folder.glob("sroie_holdout*")):
        if not (members / "crossval.json").exists():
            print(f"{members}: is not trained, left out", flush=True)
            continue
        training = harness.read_crossval(members)
        seed = training.seed
        assert seed is not None
        record = judge(data / "sroie", members, folder / f"sroie_ensemble_seed{seed}", grid)
        print(record.summary(), flush=True)
        results.append(SeedResult(seed=seed, ensemble=record))
        trainings.append(training)
        if (members / BASE).is_dir():
            trainings.append(harness.read_run(members / BASE))
    if not results:
        raise SystemExit(f"{folder}: has no sroie_holdout; bash scripts/results.sh DATA FOLDER train_members trains it")
    page_record = EnsemblePage(
        grid=tuple(grid),
        results=tuple(results),
        environment=harness.PageProvenance.collect(
            "torch", "numpy", "opencv-python-headless", "shapely", runs=trainings
        ),
    )
    page_record.write(PAGE.with_suffix(".json"))
    write_text(PAGE, page(page_record))


def runs_of(crossval: Path) -> list[Path]:
    """The folds' runs, and that of the base, which has seen all their pages."""
    return [folder for folder in sorted(crossval.iterdir()) if (folder / "checkpoints/best.ckpt").exists()]


def judge(data: Path, members: Path, output: Path, grid: Sequence[str]) -> EnsembleRecord:
    """What ``hmean ensemble`` finds; what it has made already is used."""
    told = [
        f"dataset_base_path={data}",
        "datasets.val_dataset.annotation_path=${dataset_base_path}/labels.json",
        f"datasets.val_dataset.folds={{file: '{members / 'splits.json'}', split: holdout}}",
        f"output={output}",
        "overwrite=true",
        *grid,
    ]
    inputs = [str(run) for run in runs_of(members)]
    return ensemble.run(read_settings(EnsembleSettings, told, inputs=inputs))


# --- the page ---------------------------------------------------------------------------------------------------------


def page(record: EnsemblePage) -> str:
    """The page."""
    first = record.results[0].ensemble
    objective = " and ".join(f"{name} (weight {weight:g})" for name, weight in first.objective.items())
    tables = []
    for result in record.results:
        found = result.ensemble
        tables += [f"## Seed {result.seed}", "", table(found), ""]
        if found.all_pages:
            tables += [table_over_all_pages(found), "", f"{found.budget_text()}.", ""]
        tables += [f"To beat: **{found.to_beat}**. Kept: **{found.strategy}**.", ""]
    newline = "\n"
    return f"""# Ensembles on SROIE

Members are the models of five folds by shop. Everything below is on pages that are held out of all of them: {grouping_text(first)}
Scores are the weighted mean of the hmeans {objective}. Every strategy's choices (member, post-processing, votes) are
cross-fitted: each page is scored with what is chosen on pages of other shops. Gains are over two bases: the best single member,
chosen in the same way, and one model that was trained on all pages that are not held out, for as long as all members together
(row *all pages*). Intervals are over shops ([what they mean](../concepts/intervals.md)): each gain's own, and that of the family of all
strategies over one base, which the verdict goes by. *vote >= 3* is a fixed rule, *voting* one that is chosen
([strategies](../concepts/ensembles.md#the-strategies)).

{over_seeds(record.results)}

{newline.join(tables)}
Kept is the cheapest in prediction of those that beat the better base and cannot be distinguished from the best of them; that base
where none does. Minutes are those of the trainings that lead to a row; the best single member's are only its own, although it was
chosen among all.

What this can say: whether a way of joining *these* members gains on receipts of other shops of this kind. What it cannot: the
intervals of one seed know nothing of other seeds; parameters were searched on a coarse grid; the times are of one machine,
shared with other work.

**Which pages had a part in what.** Weights: none of the held-out pages or their shops. Epoch: each member's is its last, which no
page chose. Values, member and votes: cross-fitted among the held-out pages; those of the kept ensemble were then chosen on all of
them. The recipe was developed on SROIE's development pages, the held-out ones too.

Values that were tried: {", ".join(f"`{word}`" for word in record.grid)}.

{record.environment.footer()}
"""


def grouping_text(record: EnsembleRecord) -> str:
    """How many pages and shops judge, and what to be careful about."""
    grouping = record.grouping
    if grouping is None:
        return f"{record.pages} pages of {record.groups} shops."
    text = f"{grouping.text()}."
    warning = grouping.warning()
    if warning is not None:
        text += f" **Careful: {warning}.**"
    return text


def over_seeds(results: Sequence[SeedResult]) -> str:
    """The gain of each strategy over both bases with each seed, and over seeds."""
    if len(results) < 2:
        return "One seed: another may say otherwise."
    over_single: dict[str, list[float]] = {}
    over_all_pages: dict[str, list[float]] = {}
    for result in results:
        for row in result.ensemble.strategies[1:]:
            over_single.setdefault(row.strategy, []).append(row.gain)
        for row in result.ensemble.strategies:
            if row.over_all_pages is not None:
                over_all_pages.setdefault(row.strategy, []).append(row.over_all_pages.gain)
    parts = []
    for base, gains in (("the best single member", over_single), ("all pages", over_all_pages)):
        if gains:
            parts.append(seeds_table(base, gains, [result.seed for result in results]))
    return "\n\n".join(parts)


def seeds_table(base: str, gains: Mapping[str, Sequence[float]], seeds: Sequence[int]) -> str:
    """Gains over one base with each seed, and their mean; strategies that were not possible with each seed are left out."""
    named = [f"seed {seed}" for seed in seeds]
    freedom = f"t, {len(seeds) - 1} degrees of freedom"
    lines = [
        f"Gain over {base} in points with each seed, and the mean with its 95 % interval over seeds alone ({freedom}):",
        "",
        f"| strategy | {' | '.join(named)} | mean | 95 %, seeds alone |",
        "|---|" + "--:|" * (len(named) + 1) + "---|",
    ]
    for strategy, values in gains.items():
        if len(values) < len(seeds):
            continue
        mean = statistics.fmean(values)
        half_width = student_t(len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
        cells = " | ".join(f"{100 * value:+.2f}" for value in values)
        interval = f"[{100 * (mean - half_width):+.2f}, {100 * (mean + half_width):+.2f}]"
        lines.append(f"| {strategy} | {cells} | {100 * mean:+.2f} | {interval} |")
    return "\n".join(lines)


def table(record: EnsembleRecord) -> str:
    """Scores, gains over the best single member and costs, a line a strategy."""
    columns = ["strategy", "H", "gain over single", "95 %", "family 95 %", "verdict"]
    columns += ["minutes of training", "ms a page", "times single", "MB", "post-processing on all pages"]
    lines = [f"| {' | '.join(columns)} |", "|---|--:|--:|---|---|---|--:|--:|--:|--:|---|"]
    for row in record.strategies:
        gain = ["", "", "", "base"]
        if row.verdict != "base":
            intervals = [score_rows.points(row.interval95), score_rows.points(row.family95)]
            gain = [f"{100 * row.gain:+.2f}", *intervals, row.verdict]
        cost = [minutes_text(row.minutes), f"{row.ms_a_page:.0f}", f"{row.times_single:.1f}", f"{row.mb:.1f}"]
        lines.append(f"| {' | '.join([row.strategy, f'{100 * row.h:.2f}', *gain, *cost, values_of(row)])} |")
    for skipped in record.skipped:
        reason = " ".join(skipped.reason.split())
        lines.append(f"| {skipped.strategy} | | | | | skipped: {reason} | | | | | |")
    return "\n".join(lines)


def table_over_all_pages(record: EnsembleRecord) -> str:
    """Gains over the model of all pages, a line a strategy."""
    lines = ["| strategy | gain over all pages | 95 % | family 95 % | verdict |", "|---|--:|---|---|---|"]
    for row in record.strategies:
        over = row.over_all_pages
        if over is not None:
            lines.append(
                f"| {row.strategy} | {100 * over.gain:+.2f} | {score_rows.points(over.interval95)} "
                f"| {score_rows.points(over.family95)} | {over.verdict} |"
            )
    return "\n".join(lines)


def values_of(row: StrategyRow) -> str:
    """The values of a strategy, chosen on all pages."""
    text = score_rows.describe_values([row.postprocess])
    params = row.postprocess.to_dict()
    if "votes" in params:
        rule = f">= {params['votes']}"
        if params["soft"]:
            rule = "soft"
        text += f"; votes {rule}, IoU {params['iou']}, {params['geometry']}"
    return text


if __name__ == "__main__":
    main()
