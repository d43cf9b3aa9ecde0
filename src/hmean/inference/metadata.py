"""The metadata of exported models: how pages are shown to the network, where it comes from, how it was checked.

It lies inside the model's file, as one JSON text (see ``onnx_file`` and ``openvino_file``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pydantic
from pydantic import AliasChoices, Field

from hmean.errors import InputError
from hmean.inference import onnx_file, openvino_file
from hmean.metrics.intervals import Interval
from hmean.metrics.record import ScoreRecord
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.carried import Carried
from hmean.runs.comparison import Difference
from hmean.runs.manifest import GitState
from hmean.runs.provenance import Provenance, TrainingProvenance, describe_git, describe_versions
from hmean.types import Pad, Precision, Statistic, TextView, View

METADATA_FORMAT = 1
SUFFIXES = (".onnx", ".xml")
AGAIN = "export the model again: hmean export run=FOLDER"


class Preprocess(Record):
    """How a page becomes the network's input."""

    long_side: int = Field(
        description="length that the page's longest side is scaled to, in pixels; a view of the text has at most as "
        "many pixels as a square of it"
    )
    pad: Pad = Field(description="square: filled up to long_side x long_side; stride: to the next multiple of stride")
    text: TextView | None = Field(
        default=None,
        description="how a view is cut and scaled to the text of the page, whose first look is a pass of the network "
        "over the whole page; null: the view is of the whole page",
    )
    stride: int = Field(description="width and height of the input are multiples of it")
    fill: tuple[int, int, int] = Field(description="RGB colour to the right of the page and below it")
    input: str = Field(default="uint8 RGB (pages, height, width, 3)", description="type and shape of the input")

    @property
    def view(self) -> View:
        """How the network sees pages."""
        return View(self.long_side, self.pad, self.text)


class ExportedScores(ScoreRecord):
    """What the run's evaluation says of these weights with these values."""

    file: str = Field(description="file of the run that says so")
    split: str | None = Field(validation_alias=AliasChoices("split", "part"), description="the pages")
    interval95: dict[Statistic, Interval | None] = Field(description="95 % interval of each hmean")


class ExportProvenance(Record):
    """What exported the network."""

    hmean: str = Field(description="version of hmean")
    git: GitState | None = Field(description="state of the git repository; null if there was none")
    versions: dict[str, str | None] = Field(description="versions of the packages that results depend on")
    date: str = Field(description="time of the export, local")
    seconds: float | None = Field(default=None, description="duration, with the check; null: not recorded")


class ExportedProvenance(Provenance):
    """Where the network comes from: the training and the export, each with its own code, versions and date."""

    export: ExportProvenance = Field(description="what exported the network")
    checkpoint_hash: str = Field(description="hash of the checkpoint's weights")
    scores: ExportedScores | None = Field(
        default=None,
        description="scores of the run, if they are of these weights, this view and these post-processing values (of "
        "tuned values the cross-fitted ones); null for int8, and once the values in the file change",
    )

    def describe_export(self) -> str:
        """The export on one line."""
        export = self.export
        duration = ""
        if export.seconds is not None:
            duration = f", in {export.seconds:.0f} seconds"
        return (
            f"commit {describe_git(export.git)}, hmean {export.hmean}, {export.date}{duration}; "
            f"{describe_versions(export.versions)}"
        )


class Check(Record):
    """How far the exported network is from the checkpoint's, on pages that both have seen."""

    pages: int = Field(description="number of pages")
    max_difference: float = Field(description="largest difference in P of any pixel")
    boxes: int = Field(description="text polygons that the checkpoint finds")
    exported_boxes: int = Field(description="text polygons that the exported model finds")
    same_boxes: float = Field(description="share of them that are the same (IoU of at least 0.9)")
    postprocess: PostprocessParams = Field(description="the post-processing values")
    other_views: int = Field(
        default=0,
        description="pages of which the two have cut different views of the text (transforms.view=text), since the "
        "first looks differ by a rounding; P and boxes above are of the other pages",
    )
    same_boxes_in_other_views: float | None = Field(
        default=None, description="share of the same polygons on these pages; null: there are none"
    )


class Loss(Record):
    """What an int8 model loses: differences to the checkpoint on labelled pages, paired."""

    pages: int = Field(description="number of pages")
    split: str = Field(validation_alias=AliasChoices("split", "part"), description="the pages: train, val or test")
    page_keys: str = Field(description="hash of the keys of the pages")
    postprocess: PostprocessParams = Field(description="the post-processing values")
    macro: Difference = Field(description="of CLEval's macro hmean")
    pooled: Difference = Field(description="of CLEval's pooled hmean")
    iou50: Difference = Field(description="of the hmean at IoU 0.5")
    iou70: Difference = Field(description="of the hmean at IoU 0.7")
    macro_p: Difference | None = Field(default=None, description="of CLEval's macro precision")
    macro_r: Difference | None = Field(default=None, description="of CLEval's macro recall")


class ExportedMetadata(Carried):
    """What an exported model's file says beside its network."""

    remedy: ClassVar[str] = AGAIN

    preprocess: Preprocess = Field(description="how a page becomes the network's input")
    classes: tuple[str, ...] = Field(default=("text",), description="what the network finds")
    precision: Precision = Field(
        description="of the network: fp16 has weights in half precision and computes in single; int8 has convolutions "
        "in 8 bits, but for the first (QDQ, weights per channel)"
    )
    weights_hash: str = Field(
        description="of the checkpoint for fp32, else of the file's own network: maps are shared where it is the same"
    )
    network_hash: str | None = Field(
        default=None, description="SHA-256 of the file without this text: a file with another network is refused"
    )
    provenance: ExportedProvenance = Field(description="where the network comes from")
    check: Check | None = Field(default=None, description="the comparison with the checkpoint")
    loss: Loss | None = Field(default=None, description="int8: what is lost")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, values: Any) -> Any:
        """Earlier versions wrote the export's commit and the training's hashes side by side, and no more of it."""
        provenance = values.get("provenance") if isinstance(values, Mapping) else None
        if not isinstance(provenance, Mapping) or "exported" not in provenance:
            return values
        training = TrainingProvenance.of_config(values.get("config", {})).model_copy(
            update={"config_hash": provenance.get("config_hash"), "data_hash": provenance.get("data_hash") or None}
        )
        export = {
            "hmean": provenance.get("hmean"),
            "git": provenance.get("git"),
            "versions": provenance.get("versions"),
            "date": provenance.get("exported"),
        }
        present = {
            "training": training,
            "export": export,
            "checkpoint_hash": provenance.get("checkpoint_hash"),
            "scores": provenance.get("scores"),
        }
        return {**values, "provenance": present}


def read_metadata(path: Path) -> ExportedMetadata:
    """The metadata of an exported model.

    Raises:
        InputError: if the file is missing, damaged, or was not written by ``hmean export``.
    """
    require_exported(path)
    return parse_metadata(_read_text(path), path)


def require_exported(path: Path) -> None:
    """Check that a path is that of an exported model.

    Raises:
        InputError: if it has another suffix or is not a file.
    """
    if path.suffix not in SUFFIXES:
        model = "run=FOLDER"
        if path.suffix == ".ckpt":
            model = f"checkpoint_path={path}"
        raise InputError(f"{path}: is not an exported model (.onnx, .xml); create one with: hmean export {model}")
    if not path.is_file():
        raise InputError(f"{path}: exported model not found")


def parse_metadata(text: str | None, path: Path) -> ExportedMetadata:
    """Metadata from its text.

    Raises:
        InputError: if it is none of hmean's, or of another version.
    """
    if text is None:
        raise InputError(f"{path}: was not written by hmean export; create it with: hmean export run=FOLDER")
    try:
        values: Any = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: its metadata is not JSON ({error}); {AGAIN}") from error
    version = values.get("format") if isinstance(values, dict) else None
    if version != METADATA_FORMAT:
        raise InputError(f"{path}: has format {version}, and this version of hmean reads {METADATA_FORMAT}; {AGAIN}")
    return ExportedMetadata.parse(values, path)


def write_metadata(path: Path, metadata: ExportedMetadata) -> None:
    """Replace the metadata of an exported model, atomically; the network stays as it is.

    Raises:
        InputError: if it cannot be written, or needs the onnx package, which is not installed.
    """
    values = {"format": METADATA_FORMAT, **metadata.to_json()}
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    if path.suffix == ".xml":
        openvino_file.write_text(path, text)
    else:
        onnx_file.write_text(path, text)


def require_writable(path: Path) -> None:
    """Check that metadata can be written into a file like this.

    Raises:
        InputError: if that needs the onnx package, which is not installed.
    """
    if path.suffix != ".xml":
        onnx_file.require_writer(path)


def network_bytes(path: Path) -> bytes:
    """All that makes the maps, without metadata: it stays the same when post-processing values change."""
    return _network_bytes(path, _read_text(path))


def network_hash(path: Path) -> str:
    """SHA-256 of ``network_bytes``."""
    return hashlib.sha256(network_bytes(path)).hexdigest()


def require_same_network(path: Path, text: str | None, metadata: ExportedMetadata) -> None:
    """Check that a file holds the network that was exported.

    Args:
        path: the file.
        text: its metadata as it is in the file.
        metadata: the same as a record.

    Raises:
        InputError: if the network has changed, or the file does not say what it was.
    """
    if metadata.network_hash is None:
        raise InputError(f"{path}: was exported by an earlier version of hmean; {AGAIN}")
    if hashlib.sha256(_network_bytes(path, text)).hexdigest() != metadata.network_hash:
        raise InputError(f"{path}: is damaged or changed: its network is not the one that was exported; {AGAIN}")


def _read_text(path: Path) -> str | None:
    if path.suffix == ".xml":
        return openvino_file.read_text(path)
    return onnx_file.read_text(path)


def _network_bytes(path: Path, text: str | None) -> bytes:
    if path.suffix == ".xml":
        return openvino_file.network_bytes(path)
    return onnx_file.network_bytes(path, text)
