"""``hmean sweep report``: one HTML page about a sweep, and its numbers as JSON."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import jinja2

from hmean.errors import InputError
from hmean.files import write_text
from hmean.reports.sweep_figures import draw_trials
from hmean.reports.sweep_record import make_report
from hmean.search.trials import Sweep


def write_report(sweep: Sweep) -> Path:
    """Write ``report.html`` and ``report.json`` into the sweep's folder; returns the first.

    Raises:
        InputError: if no trial has a score.
    """
    folder = sweep.folder
    if not sweep.ranked():
        raise InputError(f"{folder}: no trial has a score yet; hmean sweep status shows how far they are")
    report = make_report(sweep)
    report.write(folder / "report.json")
    figures = []
    searched = [trial for trial in report.trials if trial.value is not None and trial.repeats is None]
    if searched:
        figures = draw_trials(report.space, searched, report.metric)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    source = files("hmean.reports") / "templates" / "sweep_report.html.j2"
    template = environment.from_string(source.read_text(encoding="utf-8"))
    write_text(folder / "report.html", template.render(name=sweep.queue.name, report=report, figures=figures))
    return folder / "report.html"
