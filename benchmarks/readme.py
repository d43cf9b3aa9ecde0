"""The table of results in README.md: a copy of that of the bundled model's card, between two markers."""

from __future__ import annotations

import textwrap

from harness import ROOT

from hmean.files import write_text

README = ROOT / "README.md"
BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"
INTRODUCTION = """\
Scores of the bundled detector, trained on 2 cores, on receipts of shops that it has never seen (H in percent; in
brackets the 95 % interval over shops, [what it means](docs/concepts/intervals.md)), from
[its card](docs/results/receipts_lite_box.md):"""
LINE = 120


def results_of(text: str) -> str:
    """What stands between the markers."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def results_block(table: str, groups: str) -> str:
    """What should stand there.

    Args:
        table: of the card.
        groups: what it says of pages and shops.
    """
    of_groups = [textwrap.fill(line, LINE, subsequent_indent="  ") for line in groups.splitlines()]
    return "\n\n".join([INTRODUCTION, table, "\n".join(of_groups)])


def write_results(table: str, groups: str) -> None:
    """Replace what stands there."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(README, f"{before}{BEGIN}\n{results_block(table, groups)}\n{END}{after}")
