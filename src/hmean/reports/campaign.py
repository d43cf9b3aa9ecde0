"""The report of a campaign, from its folder alone: HTML and Markdown, English or Korean."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hmean.campaign.file import Expectations
from hmean.campaign.state import SKIPPED, CampaignState, PhaseResult
from hmean.ensemble.records import EnsembleRecord
from hmean.files import write_text
from hmean.metrics.intervals import Interval
from hmean.metrics.tables import change_text, range_text
from hmean.reports.page import render, render_text
from hmean.reports.words import Words
from hmean.runs.comparison import compare
from hmean.runs.scores import Scores
from hmean.runs.sides import open_result

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


@dataclass(frozen=True, eq=False)
class Row:
    """A result: its name, the phase that scored it, the folder of its scores, its config, and the scores."""

    name: str
    phase: str
    folder: Path
    config: str
    scores: Scores

    @property
    def preset(self) -> str:
        """The preset of its config."""
        for word in self.config.split():
            if word.startswith("preset="):
                return word.removeprefix("preset=")
        return ""


@dataclass
class CampaignReport:
    """What a campaign measured.

    Attributes:
        folder: of the campaign.
        words: the language.
        state: its ``campaign.json``.
        done: the phases that were gone through and not skipped.
        winners: the chosen phase, and what it was chosen from; the last one stands for the model.
    """

    folder: Path
    words: Words
    state: CampaignState = field(init=False)
    done: dict[str, PhaseResult] = field(init=False)
    winners: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.state = CampaignState.read(self.folder / "campaign.json")
        self.done = {}
        for name, result in self.state.phases.items():
            if name in self.state.file.phases and result.outcome != SKIPPED:
                self.done[name] = result
        self.winners = []
        if self.state.chosen is not None:
            self.winners = [self.state.chosen]
            while self.kind_of(self.winners[-1]) == "choose":
                self.winners.append(self.done[self.winners[-1]].outcome)

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
        about = Section(lines=[self.words.say("about"), self.words.say("time", hours=f"{spent:.2f}", budget=budget)])
        tables = self.tables()
        sections = [about]
        for rows in tables:
            sections.append(self.ranking(rows))
        sections += self.presets(tables)
        sections.append(self.gates())
        sections += self.ensembles()
        if tables:
            sections += self.expected(tables)
        sections.append(self.commands())
        return sections

    def tables(self) -> list[list[Row]]:
        """The results by the pages that they are of, each table's base first."""
        found: dict[tuple[str | None, str | None], list[Row]] = {}
        for phase, result in self.done.items():
            for name, score in result.scores.items():
                folder = self.folder / score.folder
                scores = Scores.read(folder / "scores.json")
                row = Row(name, phase, folder, score.config, scores)
                found.setdefault((scores.split, scores.data_hash), []).append(row)
        return list(found.values())

    # --- results ------------------------------------------------------------------------------------------------------

    def ranking(self, rows: Sequence[Row]) -> Section:
        """One table, best first, each result compared with the base."""
        say = self.words.say
        base = rows[0]
        lines = []
        some_are_marked = False
        for row in sorted(rows, key=lambda row: -row.scores.hmean("macro")):
            macro = row.scores.cleval.macro
            change = ["", say("base")]
            if row is not base:
                change = self.change(base, row)
            name = row.name
            if row.scores.influenced_by.tuned > 0:
                name += " *"
                some_are_marked = True
            h = f"{_percent(macro.h)} {_interval(row.scores.interval95['macro'])}"
            gap = f"{100 * (macro.p - macro.r):+.2f}"
            lines.append([name, h, _percent(macro.p), _percent(macro.r), gap, *change, row.config])
        marked = []
        if some_are_marked:
            marked = [say("marked")]
        return Section(
            title=say("results", split=self.word_of_split(base), images=base.scores.images),
            lines=marked,
            head=[
                say("result"), "H", "P", "R", "P − R", say("change", base=base.name), say("verdict"), say("config"),  # noqa: RUF001 - a minus
            ],
            rows=lines,
            text=True,
        )  # fmt: skip

    def word_of_split(self, row: Row) -> str:
        """The split of a result in this language."""
        return self.words.word(str(row.scores.split))

    def change(self, base: Row, row: Row) -> list[str]:
        """The difference of one result to another on the same pages, and the verdict."""
        found = compare(open_result(base.folder), open_result(row.folder)).macro
        return [_change(found.difference, found.interval95), self.words.say(found.verdict)]

    def presets(self, tables: Sequence[Sequence[Row]]) -> list[Section]:
        """Results of each other preset against those of the first on the same pages: single models and folds."""
        if not tables:
            return []
        main = tables[0][0].preset
        lines = []
        for rows in tables:
            without_trials = [row for row in rows if "/" not in row.name]
            for row, base in itertools.product(without_trials, without_trials):
                if base.preset == main and row.preset != main:
                    names = [f"{row.name} ({row.preset})", f"{base.name} ({base.preset})"]
                    lines.append([self.word_of_split(row), *names, *self.change(base, row)])
        if not lines:
            return []
        head = [self.words.say(key) for key in ("pages", "result", "against", "difference", "verdict")]
        return [Section(title=self.words.say("presets"), head=head, rows=lines)]

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
        skipped = [name for name in self.state.phases if name not in self.done]
        if skipped:
            lines.append(self.words.say("skipped", names=", ".join(skipped)))
        return Section(title=self.words.say("gates"), lines=lines)

    def decision(self, name: str, result: PhaseResult) -> str:
        """One line for a gate or a choice."""
        if result.h is None or result.interval95 is None:
            return self.words.say("choice", name=name, outcome=result.outcome)
        low, high = result.interval95
        return self.words.say(
            "gate",
            name=name,
            of=str(result.of),
            h=_percent(result.h),
            low=_percent(low),
            high=_percent(high),
            outcome=self.words.word(result.outcome),
        )

    def ensembles(self) -> list[Section]:
        """The verdict on each strategy of combining the folds, and its cost."""
        sections = []
        for name in self.of_kind("ensemble"):
            sections.append(self.ensemble(name, EnsembleRecord.read(self.folder / name / "ensemble.json")))
        return sections

    def ensemble(self, name: str, record: EnsembleRecord) -> Section:
        """One ensemble phase."""
        say = self.words.say
        lines = []
        for skipped in record.skipped:
            lines.append(say("left_out", name=self.words.word(skipped.strategy), why=skipped.reason))
        rows = []
        for row in record.strategies:
            gain = _change(row.gain, row.interval95)
            cost = [f"{row.ms_a_page:.0f}", f"{row.mb:.1f}"]
            rows.append([self.words.word(row.strategy), _percent(row.h), gain, say(row.verdict), *cost])
        change = say("change", base=self.words.word("single"))
        return Section(
            title=say("ensemble", name=name, strategy=self.words.word(str(record.strategy))),
            lines=lines,
            head=[say("result"), "H", change, say("verdict"), "ms", "MB"],
            rows=rows,
        )

    # --- what was reached, and what follows ---------------------------------------------------------------------------

    def expected(self, tables: Sequence[Sequence[Row]]) -> list[Section]:
        """Expectations against what the winner reached on the pages that were scored last; and what follows."""
        row = self.last_of_winner(tables)
        h = row.scores.hmean("macro")
        rows = []
        hoped = self.state.file.expectations
        for name, value in hoped.model_dump().items():
            rows.append([self.words.say(name), _percent(value), f"{100 * (h - value):+.2f}"])
        reached = self.words.say("reached", of=row.name, split=self.word_of_split(row))
        head = [self.words.say("expectation"), "H", f"{reached}: {_percent(h)}"]
        return [
            Section(title=self.words.say("expected"), head=head, rows=rows),
            Section(title=self.words.say("next"), lines=list(self.next_steps(row))),
        ]

    def last_of_winner(self, tables: Sequence[Sequence[Row]]) -> Row:
        """The winner's result on the pages that were scored last; without one, the base of the last table."""
        for rows in reversed(tables):
            for row in rows:
                if {row.name, row.phase} & set(self.winners):
                    return row
        return tables[-1][0]

    def next_steps(self, row: Row) -> Iterator[str]:
        """What follows from gates, level, undecided comparisons, the gap of P and R, and ensembles."""
        say = self.words.say
        for name in self.of_kind("gate"):
            yield say(f"next_gate_{self.done[name].outcome}", name=name)
        yield self.next_by_level(row)
        undecided = [name for name, result in self.done.items() if result.distinguishable is False]
        if undecided:
            yield say("next_pages", names=", ".join(undecided))
        gap = row.scores.cleval.macro.p - row.scores.cleval.macro.r
        interval = row.scores.interval95["macro"]
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
        """What follows from where the interval lies among the expectations."""
        hoped = self.state.file.expectations
        interval = row.scores.interval95["macro"]
        levels: set[str] = set()
        if interval is not None:
            levels = {_level(end, hoped) for end in interval}
        level = "unsure"
        if len(levels) == 1:
            level = levels.pop()
        aim = hoped.optimistic
        if level == "below":
            aim = hoped.conservative
        worst = sorted(row.scores.pages, key=lambda page: page.h)[:WORST_PAGES]
        return self.words.say(
            f"next_{level}",
            short=f"{100 * (aim - row.scores.hmean('macro')):.2f}",
            interval=_interval(interval),
            names=", ".join(page.name for page in worst),
        )

    def winner_is_ensemble(self) -> bool:
        """Whether the winner is an ensemble of several networks, or their average."""
        if not self.winners:
            return False
        file = self.folder / self.winners[-1] / "ensemble.json"
        return file.exists() and EnsembleRecord.read(file).strategy != "single"

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
