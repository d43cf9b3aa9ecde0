"""What reports say of the groups that pages lie in, in the reader's language."""

from __future__ import annotations

from hmean.metrics.groups import FEW_GROUPS, FEWEST_GROUPS, LARGE_SHARE, Grouping
from hmean.reports.words import Words


def say_grouping(grouping: Grouping, words: Words) -> str:
    """``Grouping.text`` in the reader's language."""
    if not grouping.known:
        return words.say("run.grouping.unknown", pages=grouping.pages)
    if grouping.unit == "page":
        return words.say("run.grouping.pages", pages=grouping.pages)
    return words.say(
        "run.grouping.groups",
        pages=grouping.pages,
        groups=grouping.groups,
        share=f"{100 * grouping.largest_share:.0f}",
        effective=f"{grouping.effective:.1f}",
    )


def say_warning(grouping: Grouping, words: Words) -> str | None:
    """``Grouping.warning`` in the reader's language."""
    if grouping.groups < FEWEST_GROUPS:
        return words.say("run.grouping.none", fewest=FEWEST_GROUPS, groups=grouping.groups)
    if not grouping.known:
        return words.say("run.grouping.independent")
    if grouping.groups < FEW_GROUPS:
        return words.say("run.grouping.few", groups=grouping.groups)
    if grouping.largest_share > LARGE_SHARE:
        return words.say("run.grouping.large", share=f"{100 * grouping.largest_share:.0f}")
    return None
