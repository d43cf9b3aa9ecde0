"""All pages together: each as the fold found it that has not seen it; one post-processing tuned for all folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hmean.crossval.folds import TrainedFold
from hmean.crossval.record import CrossvalRecord, MadeOf
from hmean.data.pages import LabelledImages
from hmean.metrics.scorer import Scorer, choose_characters, score_pages
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Influence
from hmean.runs.maps import MapStore
from hmean.runs.predictions import read_predictions, write_predictions
from hmean.runs.scores import Scores
from hmean.tuning.adoption import why_tuned
from hmean.tuning.fit import Fit, TuneOptions, fit
from hmean.types import Detections, Page

OUT_OF_FOLD = "out of fold"  # what the pages are called in scores.json and tuned.json


def join_folds(
    folder: Path, folds: Sequence[TrainedFold], pages: LabelledImages, options: TuneOptions
) -> CrossvalRecord:
    """Score all pages out of fold, tune on all of them, and write the files of a cross-validation.

    ``predictions.json`` and ``scores.json`` join what the folds found; ``tuned.json`` says which post-processing was
    chosen on all maps, ``cross_fitted/scores.json`` what it is worth. The folds' checkpoints get it.

    Args:
        folder: of the cross-validation.
        folds: scored on their own pages.
        pages: of all folds, in the order of the labels.
        options: of the tuning.

    Returns:
        The content of ``crossval.json``; what is there already is not made again.
    """
    of_folds = [Scores.read(fold.run.scores) for fold in folds]
    before = of_folds[0].postprocess or PostprocessParams()
    made_of = MadeOf(
        data_hash=pages.fingerprint(),
        weights_hash=tuple(fold.model.weights_hash() for fold in folds),
        long_side=of_folds[0].long_side,
        text=of_folds[0].text,
        postprocess=before,
        tune=options,
    )
    file = folder / "crossval.json"
    if file.exists():
        known = CrossvalRecord.read(file)
        if known.made_of == made_of:
            return known
    truth = [pages.page(position) for position in range(len(pages))]
    influence = Influence(epoch_chosen=len(pages))

    def collect(scorer: Scorer, params: PostprocessParams) -> Scores:
        return Scores.collect(
            scorer,
            exp_name=folder.name,
            split=OUT_OF_FOLD,
            data_hash=made_of.data_hash,
            weights_hash=made_of.weights_hash,
            influenced_by=influence,
            long_side=made_of.long_side,
            text=made_of.text,
            postprocess=params,
        )

    out_of_fold = collect(_join_predictions(folder, folds, truth), before)
    out_of_fold.write(folder / "scores.json")
    tuned = _tune(folds, truth, options, before, influence)
    tuned.result.write(folder / "tuned.json")
    cross_fitted = collect(tuned.held_out, tuned.decided)
    cross_fitted.write(folder / "cross_fitted" / "scores.json")
    for fold in folds:
        if fold.model.postprocess != tuned.decided:
            why = why_tuned(tuned.result.objective, len(pages), "out-of-fold")
            fold.model.write_postprocess(tuned.decided, why, pages.page_keys())
    record = CrossvalRecord.collect(made_of, of_folds, out_of_fold, cross_fitted)
    record.write(file)
    return record


def _join_predictions(folder: Path, folds: Sequence[TrainedFold], truth: Sequence[Page]) -> Scorer:
    """Write what each fold found on its own pages as one file, and score it."""
    found: dict[str, Detections] = {}
    for fold in folds:
        found |= read_predictions(fold.run.predictions)
    with write_predictions(folder / "predictions.json") as predictions:
        for page in truth:
            predictions.write(page.name, found[page.name], page.width, page.height)
    scorer = Scorer(choose_characters(truth))
    scored = score_pages(truth, [found[page.name] for page in truth], scorer.characters)
    scorer.pages = [page for (page,) in scored]
    return scorer


def _tune(
    folds: Sequence[TrainedFold],
    truth: Sequence[Page],
    options: TuneOptions,
    before: PostprocessParams,
    influence: Influence,
) -> Fit:
    """One post-processing for all folds, from the maps of all pages."""
    maps: dict[str, MapStore] = {}
    for fold in folds:
        for position in range(len(fold.pages)):
            maps[fold.pages.name(position)] = fold.maps

    def read_map(page: Page) -> PageMap:
        return maps[page.name].read(page.name)

    return fit(truth, read_map, options, before=before, in_model=before, split=OUT_OF_FOLD, influenced_by=influence)
