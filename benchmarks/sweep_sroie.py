"""The page of a sweep of short trainings on SROIE: receipts_lite, 12 trials and repeats of the best three.

usage: python benchmarks/sweep_sroie.py FOLDER

FOLDER/sweep_sroie is the sweep of scripts/results.sh. The pages of one fifth of the shops choose; nothing of the page is a result on
unseen pages, and it says so. Writes docs/results/sweep_sroie.{json,md}.
"""

from __future__ import annotations

import sys
from pathlib import Path

import harness
import score_rows
from pydantic import Field

from hmean.cli import main as hmean
from hmean.commands.sweep import open_sweep
from hmean.files import write_text
from hmean.reports.sweep_record import SweepReport, TrialComparison, TrialEntry
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
    header = ["trial", "H", "95 %", "before tuning", *names, "epochs", "minutes", "state"]
    lines = [
        "# A sweep of receipts_lite on SROIE",
        "",
        "Percent of macro H on the validation pages (one fifth of SROIE's shops), thresholds tuned for each trial and cross-fitted:",
        "each page is scored with the values that are chosen on pages of other shops. In brackets the 95 % interval over shops",
        "([what it means](../concepts/intervals.md)).",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
    ]
    for trial in report.trials:
        lines.append(row(trial, report.space))
    lines += ["", "What it can and cannot say:", ""]
    for comparison in report.comparisons:
        lines.append(sentence(comparison, report))
    if report.seed_noise is None:
        lines.append("- How much another seed moves a score was not measured here (`confirm=3` does).")
    else:
        repeats = sum(trial.repeats is not None for trial in report.trials)
        lines.append(
            f"- Another seed moves a score by {100 * report.seed_noise:.2f} points (standard deviation, from {repeats} repeats)."
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
    """One line of the table."""
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
    cells = [str(trial.trial), percent(trial.value), interval, percent(trial.untuned), *values]
    return f"| {' | '.join([*cells, str(trial.epochs), minutes, state])} |"


def percent(score: float | None) -> str:
    """A score for the table."""
    if score is None:
        return ""
    return f"{100 * score:.2f}"


def sentence(comparison: TrialComparison, report: SweepReport) -> str:
    """A comparison in words."""
    text = f"- Trial {comparison.best} is {100 * comparison.difference:+.2f} points from trial {comparison.other} ({comparison.what})"
    if comparison.interval95 is not None:
        text += f" {score_rows.points(comparison.interval95)}, paired, over shops"
        if report.seed_noise is not None:
            text += " and widened by the spread of seeds"
    return f"{text}: {comparison.verdict}."


if __name__ == "__main__":
    main()
