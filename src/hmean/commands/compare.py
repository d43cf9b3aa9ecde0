"""``hmean compare``: results on the same pages, with paired intervals and a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmean.errors import InputError
from hmean.files import read_json
from hmean.metrics.scorer import Compared, PageScore, Scorer, bootstrap_intervals
from hmean.runs.folder import differences, load_yaml
from hmean.runs.results import STATISTICS, read_page_scores, score_files
from hmean.types import Characters, Statistic

# Of scores.json: what the config of the training cannot know.
SCORED_WITH = ("weights_hash", "epoch", "long_side", "postprocess")
# Keys of a config that name a run or belong to other jobs; the post-processing that counted is in scores.json.
NO_DIFFERENCE = (
    "exp_name", "output_dir", "output", "resume", "overwrite", "wandb", "tune", "predict", "models.head.postprocess",
)  # fmt: skip


# What is compared, and where it stands among the scores.
COMPARED: dict[Compared, tuple[Statistic, str]] = {
    **{statistic: (statistic, "h") for statistic in STATISTICS}, "macro_p": ("macro", "p"), "macro_r": ("macro", "r"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Result:
    """One result: its name, its pages' scores, how characters were counted, and the config, where a run has one."""

    name: str
    pages: Sequence[PageScore]
    characters: Characters
    data_hash: str | None
    config: Any


def run(inputs: Sequence[Path], truth: Path | None = None, images: Path | None = None) -> dict[str, Any]:
    """Compare each further result with the first.

    Args:
        inputs: run folders, folders of an evaluation, or prediction files (which need ``truth``); at least two.
        truth: labels to score prediction files against, and the predictions of folders too.
        images: of ``truth``, where its labels are txt files.

    Returns:
        ``results``: P, R, H of each; ``comparisons``: for each after the first the difference of each hmean, its 95 %
        interval, a verdict, and the config keys that differ.

    Raises:
        InputError: if a result cannot be read, or they are not of the same pages.
    """
    if len(inputs) < 2:
        raise InputError("hmean compare takes two or more results: run folders, or prediction files with --truth")
    results = [open_result(path, truth, images) for path in inputs]
    base, *others = results
    faults = [fault for other in others for fault in _mismatch(base, other)]
    if faults:
        raise InputError.listing("These results cannot be compared:", faults)
    return {
        "pages": len(base.pages),
        "characters": base.characters,
        "results": [{"name": result.name, **_scores(result)} for result in results],
        "comparisons": [compare(base, other) for other in others],
    }


def open_result(path: Path, truth: Path | None, images: Path | None = None) -> Result:
    """A result from a folder with ``scores.json``, or from predictions scored against ``truth``."""
    folder = path if path.is_dir() else path.parent
    config = load_yaml(folder / "config.yaml") if path.is_dir() and (folder / "config.yaml").exists() else None
    if truth is not None:
        predictions = path / "predictions.json" if path.is_dir() else path
        scorer = score_files(truth, predictions, images=images)
        return Result(str(path), scorer.pages, scorer.characters, None, config)
    if not (path / "scores.json").is_file():
        raise InputError(f"{path}: holds no scores.json; give a run folder, or labels with --truth")
    record = read_json(path / "scores.json")
    pages = read_page_scores(path / "scores.json", record)
    used = {key: record[key] for key in SCORED_WITH if key in record}
    return Result(str(path), pages, record["cleval"]["characters"], record.get("data_hash"), {**(config or {}), **used})


def compare(base: Result, other: Result) -> dict[str, Any]:
    """The differences of ``other`` to ``base``, as ``run`` gives them.

    Raises:
        InputError: if they are not of the same pages.
    """
    if faults := _mismatch(base, other):
        raise InputError.listing("These results cannot be compared:", faults)
    before, after = _scores(base), _scores(other)
    intervals, rows = bootstrap_intervals(other.pages, COMPARED, minus=base.pages), dict[str, Any]()
    for statistic, (of, part) in COMPARED.items():
        low, high = intervals[statistic]
        difference = after[of][part] - before[of][part]
        rows[statistic] = {"difference": difference, "interval95": [low, high], "verdict": verdict(low, high)}
    changed = differences(base.config, other.config, NO_DIFFERENCE) if base.config and other.config else []
    return {"name": other.name, "to": base.name, **rows, "config": changed}


def verdict(low: float, high: float) -> str:
    """What a 95 % interval of a difference says."""
    return "better" if low > 0 else "worse" if high < 0 else "not distinguishable"


def _scores(result: Result) -> dict[Statistic, dict[str, float]]:
    scorer = Scorer(result.characters)
    scorer.pages = list(result.pages)
    score = scorer.compute()
    return {s: {"p": (prh := getattr(score, s)).p, "r": prh.r, "h": prh.h} for s in STATISTICS}


def _mismatch(a: Result, b: Result) -> list[str]:
    if a.characters != b.characters:
        return [f"{a.name} counts characters by {a.characters}, {b.name} by {b.characters}; give labels with --truth"]
    names, others = [page.name for page in a.pages], [page.name for page in b.pages]
    if names != others:
        only = np.setdiff1d(names, others).tolist() + np.setdiff1d(others, names).tolist()
        what = f"first {only[0]}" if only else "in another order"
        return [f"{a.name} is of {len(names)} pages and {b.name} of {len(others)}, not the same ones ({what})"]
    if a.data_hash != b.data_hash:
        return [f"{a.name} and {b.name} were scored with other labels or images of the same names"]
    return []


def table(record: dict[str, Any]) -> str:
    """Tab-separated: H of each result, then each difference with interval and verdict, in points."""
    names = [result["name"] for result in record["results"]]
    lines = ["\t".join(["", *names])]
    lines += [
        "\t".join([f"{of} {part.upper()}", *(f"{100 * r[of][part]:.2f}" for r in record["results"])])
        for of, part in COMPARED.values()
    ]
    for comparison in record["comparisons"]:
        lines += ["", f"{comparison['name']} minus {comparison['to']}, points on {record['pages']} pages"]
        for statistic, (of, part) in COMPARED.items():
            row = comparison[statistic]
            low, high = (100 * v for v in row["interval95"])
            lines.append(
                f"{of} {part.upper()}\t{100 * row['difference']:+.2f}\t[{low:+.2f}, {high:+.2f}]\t{row['verdict']}"
            )
        lines += [f"config\t{line}" for line in comparison["config"]]
    return "\n".join(lines)
