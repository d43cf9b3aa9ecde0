"""``hmean ensemble``: finished runs in; which way of joining them beats the best of them, if any, and what it costs.

Every choice, of a member, of thresholds, of votes, is made anew without each fold of the pages and scored on that fold,
and no page may have been used for any member: docs/concepts/ensembles.md says why.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.commands.evaluate import make_maps
from hmean.commands.tune import check_same_model, options_of
from hmean.data.check import require_sound
from hmean.data.folds import fold_of, group_keys
from hmean.data.pages import LabelledImages
from hmean.ensemble.members import Ensemble, Source, finder
from hmean.ensemble.voting import rules
from hmean.errors import InputError
from hmean.files import write_json
from hmean.inference.trained import TrainedModel
from hmean.metrics.bootstrap import verdict
from hmean.metrics.scorer import choose_characters
from hmean.progress import track
from hmean.runs.comparison import NO_DIFFERENCE
from hmean.runs.folder import differences
from hmean.runs.maps import MapStore
from hmean.runs.predictions import write_predictions
from hmean.settings.build import open_pages
from hmean.settings.opening import open_configured
from hmean.tuning.choose import choose
from hmean.tuning.crossfit import find_copies
from hmean.tuning.grid import grid_axes, grid_size, make_grid
from hmean.tuning.scores import SettingScores, paired_gain, score_settings
from hmean.tuning.search import WHOLE_GRID

IOUS = (0.4, 0.6)  # of votes
SCALES = (0.8, 1.25)  # of the page, beside its own
TIMED = 6  # pages
NO_LESSON = (*NO_DIFFERENCE, "datasets", "dataset_base_path", "dataloaders")  # what two trainings may differ in vainly
Flags = NDArray[np.bool_]
Choice = tuple[tuple[Source, ...], SettingScores, int]  # the sources chosen, their settings on all pages, and which


class Bench:
    """The verdict pages, and what each choice of sources scores on them; maps are made once and kept."""

    def __init__(self, members: Sequence[Source], pages: LabelledImages, folder: Path) -> None:
        self.config, self.pages, self.folder = members[0].config, pages, folder
        self.truth = [pages.page(position) for position in range(len(pages))]
        self.characters = choose_characters(self.truth)
        self.objective = self.config.tune.weights()
        present = self.config.models.head.postprocess.params()
        axes = grid_axes(present, options_of(self.config.tune).lists)
        if grid_size(axes) > WHOLE_GRID:
            raise InputError(f"tune: the lists make {grid_size(axes):,} settings; an ensemble tries {WHOLE_GRID:,}")
        self.settings = make_grid(present, axes)
        names, groups = [page.name for page in self.truth], [page.group for page in self.truth]
        self.groups = len(set(group_keys(names, groups)))
        k = min(self.config.tune.folds, self.groups)
        self.fold = fold_of(names, groups, k, seed=0)
        self._scores: dict[str, SettingScores] = {}

    def scores(self, sources: Sequence[Source], *, voting: bool = False) -> SettingScores:
        """What every setting scores."""
        key = f"{voting} {[source.about for source in sources]}"
        if key not in self._scores:
            stores: list[MapStore] = [make_maps(s.config, s.checkpoint, self.pages, self.folder) for s in sources]
            settings: list[Any] = self.settings
            if voting:
                floor = min(setting.box_thresh for setting in settings)
                settings = [rule for s in settings for rule in rules(len(sources), IOUS, s, floor)]
            with track("scoring", len(self.truth)) as advance:
                self._scores[key] = score_settings(
                    self.truth, lambda page: [store.read(page.name) for store in stores], settings, self.characters,
                    find=finder(voting), threads=os.cpu_count() or 1, on_pages=lambda n: [advance() for _ in range(n)],
                )  # fmt: skip
        return self._scores[key]

    def best(self, options: Sequence[tuple[tuple[Source, ...], SettingScores]], which: Flags) -> Choice:
        """The best option, each at its best setting, on some of the pages; of equal ones the first."""
        floors, found = options_of(self.config.tune).floors, []
        for sources, scores in options:
            part = scores.of_pages(which)
            setting = choose(part, self.objective, floors=floors).chosen
            found.append((float(part.score(self.objective)[setting]), sources, scores, setting))
        return max(found, key=lambda one: one[0])[1:]

    def held(self, candidate: Callable[[Flags], Choice]) -> SettingScores:
        """Each page scored with the choice made without its fold, as one setting."""
        chosen = [candidate(self.fold != f) for f in range(self.fold.max() + 1)]
        parts = [
            chosen[f][1].of_settings(chosen[f][2]).of_pages(np.array([i])) for i, f in enumerate(self.fold.tolist())
        ]
        counts, ious = (np.concatenate([getattr(part, of) for part in parts], axis=1) for of in ("counts", "matches"))
        return SettingScores([], counts, ious)


def candidates(bench: Bench, members: Sequence[Source]) -> dict[str, Callable[[Flags], Choice]]:
    """The ways of joining members, by name, the best single member first.

    Raises:
        InputError: from the weight averages, if members do not share an initialisation.
    """

    def joined(*sources: Source) -> list[tuple[tuple[Source, ...], SettingScores]]:
        return [(sources, bench.scores(sources))]

    def single(which: Flags) -> Choice:
        return bench.best([option for m in members for option in joined(m)], which)

    def scales(which: Flags) -> Choice:
        best = single(which)[0][0]
        sides = [round(best.config.transforms.long_side * scale) for scale in (1.0, *SCALES)]
        return bench.best(joined(*map(best.at, sides)), which)

    def voted(which: Flags) -> Choice:
        scores = bench.scores(members, voting=True)
        by_rule: dict[Any, list[int]] = {}
        for i, s in enumerate(scores.settings):
            by_rule.setdefault((s.votes, s.iou, s.geometry, s.soft), []).append(i)  # type: ignore[attr-defined]
        return bench.best([(tuple(members), scores.of_settings(*rule)) for rule in by_rule.values()], which)

    def averaged() -> Source:
        mean = _averaging(members).average(
            [m.checkpoint for m in members], bench.folder.parent / "checkpoints" / "best.ckpt"
        )
        return replace(members[0], checkpoint=mean)

    return {
        "single": single,
        "scales": scales,
        "map mean": lambda which: bench.best(joined(*members), which),
        "voting": voted,
        "weight average": lambda which: bench.best(joined(averaged()), which),
    }


def _averaging(members: Sequence[Source]) -> ModuleType:
    """``hmean.ensemble.weights``, which needs torch, if there is something to average."""
    for member in members:
        _ = member.checkpoint.weights  # which an exported model does not have
    return import_module("hmean.ensemble.weights")


def run(runs: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """Judge all ways of joining the models of these run folders on the pages of ``evaluate_on``.

    Returns:
        The content of ``ensemble.json``.

    Raises:
        InputError: if members are the same model, or a page of the verdict played a part in the making of one.
    """
    files = [Path(run) / "checkpoints" / "best.ckpt" if Path(run).is_dir() else Path(run) for run in runs]
    opened = [Source(*open_configured([*overrides, f"checkpoint_path={file}"])) for file in files]
    students = [s for s in opened if s.checkpoint.training["datasets"]["train_dataset"].get("teacher")]
    members = [s for s in opened if s not in students]
    if len(members) < 2:
        raise InputError("hmean ensemble takes two or more run folders (or checkpoints), beside those of students")
    config = members[0].config
    folder = Path(config.output) if config.output else Path(config.output_dir) / "ensemble"
    if (folder / "ensemble.json").exists() and not config.overwrite:
        raise InputError(f"{folder}: holds an ensemble already; set output=ANOTHER_FOLDER or overwrite=true")
    pages = open_pages(getattr(config.datasets, f"{config.evaluate_on}_dataset"))
    require_sound(pages)
    keys = pages.page_keys()
    check_members(opened, pages, keys)
    bench = Bench(members, pages, folder / "maps")
    ways = candidates(bench, members)
    if students:
        ways["student"] = lambda which: bench.best([((s,), bench.scores([s])) for s in students], which)
    rows, choices = judge(bench, ways)
    sources, scores, setting = choices[winner(rows)["candidate"]]
    made = sources[0].checkpoint
    if made.path == folder / "checkpoints" / "best.ckpt":
        import_module("hmean.runs.checkpoints").write_checkpoint(made.path, made.carried, made.weights)
    ensemble = Ensemble(sources, scores.settings[setting])
    with write_predictions(folder / "predictions.json", None) as writer:
        stores = [make_maps(s.config, s.checkpoint, pages, folder / "maps") for s in sources]
        for page in bench.truth:
            writer.write(page.name, ensemble.find([store.read(page.name) for store in stores]), page.width, page.height)
    record = {
        "kind": winner(rows)["candidate"],
        **ensemble.record(folder),
        "pages": len(pages),
        "groups": bench.groups,
        "data_hash": pages.fingerprint(),
        "objective": bench.objective,
        "runs": [
            {**m.about, "checkpoint": os.path.relpath(m.checkpoint.path, folder), "trained_on": _seen(m.checkpoint)}
            for m in members
        ],
        "candidates": rows,
        "tuned_on": keys.tolist(),
    }  # fmt: skip
    write_json(folder / "ensemble.json", record)
    return record


def _seen(member: TrainedModel) -> str:
    """Hash of the pages trained on."""
    return hashlib.sha256(np.unique(member.pages.train).tobytes()).hexdigest()


def check_members(members: Sequence[Source], pages: LabelledImages, keys: NDArray[np.int64]) -> None:
    """Refuse members that are one model, and pages that are no judges of theirs."""
    copies = find_copies([pages.name(i) for i in range(len(pages))], keys)
    faults = [f"{pages.labels.source}: {copies[0]} and {copies[1]} are the same page"] if copies else []
    for a, b in itertools.combinations([m.checkpoint for m in members], 2):
        if a.weights_hash() == b.weights_hash():
            faults.append(f"{b.path} is the same model as {a.path} (equal weights)")
        elif _seen(a) == _seen(b) and not differences(a.training, b.training, NO_LESSON):
            faults.append(f"{b.path} is the training of {a.path} again: the same pages, values and seed")
    for member in members:
        check_same_model(member.config, member.checkpoint)
        used = {what: n for what, n in member.checkpoint.influenced_by(keys).to_json().items() if n}
        if used:
            faults.append(f"{member.checkpoint.path}: of the {len(keys)} pages {used} (number of pages by use)")
    groups = [pages.page(i, []).group for i in range(len(pages))]
    if len(set(group_keys([pages.name(i) for i in range(len(pages))], groups))) < 2:
        faults.append("all pages are of one group, so that no choice can be checked on others")
    if faults:
        raise InputError.listing(
            "No ensemble can be judged like this. Members must differ, and the pages must be new to them all, such as "
            "datasets.val_dataset.split={file: splits.json, part: holdout} (hmean data split --holdout):", faults,
        )  # fmt: skip


def judge(bench: Bench, ways: dict[str, Callable[[Flags], Choice]]) -> tuple[list[dict[str, Any]], dict[str, Choice]]:
    """A row for each way, the single member first: score, gain over it with interval, verdict, cost; and its choice."""
    rows: list[dict[str, Any]] = []
    choices: dict[str, Choice] = {}
    held: dict[str, SettingScores] = {}
    everything, alone = np.ones(len(bench.truth), dtype=np.bool_), None
    for name, way in ways.items():
        try:
            held[name], choices[name] = bench.held(way), way(everything)
        except InputError as error:
            if name != "weight average":
                raise
            rows.append({"candidate": name, "skipped": str(error)})
            continue
        sources, scores, setting = choices[name]
        gain = paired_gain(held[name], held["single"], bench.objective)
        ensemble = Ensemble(sources, scores.settings[setting])
        alone = alone or ensemble
        ms, times = cost(ensemble, alone, bench.pages)
        sizes = {s.about["weights_hash"]: s.checkpoint.size for s in sources}
        rows.append({
            "candidate": name, "h": float(held[name].score(bench.objective)[0]), **gain.to_json(),
            "verdict": "base" if name == "single" else verdict(gain.interval95),
            "ms_a_page": ms, "times_single": times, "mb": sum(sizes.values()) / 1e6,
            "members": [source.about for source in sources], "postprocess": scores.settings[setting].to_dict(),
        })  # fmt: skip
    better = [row for row in rows if row.get("verdict") == "better"]
    top = max(better, key=lambda row: float(row["h"]), default=None)
    for row in better:  # what cannot be told from the best
        lower = 0.0
        if top:
            lower = paired_gain(held[top["candidate"]], held[row["candidate"]], bench.objective).interval95.low
        row["among_the_best"] = lower <= 0
    return rows, choices


def winner(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The cheapest of those that cannot be told from the best and beat the single member; else that member."""
    best = [row for row in rows if row.get("among_the_best")]
    return min(best, key=lambda row: (round(row["times_single"], 1), row["mb"]), default=rows[0])


def cost(ensemble: Ensemble, single: Ensemble, pages: LabelledImages) -> tuple[float, float]:
    """Milliseconds a page from file to regions, and times those of the single member; medians, the first page left out.

    Both take each page in turn, so that whatever else the machine does meets both.
    """
    asked = [(pages.name(i), pages.file(i)) for i in range(min(len(pages), TIMED + 1))]
    rows = []
    runs = ensemble.run(asked), single.run(asked)
    for _ in asked:
        ticks = [time.perf_counter()]
        for run in runs:
            next(run)
            ticks.append(time.perf_counter())
        rows.append(np.diff(ticks))
    ours, alone = np.array(rows[1:] or rows).T
    return 1000 * float(np.median(ours)), 1.0 if ensemble is single else float(np.median(ours / alone))


def table(record: dict[str, Any]) -> str:
    """Tab-separated: H cross-fitted, gain over the best single member with its interval, verdict, cost."""
    lines = ["candidate\tH\tgain\t95 %\tverdict\tms/page\ttimes single\tMB"]
    for row in record["candidates"]:
        if "skipped" in row:
            lines.append(f"{row['candidate']}\tskipped: {' '.join(row['skipped'].split())}")
            continue
        gain, low, high = (100 * v for v in (row["gain"], *row["interval95"]))
        figures = [f"{100 * row['h']:.2f}", f"{gain:+.2f}", f"[{low:+.2f}, {high:+.2f}]", row["verdict"]]
        costs = [f"{row['ms_a_page']:.0f}", f"{row['times_single']:.1f}", f"{row['mb']:.1f}"]
        lines.append("\t".join([row["candidate"], *figures, *costs]))
    pages = (
        f"{record['pages']} pages of {record['groups']} groups, new to all members; {'+'.join(record['objective'])} H"
    )
    return "\n".join([pages, *lines, f"kept: {record['kind']}"])
