"""The table of results in README.md, between two markers: the head of the leaderboard, else the bundled model's card."""

from __future__ import annotations

import textwrap

from harness import ROOT

from hmean.files import write_text

README = ROOT / "README.md"
BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"
LEADERBOARD = ROOT / "docs/results/leaderboard.json"
OF_THE_CARD = """\
Scores of the bundled detector, trained on 2 cores, on receipts of shops that it has never seen (H in percent; in
brackets the 95 % interval over shops, [what it means](docs/concepts/intervals.md)), from
[its card](docs/results/receipts_lite_box.md):"""
OF_THE_LEADERBOARD = """\
Text detectors on receipts, at their defaults and with values that hmean has tuned without the page's shop (H in percent,
and the share of words of one character that are found; in brackets the 95 % interval over shops,
[what it means](docs/concepts/intervals.md)), from [the leaderboard](docs/results/leaderboard.md):"""
LINE = 120


def results_of(text: str) -> str:
    """What stands between the markers."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def results_block(introduction: str, table: str, groups: str) -> str:
    """What should stand there.

    Args:
        introduction: ``OF_THE_CARD`` or ``OF_THE_LEADERBOARD``.
        table: of that page.
        groups: what it says of pages and shops.
    """
    of_groups = [textwrap.fill(line, LINE, subsequent_indent="  ") for line in groups.splitlines()]
    return "\n\n".join([introduction, table, "\n".join(of_groups)])


def write_results(introduction: str, table: str, groups: str) -> None:
    """Replace what stands there."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(README, f"{before}{BEGIN}\n{results_block(introduction, table, groups)}\n{END}{after}")
