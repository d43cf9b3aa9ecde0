"""``hmean tune``: post-processing values from cached maps; the network runs at most once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.commands.evaluate import about, run_maps, run_of
from hmean.data.check import require_sound
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.files import write_json
from hmean.inference.opening import open_model
from hmean.inference.trained import TrainedModel
from hmean.metrics.scorer import Scorer, choose_characters
from hmean.metrics.statistics import STATISTICS
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PARAMETERS, PostprocessParams, is_read
from hmean.progress import track
from hmean.runs.folder import RunFolder, differences, load_yaml
from hmean.runs.scores import Scores
from hmean.settings.build import open_pages
from hmean.settings.config import Config, TuneConfig
from hmean.settings.opening import carried_models
from hmean.tuning.grids import (
    Scored,
    SettingScores,
    choose,
    crossfit_search,
    gain_of,
    grid_size,
    score_settings,
    search,
)
from hmean.types import Characters, Page, Statistic

NUMBERS = [parameter.name for parameter in PARAMETERS.values() if not parameter.choices]
# The outermost axes of the grid first: of settings that score the same, the one that comes first is chosen.
AXES = [name for name in reversed(list(PARAMETERS)) if name not in NUMBERS] + NUMBERS
MOST_SETTINGS = 5_000  # that are scored as one grid; a larger space is searched, from a first grid of
FIRST_GRID = 1_000


def run(config: Config, checkpoint: TrainedModel) -> dict[str, Any]:
    """Search the lists of ``tune`` on the pages of ``evaluate_on`` and write the values chosen into the checkpoint.

    Returns:
        The content of ``tuned.json``: values and scores before and after, on the pages chosen on and cross-fitted, the
        plateau, and every setting of the last grid, best first.

    Raises:
        InputError: as in ``hmean evaluate``.
    """
    folder = run_of(checkpoint)
    check_same_model(config, checkpoint)
    present = config.models.head.postprocess.params()
    pages = open_pages(getattr(config.datasets, f"{config.evaluate_on}_dataset"))
    require_sound(pages)
    keys = pages.page_keys()
    if len(np.unique(keys)) < len(keys):
        raise InputError(f"{pages.labels.source}: {doubled(pages, keys)}; a page must not choose for its own copy")
    # Values that these pages chose before are no fair beginning: what was there before them is.
    chosen = [entry for entry in checkpoint.history if np.isin(keys, entry.pages).any()]
    before = chosen[0].postprocess if chosen else present
    store = run_maps(config, checkpoint, pages, folder)
    truth = [pages.page(position) for position in range(len(pages))]
    fitted, scorer = fit(truth, lambda page: store.read(page.name), before, config.tune)
    record = {"part": config.evaluate_on, "influenced_by": checkpoint.influenced_by(keys).to_json(), **fitted}
    kept = record["decided"] == "kept"
    values = record["before" if kept else "after"]["postprocess"]
    scored = {**about(config, checkpoint, pages, 0.0), "postprocess": values}
    if not kept and values != present.to_dict():
        why = f"tuned for {'+'.join(record['objective'])} hmean on {len(pages)} {config.evaluate_on} pages"
        checkpoint.write_postprocess(PostprocessParams.from_dict(values), why, keys)
    record["holds"] = present.to_dict() if kept else values
    write_json(folder / "tuned.json", record)
    # Last: who finds it (a campaign does) finds a tuned checkpoint, wherever this was killed.
    write_json(folder / "cross_fitted" / "scores.json", Scores.collect(scorer, **scored).to_json())
    return record


def fit(
    truth: Sequence[Page], read_map: Callable[[Page], PageMap], before: PostprocessParams, wanted: TuneConfig
) -> tuple[dict[str, Any], Scorer]:
    """Search the lists on labelled pages and choose.

    Returns:
        What ``tuned.json`` says of the choice, and the pages' scores with what was decided without them: cross-fitted,
        or with the values before where these are kept.
    """
    axes, characters, objective = axes_of(before, wanted), choose_characters(truth), wanted.weights()
    pick = partial(choose, objective=objective, precision=wanted.precision, recall=wanted.recall)
    every = Scored(partial(_score, truth, read_map, characters))
    find = partial(search, before, axes, every, most=MOST_SETTINGS if grid_size(axes) <= MOST_SETTINGS else FIRST_GRID)
    scores, choice = find(choose_on=pick)
    present, chosen = every([before]), scores.setting(choice.chosen)
    names = [page.name for page in truth]
    describe_one = partial(_describe, objective=objective, names=names, characters=characters)
    record = _record(scores, choice.plateau, present, chosen, objective, describe_one)
    record["at_the_end"] = _at_the_end(chosen.settings[0], axes)
    crossed = crossfit_search(
        lambda rest: find(choose_on=lambda scores: pick(scores.pages(rest))),
        names, [page.group for page in truth], wanted.folds,
    )  # fmt: skip
    record["searched"] = {"settings": grid_size(axes), "scored": len(every.known)}
    if crossed is not None:
        held, found = crossed
        record["cross_fitted"] = {
            "score": describe_one(held),
            **gain_of(held, present, objective),
            "optimism": gain_of(chosen, held, objective),
            "chosen": [part.settings[made.chosen].to_dict() for part, made in found],
        }
    # What does not gain on pages it was not chosen on is not better than what was there; but floors go first.
    kept = crossed is None or record["cross_fitted"]["gain"] <= 0
    floors = wanted.precision, wanted.recall
    if crossed is not None and any(floors):
        lacked, lacks = (float(scores.lack(*floors)[0]) for scores in (present, crossed[0]))
        record["floors"] = {"precision": floors[0], "recall": floors[1], "lacked_before": lacked, "lacks": lacks}
        kept = lacks > lacked or (lacks == lacked and kept)
    record["decided"] = "kept" if kept else "tuned"
    return record, (present if crossed is None or kept else crossed[0]).scorer(names, characters)


def keep(
    path: Path, weights_hash: str, part: str, pages: LabelledImages, before: SettingScores, after: SettingScores,
    characters: Characters,
) -> None:  # fmt: skip
    """Put the setting that a person chose, seeing the scores ``after``, into a checkpoint and ``tuned.json``.

    Raises:
        InputError: if the checkpoint has other weights, or other values than those of ``before``: then the scores are
            not of what it would be.
    """
    checkpoint, values = open_model(path), before.settings[0].to_dict()
    stored = checkpoint.postprocess.to_dict()
    if (checkpoint.weights_hash(), stored) != (weights_hash, values):
        raise InputError(f"{path}: has changed since its maps and values were read; start again")
    counts, ious = (np.concatenate([getattr(s, of) for s in (before, after)]) for of in ("counts", "ious"))
    both = SettingScores([*before.settings, *after.settings], counts, ious)
    objective: dict[Statistic, float] = {"macro": 1.0}
    names = [pages.name(position) for position in range(len(pages))]
    describe_one = partial(_describe, objective=objective, names=names, characters=characters)
    keys = pages.page_keys()
    record = {
        "part": part,
        "influenced_by": checkpoint.influenced_by(keys).to_json(),
        **_record(both, np.array([False, True]), before, after, objective, describe_one),
        "searched": {"settings": 2, "scored": 2},
        "at_the_end": {},
        "decided": "by hand",
        "holds": after.settings[0].to_dict(),
    }
    checkpoint.write_postprocess(after.settings[0], f"chosen by hand on {len(pages)} {part} pages", keys)
    write_json(run_of(checkpoint) / "tuned.json", record)


def _record(
    scores: SettingScores,
    plateau: NDArray[np.bool_],
    present: SettingScores,
    chosen: SettingScores,
    objective: Mapping[Statistic, float],
    describe_one: Callable[[SettingScores], dict[str, Any]],
) -> dict[str, Any]:
    """What ``tuned.json`` says of settings on the pages that they were chosen on."""
    (before,), (after,) = present.settings, chosen.settings
    return {
        "objective": dict(objective),
        "pages": scores.counts.shape[1],
        "before": {"postprocess": before.to_dict(), "score": describe_one(present)},
        "after": {
            "postprocess": after.to_dict(),
            "score": describe_one(chosen),
            **gain_of(chosen, present, objective),
        },
        "cross_fitted": None,
        "plateau": _ranges([scores.settings[i] for i in np.flatnonzero(plateau).tolist()]),
        "axes": {axis: values for axis, values in _ranges(scores.settings)["values"].items() if len(values) > 1},
        "grid": _rows(scores, objective, plateau),
    }


def run_folder(folder: str, objective: Statistic) -> None:
    """Tune a run on its own validation pages, with its own config."""
    checkpoint = open_model(RunFolder(Path(folder)).best)
    own = load_yaml(Path(folder) / "config.yaml")
    values = {**own, "evaluate_on": "val", "models": carried_models(checkpoint)}
    run(Config.model_validate({**values, "tune": {**own["tune"], "objective": objective}}), checkpoint)


def axes_of(before: PostprocessParams, wanted: TuneConfig) -> dict[str, list[Any]]:
    """The values of each knob that a config asks for; the present one where it names none."""
    return {axis: getattr(wanted, axis) or [getattr(before, axis)] for axis in AXES}


def _at_the_end(chosen: PostprocessParams, axes: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Knobs whose chosen value is the first or the last of several, beyond which nobody looked."""
    read = [name for name in NUMBERS if is_read(name, chosen.unclip)]
    values = {name: getattr(chosen, name) for name in read if len(set(axes[name])) > 1}
    return {knob: value for knob, value in values.items() if value in (min(axes[knob]), max(axes[knob]))}


def _score(
    truth: Sequence[Page],
    read_map: Callable[[Page], PageMap],
    characters: Characters,
    settings: Sequence[PostprocessParams],
) -> SettingScores:
    with track(f"{len(settings)} settings", len(truth)) as advance:
        return score_settings(
            truth, read_map, settings, characters,
            threads=os.cpu_count() or 1, on_pages=lambda n: [advance() for _ in range(n)],
        )  # fmt: skip


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


def doubled(pages: LabelledImages, keys: NDArray[np.int64]) -> str:
    """Which two pages are copies of one, in words."""
    first: dict[int, str] = {}
    for i, key in enumerate(keys.tolist()):
        if key in first:
            return f"{first[key]} and {pages.name(i)} are the same page"
        first[key] = pages.name(i)
    return ""


def summary(record: Mapping[str, Any]) -> str:
    """What the command prints: gains with intervals, and the values."""
    lines: list[str] = []
    named = [("on the pages it was chosen on", record["after"])]
    if record["cross_fitted"]:
        named.append(("on pages it was not chosen on (cross-fitted)", record["cross_fitted"]))
    for where, part in named:
        gain, low, high = (100 * value for value in (part["gain"], *part["interval95"]))
        lines.append(f"{'+'.join(record['objective'])} H {gain:+.2f} points [{low:+.2f}, {high:+.2f}] {where}")
    if record["cross_fitted"]:
        optimism = record["cross_fitted"]["optimism"]
        gain, low, high = (100 * value for value in (optimism["gain"], *optimism["interval95"]))
        lines.append(
            f"optimism {gain:+.2f} points [{low:+.2f}, {high:+.2f}]: by so much the pages that chose flatter it"
        )
    if floors := record.get("floors"):
        p, r = (100 * record["cross_fitted"]["score"]["cleval"]["macro"][k] for k in ("p", "r"))
        asked = f"at least {100 * floors['precision']:g} and {100 * floors['recall']:g} were asked for"
        missed = f"; {100 * floors['lacks']:.2f} points short" if floors["lacks"] else ""
        lines.append(f"macro P {p:.2f} and R {r:.2f} on pages that did not choose: {asked}{missed}")
    if not record["cross_fitted"]:
        lines.append("all pages are of one group, so nothing says what that is worth on others")
    if record["influenced_by"]["trained"]:
        lines.append(f"{record['influenced_by']['trained']} of these pages were trained on: their maps are too good")
    if record["decided"] == "kept":
        lines.append("no gain shown on pages that did not choose: the model keeps its values")
    lines += [
        f"{knob} {value:g} is an end of its list: try further ones" for knob, value in record["at_the_end"].items()
    ]
    return "\n".join([*lines, " ".join(f"{k}={v}" for k, v in record["holds"].items())])


def _describe(
    scores: SettingScores, objective: Mapping[Statistic, float], names: Sequence[str], characters: Characters
) -> dict[str, Any]:
    return {**scores.scorer(names, characters).compute().to_dict(), "objective": float(scores.score(objective)[0])}


def _ranges(settings: Sequence[PostprocessParams]) -> dict[str, Any]:
    """How many settings, and the values of each knob among them."""
    values = {axis: sorted({getattr(setting, axis) for setting in settings}) for axis in AXES}
    return {"settings": len(settings), "values": values}


def _rows(scores: SettingScores, objective: Mapping[Statistic, float], plateau: Any) -> list[dict[str, Any]]:
    """Every setting with its hmeans, macro P and R, best first; of equal ones the earlier."""
    value = scores.score(objective)
    hmeans = {name: scores.score({name: 1.0}) for name in STATISTICS}
    p, r = scores.macro_pr()
    return [
        {
            "postprocess": scores.settings[i].to_dict(),
            "objective": float(value[i]),
            **{name: float(h[i]) for name, h in hmeans.items()},
            "p": float(p[i]),
            "r": float(r[i]),
            "plateau": bool(plateau[i]),
        }
        for i in np.argsort(-value, kind="stable").tolist()
    ]
