"""HTML pages: the templates of runs, sweeps and campaigns derive from one base, and every page is a single file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """An HTML page from a template of ``reports/templates``.

    Args:
        template: its file name.
        values: names that it uses; one that is missing is an error.
    """
    return _environment(autoescape=True).get_template(template).render(values)


def render_text(template: str, **values: Any) -> str:
    """Likewise a page of plain text, such as Markdown."""
    return _environment(autoescape=False).get_template(template).render(values)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hmean.reports"),
        autoescape=autoescape,  # noqa: S701 - off for plain text only
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["points"] = points
    environment.filters["percent_interval"] = percent_interval
    environment.filters["points_interval"] = points_interval
    return environment


def percent(share: float) -> str:
    """A share in percent, without the sign: ``96.37``."""
    return f"{100 * share:.2f}"


def points(difference: float) -> str:
    """A difference of shares in points: ``+0.24``."""
    return f"{100 * difference:+.2f}"


def percent_interval(interval: Sequence[float]) -> Markup:
    """An interval of a share: ``[95.24, 96.82]``."""
    return _interval([percent(end) for end in interval])


def points_interval(interval: Sequence[float]) -> Markup:
    """An interval of a difference: ``[-0.11, +0.59]``."""
    return _interval([points(end) for end in interval])


def _interval(ends: Sequence[str]) -> Markup:
    low, high = ends
    return Markup('<span class="interval">[{}, {}]</span>').format(low, high)
