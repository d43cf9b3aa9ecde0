"""A trained model on labelled pages: maps, predictions, scores, errors and pictures."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hmean.data.check import require_sound
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.maps import make_run_maps
from hmean.inference.trained import Execution, TrainedModel
from hmean.metrics.breakdown import break_down
from hmean.metrics.scorer import Scorer, choose_characters
from hmean.postprocess.decoding import detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.runs.looks import LookCosts
from hmean.runs.pictures import draw_extremes
from hmean.runs.predictions import write_predictions
from hmean.runs.scores import Scores
from hmean.types import Detections, View


def evaluate(
    model: TrainedModel,
    pages: LabelledImages,
    folder: Path,
    *,
    split: str,
    view: View | None = None,
    params: PostprocessParams | None = None,
    execution: Execution | None = None,
) -> Scores:
    """Score a model on labelled pages.

    Args:
        model: the model.
        pages: the pages.
        folder: where predictions, scores, errors and pictures are written.
        split: of the pages: train, val or test.
        view: how the network sees pages; by default as in its training.
        params: post-processing values; by default those of the model.
        execution: how the network is run.

    Returns:
        The content of ``scores.json``.

    Raises:
        InputError: listing faults of labels and images, before any long work.
    """
    view = view or model.view
    params = params or model.postprocess
    require_sound(pages)
    started = time.monotonic()
    store = make_run_maps(model, pages, view=view, execution=execution, fallback=folder)
    seconds = time.monotonic() - started

    truth = [pages.page(position) for position in range(len(pages))]
    scorer = Scorer(choose_characters(truth))
    found: list[Detections] = []
    scales = []
    looks = []
    with write_predictions(folder / "predictions.json") as writer, track("scoring", len(pages)) as advance:
        for page in truth:
            page_map = store.read(page.name)
            detections = detect(page_map, params)
            scales.append(page_map.scale)
            looks.append(page_map.looks)
            scorer.update(page, detections)
            writer.write(page.name, detections, page.width, page.height)
            found.append(detections)
            advance()
    errors = break_down(truth, found, scorer.characters, view.long_side, scales)
    errors.write(folder / "errors.json", indent=None)
    costs = LookCosts.of(looks)
    scores = collect_scores(scorer, model, pages, split=split, view=view, params=params, seconds=seconds, looks=costs)
    scores.write(folder / "scores.json")
    draw_extremes(folder / "pictures", pages, scorer, found)
    return scores


def require_free(folder: Path, *, overwrite: bool) -> None:
    """Check that an evaluation may be written into a folder.

    Raises:
        InputError: if it holds one and ``overwrite`` is not set.
    """
    file = folder / "scores.json"
    if file.exists() and not overwrite:
        raise InputError(
            f"{folder}: holds an evaluation already{_seen_with(Scores.read(file))}; set output=ANOTHER_FOLDER to keep "
            "it, or overwrite=true to replace it"
        )


def _seen_with(scores: Scores) -> str:
    """How the network saw the pages that were scored, as it is set; nothing where several networks did."""
    if scores.long_side is None:
        return ""
    view = "page"
    if scores.text is not None:
        view = "text"
    return f", with view={view} and long_side={scores.long_side}"


def collect_scores(
    scorer: Scorer,
    model: TrainedModel,
    pages: LabelledImages,
    *,
    split: str,
    view: View,
    params: PostprocessParams,
    seconds: float | None = None,
    looks: LookCosts | None = None,
) -> Scores:
    """The record of scored pages, with what was scored with what: enough to refuse a comparison of different pages."""
    if seconds is not None:
        seconds = round(seconds, 2)
    return Scores.collect(
        scorer,
        exp_name=model.training["exp_name"],
        split=split,
        data_hash=pages.fingerprint(),
        weights_hash=model.weights_hash(),
        epoch=model.epoch,
        influenced_by=model.influenced_by(pages.page_keys()),
        long_side=view.long_side,
        text=view.text,
        looks=looks,
        postprocess=params,
        tuned=tuple(change.why for change in model.history),
        seconds=seconds,
        threads=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
    )
