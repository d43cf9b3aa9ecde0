"""``hmean sweep report``: one HTML page about a sweep, and its numbers as JSON."""

from __future__ import annotations

from pathlib import Path

from hmean.errors import InputError
from hmean.files import write_text
from hmean.reports.groups import say_grouping, say_warning
from hmean.reports.page import render
from hmean.reports.sweep_figures import draw_trials
from hmean.reports.sweep_record import make_report
from hmean.reports.words import DEFAULT_LANGUAGE, Language, Words
from hmean.search.trials import Sweep


def write_report(sweep: Sweep, lang: Language = DEFAULT_LANGUAGE) -> Path:
    """Write ``report.html`` (``report.ko.html``) and ``report.json`` into the sweep's folder; returns the first.

    Raises:
        InputError: if no trial has a score.
    """
    words = Words(lang)
    folder = sweep.folder
    if not sweep.ranked():
        raise InputError(f"{folder}: no trial has a score yet; hmean sweep status shows how far they are")
    report = make_report(sweep)
    report.write(folder / "report.json")
    figures = None
    searched = [trial for trial in report.trials if trial.value is not None and trial.repeats is None]
    if searched:
        figures = draw_trials(report.space, searched, report.metric, words)
    grouping = warning = None
    if report.grouping is not None:
        grouping = say_grouping(report.grouping, words)
        warning = say_warning(report.grouping, words)
    target = folder / words.file_name(".html")
    html = render(
        "sweep.html.j2",
        lang=lang,
        say=words.say,
        word=words.word,
        title=sweep.queue.name,
        report=report,
        best=report.trials[0],
        against_best=[found for found in report.comparisons if found.trial == report.best],
        grouping=grouping,
        warning=warning,
        figures=figures,
    )
    write_text(target, html)
    return target
