"""``hmean sweep report``: what a sweep found, and whether it found anything, as one HTML page and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hmean.errors import InputError
from hmean.execute.slots import Slot
from hmean.files import write_json, write_text
from hmean.metrics.bootstrap import Interval, bootstrap_interval, verdict
from hmean.metrics.scorer import PageScore
from hmean.reports.figures import STYLE, svg_of
from hmean.runs.scores import ScoredPages
from hmean.search.trials import OBJECTIVES, Runs, ranked

# Student's t, 97.5 %, for 1, 2, ... repeats: so few say little of how much seeds matter.
T975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
COLOUR = "#1f6f8b"


def run(runs: Runs) -> Path:
    """Write ``report.html`` and ``report.json`` into the sweep's folder; returns the first.

    Raises:
        InputError: if no run has a score.
    """
    folder = Path(runs.about["folder"])
    if not ranked(runs.queue.slots(), runs.sweep.sign):
        raise InputError(f"{folder}: no run has a score yet; hmean sweep status says how far they are")
    found = record(runs)
    write_json(folder / "report.json", found)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(
        (files("hmean.reports") / "templates" / "sweep_report.html.j2").read_text(encoding="utf-8")
    )
    rows = [row for row in found["runs"] if row["value"] is not None and not row["repeats"]]
    figures = draw(found["space"], rows, found["metric"]) if rows else []
    write_text(folder / "report.html", template.render(name=runs.queue.name, figures=figures, **found))
    return folder / "report.html"


def record(runs: Runs) -> dict[str, Any]:
    """Every run with its score and interval, the noise of seeds where it was measured, and the verdict."""
    slots, sign = runs.queue.slots(), runs.sweep.sign
    best = ranked(slots, sign)
    repeats = {s.slot: best[s.payload["confirms"]].slot for s in slots if s.stage and s.state == "done"}
    rows = [_row(runs, slot, repeats.get(slot.slot)) for slot in slots]
    # A repeat says how sure a run is; it is no candidate of its own.
    rows.sort(
        key=lambda row: (row["repeats"] is not None, -sign * row["value"] if row["value"] is not None else math.inf)
    )
    pairs = [(slots[again].result["value"], slots[first].result["value"]) for again, first in repeats.items()]
    # Two runs of one setting differ by the sum of two draws of the noise.
    noise = math.sqrt(sum((a - b) ** 2 for a, b in pairs) / (2 * len(pairs))) if pairs else None
    return {
        "metric": runs.sweep.metric,
        "tuned": runs.about["tune_each"],
        "space": list(runs.sweep.space),
        "runs": rows,
        "imported": [{**t.params, "value": t.value} for t in runs.study.trials if "imported" in t.user_attrs],
        "seed_noise": noise,
        "verdict": [_against(runs, best[0], other, what, noise, len(pairs)) for other, what in _others(runs, best)],
        "hours": sum(row["seconds"] for row in rows) / 3600,
    }


def _row(runs: Runs, slot: Slot, repeats: int | None) -> dict[str, Any]:
    r, pages, statistic = slot.result, page_scores(slot), OBJECTIVES[runs.sweep.metric]
    return {
        "slot": slot.slot, "state": slot.state, "attempts": slot.attempt, "repeats": repeats,
        "value": r.get("value"), "untuned": r.get("untuned"), "params": r.get("params", {}),
        "interval95": list(bootstrap_interval(pages, statistic)) if pages and statistic else None,
        "epochs": len(r.get("rows", ())), "seconds": r.get("seconds", 0.0),
        "curve": [(row["epoch"] + 1, row[runs.sweep.metric]) for row in r.get("rows", ()) if runs.sweep.metric in row],
        "note": str(r.get("stop") or r.get("reason") or ""),
    }  # fmt: skip


def page_scores(slot: Slot) -> list[PageScore]:
    """The pages behind a run's score; none if its trainer left none."""
    if "scored" not in slot.result:
        return []
    return ScoredPages.parse(slot.result["scored"], f"slot {slot.slot}").page_scores()


def _others(runs: Runs, best: Sequence[Slot]) -> Iterator[tuple[Slot, str]]:
    """What the best run is compared with: the next, and the first run where that has the preset's own values."""
    grid = runs.sweep.config["method"] == "grid"
    for i, slot in enumerate(best[1:], start=1):
        preset = slot.slot == 0 and bool(slot.payload["params"]) and not grid
        if i == 1 or preset:
            yield slot, ", ".join(["the next"] * (i == 1) + ["the preset's own values"] * preset)


def _against(runs: Runs, best: Slot, other: Slot, what: str, noise: float | None, repeats: int) -> dict[str, Any]:
    """Whether the best run can be told from another: by these pages, and by seeds where their noise was measured."""
    statistic, pages, others = OBJECTIVES[runs.sweep.metric], page_scores(best), page_scores(other)
    found: dict[str, Any] = {"best": best.slot, "other": other.slot, "what": what, "interval95": None}
    found["says"] = "no pages to compare"
    found["difference"] = best.result["value"] - other.result["value"]
    if statistic and pages and [p.name for p in pages] == [p.name for p in others]:
        low, high = bootstrap_interval(pages, statistic, minus=others)
        said: str = verdict(Interval(low, high))
        if noise is None:
            said += " on these pages; with another seed it may be otherwise"
        else:
            middle, seeds = found["difference"], T975[min(repeats, len(T975)) - 1] * math.sqrt(2) * noise
            low, high = middle - math.hypot(middle - low, seeds), middle + math.hypot(high - middle, seeds)
            said = verdict(Interval(low, high))
        found |= {"interval95": [low, high], "says": said}
    return found


def draw(names: Sequence[str], rows: Sequence[dict[str, Any]], metric: str) -> list[str]:
    """Parallel coordinates, a slice along each parameter, learning curves; darker is better."""
    values = np.array([row["value"] for row in rows])
    shade = 0.15 + 0.85 * (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    axes = {name.rpartition(".")[2]: [row["params"].get(name) for row in rows] for name in names}
    with mpl.rc_context(STYLE):
        parallel = Figure(figsize=(10, 2.8), layout="constrained")
        panel = parallel.subplots()
        columns = np.stack([*map(_scaled, axes.values()), _scaled(values.tolist())], axis=1)
        for line, alpha in zip(columns, shade, strict=True):
            panel.plot(line, color=COLOUR, alpha=float(alpha))
        panel.set_xticks(range(columns.shape[1]), [*axes, metric])
        panel.set_yticks([])
        slices = Figure(figsize=(2.8 * len(axes), 2.6), layout="constrained")
        for panel, (name, column) in zip(slices.subplots(1, len(axes), squeeze=False)[0], axes.items(), strict=True):
            panel.plot(column if _numbers(column) else list(map(str, column)), values, "o", markersize=4, color=COLOUR)
            panel.set_xscale("log" if _numbers(column) and _wide(np.array(column)) else panel.get_xscale())
            panel.set_title(name, fontsize=9)
            panel.tick_params(axis="x", rotation=30)
        curves = Figure(figsize=(10, 2.8), layout="constrained")
        panel = curves.subplots()
        for row, alpha in zip(rows, shade, strict=True):
            panel.plot(*zip(*row["curve"], strict=True), marker=".", color=COLOUR, alpha=float(alpha))
        panel.set(xlabel="epoch", ylabel=metric)
        return [svg_of(figure) for figure in (parallel, slices, curves)]


def _numbers(column: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) for value in column)


def _wide(numbers: Any) -> bool:
    """Whether they are better shown by their logarithm."""
    return bool(numbers.min() > 0 and numbers.max() / numbers.min() > 3)


def _scaled(column: Sequence[Any]) -> Any:
    """0 to 1 from smallest to largest."""
    numbers = np.array(
        column if _numbers(column) else [sorted(set(map(str, column))).index(str(v)) for v in column], float
    )
    if _wide(numbers):
        numbers = np.log(numbers)
    return (numbers - numbers.min()) / max(float(np.ptp(numbers)), 1e-12)
