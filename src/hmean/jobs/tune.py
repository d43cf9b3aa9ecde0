"""``hmean tune``: post-processing values from cached maps; the network runs at most once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmean.builders import open_pages
from hmean.checkpoints import Checkpoint, write_postprocess
from hmean.config import Config, TuneConfig
from hmean.files import write_json
from hmean.jobs.evaluate import make_maps, require_sound, run_of
from hmean.maps import MapStore
from hmean.metrics.hmean import Scorer, Statistic, bootstrap_interval, choose_characters, score_pages
from hmean.postprocess import detect
from hmean.progress import track
from hmean.types import Page, PostprocessParams, Score


def run(config: Config, checkpoint: Checkpoint) -> dict[str, Any]:
    """Try a grid on the pages of ``evaluate_on`` and write the best values into the checkpoint.

    Returns:
        The content of ``tuned.json``: values before and after, and every point of the grid, best first.
    """
    folder = run_of(checkpoint)
    pages = open_pages(getattr(config.datasets, f"{config.evaluate_on}_dataset"))
    require_sound(pages)
    maps = "maps" if config.evaluate_on == "val" else f"maps_{config.evaluate_on}"
    store = make_maps(config, checkpoint, pages, folder / maps)
    truth = [pages.page(position) for position in range(len(pages))]
    before = config.models.head.postprocess.params()
    points = grid(before, config.tune)
    with track("tuning", len(points)) as advance:
        scored = []
        for params, scorer in search(store, truth, points):
            scored.append((params, scorer))
            advance()
    objective = config.tune.objective
    # A tie goes to the point nearest to what was there: sorting is stable, and the present values come first.
    scored.sort(key=lambda item: -_value(item[1].compute(), objective))
    best, best_scorer = scored[0]
    now = next(scorer for params, scorer in scored if params == before)
    gain = _value(best_scorer.compute(), objective) - _value(now.compute(), objective)
    low, high = bootstrap_interval(best_scorer.pages, objective, minus=now.pages)
    record = {
        "objective": objective,
        "part": config.evaluate_on,
        "pages": len(pages),
        "chosen_on_these_pages": True,
        "before": {"postprocess": before.to_dict(), "score": now.compute().to_dict()},
        "after": {"postprocess": best.to_dict(), "score": best_scorer.compute().to_dict()},
        "gain": gain,
        "gain_interval95": [low, high],
        "grid": [{"postprocess": p.to_dict(), "score": s.compute().to_dict()} for p, s in scored],
    }
    write_json(folder / "tuned.json", record)
    if best != before:
        why = f"tuned for {objective} hmean on {len(pages)} {config.evaluate_on} pages"
        write_postprocess(checkpoint.path, best, why, pages.page_keys())
    return record


def grid(before: PostprocessParams, wanted: TuneConfig) -> list[PostprocessParams]:
    """The present values, then every combination of the lists."""
    axes = {
        name: getattr(wanted, name) or [getattr(before, name)]
        for name in ("thresh", "unclip_ratio", "inverse_r", "box_thresh")
    }
    points = [replace(before, **dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]
    return [before, *(point for point in points if point != before)]


def search(
    store: MapStore, truth: list[Page], points: list[PostprocessParams]
) -> Iterator[tuple[PostprocessParams, Scorer]]:
    """Score every point. Maps are post-processed once for all values of ``box_thresh``, which only filters."""
    characters = choose_characters(truth)
    shared: dict[PostprocessParams, list[PostprocessParams]] = {}
    for point in points:
        shared.setdefault(replace(point, box_thresh=0.0), []).append(point)
    for group in shared.values():
        limits = sorted({point.box_thresh for point in group})
        found = [detect(store.read(page.name), replace(group[0], box_thresh=limits[0])) for page in truth]
        scored = score_pages(truth, found, characters, min_scores=limits)
        for point in group:
            scorer = Scorer(characters)
            scorer.pages = [page[limits.index(point.box_thresh)] for page in scored]
            yield point, scorer


def _value(score: Score, objective: Statistic) -> float:
    return float(getattr(score, objective).h)


def run_folder_checkpoint(run: str) -> str:
    """The checkpoint that ``run=FOLDER`` stands for."""
    return str(Path(run) / "checkpoints" / "best.ckpt")
