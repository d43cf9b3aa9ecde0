"""What ``hmean data check`` found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from hmean.data.leaks import Leaks, find_leaks
from hmean.data.survey import NamedPages, SurveyedPages
from hmean.records import Record


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 page``, ``2 pages``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}s"


class Fault(Record):
    """One fault of a data set."""

    split: str = Field(description="split that has it; of labels that are no split, the name of their file")
    page: str | None = Field(description="name of the image, as the labels give it; null: the split cannot be read")
    fault: str = Field(description="the fault, a sentence that names the file and the word")


class CheckedSplit(Record):
    """The pages of one split in numbers."""

    name: str = Field(description="train, val or test; of labels that are no split, the name of their file")
    labels: str = Field(description="label file or folder")
    images: str = Field(description="folder of the images")
    pages: int = Field(description="number of pages")
    unlabelled: int = Field(description="how many of these have no labels: a training refuses them")
    words: int = Field(description="number of words, without those that have faults")
    ignored: int = Field(description="how many of these are ignore regions")
    faults: int = Field(description="number of faults")
    remarks: list[str] = Field(default=[], description="how the labels were read, where a file does not say it")

    def text(self) -> str:
        """One line of numbers."""
        pages = counted(self.pages, "page")
        if self.unlabelled:
            pages += f" ({self.unlabelled} of them unlabelled)"
        words = counted(self.words, "word")
        return f"{pages}, {words} ({self.ignored} of them ignored), {counted(self.faults, 'fault')}"


class CheckReport(Record):
    """``hmean data check --json``: the faults of a data set, and what its splits share."""

    splits: list[CheckedSplit] = Field(description="the splits that were read")
    faults: list[Fault] = Field(description="every fault of labels and images")
    leaks: Leaks = Field(description="what the splits share; a page in two of them counts as a fault")

    @property
    def is_sound(self) -> bool:
        """Whether there is no fault, and no page in two splits."""
        return not self.faults and not self.leaks.pages

    def fault_lines(self) -> list[str]:
        """Every fault, a line each; with the split, where there are several."""
        lines = []
        for fault in self.faults:
            if len(self.splits) > 1:
                lines.append(f"{fault.split}: {fault.fault}")
            else:
                lines.append(fault.fault)
        for leak in self.leaks.pages:
            lines.append(f"{leak.text()}: remove it from all splits but one, or its score would be too high")
        return lines

    def remarks(self) -> list[str]:
        """What is no fault, but good to know, a line each."""
        lines = [remark for split in self.splits for remark in split.remarks]
        for group in self.leaks.groups:
            lines.append(f"{group.text()}: scores say little of groups that no training has seen")
        for copy in self.leaks.copies:
            lines.append(f"{copy.text()}: it counts twice")
        return lines

    def summary(self) -> str:
        """A line of numbers for each split."""
        if len(self.splits) == 1:
            return self.splits[0].text()
        return "\n".join(f"{split.name}: {split.text()}" for split in self.splits)


def check_report(
    splits: Sequence[NamedPages], surveyed: Sequence[SurveyedPages], unreadable: Sequence[Fault] = ()
) -> CheckReport:
    """The report of a survey.

    Args:
        splits: the pages that were to be surveyed.
        surveyed: what was found, split for split.
        unreadable: splits whose labels could not be opened at all.
    """
    faults = list(unreadable)
    checked = []
    for source, split in zip(splits, surveyed, strict=True):
        count = 0
        for page in split.pages:
            for fault in page.faults:
                faults.append(Fault(split=split.name, page=page.name, fault=fault))
                count += 1
        checked.append(
            CheckedSplit(
                name=split.name,
                labels=str(source.pages.labels.source),
                images=str(source.pages.image_path),
                pages=len(split.pages),
                unlabelled=sum(not page.is_labelled for page in split.pages),
                words=sum(len(page.words.ignored) for page in split.pages),
                ignored=sum(int(page.words.ignored.sum()) for page in split.pages),
                faults=count,
                remarks=list(source.pages.labels.remarks),
            )
        )
    return CheckReport(splits=checked, faults=faults, leaks=find_leaks(surveyed))
