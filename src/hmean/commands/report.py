"""``hmean report``: run folders or exported files in, one self-contained HTML page out."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from hmean import __version__
from hmean.errors import InputError
from hmean.files import read_json, write_text
from hmean.images import read_image
from hmean.inference.metadata import SUFFIXES, read_about
from hmean.postprocess.parameters import present_names
from hmean.reports.figures import curves, effects, knobs
from hmean.runs.carried import read_carried
from hmean.runs.comparison import SCORED_WITH, Result, compare
from hmean.runs.folder import RunFolder, load_yaml
from hmean.runs.metrics import read_epochs
from hmean.runs.pictures import jpeg, shrunk
from hmean.runs.scores import Scores
from hmean.tuning.result import TuneResult

PICTURES = 12  # of the worst pages, and of the best, in all evaluations together,
MOST_BYTES = 150_000  # of each; what is larger is shown smaller: a report stays under 5 MB
TOP = 15  # settings, and bins of a trait, that a table shows
SETTINGS = ("models", "transforms", "trainer", "dataloaders", "seed")


@dataclass(frozen=True)
class Reported:
    """A run folder with its best checkpoint, or an exported file with the folder of its results."""

    folder: Path
    model: Path
    config: Any
    manifest: Any


def open_reported(path: Path) -> Reported:
    """What a path given to ``hmean report`` stands for."""
    if path.suffix in SUFFIXES:
        about = read_about(path)
        return Reported(path.with_suffix(""), path, about["config"], about["provenance"])
    manifest = read_json(path / "manifest.json") if (path / "manifest.json").exists() else {}
    return Reported(path, RunFolder(path).best, load_yaml(path / "config.yaml"), manifest)


def run(paths: Sequence[Path], target: Path | None = None) -> Path:
    """Draw the report of one or several runs.

    Args:
        paths: run folders and exported files.
        target: the HTML file; by default ``report.html`` in the folder of the first.

    Returns:
        The file written.

    Raises:
        InputError: if a path is neither, or none has a score.
    """
    neither = [
        f"{path}: is neither a run folder (it has no config.yaml) nor an exported file"
        for path in paths
        if path.suffix not in SUFFIXES and not (path / "config.yaml").exists()
    ]
    if neither or not paths:
        raise InputError.listing("Cannot report:", neither or ["no run folder or exported file was given"])
    every = [open_reported(path) for path in paths]
    scores = [entry for one in every for entry in read_scores(one)]
    if not scores:
        raise InputError(f"{paths[0]}: has no scores.json yet; run hmean evaluate first")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["percent"] = lambda value: f"{100 * value:.2f}"
    environment.filters["points"] = lambda value: f"{100 * value:+.2f}"
    template = environment.from_string(
        (files("hmean.reports") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    )
    target = target or every[0].folder / "report.html"
    shown = PICTURES // max(1, sum(map(drawn, (path for one in every for path in results_of(one.folder)))))
    html = template.render(
        title=", ".join(path.name for path in paths),
        version=__version__,
        tables=rank(scores),
        runs=[describe(one, max(1, shown)) for one in every],
    )
    write_text(target, html)
    return target


def results_of(folder: Path) -> list[Path]:
    """Every ``scores.json`` of a run: of its training, the base, then of tuning, evaluations, and exported models."""
    return sorted(folder.glob("**/scores.json"), key=lambda path: (len(path.parts), path))


def drawn(scores: Path) -> bool:
    """Whether an evaluation drew its pages."""
    return (scores.parent / "pictures" / "pictures.json").exists()


def read_scores(of: Reported) -> list[dict[str, Any]]:
    """What ``results_of`` a run say; ``note`` tells of what model, and whether its values are other ones by now."""
    found: list[dict[str, Any]] = []
    folder, own = of.folder, of.model
    models = {folder: own, **{file.with_suffix(""): file for end in SUFFIXES for file in folder.glob(f"**/*{end}")}}
    for path in results_of(folder):
        saved = read_json(path)
        scores = Scores.parse(saved, path)
        record = scores.to_json()
        found.append(record)
        record["folder"] = str(path.parent.relative_to(folder.parent))
        model = next(models[parent] for parent in path.parents if parent in models)
        same = record.get("weights_hash") == found[0].get("weights_hash")
        if "members" in saved:
            notes = ["of an ensemble"]
        else:
            notes = [f"of {model.name}"] * (model != own) + ["other weights"] * (not same)
            if model.is_file() and (same or model != own) and record["postprocess"] != postprocess_of(model):
                notes.append("with values that the model does not have now")
        record["note"] = ", ".join(notes)
        config = {**of.config, **{key: record.get(key) for key in SCORED_WITH}}
        pages = scores.page_scores()
        record["result"] = Result(record["folder"], pages, record["cleval"]["characters"], record["data_hash"], config)
    return found


def postprocess_of(model: Path) -> Any:
    """The values that a checkpoint or an exported file holds."""
    if model.suffix in SUFFIXES:
        return present_names(read_about(model)["postprocess"])
    return read_carried(model).postprocess.to_dict()


def rank(scores: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One table for each set of pages, best macro H first: scores of different pages are never in one ranking.

    Each row but the first score's, the base, has its ``change`` to that.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        tables.setdefault(str(score["data_hash"]), []).append(score)
    ranked = []
    for base, *others in tables.values():
        for row in others:
            row["change"] = compare(base["result"], row["result"])
        rows = sorted([base, *others], key=lambda row: -row["cleval"]["macro"]["h"])
        about = {"part": base["split"], "images": base["images"], "characters": base["cleval"]["characters"]}
        ranked.append({**about, "base": base, "rows": rows})
    return ranked


def describe(of: Reported, shown: int) -> dict[str, Any]:
    """What the report shows of one run."""
    folder, config = of.folder, of.config
    missing = [key for key in SETTINGS if not isinstance(config, dict) or key not in config]
    if missing:
        raise InputError(f"{folder / 'config.yaml'}: is no resolved config of a run (it has no {', '.join(missing)})")
    rows = [row.to_json() for row in read_epochs(RunFolder(folder).metrics)]
    tuned = TuneResult.read(folder / "tuned.json").to_json() if (folder / "tuned.json").exists() else None
    if tuned and tuned["cross_fitted"]:
        chosen = tuned["cross_fitted"]["chosen"]
        tuned["cross_fitted"]["chosen"] = [values for i, values in enumerate(chosen) if values not in chosen[:i]]
    return {
        "name": folder.name,
        "curves": curves(rows) if rows else None,
        "epochs": len(rows),
        "hours": sum(row["seconds"] for row in rows) / 3600,
        "tuned": tuned
        and {
            **tuned,
            "figures": knobs(tuned),
            "effects": effects(tuned),
            "settings": len(tuned["grid"]),
            "grid": tuned["grid"][:TOP],
        },
        "evaluations": [evaluation(path, folder, shown) for path in results_of(folder) if drawn(path)],
        "settings": flatten({key: config[key] for key in SETTINGS}),
        "manifest": flatten(of.manifest),
    }


def evaluation(path: Path, run: Path, shown: int) -> dict[str, Any]:
    """Where the errors of an evaluation are, and so many pictures of worst and of best pages, embedded."""
    scores, folder, pictures = Scores.read(path).to_json(), path.parent, path.parent / "pictures"
    every = read_json(pictures / "pictures.json")
    listed = [e for kind in ("worst", "best") for e in [e for e in every if e["kind"] == kind][:shown]]
    for entry in listed:
        entry["src"] = f"data:image/jpeg;base64,{base64.b64encode(small(pictures / entry['file'])).decode()}"
    errors = None
    if (folder / "errors.json").exists():
        errors = read_json(folder / "errors.json")
        for page, scored in zip(errors["pages"], scores["pages"], strict=True):
            page.update({key: scored[key] for key in ("p", "r", "h")})
        errors["first"] = look_first(errors["by"])
        groups = sorted(errors["by"]["group"], key=lambda row: -row["recall_lost"] - row["precision_lost"])
        errors["by"] = {**errors["by"], "group": groups[:TOP] if len(groups) > 1 else []}
    part = scores["split"] if folder == run else f"{scores['split']} ({folder.relative_to(run)})"
    return {"part": part, "pictures": listed, "errors": errors}


def small(picture: Path) -> bytes:
    """A JPEG file, drawn smaller until it is small enough to be embedded."""
    data = picture.read_bytes()
    while len(data) > MOST_BYTES:
        image = read_image(io.BytesIO(data))
        data = jpeg(shrunk(image, round(0.95 * max(image.shape) * math.sqrt(MOST_BYTES / len(data))))[0])
    return data


def look_first(by: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The bins that lose most beyond their share of the text, worst first."""
    rows = [{"axis": axis, **row} for axis, bins in by.items() if len(bins) > 1 for row in bins if row["excess"] > 0]
    return sorted(rows, key=lambda row: -row["excess"])[:6]


def flatten(value: Any, key: str = "") -> dict[str, str]:
    """Nested values as dotted keys."""
    if isinstance(value, dict):
        return {
            k: v
            for name, part in value.items()
            for k, v in flatten(part, f"{key}.{name}" if key else str(name)).items()
        }
    return {key: str(value)}
