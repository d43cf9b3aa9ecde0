"""``hmean report``: run folders or exported models in, one self-contained HTML page out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from hmean.reports.run import write_run_report
from hmean.settings.sections import LanguageSettings


class ReportSettings(LanguageSettings):
    """Settings of ``hmean report``."""

    inputs: tuple[str, ...] = Field(default=(), exclude=True)
    """Run folders and exported models."""
    output: str | None = None
    """The HTML file; by default `report.html` in the folder of the first input."""


@dataclass(frozen=True)
class WrittenReport:
    """The file that was written."""

    path: Path

    def summary(self) -> str:
        """Its path."""
        return str(self.path)


def run(settings: ReportSettings) -> WrittenReport:
    """Write the report of one or several runs.

    Raises:
        InputError: if an input is neither a run folder nor an exported model, or none has a score.
    """
    target = None
    if settings.output is not None:
        target = Path(settings.output)
    paths = [Path(text) for text in settings.inputs]
    return WrittenReport(write_run_report(paths, target, settings.lang))
