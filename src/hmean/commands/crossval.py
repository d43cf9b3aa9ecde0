"""``hmean crossval``: one recipe trained without each fold of the pages; out-of-fold predictions and scores out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hmean.data.check import require_sound
from hmean.data.folds import HOLDOUT, read_splits, write_splits
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.execute.processes import HMEAN, run_command
from hmean.files import read_json, write_json
from hmean.inference.maps import make_run_maps
from hmean.inference.trained import Execution, TrainedModel
from hmean.locks import locked
from hmean.metrics.record import ScoreRecord
from hmean.metrics.scorer import Scorer, choose_characters, score_pages
from hmean.metrics.statistics import STATISTICS
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Influence
from hmean.runs.folder import MAY_CHANGE, RunFolder, differences
from hmean.runs.maps import MapStore
from hmean.runs.metrics import read_epochs
from hmean.runs.predictions import read_predictions, write_predictions
from hmean.runs.scores import Scores
from hmean.settings.build import open_pages
from hmean.settings.compose import read_saved
from hmean.settings.config import Config, check_components
from hmean.settings.keys import is_read, present_key, pruned, with_present_keys
from hmean.settings.opening import open_configured
from hmean.settings.training import TrainSettings
from hmean.tuning.adoption import reason
from hmean.tuning.choose import Floors
from hmean.tuning.fit import TuneOptions, fit
from hmean.tuning.grid import AXES

# Of a fold's config: what a resumed run may change too, but for what decides which epoch is kept; and where its pages
# lie, which are compared themselves.
NO_OTHER_FOLD = (
    *(key for key in MAY_CHANGE if key not in ("trainer.max_epochs", "trainer.check_val_every_n_epoch")),
    "exp_name", "maps", "dataset_base_path", "datasets.val_dataset",
    *(f"datasets.train_dataset.{key}" for key in ("annotation_path", "image_path", "folds")),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fold:
    """A trained fold: its run, its model, the pages it did not see and their maps."""

    run: RunFolder
    checkpoint: TrainedModel
    pages: LabelledImages
    maps: MapStore


def run(config: Config, overrides: Sequence[str]) -> dict[str, Any]:
    """Train the folds that are not trained yet, then score and tune on the pages that each did not see.

    Args:
        config: of every fold, but for its data sets.
        overrides: that ``config`` was composed of, for ``hmean train``.

    Returns:
        The content of ``crossval.json``.

    Raises:
        InputError: if data or config are wrong, a fold failed, or members are one model or saw pages of their own fold.
    """
    check_components(config)
    folder = Path(config.output_dir) / str(config.exp_name)
    source, wanted = config.datasets.train_dataset, config.crossval
    if source.split is not None:
        raise InputError("datasets.train_dataset.split: crossval deals the pages itself; give it all of them")
    every = open_pages(source)
    require_sound(every)
    with locked(folder) as hold:
        splits = folder / "splits.json"
        if not splits.exists():
            write_splits(splits, every.labels, k=wanted.k, holdout=wanted.holdout, seed=wanted.seed)
        dealt = read_splits(splits, every.labels.names)
        if set(dealt.tolist()) - {HOLDOUT} != set(range(wanted.k)):
            raise InputError(f"{splits}: was dealt with another k than {wanted.k}; choose another exp_name, or that k")
        runs = [RunFolder(folder / f"fold_{i}") for i in range(wanted.k)]
        todo = [i for i, fold in enumerate(runs) if not _is_trained(fold, config.trainer.max_epochs)]
        own = pruned(with_present_keys(config.to_dict()), TrainSettings)
        others = [
            f"{run.path}: {difference}"
            for run in (run for i, run in enumerate(runs) if i not in todo)
            for difference in differences(read_saved(run.config, TrainSettings), own, NO_OTHER_FOLD)
        ]
        if others:
            raise InputError.listing("These folds were trained with other values; choose another exp_name:", others)
        print(f"{folder}: {wanted.k} folds, {wanted.k - len(todo)} of them trained already")
        commands = {runs[i].path.name: [*HMEAN, "train", *fold_overrides(config, overrides, splits, i)] for i in todo}
        failed = _train(commands, folder, wanted.agents, hold)
        if failed:
            raise InputError.listing("Some folds are not trained; the same command goes on with them:", failed)
        folds = [_open(fold, fold_overrides(config, overrides, splits, i)) for i, fold in enumerate(runs)]
        _check_members(folds)
        return _join(folder, config, folds, replace(every, indices=np.flatnonzero(dealt != HOLDOUT).tolist()))


def _train(commands: dict[str, list[str]], folder: Path, agents: int, hold: int) -> list[str]:
    """Run each fold's command; what is said of those that failed, which end no other."""
    if agents == 1:
        codes = {name: run_command(command, hold) for name, command in commands.items()}
        if 130 in codes.values():
            raise KeyboardInterrupt(f"stopped; the same command goes on in {folder}")
        return [f"{folder / name}: ended with {code}" for name, code in codes.items() if code]
    from hmean.execute.commands import run_commands  # noqa: PLC0415 - the queue's database only where it is needed
    from hmean.execute.queue import TaskState  # noqa: PLC0415 - as above

    (folder / "commands.db").unlink(missing_ok=True)  # what is finished is known by the folders themselves
    if not commands:
        return []
    tasks = run_commands(commands, folder, agents=agents)
    return [f"{folder / name}: {task.result.reason}" for name, task in tasks.items() if task.state != TaskState.DONE]


def fold_overrides(config: Config, overrides: Sequence[str], splits: Path, fold: int) -> list[str]:
    """What ``hmean train`` is told for one fold: the same labels, cut in two."""
    source, own = config.datasets.train_dataset, ("crossval.", "exp_name=", "output_dir=", "resume=", "overwrite=")
    cut = f"split={{file: {json.dumps(str(splits))}, fold: {fold}, part: "
    return [
        *(o for o in overrides if not o.startswith(own) and _is_of_training(o)),
        *(f"output_dir={splits.parent}", f"exp_name=fold_{fold}", "resume=auto"),
        f"datasets.val_dataset.annotation_path={source.annotation_path}",
        f"datasets.val_dataset.image_path={source.image_path}",
        *(f"datasets.{part}_dataset.{cut}{part}}}" for part in ("train", "val")),
    ]


def _is_of_training(override: str) -> bool:
    key = override.partition("=")[0]
    return key.startswith("preset") or is_read(present_key(key), TrainSettings)


def _is_trained(run: RunFolder, epochs: int) -> bool:
    rows = read_epochs(run.metrics)
    return run.scores.exists() and bool(rows) and rows[-1].epoch + 1 >= epochs


def _open(run: RunFolder, overrides: Sequence[str]) -> Fold:
    data = [o for o in overrides if not o.startswith(("models", "transforms"))]  # the checkpoint brings these
    config, checkpoint = open_configured([*data, "evaluate_on=val", f"checkpoint_path={run.best}"])
    pages = open_pages(config.datasets.val_dataset)
    loader = config.dataloaders.val_dataloader
    execution = Execution(config.trainer.accelerator, loader.batch_size, loader.num_workers)
    return Fold(run, checkpoint, pages, make_run_maps(checkpoint, pages, execution=execution))


def _check_members(folds: Sequence[Fold]) -> None:
    """Refuse members that are one model, saw the same pages, other labels, or pages that they are scored on."""
    faults, first = [], dict[str, Path]()
    own = [fold.pages.page_keys() for fold in folds]
    for i, (fold, keys) in enumerate(zip(folds, own, strict=True)):
        path, seen = fold.run.path, fold.checkpoint.pages
        trained = np.sort(seen.train)
        for what, value in (("weights", fold.checkpoint.weights_hash()), ("training pages", trained.tobytes().hex())):
            if first.setdefault(value, path) != path:
                faults.append(f"{path}: has the {what} of {first[value]}")
        leaked = int(np.isin(keys, trained).sum())
        if leaked:
            faults.append(f"{path}: was trained on {leaked} of the {len(keys)} pages that it is scored on")
        if not np.array_equal(trained, np.sort(np.concatenate(own[:i] + own[i + 1 :]))):
            faults.append(f"{path}: was trained on other pages, or other labels, than those of the other folds now")
        if not np.array_equal(np.sort(keys), np.sort(seen.val)):
            faults.append(f"{path}: was validated on other pages, or other labels, than splits.json gives it now")
    if faults:
        raise InputError.listing("These runs cannot stand for folds:", faults)


def _join(folder: Path, config: Config, folds: Sequence[Fold], pages: LabelledImages) -> dict[str, Any]:
    """Out-of-fold predictions, scores and values, as files."""
    scores = [Scores.read(fold.run.scores) for fold in folds]
    about = {
        "exp_name": folder.name,
        "split": "out of fold",
        "data_hash": pages.fingerprint(),
        "weights_hash": [fold.checkpoint.weights_hash() for fold in folds],
        "influenced_by": {"trained": 0, "epoch_chosen": len(pages), "tuned": 0},
        "long_side": scores[0].long_side,
        "postprocess": scores[0].to_json()["postprocess"],
    }
    made_of = {**about, "tune": config.tune.model_dump()}
    known = folder / "crossval.json"
    if known.exists() and (record := read_json(known))["made_of"] == made_of:
        return dict(record)
    truth = [pages.page(i) for i in range(len(pages))]
    found = {
        name: regions for f in folds for name, regions in read_predictions(f.run.path / "predictions.json").items()
    }
    scorer = Scorer(choose_characters(truth))
    scorer.pages = [p for (p,) in score_pages(truth, [found[page.name] for page in truth], scorer.characters)]
    with write_predictions(folder / "predictions.json", None) as writer:
        for page in truth:
            writer.write(page.name, found[page.name], page.width, page.height)
    Scores.collect(scorer, **about).write(folder / "scores.json")
    out_of_fold = Scores.collect(scorer, **about).to_json()

    maps = {fold.pages.name(i): fold.maps for fold in folds for i in range(len(fold.pages))}
    before = PostprocessParams.from_dict(about["postprocess"])
    influence = Influence(**about["influenced_by"])
    found_values = fit(
        truth,
        lambda page: maps[page.name].read(page.name),
        TuneOptions(
            lists={name: getattr(config.tune, name) for name in AXES},
            objective=config.tune.weights(),
            floors=Floors(config.tune.precision, config.tune.recall),
            folds=config.tune.folds,
        ),
        before=before,
        in_model=before,
        split=str(about["split"]),
        influenced_by=influence,
    )
    tuned = found_values.result
    chosen = before
    if tuned.decision == "adopted":
        chosen = tuned.after.postprocess
    tuned.write(folder / "tuned.json")
    crossed = Scores.collect(found_values.held_out, **{**about, "postprocess": chosen}).to_json()
    write_json(folder / "cross_fitted" / "scores.json", crossed)
    for fold in folds:
        if fold.checkpoint.postprocess != chosen:
            why = reason(tuned.objective, len(pages), "out-of-fold")
            fold.checkpoint.write_postprocess(chosen, why, pages.page_keys())
    each = np.array([[score.hmean(s) for s in STATISTICS] for score in scores])
    record = {
        "made_of": made_of,
        "folds": [{"pages": s.images, **{n: s.hmean(n) for n in STATISTICS}} for s in scores],
        "mean": dict(zip(STATISTICS, each.mean(axis=0).tolist(), strict=True)),
        "sd": dict(zip(STATISTICS, each.std(axis=0, ddof=1).tolist(), strict=True)),
        "out_of_fold": {k: v for k, v in out_of_fold.items() if k != "pages"},
        "cross_fitted": {k: v for k, v in crossed.items() if k != "pages"},
    }
    write_json(known, record)
    return record


def summary(record: dict[str, Any]) -> str:
    """What the command prints."""
    rows = [("", *STATISTICS)]
    rows += [(f"fold {i}", *(f"{100 * f[s]:.2f}" for s in STATISTICS)) for i, f in enumerate(record["folds"])]
    rows.append(("mean ± sd", *(f"{100 * record['mean'][s]:.2f} ± {100 * record['sd'][s]:.2f}" for s in STATISTICS)))
    for name in ("out_of_fold", "cross_fitted"):
        part = record[name]
        cells = []
        for statistic in STATISTICS:
            h = ScoreRecord.parse(part, name).prh(statistic).h
            low, high = part["interval95"][statistic]
            cells.append(f"{100 * h:.2f} [{100 * low:.2f}, {100 * high:.2f}]")
        rows.append((name.replace("_", " "), *cells))
    return "\n".join("\t".join(row) for row in rows)
