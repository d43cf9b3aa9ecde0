"""The inputs of a prediction: files, folders, patterns, label files and lists, as pages."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.images import SUFFIXES, left_out, list_images, page_paths, split_page
from hmean.inference.trained import PageFile, page_files
from hmean.labels.formats import images_of, open_labels

STDIN = "-"  # the input that stands for a list on standard input


@dataclass(frozen=True)
class LabelImages:
    """Where the images of a label file are.

    Attributes:
        given: the folder that the user has named; None if none was.
        default: where they are looked for if they are not next to the label file.
    """

    given: Path | None
    default: Path

    def folders(self, labels: Path) -> list[Path]:
        """The folders to look in, in order."""
        if self.given is not None:
            return [self.given]
        return [images_of(labels), self.default]


def gather(inputs: Sequence[str], label_images: LabelImages) -> list[PageFile]:
    """The files that the inputs name, in order, each once, under names that are unique.

    Lines of a list on standard input are files whether they exist or not: a list of many thousands always has a stray
    line, which is skipped with the reason when it is read.

    Args:
        inputs: images, PDF files, folders, patterns, label files, or ``-`` for a list on standard input.
        label_images: where the images of label files are.

    Raises:
        InputError: listing inputs that do not exist or hold no image.
    """
    files: list[PageFile] = []
    faults = []
    for text, is_listed in _expand_list(inputs):
        try:
            files += _files_of(text, label_images, is_listed=is_listed)
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError.listing("Some inputs cannot be used:", faults)
    if not files:
        raise InputError("standard input lists no image: give one path a line")
    return _named(files)


def _expand_list(inputs: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each input, and whether it was in the list on standard input."""
    for text in inputs:
        if text != STDIN:
            yield text, False
            continue
        for line in sys.stdin.read().splitlines():
            if line.strip():
                yield line, True


def _files_of(text: str, label_images: LabelImages, *, is_listed: bool) -> list[PageFile]:
    path = Path(text)
    if path.is_dir():
        return _files_in(path, is_listed=is_listed)
    if path.suffix.lower() == ".json" and path.is_file():
        return _files_labelled(path, label_images)
    if is_listed or split_page(path)[0].is_file():
        return [PageFile(path.name, path)]
    matches = [Path(match) for match in sorted(glob(text, recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern
    matches = [match for match in matches if match.is_file()]
    if not matches:
        raise InputError(f"{text}: not found, neither as a file or folder nor as a pattern that matches files")
    return [PageFile(match.name, match) for match in matches]


def _files_in(folder: Path, *, is_listed: bool) -> list[PageFile]:
    images = list_images(folder, suffixes=SUFFIXES | {".pdf"})
    if images:
        return [PageFile(str(image.relative_to(folder)), image) for image in images]
    if is_listed:
        return [PageFile(folder.name, folder)]  # skipped, with the reason
    raise InputError(f"{folder}: the folder holds no images{describe_left_out([str(folder)])}")


def _files_labelled(labels: Path, label_images: LabelImages) -> list[PageFile]:
    """The images of a label file."""
    folders = label_images.folders(labels)
    for folder in folders:
        label_set = open_labels(labels, folder)
        files = page_files(LabelledImages(label_set, folder, range(len(label_set.names))))
        if not files:
            raise InputError(f"{labels}: lists no images")
        if any(split_page(file.path)[0].exists() for file in files):
            return files
    where = " or ".join(str(folder) for folder in folders)
    raise InputError(f"{labels}: none of its images is in {where}; set datasets.predict_dataset.image_path=FOLDER")


def _named(files: Sequence[PageFile]) -> list[PageFile]:
    """Each file once; by their paths, if names occur twice."""
    once: dict[str, PageFile] = {}
    for file in files:
        once.setdefault(os.path.realpath(file.path), file)
    names = {file.name for file in once.values()}
    if len(names) == len(once):
        return list(once.values())
    return [PageFile(str(file.path), file.path) for file in once.values()]


def describe_left_out(inputs: Sequence[str]) -> str:
    """What the folders among the inputs hold that looks like images but is not read; empty if there is nothing."""
    kinds = Counter[str]()
    for text in inputs:
        if Path(text).is_dir():
            kinds += left_out(Path(text))
    if not kinds:
        return ""
    listed = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    return f" ({kinds.total()} files left out: {listed})"


def expand_pages(files: Sequence[PageFile]) -> list[PageFile]:
    """Files of several pages (PDF, TIFF) as their pages, named ``scan.pdf#page=3``."""
    pages = []
    for file in files:
        for path in page_paths(file.path):
            name = file.name
            if path != file.path:
                name += path.name.removeprefix(file.path.name)
            pages.append(PageFile(name, path))
    return pages
