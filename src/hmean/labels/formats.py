"""Every label format that hmean reads, in one table, and the function that finds the right one."""

from __future__ import annotations

from pathlib import Path

from hmean.errors import InputError
from hmean.labels.icdar import IcdarLabels
from hmean.labels.label_set import LabelSet
from hmean.labels.ufo import UfoLabels

# The first format that recognises a path opens it. UFO takes any file and ICDAR any folder, so put new formats first.
FORMATS: tuple[type[LabelSet], ...] = (
    UfoLabels,
    IcdarLabels,
)


def format_names() -> str:
    """All formats in words, for messages and help."""
    return " or ".join(label_format.format_name for label_format in FORMATS)


def open_labels(path: Path, image_path: Path) -> LabelSet:
    """Open a label set of any format.

    Args:
        path: the label file, or the folder of label files.
        image_path: folder of the images.

    Raises:
        InputError: if the path does not exist or is not in one of the ``FORMATS``.
    """
    for label_format in FORMATS:
        if label_format.recognises(path):
            return label_format.open(path, image_path)
    raise InputError(
        f"{path}: not found. Labels are {format_names()}. Lay out a data set as <dataset_base_path>/images/... and "
        "<dataset_base_path>/jsons/{train,val,test}.json (docs/reference/data.md), or draw one to try hmean: "
        "hmean data synth data"
    )


def images_of(path: Path) -> Path:
    """Where the images of a label set are unless the user says so: in ``images/`` beside it, or right beside it."""
    beside = path.parent / "images"
    if beside.is_dir():
        return beside
    return path.parent
