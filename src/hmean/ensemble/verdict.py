"""The verdict on strategies: what each gains over two bases, what it costs, and which one is kept.

The bases are the best single member and, if one is given, a model of all pages that are not held out, which was trained
for as long as the members together. An ensemble has had all of that training, too, and has to beat the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hmean.ensemble.costs import PageTime, measure_time, megabytes, training_minutes
from hmean.ensemble.records import GainOver, SkippedStrategy, StrategyRow
from hmean.ensemble.scoring import Chosen, HeldOutPages
from hmean.ensemble.strategies import AllPages, NotPossible, Strategy
from hmean.inference.trained import Accelerator
from hmean.metrics.intervals import Contributions, Interval, Verdict, interval_pairs, verdict
from hmean.tuning.scores import Objective, SettingScores


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
    """What was found about all strategies.

    Attributes:
        judged: the best single member first.
        skipped: those that were not possible.
        to_beat: the base with the higher score.
    """

    judged: Sequence[Judged]
    skipped: Sequence[SkippedStrategy]
    to_beat: Judged

    def kept(self) -> Judged:
        """The cheapest of those that beat the better base and cannot be distinguished from the best of them.

        That base itself if none does.
        """
        best = [one for one in self.judged if one.row.among_the_best]
        if not best:
            return self.to_beat
        return min(best, key=lambda one: (round(one.row.times_single, 1), one.row.mb))


def judge(
    strategies: Sequence[Strategy], held_out: HeldOutPages, *, accelerator: Accelerator = "auto", workers: int = 0
) -> Verdicts:
    """Compare strategies with the first of them, and with the model of all pages if it is one of them.

    Args:
        strategies: the best single member first.
        held_out: the pages that they are judged on.
        accelerator: see ``TrainedModel.start``; for the measurement of time, as ``workers``.
        workers: see ``Ensemble.maps``.
    """
    tried: dict[str, Found] = {}
    skipped = []
    possible = []
    for strategy in strategies:
        try:
            found = Found(strategy.choose(held_out.all()), held_out.cross_fit(strategy.choose))
        except NotPossible as error:
            skipped.append(SkippedStrategy(strategy=strategy.name, reason=str(error)))
            continue
        possible.append(strategy)
        tried[strategy.name] = found
    single = possible[0].name
    over_single = gains(tried, single, held_out.objective)
    over_all_pages: dict[str, GainOver] = {}
    if AllPages.name in tried:
        over_all_pages = gains(tried, AllPages.name, held_out.objective)
    judged = []
    for strategy in possible:
        found = tried[strategy.name]
        time = measure_time(found.chosen, tried[single].chosen, held_out.pages, accelerator, workers)
        over = (over_single.get(strategy.name), over_all_pages.get(strategy.name))
        judged.append(Judged(_row(strategy, found, over, held_out.objective, time), found))
    return conclude(judged, skipped, held_out.objective)


def gains(tried: dict[str, Found], base: str, objective: Objective) -> dict[str, GainOver]:
    """What each of the strategies but the base gains over it, by name; all of them are one family."""
    names = [name for name in tried if name != base]
    if not names:
        return {}
    parts = [tried[name].cross_fitted.contributions(objective) for name in names]
    differences = Contributions.stacked(parts).minus(tried[base].cross_fitted.contributions(objective))
    pairs = interval_pairs(differences)
    found = {}
    for i, name in enumerate(names):
        found[name] = GainOver(
            gain=float(differences.value[i]),
            interval95=pairs.single[i],
            family95=pairs.family[i],
            verdict=verdict(pairs.family[i]),
        )
    return found


def conclude(judged: Sequence[Judged], skipped: Sequence[SkippedStrategy], objective: Objective) -> Verdicts:
    """Which base an ensemble has to beat, and which of those that do cannot be distinguished from the best of them."""
    bases = [judged[0], *(one for one in judged if one.row.strategy == AllPages.name)]
    to_beat = max(bases, key=lambda one: one.row.h)  # of equal ones the best single member
    return Verdicts(_with_the_best(judged, to_beat, objective), skipped, to_beat)


def _row(
    strategy: Strategy,
    found: Found,
    over: tuple[GainOver | None, GainOver | None],
    objective: Objective,
    time: PageTime,
) -> StrategyRow:
    """The line of a strategy: ``over`` has its gains over the best single member and over the model of all pages."""
    over_single, over_all_pages = over
    gain = 0.0
    single: Interval | None = Interval(0.0, 0.0)
    family = single
    said: Verdict | Literal["base"] = "base"
    if over_single is not None:
        gain = over_single.gain
        single = over_single.interval95
        family = over_single.family95
        said = over_single.verdict
    return StrategyRow(
        strategy=strategy.name,
        h=float(found.cross_fitted.score(objective)[0]),
        gain=gain,
        interval95=single,
        family95=family,
        verdict=said,
        over_all_pages=over_all_pages,
        minutes=training_minutes(strategy.trained(found.chosen)),
        ms_a_page=time.ms_a_page,
        times_single=time.times_single,
        mb=megabytes(found.chosen),
        members=tuple(member.record for member in found.chosen.option.members),
        postprocess=found.chosen.params,
    )


def _is_better(row: StrategyRow, to_beat: Judged) -> bool:
    """Whether a strategy is better than the base to beat."""
    if to_beat.row.verdict == "base":
        return row.verdict == "better"
    return row.over_all_pages is not None and row.over_all_pages.verdict == "better"


def _with_the_best(judged: Sequence[Judged], to_beat: Judged, objective: Objective) -> list[Judged]:
    """The same, the better ones with ``among_the_best``: whether the best of them is not better than they are."""
    better = {one.row.strategy: one.found for one in judged if _is_better(one.row, to_beat)}
    if not better:
        return list(judged)
    are_better = [one for one in judged if one.row.strategy in better]
    best = max(are_better, key=lambda one: one.row.h)
    behind = gains(better, best.row.strategy, objective)
    compared = []
    for one in judged:
        if one.row.strategy in better:
            is_worse = one is not best and behind[one.row.strategy].verdict == "worse"
            row = one.row.model_copy(update={"among_the_best": not is_worse})
            compared.append(Judged(row, one.found))
        else:
            compared.append(one)
    return compared
