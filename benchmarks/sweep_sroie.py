"""A real sweep on SROIE: receipts_lite, cut short to fit the time, 12 trials by 2 agents; writes docs/results/sweep_sroie.*.

usage: python benchmarks/sweep_sroie.py DATA/sroie [n=12] [agents=2] [epochs=6] [batches=40] [confirm=0] [key=value ...]

Stopped, the same command goes on. What is not one of these options holds for every training. The pages of one fifth of the
shops choose; nothing of the file is a result on unseen pages, and it says so.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import harness

from hmean.cli import main as hmean
from hmean.commands.sweep import open_sweep
from hmean.files import write_json, write_text
from hmean.reports.sweep_record import SweepReport, TrialComparison, TrialEntry
from hmean.runs.manifest import Manifest
from hmean.search.records import trial_folders

ROOT = Path(__file__).parents[1]
DEFAULTS = {
    "n": "12",
    "agents": "2",
    "epochs": "6",
    "batches": "40",
    "confirm": "0",
    "name": "sweep_sroie",
    "docs": "docs/results",
}


def main() -> None:
    """Run, report, write."""
    os.chdir(ROOT)
    data = Path(sys.argv[1]).resolve()
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    size = {key: given.pop(key, value) for key, value in DEFAULTS.items()}
    folder = Path("outputs") / size["name"]
    options = ["engine=optuna", *(f"{key}={size[key]}" for key in ("n", "agents", "confirm", "name"))]
    command = ["sweep", "configs/sweep_receipts_lite.yaml", *options, *overrides(data, size)]
    command += [f"{key}={value}" for key, value in given.items()]
    for words in (command, ["sweep", "report", str(folder)]):
        exit_code = hmean(words)
        if exit_code:
            sys.exit(exit_code)
    report = SweepReport.read(folder / "report.json")
    manifests = [Manifest.read(trial / "manifest.json") for trial in trial_folders(folder)]
    record: dict[str, Any] = {
        "command": " ".join(["python benchmarks/sweep_sroie.py DATA/sroie", *sys.argv[2:]]),
        "size": size,
        "seed": open_sweep([str(folder)]).plan.seed,
        "commits": sorted({manifest.git.commit[:7] for manifest in manifests if manifest.git}),
        **harness.environment("optuna", "torch", "lightning", "timm"),
        **report.to_json(),
    }
    write_json(Path(size["docs"]) / "sweep_sroie.json", record)
    write_text(Path(size["docs"]) / "sweep_sroie.md", page(record))


def overrides(data: Path, size: dict[str, str]) -> list[str]:
    """What holds for every training."""
    found = [
        f"dataset_base_path={data}",
        f"trainer.max_epochs={size['epochs']}",
        f"trainer.limit_train_batches={size['batches']}",
        f"trainer.check_val_every_n_epoch={max(1, int(size['epochs']) // 3)}",
    ]
    for split in ("train", "val"):
        found += [
            f"datasets.{split}_dataset.annotation_path=${{dataset_base_path}}/labels.json",
            f"datasets.{split}_dataset.folds={{k:5,fold:0,split:{split},seed:42}}",
        ]
    return found


def page(record: dict[str, Any]) -> str:
    """The result page."""
    report = SweepReport.parse(record, "sweep_sroie.json")
    names = [name.rpartition(".")[2] for name in report.space]
    header = ["trial", "H", "", "before tuning", *names, "epochs", "minutes", "state"]
    lines = [
        "# A sweep of receipts_lite on SROIE",
        "",
        "Written by `benchmarks/sweep_sroie.py`; do not edit. Percent of macro H on the validation pages (one fifth of the",
        "shops), thresholds tuned for each trial and cross-fitted; 95 % bootstrap interval over pages in brackets.",
        "",
        f"| {' | '.join(header)} |".replace("|  |", "| |"),
        "|" + "---|" * len(header),
    ]
    lines += [row(trial, report.space) for trial in report.trials]
    lines += ["", "What it can and cannot say:", ""]
    lines += [sentence(comparison, report) for comparison in report.comparisons]
    if report.seed_noise is None:
        lines.append("- How much another seed moves a score was not measured here (`confirm=3` does).")
    else:
        repeats = sum(trial.repeats is not None for trial in report.trials)
        lines.append(
            f"- Another seed moves a score by {100 * report.seed_noise:.2f} points (standard deviation, from {repeats} repeats)."
        )
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    command = (
        f"Command: `{record['command']}`, seed {record['seed']}, {report.hours:.2f} hours of training in all on "
        f"{record['processor']}, {record['cores']} cores; {versions}; commits of the trainings: "
        f"{', '.join(record['commits']) or 'not known'}."
    )
    lines += [
        "- The best of several was chosen on these pages: its score is optimistic, and says nothing of a full training, since",
        f"  every training had {record['size']['epochs']} epochs of {record['size']['batches']} batches.",
        "- Importance of parameters is not given: from so few trials it is no evidence.",
        "",
        command,
    ]
    return "\n".join(lines) + "\n"


def row(trial: TrialEntry, space: list[str]) -> str:
    """One line of the table."""
    values = []
    for name in space:
        values.append(f"{trial.params[name]:.4g}" if name in trial.params else "")
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
        low, high = comparison.interval95
        text += f" [{100 * low:+.2f}, {100 * high:+.2f}], paired over pages"
        if report.seed_noise is not None:
            text += " and widened by the noise of seeds"
    return f"{text}: {comparison.verdict}."


if __name__ == "__main__":
    main()
