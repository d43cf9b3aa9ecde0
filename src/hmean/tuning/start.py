"""Never worse than the start: a fine-tuned model is compared with the detector that its training started from.

Both are scored on the same labelled pages with post-processing values that are chosen on these pages in the same way
and cross-fitted: what is chosen is taken, and both unclip modes are tried. (What ``hmean tune`` writes into a model has
to be shown to gain; that rule would leave one of the two with a preset's values.) The start wins unless it is beaten.
Its network runs over the pages once; everything else is done on cached maps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hmean.data.pages import LabelledImages
from hmean.inference.evaluation import collect_scores
from hmean.inference.maps import make_run_maps
from hmean.inference.trained import Execution, TrainedModel
from hmean.metrics.record import ScoreRecord
from hmean.metrics.scorer import Scorer
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.folder import RunFolder
from hmean.runs.metrics import count_validated
from hmean.runs.scores import Scores
from hmean.runs.start import JUDGED, StartRecord, StartRow, conclude, differences_to_start, winner_of
from hmean.tuning.adoption import adopt, values_before
from hmean.tuning.fit import Fit, TuneOptions, fit
from hmean.types import Page


@dataclass(frozen=True, eq=False)
class LabelledSplit:
    """The pages that models are tuned and scored on.

    Attributes:
        pages: the pages, with labels.
        name: of the split: val, test or train.
        execution: how networks are run on them.
    """

    pages: LabelledImages
    name: str
    execution: Execution

    def truth(self) -> list[Page]:
        """All pages with their labels."""
        return [self.pages.page(position) for position in range(len(self.pages))]


def fit_model(model: TrainedModel, split: LabelledSplit, options: TuneOptions) -> Fit:
    """Tune a model on labelled pages, on its cached maps; those that are missing are made. Nothing is written to it.

    Raises:
        InputError: if an image cannot be read, or the model does not lie in a folder for its maps.
    """
    maps = make_run_maps(model, split.pages, execution=split.execution)
    keys = split.pages.page_keys()

    def read_map(page: Page) -> PageMap:
        return maps.read(page.name)

    return fit(
        split.truth(),
        read_map,
        options,
        before=values_before(model.history, keys, model.postprocess),
        in_model=model.postprocess,
        split=split.name,
        influenced_by=model.influenced_by(keys),
    )


def comparison_options(options: TuneOptions) -> TuneOptions:
    """How the values of both are chosen for the comparison: what is chosen is taken, and both unclip modes are tried.

    A start has no values of its own for the preset's post-processing, so there is nothing that it should rather keep.
    """
    lists = dict(options.lists)
    if not lists.get("unclip"):
        lists["unclip"] = ["ratio", "inverse"]
    return replace(options, lists=lists, adopt="any")


def score_start(start: TrainedModel, split: LabelledSplit, options: TuneOptions) -> Scores:
    """Score a start with tuned values, write ``start/scores.json`` and ``start/tuned.json``, and the values into it.

    Args:
        start: the checkpoint in the run folder.
        split: the pages.
        options: of the tuning of the fine-tuned model.

    Raises:
        InputError: as ``fit_model`` does.
    """
    found = fit_model(start, split, comparison_options(options))
    scores = _scores(start, split, found.held_out, found.decided)
    # An earlier tuning on these pages had no part in it: it is measured from the values before that.
    untouched = scores.influenced_by.model_copy(update={"tuned": 0})
    scores = scores.model_copy(update={"influenced_by": untouched})
    run = RunFolder(start.require_folder())
    found.result.write(run.start_scores.parent / "tuned.json")
    scores.write(run.start_scores)
    adopt(start, found.result, split.pages.page_keys())
    return scores


def compare_with_start(
    start: TrainedModel,
    trained: TrainedModel,
    split: LabelledSplit,
    options: TuneOptions,
) -> StartRecord:
    """Score a start and the model that was trained from it, compare them, and write ``start.json`` into the run.

    Args:
        start: its checkpoint in the run folder.
        trained: the fine-tuned model, which keeps its values.
        split: the pages.
        options: of the tuning.

    Raises:
        InputError: as ``fit_model`` does.
    """
    of_start = score_start(start, split, options)
    found = fit_model(trained, split, comparison_options(options))
    differences = differences_to_start(of_start.page_scores(), found.held_out.pages)
    outcome = conclude([differences[statistic].verdict for statistic in JUDGED])
    of_trained = _scores(trained, split, found.held_out, found.decided)
    run = RunFolder(trained.require_folder())
    assert of_start.grouping is not None  # noqa: S101 - it was just made
    record = StartRecord(
        source=_source(trained),
        split=split.name,
        data_hash=split.pages.fingerprint(),
        grouping=of_start.grouping,
        start=_row(of_start),
        trained=_row(of_trained),
        outcome=outcome,
        winner=winner_of(outcome),
        epochs_compared=count_validated(run.metrics),
        **{statistic: differences[statistic] for statistic in JUDGED},
    )
    record.write(run.start_record)
    return record


def _source(trained: TrainedModel) -> str:
    """What a model was trained from, in words."""
    training = trained.carried.provenance.training
    if training is None or not training.started_from:
        return "the weights it was trained from"
    start = training.started_from[0]
    return start.title or start.name


def _scores(model: TrainedModel, split: LabelledSplit, held_out: Scorer, params: PostprocessParams) -> Scores:
    return collect_scores(held_out, model, split.pages, split=split.name, view=model.view, params=params)


def _row(scores: Scores) -> StartRow:
    values = ScoreRecord.of(scores.score()).model_dump()
    return StartRow.model_validate(
        {
            **values,
            "postprocess": scores.postprocess,
            "weights_hash": scores.weights_hash,
        }
    )
