"""The verdict on strategies: what each gains over the best single member, what it costs, and which one is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.ensemble.members import Ensemble
from hmean.ensemble.records import SkippedStrategy, StrategyRow
from hmean.ensemble.scoring import Chosen, HeldOutPages
from hmean.ensemble.strategies import NotPossible, Strategy
from hmean.inference.trained import Accelerator, page_files
from hmean.metrics.intervals import Verdict, verdict
from hmean.tuning.scores import SettingScores, paired_gain

TIMED_PAGES = 6


@dataclass(frozen=True, eq=False)
class Found:
    """What a strategy chooses.

    Attributes:
        chosen: on all pages.
        cross_fitted: every page scored with what it chooses without the page's fold.
    """

    chosen: Chosen
    cross_fitted: SettingScores


@dataclass(frozen=True, eq=False)
class Judged:
    """A strategy: its line in ``ensemble.json``, and what it chooses."""

    row: StrategyRow
    found: Found


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What was found about all strategies, the best single member first."""

    judged: Sequence[Judged]
    skipped: Sequence[SkippedStrategy]

    def kept(self) -> Judged:
        """The cheapest of those that beat the single member and cannot be distinguished from the best of them.

        The single member itself if none does.
        """
        best = [one for one in self.judged if one.row.among_the_best]
        if not best:
            return self.judged[0]
        return min(best, key=lambda one: (round(one.row.times_single, 1), one.row.mb))


class Cost(NamedTuple):
    """Time of a page from file to text polygons: in milliseconds, and over that of the best single member; medians."""

    ms_a_page: float
    times_single: float


def judge(
    strategies: Sequence[Strategy], held_out: HeldOutPages, *, accelerator: Accelerator = "auto", workers: int = 0
) -> Verdicts:
    """Compare strategies with the first of them.

    Args:
        strategies: the best single member first.
        held_out: the pages that they are judged on.
        accelerator: see ``TrainedModel.start``; for the measurement of time, as ``workers``.
        workers: see ``Ensemble.maps``.
    """
    base: Found | None = None
    judged = []
    skipped = []
    for strategy in strategies:
        try:
            found = Found(strategy.choose(held_out.all()), held_out.cross_fit(strategy.choose))
        except NotPossible as error:
            skipped.append(SkippedStrategy(strategy=strategy.name, reason=str(error)))
            continue
        if base is None:
            base = found
        cost = _measure(found.chosen, base.chosen, held_out.pages, accelerator, workers)
        judged.append(Judged(_row(strategy.name, found, base, held_out, cost), found))
    return Verdicts(_with_the_best(judged, held_out), skipped)


def _row(name: str, found: Found, base: Found, held_out: HeldOutPages, cost: Cost) -> StrategyRow:
    """The line of a strategy, compared with that of the best single member."""
    gain = paired_gain(found.cross_fitted, base.cross_fitted, held_out.objective)
    said: Verdict | Literal["base"] = verdict(gain.interval95)
    if found is base:
        said = "base"
    return StrategyRow(
        strategy=name,
        h=float(found.cross_fitted.score(held_out.objective)[0]),
        gain=gain.gain,
        interval95=gain.interval95,
        verdict=said,
        ms_a_page=cost.ms_a_page,
        times_single=cost.times_single,
        mb=_megabytes(found.chosen),
        members=tuple(member.record for member in found.chosen.option.members),
        postprocess=found.chosen.params,
    )


def _with_the_best(judged: Sequence[Judged], held_out: HeldOutPages) -> list[Judged]:
    """The same, the better ones with ``among_the_best``: whether the best of them is not better than they are."""
    better = [one for one in judged if one.row.verdict == "better"]
    if not better:
        return list(judged)
    best = max(better, key=lambda one: one.row.h)
    compared = []
    for one in judged:
        if one.row.verdict == "better":
            lead = paired_gain(best.found.cross_fitted, one.found.cross_fitted, held_out.objective)
            row = one.row.model_copy(update={"among_the_best": verdict(lead.interval95) != "better"})
            compared.append(Judged(row, one.found))
        else:
            compared.append(one)
    return compared


def _megabytes(chosen: Chosen) -> float:
    """Size of all networks; one that is there at several sizes of the page counts once."""
    sizes = {member.record.weights_hash: member.model.size for member in chosen.option.members}
    return sum(sizes.values()) / 1e6


def _measure(chosen: Chosen, single: Chosen, pages: LabelledImages, accelerator: Accelerator, workers: int) -> Cost:
    """Time a few pages, of which the first is left out.

    Both ensembles take each page in turn, so that whatever else the machine does slows down both.
    """
    files = page_files(pages)[: TIMED_PAGES + 1]
    streams = []
    for one in (chosen, single):
        ensemble = Ensemble(Path(), one.option.members, one.params, np.zeros(0, dtype=np.int64))
        streams.append(ensemble.find(files, accelerator=accelerator, workers=workers))
    seconds = []
    for _ in files:
        ticks = [time.perf_counter()]
        for stream in streams:
            next(stream)
            ticks.append(time.perf_counter())
        seconds.append(np.diff(ticks))
    ours, alone = np.array(seconds[1:] or seconds).T
    ratio = 1.0
    if chosen is not single:
        ratio = float(np.median(ours / alone))
    return Cost(1000 * float(np.median(ours)), ratio)
