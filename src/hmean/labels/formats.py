"""Every label format in one table; labels are found in it by what they hold, not by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hmean.errors import InputError
from hmean.files import atomic, atomic_folder
from hmean.labels import (
    alto,
    coco,
    contest_csv,
    cord,
    cvat,
    doctr,
    funsd,
    hf_folder,
    hf_tables,
    hocr,
    icdar,
    jsonl,
    label_studio,
    labelme,
    paddle,
    page_xml,
    ufo,
    via,
    wildreceipt,
    yolo,
)
from hmean.labels.image_names import ImageNames
from hmean.labels.joined import JoinedLabels
from hmean.labels.label_format import LabelFormat, Lost, Writer, fitted
from hmean.labels.label_set import LabelSet
from hmean.labels.peek import IMAGE_SUFFIXES, Peek, first_object
from hmean.labels.whole_file import WholeFileLabels, require_single
from hmean.labels.words import shown
from hmean.labels.xml_files import root_name
from hmean.types import Page

# Labels belong to the first format that recognises them; a test asks that no other one does.
FORMATS: tuple[LabelFormat, ...] = (
    ufo.FORMAT,
    jsonl.FORMAT,
    icdar.FORMAT,
    coco.FORMAT,
    label_studio.FORMAT,
    labelme.FORMAT,
    via.FORMAT,
    paddle.FORMAT,
    doctr.FORMAT,
    cord.FORMAT,
    wildreceipt.FORMAT,
    funsd.FORMAT,
    funsd.XFUND_FORMAT,
    yolo.FORMAT,
    yolo.BOX_FORMAT,
    contest_csv.FORMAT,
    cvat.FORMAT,
    page_xml.FORMAT,
    alto.FORMAT,
    hocr.FORMAT,
    hf_folder.FORMAT,
    hf_tables.FORMAT,
)

_BIGGER_GLANCE = 1 << 24  # bytes, for a file whose first key holds much
_SUFFIXES = frozenset(
    {".json", ".jsonl", ".ndjson", ".txt", ".csv", ".tsv", ".xml", *hocr.SUFFIXES, *hf_tables.FILE_SUFFIXES}
)


def format_names() -> str:
    """All formats by name, for messages and help."""
    names = [label_format.name for label_format in FORMATS]
    return f"labels in one of these formats: {', '.join(names)} (docs/reference/formats.md)"


def format_of_name(name: str) -> LabelFormat:
    """The format that ``format=NAME`` means.

    Raises:
        InputError: if there is none of this name, or hmean does not write it.
    """
    written = [label_format for label_format in FORMATS if label_format.write is not None]
    for label_format in written:
        if label_format.name == name:
            return label_format
    raise InputError(f"format={name}: is not one of {', '.join(sorted(found.name for found in written))}")


# --- reading ----------------------------------------------------------------------------------------------------------


def open_labels(path: Path, image_path: Path) -> LabelSet:
    """Open labels of any format.

    Args:
        path: a label file, a folder of label files, or a folder of label sets, which are read as one.
        image_path: folder of the images.

    Raises:
        InputError: if the path does not exist, is in none of the ``FORMATS``, or cannot be read.
    """
    if not path.exists():
        raise InputError(
            f"{path}: not found. Lay out a data set as <dataset_base_path>/images/... and "
            "<dataset_base_path>/jsons/{train,val,test}.json (docs/reference/data.md), or draw one to try hmean: "
            "hmean data synth data"
        )
    peek = Peek.of(path)
    found = recognised(peek)
    if found is not None:
        return _open(found, path, image_path)
    if peek.is_folder:
        return _open_folder(peek, image_path)
    raise InputError(f"{path}: {_describe(peek)}")


def recognised(peek: Peek) -> LabelFormat | None:
    """The format of a file or folder; None if it is in none of the ``FORMATS``."""
    for label_format in FORMATS:
        if label_format.recognises(peek):
            return label_format
    if not peek.is_folder and len(peek.start) < _BIGGER_GLANCE and len(peek.start) < peek.path.stat().st_size:
        return recognised(Peek.of(peek.path, _BIGGER_GLANCE))
    return None


def _open(found: LabelFormat, path: Path, image_path: Path) -> LabelSet:
    """Open a file or folder of a format."""
    if found.open is not None:
        return found.open(path, image_path)
    assert found.read is not None  # noqa: S101 - a format has one of the two
    files = [path]
    if path.is_dir():
        files = [file for file in Peek.of(path).files(found.suffix) if file.name not in found.companions]
    return WholeFileLabels(path, files, ImageNames(image_path, path), found.read, found.title)


def _open_folder(peek: Peek, image_path: Path) -> LabelSet:
    """The labels of a folder that is no format of its own: files of one page each, or several label sets."""
    formats: dict[Path, LabelFormat] = {}
    unknown: dict[Path, str] = {}
    for file in _label_files(peek):
        glance = Peek.of(file)
        found = recognised(glance)
        if found is None:
            unknown[file] = _look_of_other_export(glance) or _look_of(glance)
        elif found.one_page_a_file:
            return _open(found, peek.path, image_path)
        else:
            formats[file] = found
    companions = {name for found in formats.values() for name in found.companions}
    faults = [f"{file}: {fault}" for file, fault in unknown.items() if file.name not in companions]
    if faults:
        raise InputError.listing(
            f"{peek.path}: some of its files are no labels that hmean reads; it reads {format_names()}:", faults
        )
    if not formats:
        raise InputError(f"{peek.path}: holds no label files; hmean reads {format_names()}")
    parts = [_open(found, file, image_path) for file, found in formats.items()]
    return join_labels(parts)


def _label_files(folder: Peek) -> list[Path]:
    return [folder.path / name for name in folder.names if Path(name).suffix.lower() in _SUFFIXES]


def open_label_sets(paths: Sequence[Path], image_path: Path) -> LabelSet:
    """Open several label files and folders as one label set.

    Args:
        paths: one or more, as ``open_labels`` takes them.
        image_path: folder of the images of all of them.

    Raises:
        InputError: as ``open_labels``, or if an image is in two of them.
    """
    return join_labels([open_labels(path, image_path) for path in paths])


def join_labels(parts: Sequence[LabelSet]) -> LabelSet:
    """Several label sets as one.

    Args:
        parts: the label sets, one or more.

    Raises:
        InputError: if an image is in two of them.
    """
    if len(parts) == 1:
        return parts[0]
    joined = JoinedLabels(parts)
    require_single(parts[0].source.parent, joined.names)
    return joined


def images_of(path: Path) -> Path:
    """Where the images of a label set are unless the user says so: in its folder, or beside it, best in ``images/``."""
    if path.is_dir() and any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir()):
        return path
    beside = path.parent / "images"
    if beside.is_dir():
        return beside
    return path.parent


def _describe(peek: Peek) -> str:
    """What a file is that no format recognises."""
    look = _look_of_other_export(peek)
    if look is not None:
        return look
    return f"{_look_of(peek)}; hmean reads {format_names()}"


def _look_of_other_export(peek: Peek) -> str | None:
    """What to do about an export of a tool in a form that hmean does not read; None: it is no such file."""
    root = root_name(peek)
    if root == "annotations" and "<track" in peek.text:
        return "this looks like CVAT for video; export it as CVAT for images 1.1"
    if root == "annotation" and "<object" in peek.text:
        return "this looks like Pascal VOC; export it as COCO, or as CVAT for images 1.1"
    if isinstance(peek.json, list):
        item = first_object(peek.json)
        if {"annotation_id", "annotator"} & item.keys() and "data" not in item:
            return "this looks like Label Studio JSON-MIN; export it as JSON"
    return None


def _look_of(peek: Peek) -> str:
    if not peek.start:
        return "is empty"
    if root_name(peek):
        return f"is XML, but in no format that is known: its outermost element is {shown(root_name(peek))}"
    return _look_of_json(peek) or _look_of_text(peek)


def _look_of_json(peek: Peek) -> str | None:
    if peek.keys:
        return f"is JSON, but in no format that is known: its keys are {shown(list(peek.keys))}"
    if isinstance(peek.json, list) and peek.json:
        keys = list(first_object(peek.json))
        return f"is JSON, but in no format that is known: a list of items with the keys {shown(keys)}"
    if peek.text.lstrip().startswith(("{", "[")):
        return "is not JSON, or an empty object or list"
    return None


def _look_of_text(peek: Peek) -> str:
    if b"\0" in peek.start:
        return "is no text"
    return f"is in no format that is known; it begins with {shown(peek.lines[:1])}"


# --- writing ----------------------------------------------------------------------------------------------------------


def write_labels(path: Path, label_format: LabelFormat, pages: Iterable[Page], *, overwrite: bool = False) -> Lost:
    """Write pages, a file or folder that is complete or not there.

    Args:
        path: the file or folder.
        label_format: with a writer.
        pages: read one by one.
        overwrite: replace a file, or a folder that holds nothing but such files.

    Returns:
        What the format cannot hold, in numbers.

    Raises:
        InputError: if the path exists, or cannot be written.
    """
    write = label_format.write
    assert write is not None  # noqa: S101 - ``format_of_name`` gives no other one
    _require_free(path, write, overwrite=overwrite)
    lost = Lost()
    kept = fitted(pages, label_format.keeps, lost)
    make = atomic
    if write.is_folder:
        make = atomic_folder
    with make(path) as part:
        write(part, kept)
    return lost


def _require_free(path: Path, write: Writer, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not overwrite:
        raise InputError(f"{path}: exists already; choose another place, or add --overwrite")
    if path.is_dir() != write.is_folder:
        kinds = {True: "a folder", False: "a file"}
        raise InputError(f"{path}: is {kinds[path.is_dir()]}, and this format is {kinds[write.is_folder]}; remove it")
    if not write.is_folder:
        return
    others = [file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix != write.suffix]
    if others:
        raise InputError(f"{path}: holds other files than such labels ({others[0].name}); choose another folder")
