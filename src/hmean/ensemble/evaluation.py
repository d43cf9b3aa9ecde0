"""The score of an ensemble on labelled pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.ensemble.members import Ensemble
from hmean.ensemble.records import EnsembleScores, ScoredMember
from hmean.errors import InputError
from hmean.inference.trained import Accelerator, Unreadable, page_files
from hmean.metrics.scorer import Scorer, choose_characters
from hmean.progress import track
from hmean.runs.carried import Influence
from hmean.runs.predictions import write_predictions


def evaluate_ensemble(
    ensemble: Ensemble,
    pages: LabelledImages,
    split: str,
    folder: Path,
    *,
    accelerator: Accelerator = "auto",
    workers: int = 0,
) -> EnsembleScores:
    """Write ``predictions.json`` and ``scores.json``.

    Args:
        ensemble: finds text on the pages.
        pages: labelled and sound.
        split: what they are called in ``scores.json``.
        folder: where the files are written.
        accelerator: see ``TrainedModel.start``.
        workers: see ``Ensemble.maps``.

    Returns:
        The content of ``scores.json``.

    Raises:
        InputError: if an image cannot be read.
    """
    truth = [pages.page(position) for position in range(len(pages))]
    files = page_files(pages)
    scorer = Scorer(choose_characters(truth))
    stream = ensemble.find(files, accelerator=accelerator, workers=workers)
    with write_predictions(folder / "predictions.json") as predictions, track("detecting", len(files)) as advance:
        for page, found in zip(truth, stream, strict=True):
            if isinstance(found, Unreadable):
                raise InputError(found.reason)
            scorer.update(page, found.detections)
            predictions.write(page.name, found.detections, found.width, found.height)
            advance()
    keys = pages.page_keys()
    members = []
    for member in ensemble.members:
        influence = member.model.influenced_by(keys)
        members.append(ScoredMember(**member.record.to_json(), influenced_by=influence))
    scores = EnsembleScores.collect(
        scorer,
        split=split,
        data_hash=pages.fingerprint(),
        postprocess=ensemble.params,
        members=tuple(members),
        influenced_by=Influence(tuned=int(np.isin(keys, ensemble.tuned_on).sum())),
    )
    scores.write(folder / "scores.json")
    return scores
