"""``hmean report``: run folders in, one self-contained HTML page out."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hmean import __version__
from hmean.errors import InputError
from hmean.files import read_json, write_text
from hmean.runs import RunFolder, load_yaml

TUNED = ("objective", "before", "after", "cross_fitted", "plateau", "axes", "grid", "kept")
SETTINGS = ("models", "transforms", "trainer", "dataloaders", "seed")
# Any: matplotlib types its keys one by one
STYLE: Any = {"font.size": 9, "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}
CURVES = (
    ("train/loss", "training loss"),
    ("val/hmean", "CLEval macro H"),
    ("val/iou50_hmean", "IoU50 H"),
    ("lr", "learning rate"),
)


def run(folders: Sequence[Path], target: Path | None = None) -> Path:
    """Draw the report of one or several runs.

    Args:
        folders: run folders.
        target: the HTML file; by default ``report.html`` in the first folder.

    Returns:
        The file written.

    Raises:
        InputError: if a folder is not a run, or none has a score.
    """
    missing = [
        f"{folder}: is not a run folder (it has no config.yaml)"
        for folder in folders
        if not (folder / "config.yaml").exists()
    ]
    if missing or not folders:
        raise InputError.listing("Cannot report:", missing or ["no run folder was given"])
    scores = [entry for folder in folders for entry in read_scores(folder)]
    if not scores:
        raise InputError(f"{folders[0]}: holds no scores.json yet; run hmean evaluate first")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["percent"] = lambda value: f"{100 * value:.2f}"
    template = environment.from_string((files("hmean.jobs") / "report.html.j2").read_text(encoding="utf-8"))
    target = target or folders[0] / "report.html"
    html = template.render(
        title=", ".join(folder.name for folder in folders),
        version=__version__,
        tables=rank(scores),
        runs=[describe(folder) for folder in folders],
    )
    write_text(target, html)
    return target


def read_scores(folder: Path) -> list[dict[str, Any]]:
    """Every ``scores.json`` of a run: of its training, and of evaluations made later."""
    found = []
    for path in sorted([folder / "scores.json", *folder.glob("*/scores.json")]):
        if path.exists():
            record = read_json(path)
            if not isinstance(record, dict) or "data_hash" not in record or "cleval" not in record:
                raise InputError(f"{path}: was not written by hmean evaluate")
            record["folder"] = str(path.parent.relative_to(folder.parent))
            found.append(record)
    return found


def rank(scores: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One table for each set of pages, best macro H first: scores of different pages are never in one ranking."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        tables.setdefault(str(score["data_hash"]), []).append(score)
    ranked = [sorted(rows, key=lambda row: -row["cleval"]["macro"]["h"]) for rows in tables.values()]
    return [
        {
            "part": rows[0]["part"],
            "images": rows[0]["images"],
            "characters": rows[0]["cleval"]["characters"],
            "rows": rows,
        }
        for rows in ranked
    ]


def describe(folder: Path) -> dict[str, Any]:
    """What the report shows of one run."""
    config = load_yaml(folder / "config.yaml")
    missing = [key for key in SETTINGS if not isinstance(config, dict) or key not in config]
    if missing:
        raise InputError(f"{folder / 'config.yaml'}: is no resolved config of a run (it has no {', '.join(missing)})")
    rows = RunFolder(folder).read_metrics()
    tuned = read_json(folder / "tuned.json") if (folder / "tuned.json").exists() else None
    if tuned is not None and not (isinstance(tuned, dict) and set(TUNED) <= set(tuned)):
        raise InputError(f"{folder / 'tuned.json'}: is of another version or damaged; run hmean tune again")
    return {
        "name": folder.name,
        "curves": curves(rows) if rows else None,
        "epochs": len(rows),
        "hours": sum(row["seconds"] for row in rows) / 3600,
        "tuned": tuned and {**tuned, "figure": knobs(tuned)},
        "galleries": [gallery(path.parent) for path in sorted(folder.glob("**/pictures.json"))],
        "settings": flatten({key: config[key] for key in SETTINGS}),
        "manifest": flatten(read_json(folder / "manifest.json")) if (folder / "manifest.json").exists() else {},
    }


def curves(rows: Sequence[dict[str, Any]]) -> str:
    """Learning curves as one SVG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 2.6), layout="constrained")
        for axis, (key, title) in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
            points = [(row["epoch"] + 1, row[key]) for row in rows if key in row]
            axis.plot(
                *zip(*points, strict=True), marker="o" if len(points) < 40 else None, markersize=3, color="#1f6f8b"
            ) if points else None
            axis.set_title(title, fontsize=9)
            axis.set_xlabel("epoch")
            axis.grid(alpha=0.25)
        return svg_of(figure)


def knobs(tuned: dict[str, Any]) -> str:
    """What tuning found as one SVG: H, P and R along each knob, and a map of the two thresholds, the others held."""
    chosen, axes = tuned["after"]["postprocess"], list(tuned["axes"])

    def line(free: Sequence[str]) -> list[dict[str, Any]]:
        fixed = [axis for axis in chosen if axis not in free]
        return [row for row in tuned["grid"] if all(row["postprocess"][axis] == chosen[axis] for axis in fixed)]

    numbers = [axis for axis in axes if len({row["postprocess"][axis] for row in line([axis])}) > 2]
    both = {"thresh", "box_thresh"} <= set(numbers)
    if not numbers:
        return ""
    with mpl.rc_context(STYLE):
        columns = len(numbers) + both
        figure = Figure(figsize=(2.6 * columns, 2.6), layout="constrained")
        panels = figure.subplots(1, columns, squeeze=False)[0]
        for panel, axis in zip(panels, numbers, strict=False):
            rows = sorted(line([axis]), key=lambda row: row["postprocess"][axis])
            x = [row["postprocess"][axis] for row in rows]
            for key, colour in (("macro", "#1f6f8b"), ("p", "#b0572f"), ("r", "#4b8b3b"), ("iou70", "#8a8a8a")):
                panel.plot(x, [100 * row[key] for row in rows], marker=".", color=colour, label=key)
            panel.axvline(chosen[axis], color="#bbbbbb", linewidth=1, zorder=0)
            panel.set_title(axis, fontsize=9)
        panels[0].legend(fontsize=7, frameon=False)
        if both:
            heat_map(panels[-1], line(["thresh", "box_thresh"]))
        return svg_of(figure)


def heat_map(panel: Any, rows: Sequence[dict[str, Any]]) -> None:
    """The objective over thresh and box_thresh; a ring marks what cannot be told from the best."""
    x, y = (sorted({row["postprocess"][axis] for row in rows}) for axis in ("thresh", "box_thresh"))
    values = np.full((len(y), len(x)), np.nan)
    for row in rows:
        i, j = y.index(row["postprocess"]["box_thresh"]), x.index(row["postprocess"]["thresh"])
        values[i, j] = 100 * row["objective"]
        if row["plateau"]:
            panel.plot(j, i, "o", markerfacecolor="none", markeredgecolor="white", markersize=5)
    panel.imshow(values, origin="lower", aspect="auto", cmap="viridis")
    panel.set_xticks(range(len(x)), [f"{v:g}" for v in x], fontsize=7)
    panel.set_yticks(range(len(y)), [f"{v:g}" for v in y], fontsize=7)
    panel.set(xlabel="thresh", ylabel="box_thresh")
    panel.set_title(f"objective, {np.nanmin(values):.1f} to {np.nanmax(values):.1f}", fontsize=9)


def svg_of(figure: Figure) -> str:
    """A figure as SVG without the XML head."""
    out = io.StringIO()
    figure.savefig(out, format="svg")
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def gallery(folder: Path) -> dict[str, Any]:
    """Pictures of worst and best pages, embedded."""
    pictures = []
    for entry in read_json(folder / "pictures.json"):
        data = base64.b64encode((folder / entry["file"]).read_bytes()).decode()
        pictures.append({**entry, "src": f"data:image/jpeg;base64,{data}"})
    part = folder.parent
    scores = read_json(part / "scores.json") if (part / "scores.json").exists() else {}
    return {"part": scores.get("part", part.name), "pictures": pictures}


def flatten(value: Any, key: str = "") -> dict[str, str]:
    """Nested values as dotted keys."""
    if isinstance(value, dict):
        return {
            k: v
            for name, part in value.items()
            for k, v in flatten(part, f"{key}.{name}" if key else str(name)).items()
        }
    return {key: str(value)}
