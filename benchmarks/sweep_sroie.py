"""The page of a sweep of short trainings on SROIE: receipts_lite, 8 trials and repeats of the best three.

usage: python benchmarks/sweep_sroie.py FOLDER

FOLDER/sweep_sroie is the sweep of scripts/results.sh. The pages of one half of the shops choose; nothing of the page is a result on
unseen pages, and it says so. Writes docs/results/sweep_sroie.{json,md}.
"""

from __future__ import annotations

import sys
from pathlib import Path

import harness
from pydantic import Field

from hmean.cli import main as hmean
from hmean.commands.sweep import open_sweep
from hmean.files import write_text
from hmean.metrics.intervals import Interval
from hmean.reports.sweep_record import SweepReport, TrialEntry
from hmean.search.records import trial_folders

PAGE = harness.ROOT / "docs/results/sweep_sroie.md"


class SweepPage(SweepReport):
    """The content of ``sweep_sroie.json``: the report of the sweep, and what it was made with."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    seed: int = Field(description="of the sweep")


def main() -> None:
    """Report, write."""
    folder = Path(sys.argv[1]) / "sweep_sroie"
    exit_code = hmean(["sweep", "report", str(folder)])
    if exit_code:
        sys.exit(exit_code)
    report = SweepReport.read(folder / "report.json")
    runs = [harness.read_run(trial) for trial in trial_folders(folder) if (trial / "manifest.json").exists()]
    record = SweepPage(
        **report.to_json(),
        seed=open_sweep([str(folder)]).plan.seed,
        environment=harness.PageProvenance.collect("optuna", "torch", "lightning", "timm", runs=runs),
    )
    record.write(PAGE.with_suffix(".json"))
    write_text(PAGE, page(record))
    print(page(record))


def page(report: SweepPage) -> str:
    """The page."""
    names = [name.rpartition(".")[2] for name in report.space]
    header = ["trial", "H", "95 %", "mean over seeds", "before tuning", *names, "epochs", "minutes", "state"]
    lines = [
        "# A sweep of receipts_lite on SROIE",
        "",
        "Percent of macro H on the validation pages (half of SROIE's shops), thresholds tuned for each trial and cross-fitted: each",
        "page is scored with the values that are chosen on pages of other shops. In brackets the 95 % interval over shops",
        "([what it means](../concepts/intervals.md)). Best first: trials that were repeated with another seed, by their means; then",
        "the others, which cannot be the best; then the repeats.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
    ]
    for trial in report.trials:
        lines.append(row(trial, report.space))
    lines += comparison_lines(report)
    lines += ["", "What it can and cannot say:", ""]
    if report.spread is None:
        lines.append("- How much another seed moves a score was not measured here (`confirm=3` does).")
    else:
        lines.append(
            f"- Another seed moves a score by {100 * report.spread.sd:.2f} points (standard deviation, "
            f"{report.spread.degrees_of_freedom} degrees of freedom)."
        )
    epochs = max(trial.epochs for trial in report.trials)
    lines += [
        f"- Every training was cut short, to {epochs} epochs, and its commands say how many batches: nothing here says how the",
        "  values do in a full training.",
        "- Importance of parameters is not given: from so few trials it is no evidence.",
        "",
        "**Which pages had a part in what.** Weights: none of the validation pages or their shops. Epoch: only the last one was",
        "validated. Values of the post-processing: cross-fitted. The winner: chosen on the validation pages, so that its score here",
        "is optimistic; these pages are also among those that the recipe was developed on.",
        "",
        f"Seed {report.seed}, {report.hours:.2f} hours of training in all.",
        "",
        report.environment.footer(),
        "",
    ]
    return "\n".join(lines)


def row(trial: TrialEntry, space: list[str]) -> str:
    """One line of the table of trials."""
    values = []
    for name in space:
        value = trial.params.get(name)
        if value is None:
            values.append("")
        else:
            values.append(f"{value:.4g}")
    interval = ""
    if trial.interval95 is not None:
        low, high = trial.interval95
        interval = f"[{100 * low:.2f}, {100 * high:.2f}]"
    state = str(trial.state)
    if trial.repeats is not None:
        state += f", repeats trial {trial.repeats} with another seed"
    minutes = f"{trial.seconds / 60:.1f}"
    cells = [str(trial.trial), percent(trial.value), interval, mean(trial), percent(trial.untuned), *values]
    return f"| {' | '.join([*cells, str(trial.epochs), minutes, state])} |"


def mean(trial: TrialEntry) -> str:
    """The mean of a trial and its repeats."""
    if trial.mean is not None:
        return f"{percent(trial.mean)} of {trial.seeds}"
    if trial.value is not None and trial.repeats is None:
        return "not repeated"
    return ""


def percent(score: float | None) -> str:
    """A score for the table."""
    if score is None:
        return ""
    return f"{100 * score:.2f}"


def comparison_lines(report: SweepPage) -> list[str]:
    """The table of differences to the base, and what its intervals rest on."""
    if not report.comparisons:
        return []
    first = report.comparisons[0]
    lines = [
        "",
        f"Against trial {first.base} ({first.what}), points, paired by page; means, where a trial was repeated. The verdict is that of",
        "the family interval: of sweeps whose trials are all alike, at most 5 % have any that is called different.",
        "",
        "| trial | difference | 95 % alone | 95 % of the family | verdict |",
        "|---|--:|---|---|---|",
    ]
    for found in report.comparisons:
        difference = f"{100 * found.difference:+.2f}"
        cells = [str(found.trial), difference, points(found.interval95), points(found.family95), found.verdict]
        lines.append(f"| {' | '.join(cells)} |")
    if report.spread is not None:
        lines += ["", "Both intervals are widened by the spread of seeds."]
    if report.grouping is not None:
        lines += ["", f"{report.grouping.text()[:1].upper()}{report.grouping.text()[1:]}."]
        warning = report.grouping.warning()
        if warning is not None:
            lines += ["", f"**{warning[:1].upper()}{warning[1:]}.**"]
    return lines


def points(interval: Interval | None) -> str:
    """An interval of a difference for the table."""
    if interval is None:
        return ""
    return f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


if __name__ == "__main__":
    main()
