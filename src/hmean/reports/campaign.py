"""The report of a campaign, from its folder alone: HTML and Markdown, English or Korean."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hmean.campaign.file import LAST, Expectations, GatePhase, chance_of_another_outcome
from hmean.campaign.fixed_vote import FIXED_VOTE
from hmean.campaign.state import SKIPPED, CampaignState, PhaseResult
from hmean.ensemble.records import EnsembleRecord, RunRecord, minutes_text
from hmean.ensemble.strategies import AllPages, Single
from hmean.files import write_text
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval
from hmean.metrics.seeds import SeedSpread
from hmean.metrics.tables import change_text, range_text
from hmean.reports.campaign_results import Row, Table, compare_rows, read_tables, seed_spread
from hmean.reports.groups import say_grouping, say_warning
from hmean.reports.page import render, render_text
from hmean.reports.words import Words
from hmean.runs.comparison import Difference

BASES = (Single.name, AllPages.name)  # strategies that are no ensemble
WORST_PAGES = 5  # that are named


def write_campaign_report(folder: Path, lang: str = "en") -> Path:
    """Write ``report.html`` and ``report.md`` (``report.ko.*``) beside ``campaign.json``; returns the former.

    Raises:
        InputError: if there is no such language.
    """
    words = Words(lang)
    report = CampaignReport(folder, words)
    values = {"title": words.say("title", name=folder.name), "lang": lang, "sections": report.sections()}
    target = folder / words.file_name(".html")
    write_text(folder / words.file_name(".md"), render_text("campaign.md.j2", **values))
    write_text(target, render("campaign.html.j2", **values))
    return target


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: its heading; empty: none.
        lines: paragraphs.
        head: first row of a table.
        rows: the others.
        text: whether the last column is text.
        code: commands.
    """

    title: str = ""
    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    text: bool = False
    code: Sequence[str] = ()


@dataclass
class CampaignReport:
    """What a campaign measured.

    Attributes:
        folder: of the campaign.
        words: the language.
        state: its ``campaign.json``.
        done: the phases that were gone through and not skipped.
        winners: the chosen phase, and what it was chosen from; the last one stands for the model.
        seeds: the spread of macro H over seeds; None where no training was repeated.
    """

    folder: Path
    words: Words
    state: CampaignState = field(init=False)
    done: dict[str, PhaseResult] = field(init=False)
    winners: list[str] = field(init=False)
    seeds: SeedSpread | None = field(init=False)

    def __post_init__(self) -> None:
        self.state = CampaignState.read(self.folder / "campaign.json")
        self.done = {}
        for name, result in self.state.phases.items():
            if name in self.state.file.phases and result.outcome != SKIPPED:
                self.done[name] = result
        self.winners = []
        if self.state.chosen is not None:
            self.winners = self.chosen_from(self.state.chosen)
        self.seeds = seed_spread(self.done)

    def chosen_from(self, name: str) -> list[str]:
        """A phase, and if it is a choice, what it chose, down to the phase that stands for a model."""
        names = [name]
        while self.kind_of(names[-1]) == "choose":
            names.append(self.done[names[-1]].outcome)
        return names

    def kind_of(self, name: str) -> str:
        """The kind of a phase that is done."""
        return self.done[name].values.phase.kind

    def of_kind(self, kind: str) -> list[str]:
        """The phases of a kind that are done."""
        return [name for name in self.done if self.kind_of(name) == kind]

    def sections(self) -> list[Section]:
        """All of the report."""
        spent = sum(self.state.seconds.values()) / 3600
        budget = f"{self.state.file.budget_hours:g}"
        time = self.words.say("time", hours=f"{spent:.2f}", budget=budget)
        about = Section(lines=[self.words.say("about"), time])
        tables = read_tables(self.folder, self.done)
        sections = [about]
        for table in tables:
            sections.append(self.ranking(table))
        sections += self.presets(tables)
        sections.append(self.gates())
        sections += self.ensembles()
        if tables:
            sections += self.expected(tables)
        sections += self.refits()
        sections.append(self.commands())
        return sections

    # --- results ------------------------------------------------------------------------------------------------------

    def ranking(self, table: Table) -> Section:
        """One table, best first, each result compared with the base: all of them are one family."""
        say = self.words.say
        base = table.rows[0]
        changes = table.changes()
        lines = []
        marks: set[str] = set()
        for row in sorted(table.rows, key=lambda row: -row.h):
            name = self.name_of(row)
            if row.scores.influenced_by.tuned > 0:
                name += " *"
                marks.add("marked")
            change = ["", "", say("base")]
            if row is not base:
                difference = changes[row.name].macro
                change = self.change(difference)
                if difference.verdict_text() != difference.verdict:
                    marks.add("one_training")
            prh = row.score.prh
            h = f"{_percent(prh.h)} {_interval(row.score.interval95)}"
            gap = f"{100 * (prh.p - prh.r):+.2f}"
            lines.append([name, h, _percent(prh.p), _percent(prh.r), gap, *change, row.config])
        notes = [say(mark) for mark in ("marked", "one_training") if mark in marks]
        return Section(
            title=say("results", split=self.words.word(table.split), images=base.scores.images),
            lines=[*self.grouping(base.score.grouping), *notes],
            head=[
                say("result"), "H", "P", "R", "P − R", say("change", base=base.name), say("family"), say("verdict"),  # noqa: RUF001 - a minus
                say("config"),
            ],
            rows=lines,
            text=True,
        )  # fmt: skip

    def name_of(self, row: Row) -> str:
        """The name of a result, with the number of its trainings if there are several."""
        name = row.name.replace(FIXED_VOTE, self.words.word(FIXED_VOTE))
        if row.score.trainings > 1:
            return self.words.say("mean_of_seeds", name=name, trainings=row.score.trainings)
        return name

    def grouping(self, grouping: Grouping) -> list[str]:
        """How the pages lie in groups, and what to be careful about."""
        lines = [f"{say_grouping(grouping, self.words)}."]
        warning = say_warning(grouping, self.words)
        if warning is not None:
            lines.append(self.words.say("careful", warning=warning))
        return lines

    def change(self, difference: Difference) -> list[str]:
        """A difference with its interval, the family interval, and the verdict."""
        verdict = self.words.word(difference.verdict)
        if difference.verdict_text() != difference.verdict:
            verdict += " †"
        return [_change(difference.difference, difference.interval95), _family(difference.family95), verdict]

    def presets(self, tables: Sequence[Table]) -> list[Section]:
        """Results of each other preset against those of the first on the same pages: single models and folds."""
        if not tables:
            return []
        main = tables[0].rows[0].preset
        sections = []
        for table in tables:
            rows = [row for row in table.rows if not row.is_trial]
            others = [row for row in rows if row.preset != main]
            known: list[Sequence[Path]] = []
            for base in rows:
                is_new = base.folders not in known  # a choice has the scores of what it chose
                if base.preset == main and others and is_new:
                    known.append(base.folders)
                    sections.append(self.preset(table, base, others))
        return sections

    def preset(self, table: Table, base: Row, others: Sequence[Row]) -> Section:
        """H, P and R of results of other presets and of one of the main preset, and the differences with intervals."""
        say = self.words.say
        comparisons = compare_rows(base, others)
        lines = [self.prh_line(base)]
        single = False
        for other in others:
            found = comparisons[other.name]
            lines.append(self.prh_line(other))
            cells = []
            for difference in (found.macro, found.macro_p, found.macro_r):
                cells.append(_change(difference.difference, difference.interval95))
            *_, family, verdict = self.change(found.macro)
            lines.append([say("difference_of", name=self.name_of(other)), *cells, family, verdict])
            single = single or found.macro.verdict_text() != found.macro.verdict
        notes = self.grouping(base.score.grouping)
        if single:
            notes.append(say("one_training"))
        split = self.words.word(table.split)
        title = say("presets", base=self.name_of(base), split=split, images=base.scores.images)
        head = [say("result"), "H", "P", "R", say("family"), say("verdict")]
        return Section(title=title, lines=notes, head=head, rows=lines)

    def prh_line(self, row: Row) -> list[str]:
        """A result by itself."""
        prh = row.score.prh
        h = f"{_percent(prh.h)} {_interval(row.score.interval95)}"
        return [f"{self.name_of(row)} ({row.preset})", h, _percent(prh.p), _percent(prh.r), "", ""]

    # --- decisions ----------------------------------------------------------------------------------------------------

    def gates(self) -> Section:
        """What was decided, and on what."""
        lines = []
        for name, result in self.done.items():
            if result.distinguishable is None:
                continue
            line = self.decision(name, result)
            if not result.distinguishable:
                line = f"{line}. {self.words.say('unsure')}"
            lines.append(line)
            lines += self.other_seeds(name, result)
        skipped = [name for name in self.state.phases if name not in self.done]
        if skipped:
            lines.append(self.words.say("skipped", names=", ".join(skipped)))
        return Section(title=self.words.say("gates"), lines=lines)

    def decision(self, name: str, result: PhaseResult) -> str:
        """One line for a gate or a choice."""
        if result.h is None:
            return self.words.say("choice", name=name, outcome=result.outcome)
        return self.words.say(
            "gate",
            name=name,
            of=str(result.of),
            h=_percent(result.h),
            interval=_interval(result.interval95),
            outcome=self.words.word(result.outcome),
        )

    def other_seeds(self, name: str, result: PhaseResult) -> list[str]:
        """How often a gate would have decided otherwise, had its trainings had other seeds."""
        gate = result.values.phase
        if result.h is None or not isinstance(gate, GatePhase):
            return []
        if self.seeds is None:
            if result.distinguishable:
                return []
            return [self.words.say("seeds_unknown", name=name)]
        chance = chance_of_another_outcome(
            result.h, result.interval95, gate, seeds=self.seeds, trainings=result.trainings
        )
        return [
            self.words.say(
                "seeds_known",
                name=name,
                chance=f"{100 * chance:.0f}",
                spread=f"{100 * self.seeds.sd:.2f}",
                repeats=self.seeds.degrees_of_freedom,
            )
        ]

    def ensembles(self) -> list[Section]:
        """The verdict on each strategy of combining the folds, and its cost."""
        sections = []
        for name in self.of_kind("ensemble"):
            record = EnsembleRecord.read(self.folder / name / "ensemble.json")
            sections.append(self.ensemble(name, record))
            sections += self.over_all_pages(name, record)
        return sections

    def ensemble(self, name: str, record: EnsembleRecord) -> Section:
        """One ensemble phase."""
        say = self.words.say
        lines = []
        if record.grouping is not None:
            lines += self.grouping(record.grouping)
        for skipped in record.skipped:
            lines.append(say("left_out", name=self.words.word(skipped.strategy), why=skipped.reason))
        judged = [row.strategy for row in record.strategies]
        left_out = [skipped.strategy for skipped in record.skipped]
        if FIXED_VOTE not in judged + left_out:
            lines.append(say("no_fixed_vote"))
        rows = []
        for row in record.strategies:
            gain = _change(row.gain, row.interval95)
            cost = [self.words.word(minutes_text(row.minutes)), f"{row.ms_a_page:.0f}", f"{row.mb:.1f}"]
            strategy = self.words.word(row.strategy)
            verdict = self.words.word(row.verdict)
            rows.append([strategy, _percent(row.h), gain, _family(row.family95), verdict, *cost])
        change = say("change", base=self.words.word("single"))
        return Section(
            title=say("ensemble", name=name, strategy=self.words.word(str(record.strategy))),
            lines=lines,
            head=[say("result"), "H", change, say("family"), say("verdict"), say("minutes"), "ms", "MB"],
            rows=rows,
        )

    def over_all_pages(self, name: str, record: EnsembleRecord) -> list[Section]:
        """What the strategies gain over one model of all pages that are not held out; empty without such a model."""
        say = self.words.say
        rows = []
        for row in record.strategies:
            over = row.over_all_pages
            if over is not None:
                gain = _change(over.gain, over.interval95)
                verdict = self.words.word(over.verdict)
                rows.append([self.words.word(row.strategy), gain, _family(over.family95), verdict])
        if not rows:
            return []
        base = self.words.word(AllPages.name)
        lines = [say("over_all_pages_about", to_beat=self.words.word(str(record.to_beat)))]
        for label, runs in (("budget_members", record.runs), ("budget_base", record.all_pages[:1])):
            lines.append(say(label, cost=self.budget(runs)))
        return [
            Section(
                title=say("over_all_pages", name=name),
                lines=lines,
                head=[say("result"), say("change", base=base), say("family"), say("verdict")],
                rows=rows,
            )
        ]

    def budget(self, runs: Sequence[RunRecord]) -> str:
        """What trainings have cost together."""
        views = 0
        minutes = 0.0
        for run in runs:
            if run.minutes is None or run.page_views is None:
                return self.words.say("budget_unknown")
            views += run.page_views
            minutes += run.minutes
        return self.words.say("budget", views=f"{views:,}", minutes=f"{minutes:.1f}")

    # --- what was reached, and what follows ---------------------------------------------------------------------------

    def expected(self, tables: Sequence[Table]) -> list[Section]:
        """Expectations against what was reached, phase by phase, and what follows."""
        say = self.words.say
        lines = []
        for name, hoped in self.state.file.expectations.items():
            title = name
            if name == LAST:
                title = self.words.word(LAST)
            wanted = [_percent(value) for value in (hoped.conservative, hoped.neutral, hoped.optimistic)]
            rows = self.rows_of_expectation(tables, name)
            if not rows:
                lines.append([title, *wanted, "–", "", say("not_reached_yet")])  # noqa: RUF001 - a dash
            for row in rows:
                reached = f"{_percent(row.h)} {_interval(row.score.interval95)}"
                distance = f"{100 * (row.h - hoped.neutral):+.2f}"
                split = self.words.word(str(row.scores.split))
                label = f"{title}: {self.name_of(row)}, {split}"
                lines.append([label, *wanted, reached, distance, say(f"level_{_level_of(row, hoped)}")])
        head = [
            say("expectation"), say("conservative"), say("neutral"), say("optimistic"), say("reached"),
            say("from_neutral"), say("verdict"),
        ]  # fmt: skip
        last = self.last_of_winner(tables)
        return [
            Section(title=say("expected"), lines=[say("expected_about")], head=head, rows=lines),
            Section(title=say("next"), lines=list(self.next_steps(last))),
        ]

    def rows_of_expectation(self, tables: Sequence[Table], name: str) -> list[Row]:
        """What was reached for an expectation: by a phase, by each phase of a kind, or by the winner."""
        if name == LAST:
            return [self.last_of_winner(tables)]
        phases = [name]
        if name not in self.state.file.phases:
            phases = self.of_kind(name)
        found = []
        for phase in phases:
            if phase not in self.done:
                continue
            row = last_row(tables, self.chosen_from(phase))
            if row is not None:
                found.append(row)
            vote = last_row(tables, [f"{phase}: {FIXED_VOTE}"])
            if vote is not None:
                found.append(vote)
        return found

    def last_of_winner(self, tables: Sequence[Table]) -> Row:
        """The winner's result on the pages that were scored last; without one, the base of the last table."""
        row = last_row(tables, self.winners)
        if row is not None:
            return row
        return tables[-1].rows[0]

    def next_steps(self, row: Row) -> Iterator[str]:
        """What follows from gates, level, undecided comparisons, the gap of P and R, and ensembles."""
        say = self.words.say
        for name in self.of_kind("gate"):
            yield say(f"next_gate_{self.done[name].outcome}", name=name)
        yield self.next_by_level(row)
        undecided = [name for name, result in self.done.items() if result.distinguishable is False]
        if undecided:
            yield say("next_pages", names=", ".join(undecided))
        gap = row.score.prh.p - row.score.prh.r
        interval = row.score.interval95
        if interval is not None and abs(gap) > (interval.high - interval.low) / 2:
            key = "next_precision"
            if gap > 0:
                key = "next_recall"
            yield say(key, gap=f"{100 * abs(gap):.2f}")
        if self.of_kind("ensemble"):
            key = "next_single"
            if self.winner_is_ensemble():
                key = "next_distil"
            yield say(key)

    def next_by_level(self, row: Row) -> str:
        """What follows from where the winner's interval lies among the expectations of the end."""
        expectations = self.state.file.expectations
        hoped = expectations.get(LAST, list(expectations.values())[-1])
        level = _level_of(row, hoped)
        aim = hoped.optimistic
        if level == "below":
            aim = hoped.conservative
        worst = sorted(row.scores.pages, key=lambda page: page.h)[:WORST_PAGES]
        return self.words.say(
            f"next_{level}",
            short=f"{100 * (aim - row.h):.2f}",
            interval=_interval(row.score.interval95),
            names=", ".join(page.name for page in worst),
        )

    def refits(self) -> list[Section]:
        """The models that were trained on all labelled pages: that they have no score, and what they stand on."""
        say = self.words.say
        sections = []
        for name in self.of_kind("refit"):
            refit = self.done[name].refit
            if refit is None:
                continue
            splits = ", ".join(self.words.word(split) for split in refit.splits)
            lines = [
                say(
                    "refit",
                    recipe=refit.recipe,
                    splits=splits,
                    model=refit.model,
                ),
                say(
                    "refit_stands_on",
                    h=f"{_percent(refit.h)} {_interval(refit.interval95)}",
                    pages=refit.pages,
                    split=self.words.word(str(refit.scored_on)),
                    scores=refit.scores,
                ),
            ]
            code = [f"hmean predict IMAGES run={self.folder / name} output=submission"]
            sections.append(Section(title=say("refit_title", name=name, splits=splits), lines=lines, code=code))
        return sections

    def winner_is_ensemble(self) -> bool:
        """Whether the winner is an ensemble of several networks, or their average."""
        if not self.winners:
            return False
        file = self.folder / self.winners[-1] / "ensemble.json"
        return file.exists() and EnsembleRecord.read(file).strategy not in BASES

    def commands(self) -> Section:
        """The commands of the winner and of the phases that it takes up, and how to use it."""
        waiting = [*self.winners[-1:], *self.of_kind("data")]
        needed = set()
        while waiting:
            name = waiting.pop()
            needed.add(name)
            result = self.done[name]
            for other in (*result.values.phase.of, result.outcome):
                if other in self.done and other not in needed:
                    waiting.append(other)
        code = []
        for name, result in self.done.items():
            if name in needed:
                code += [f"hmean {shlex.join(command)}" for command in result.commands]
        code.append(f"# {self.words.say('submission')}")
        code.append(f"hmean predict IMAGES run={self.folder} output=submission")
        return Section(title=self.words.say("commands"), code=code)


def last_row(tables: Sequence[Table], names: Sequence[str]) -> Row | None:
    """The result of a phase on the pages that were scored last.

    Args:
        tables: in the order in which pages were scored.
        names: of the result, or of the phase that scored it. Of a sweep, whose trials are several results, the best of
            those that were trained with several seeds, where there are any.
    """
    for table in reversed(tables):
        found = [row for row in table.rows if row.name in names]
        if not found:
            found = [row for row in table.rows if row.phase in names]
        if found:
            return max(found, key=lambda row: (row.score.trainings > 1, row.h))
    return None


def _level_of(row: Row, hoped: Expectations) -> str:
    """Where the whole interval of a result lies among the expectations; unsure if it does not lie in one place."""
    interval = row.score.interval95
    if interval is None:
        return "unsure"
    levels = {_level(end, hoped) for end in interval}
    if len(levels) == 1:
        return levels.pop()
    return "unsure"


def _level(h: float, hoped: Expectations) -> str:
    if h < hoped.conservative:
        return "below"
    if h < hoped.optimistic:
        return "between"
    return "reached"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _interval(interval: Interval | None) -> str:
    return f"[{range_text(interval)}]"


def _change(value: float, interval: Interval | None) -> str:
    return f"{100 * value:+.2f} {change_text(interval)}"


def _family(interval: Interval | None) -> str:
    """A family interval; earlier versions had none."""
    if interval is None:
        return "–"  # noqa: RUF001 - a dash
    return change_text(interval)
