"""The report of a campaign, from its folder alone: HTML and Markdown, English or Korean."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hmean.ensemble.records import read_ensemble
from hmean.errors import InputError
from hmean.files import read_json, write_text
from hmean.reports.page import render, render_text
from hmean.runs.comparison import compare, open_result
from hmean.runs.scores import Scores

LANGUAGES = ("en", "ko")
WORST = 5  # pages that are named
Section = dict[str, Any]


def run(folder: Path, lang: str = "en") -> Path:
    """Write ``report.html`` and ``report.md`` (``report.ko.*``) beside ``campaign.json``; returns the former."""
    if lang not in LANGUAGES:
        raise InputError(f"lang={lang}: there are {', '.join(LANGUAGES)}")
    report = Report(folder, lang)
    empty: Section = {"lines": [], "rows": [], "code": [], "text": False}
    sections = [{**empty, **part} for part in report.sections()]
    page = {"title": report.say("title", name=folder.name), "lang": lang, "sections": sections}
    stem = "report" if lang == "en" else f"report.{lang}"
    write_text(folder / f"{stem}.md", render_text("campaign.md.j2", **page))
    write_text(folder / f"{stem}.html", render("campaign.html.j2", **page))
    return folder / f"{stem}.html"


class Report:
    """What a campaign measured, in words of one language."""

    def __init__(self, folder: Path, lang: str) -> None:
        self.folder, self.state = folder, read_json(folder / "campaign.json")
        self.file = self.state["file"]
        phases = {n: p for n, p in self.state["phases"].items() if n in self.file["phases"]}
        self.done = {n: p for n, p in phases.items() if p["outcome"] != "skipped"}
        table = json.loads((files("hmean.reports") / "templates" / "campaign_strings.json").read_text(encoding="utf-8"))
        self.words = {key: texts[LANGUAGES.index(lang)] for key, texts in table.items()}
        self.winners = [self.state["chosen"]]  # each chosen from the next
        while self.winners[-1] and self.done[self.winners[-1]]["asked"]["job"] == "choose":
            self.winners.append(self.done[self.winners[-1]]["outcome"])
        self.winner = self.winners[-1]

    def say(self, key: str, **values: Any) -> str:
        """A text of the table."""
        return str(self.words[key]).format(**values)

    def word(self, name: str) -> str:
        """A part, outcome or candidate in the report's language; what has no entry stays as it is."""
        return str(self.words.get(name, name))

    def sections(self) -> list[Section]:
        """All of the report: titles, lines, tables, commands."""
        spent = sum(self.state["seconds"].values()) / 3600
        time = self.say("time", hours=f"{spent:.2f}", budget=f"{self.file['budget_hours']:g}")
        tables = self.tables()
        first = {"title": "", "lines": [self.say("about"), time]}
        ranked = [*map(self.ranking, tables), *self.presets(tables)]
        last = {"title": self.say("commands"), **self.commands()}
        return [first, *ranked, self.gates(), *self.ensembles(), *self.expected(tables), last]

    def tables(self) -> list[list[dict[str, Any]]]:
        """Scores by the pages that they are of, each table's base first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for name, phase in self.done.items():
            for result, (place, config) in phase.get("scores", {}).items():
                record = Scores.read(self.folder / place / "scores.json").to_json()
                row = {"name": result, "phase": name, "place": self.folder / place, "config": config}
                found.setdefault(f"{record['split']} {record['data_hash']}", []).append({**row, **record})
        return list(found.values())

    def ranking(self, rows: list[dict[str, Any]]) -> Section:
        """One table, best first, each result compared with the base."""
        lines = []
        for row in sorted(rows, key=lambda row: -row["cleval"]["macro"]["h"]):
            prh, change = row["cleval"]["macro"], ["", self.say("base")]
            if row is not rows[0]:
                change = self.change(rows[0], row)
            h = f"{_percent(prh['h'])} [{', '.join(map(_percent, row['interval95']['macro']))}]"
            numbers = (h, _percent(prh["p"]), _percent(prh["r"]), f"{100 * (prh['p'] - prh['r']):+.2f}")
            mark = " *" * bool(row.get("influenced_by", {}).get("tuned"))
            lines.append([row["name"] + mark, *numbers, *change, row["config"]])
        head = [self.say("result"), "H", "P", "R", "P − R", self.say("change", base=rows[0]["name"])]  # noqa: RUF001 - a minus
        title = self.say("results", part=self.word(rows[0]["split"]), images=rows[0]["images"])
        marked = [self.say("marked")] * any(line[0].endswith(" *") for line in lines)
        head += [self.say("verdict"), self.say("config")]
        return {"title": title, "lines": marked, "head": head, "rows": lines, "text": True}

    def change(self, base: dict[str, Any], row: dict[str, Any]) -> list[str]:
        """The difference of one result from another on the same pages, and the verdict."""
        found = compare(open_result(base["place"], None), open_result(row["place"], None)).macro
        return [_change(found.difference, found.interval95), self.say(found.verdict)]

    def presets(self, tables: list[list[dict[str, Any]]]) -> list[Section]:
        """Results of each other preset against those of the first on the same pages, single models and folds."""
        lines, main = [], _preset(tables[0][0]) if tables else ""
        for rows in ([row for row in rows if "/" not in row["name"]] for rows in tables):  # no run of a sweep
            for row, base in itertools.product(rows, rows):
                if _preset(base) == main != _preset(row):
                    named = [f"{one['name']} ({_preset(one)})" for one in (row, base)]
                    lines.append([self.word(row["split"]), *named, *self.change(base, row)])
        head = [self.say("pages"), *map(self.say, ("result", "against", "difference", "verdict"))]
        return [{"title": self.say("presets"), "head": head, "rows": lines}] if lines else []

    def gates(self) -> Section:
        """What was decided, and on what."""
        lines = []
        for name, phase in self.done.items():
            if "distinguishable" not in phase:
                continue
            low, high = map(_percent, phase.get("interval95", (0, 0)))
            key, values = ("gate", {"h": _percent(phase["h"]), "of": phase["of"]}) if "h" in phase else ("choice", {})
            outcome = self.word(phase["outcome"]) if "h" in phase else phase["outcome"]  # of a choice: a phase
            line = self.say(key, name=name, outcome=outcome, low=low, high=high, **values)
            lines.append(line if phase["distinguishable"] else f"{line}. {self.say('unsure')}")
        skipped = [name for name in self.state["phases"] if name not in self.done]
        lines += [self.say("skipped", names=", ".join(skipped))] * bool(skipped)
        return {"title": self.say("gates"), "lines": lines}

    def ensembles(self) -> list[Section]:
        """The verdict on each way of joining the folds, beside its cost."""
        found = []
        for name in [name for name, phase in self.done.items() if phase["asked"]["job"] == "ensemble"]:
            record = read_ensemble(self.folder / name / "ensemble.json")
            rows, lines = [], []
            for skipped in record.skipped:
                lines.append(self.say("left_out", name=self.word(skipped.strategy), why=skipped.reason))
            for row in record.strategies:
                gain = _change(row.gain, row.interval95)
                cost = (f"{row.ms_a_page:.0f}", f"{row.mb:.1f}")
                rows.append([self.word(row.strategy), _percent(row.h), gain, self.say(row.verdict), *cost])
            change = self.say("change", base=self.word("single"))
            head = [self.say("result"), "H", change, self.say("verdict"), "ms", "MB"]
            title = self.say("ensemble", name=name, kind=self.word(str(record.strategy)))
            found.append({"title": title, "lines": lines, "head": head, "rows": rows})
        return found

    def expected(self, tables: list[list[dict[str, Any]]]) -> list[Section]:
        """Expectations against what the winner reached on the pages that were scored last; and what follows."""
        if not tables:
            return []
        named = (r for rows in reversed(tables) for r in rows if {r["name"], r["phase"]} & set(self.winners))
        row = next(named, tables[-1][0])
        of = row["name"]
        prh, (low, high) = row["cleval"]["macro"], row["interval95"]["macro"]
        hoped = self.file["expectations"]
        rows = [[self.say(k), _percent(v), f"{100 * (prh['h'] - v):+.2f}"] for k, v in hoped.items()]
        reached = self.say("reached", of=of, part=self.word(row["split"]))
        low_high = f"[{_percent(low)}, {_percent(high)}]"
        levels = {("below" if end < hoped["conservative"] else "between" if end < hoped["optimistic"] else "reached")
                  for end in (low, high)}  # fmt: skip
        level = levels.pop() if len(levels) == 1 else "unsure"
        short = hoped["conservative" if level == "below" else "optimistic"] - prh["h"]
        worst = ", ".join(page["name"] for page in sorted(row["pages"], key=lambda page: page["h"])[:WORST])
        values = {"short": f"{100 * short:.2f}", "interval": low_high, "names": worst}
        gated = [(name, p["outcome"]) for name, p in self.done.items() if p["asked"]["job"] == "gate"]
        lines = [self.say(f"next_gate_{outcome}", name=name) for name, outcome in gated]
        lines += [self.say(f"next_{level}", **values)]
        unsure = [name for name, phase in self.done.items() if phase.get("distinguishable") is False]
        lines += [self.say("next_pages", names=", ".join(unsure))] * bool(unsure)
        gap = prh["p"] - prh["r"]
        if abs(gap) > (high - low) / 2:
            lines.append(self.say("next_recall" if gap > 0 else "next_precision", gap=f"{100 * abs(gap):.2f}"))
        if any(phase["asked"]["job"] == "ensemble" for phase in self.done.values()):
            made = self.folder / str(self.winner) / "ensemble.json"
            kept = made.exists() and read_ensemble(made).strategy != "single"
            lines.append(self.say("next_distil" if kept else "next_single"))
        table = {"head": [self.say("expectation"), "H", f"{reached}: {_percent(prh['h'])}"], "rows": rows}
        return [{"title": self.say("expected"), **table}, {"title": self.say("next"), "lines": lines}]

    def commands(self) -> Section:
        """The commands of the winner and of the phases that it takes up, and how to use it."""
        needed, waiting = set[str](), [self.winner] if self.winner else []
        waiting += [name for name, phase in self.done.items() if phase["asked"]["job"] == "data"]
        while waiting:
            name = waiting.pop()
            phase = self.done[name]
            needed.add(name)
            waiting += [of for of in (*phase["asked"]["of"], phase["outcome"]) if of in self.done and of not in needed]
        ran = [command for name, phase in self.done.items() if name in needed for command in phase.get("commands", [])]
        use = f"hmean predict IMAGES run={self.folder} output=submission"
        return {"code": [*(f"hmean {shlex.join(command)}" for command in ran), f"# {self.say('submission')}", use]}


def _preset(row: dict[str, Any]) -> str:
    return next((word.partition("=")[2] for word in row["config"].split() if word.startswith("preset=")), "")


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _change(value: float, interval95: Sequence[float]) -> str:
    return f"{100 * value:+.2f} [{', '.join(f'{100 * end:+.2f}' for end in interval95)}]"
