"""``hmean tune``: post-processing values from cached maps; the network runs at most once."""

from __future__ import annotations

from pathlib import Path

from hmean.data.check import require_sound
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.evaluation import collect_scores
from hmean.inference.maps import make_run_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import Execution, TrainedModel
from hmean.runs.folder import RunFolder, differences, load_yaml
from hmean.settings.build import open_pages
from hmean.settings.config import Config, TuneConfig
from hmean.settings.opening import carried_models
from hmean.tuning.adoption import reason, values_before
from hmean.tuning.choose import Floors
from hmean.tuning.crossfit import find_copies
from hmean.tuning.fit import TuneOptions, fit
from hmean.tuning.grid import AXES
from hmean.tuning.result import TuneResult
from hmean.types import Statistic


def run(config: Config, checkpoint: TrainedModel) -> TuneResult:
    """Search the lists of ``tune`` on the pages of ``evaluate_on`` and write the values chosen into the checkpoint.

    Raises:
        InputError: as in ``hmean evaluate``.
    """
    folder = checkpoint.require_folder()
    checkpoint.require_writable()
    check_same_model(config, checkpoint)
    present = config.models.head.postprocess.params()
    pages = open_pages(getattr(config.datasets, f"{config.evaluate_on}_dataset"))
    require_sound(pages)
    require_distinct(pages)
    keys = pages.page_keys()
    loader = getattr(config.dataloaders, f"{config.evaluate_on}_dataloader")
    execution = Execution(config.trainer.accelerator, loader.batch_size, loader.num_workers)
    store = make_run_maps(checkpoint, pages, execution=execution)
    found = fit(
        [pages.page(position) for position in range(len(pages))],
        lambda page: store.read(page.name),
        options_of(config.tune),
        before=values_before(checkpoint.history, keys, present),
        in_model=present,
        split=config.evaluate_on,
        influenced_by=checkpoint.influenced_by(keys),
    )
    result = found.result
    if result.decision == "adopted":
        values = result.after.postprocess
        if values != present:
            why = reason(result.objective, result.pages, result.split)
            checkpoint.write_postprocess(values, why, keys)
    else:
        values = result.before.postprocess
    result.write(folder / "tuned.json")
    # Last: who finds it (a campaign does) finds a tuned checkpoint, wherever this was killed.
    cross_fitted = collect_scores(
        found.held_out, checkpoint, pages, split=config.evaluate_on, view=checkpoint.view, params=values
    )
    cross_fitted.write(folder / "cross_fitted" / "scores.json")
    return result


def options_of(config: TuneConfig) -> TuneOptions:
    """The options of the engine."""
    return TuneOptions(
        lists={name: getattr(config, name) for name in AXES},
        objective=config.weights(),
        floors=Floors(config.precision, config.recall),
        folds=config.folds,
    )


def run_folder(folder: str, objective: Statistic) -> None:
    """Tune a run on its own validation pages, with its own config."""
    checkpoint = open_model(RunFolder(Path(folder)).best)
    own = load_yaml(Path(folder) / "config.yaml")
    values = {**own, "evaluate_on": "val", "models": carried_models(checkpoint)}
    run(Config.model_validate({**values, "tune": {**own["tune"], "objective": objective}}), checkpoint)


def check_same_model(config: Config, checkpoint: TrainedModel) -> None:
    """Refuse values of ``models`` and ``transforms`` beside the checkpoint's own, which tuned values belong to."""
    own = config.to_dict()
    stored = Config.model_validate(
        {**own, "models": carried_models(checkpoint), "transforms": checkpoint.training["transforms"]}
    )
    changed = differences(stored.to_dict(), own)
    if changed:
        raise InputError.listing(
            "Tuning starts from what the checkpoint holds: its preprocessing stays, and fixed values of the "
            "post-processing are given as lists, such as tune.thresh=[0.3]:",
            changed,
        )


def require_distinct(pages: LabelledImages) -> None:
    """Refuse a set in which a page is there twice.

    Raises:
        InputError: naming both.
    """
    copies = find_copies([pages.name(position) for position in range(len(pages))], pages.page_keys())
    if copies is not None:
        first, second = copies
        raise InputError(
            f"{pages.labels.source}: {first} and {second} are the same page; remove one of them, since a choice must "
            "not be checked on a copy of a page that it was made on"
        )
