"""What splits share: pages that show the same, and groups. A score on what was trained on is too high."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from hmean.data.likeness import likeness, same_pages
from hmean.data.survey import SurveyedPage, SurveyedPages
from hmean.records import Record


class PageName(Record):
    """A page of a data set."""

    split: str = Field(description="split of the page, such as train; of labels that are no split, their file's name")
    page: str = Field(description="name of the image, as the labels give it")


class SamePage(Record):
    """Pages that show the same."""

    pages: list[PageName] = Field(description="the pages, two or more")
    likeness: float = Field(description="how alike the first two look, up to 1; copies of a file have 1")

    @property
    def splits(self) -> list[str]:
        """The splits that have one of them, in order."""
        return list(dict.fromkeys(page.split for page in self.pages))

    def text(self) -> str:
        """In words: ``train: a.jpg and val: b.jpg show the same page``."""
        names = [f"{page.split}: {page.page}" for page in self.pages]
        return f"{_listed(names)} show the same page (likeness {self.likeness:.3f})"


class SharedGroup(Record):
    """A group whose pages are in more than one split."""

    group: str = Field(description="its name")
    pages: dict[str, int] = Field(description="number of its pages in each split that has some")

    def text(self) -> str:
        """In words: ``group 'shop 7' is in train (12 pages) and val (3 pages)``."""
        places = []
        for split, count in self.pages.items():
            pages = "1 page" if count == 1 else f"{count} pages"
            places.append(f"{split} ({pages})")
        return f"group {self.group!r} is in {_listed(places)}"


class Leaks(Record):
    """What the splits of a data set share, and which pages are there twice."""

    pages: list[SamePage] = Field(description="the same page in two splits or more: its score would be too high")
    groups: list[SharedGroup] = Field(
        description="a group (shop, document) in two splits or more: scores say little of other groups"
    )
    copies: list[SamePage] = Field(description="the same page twice in one split: it counts twice")


def find_leaks(splits: Sequence[SurveyedPages]) -> Leaks:
    """Compare all pages of all splits with each other."""
    names: list[PageName] = []
    pages: list[SurveyedPage] = []
    for split in splits:
        for page in split.pages:
            names.append(PageName(split=split.name, page=page.name))
            pages.append(page)
    leaks: list[SamePage] = []
    copies: list[SamePage] = []
    for places in same_pages([page.print for page in pages]):
        first = pages[places[0]].print
        second = pages[places[1]].print
        assert first is not None and second is not None  # noqa: PT018, S101 - only pages with prints are the same
        same = SamePage(pages=[names[place] for place in places], likeness=round(likeness(first, second), 4))
        if len(same.splits) > 1:
            leaks.append(same)
        else:
            copies.append(same)
    return Leaks(pages=leaks, groups=_shared_groups(splits), copies=copies)


def _shared_groups(splits: Sequence[SurveyedPages]) -> list[SharedGroup]:
    counts: dict[str, dict[str, int]] = {}
    for split in splits:
        for page in split.pages:
            if page.group is not None:
                of_group = counts.setdefault(page.group, {})
                of_group[split.name] = of_group.get(split.name, 0) + 1
    return [SharedGroup(group=group, pages=pages) for group, pages in counts.items() if len(pages) > 1]


def _listed(names: Sequence[str]) -> str:
    if len(names) > 2:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return " and ".join(names)
