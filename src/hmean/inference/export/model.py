"""From a checkpoint to an exported model that was checked."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean import __version__
from hmean.data.pages import LabelledImages
from hmean.data.views import STRIDE, letterbox
from hmean.errors import InputError
from hmean.images import decode
from hmean.inference.checkpoints import Checkpoint
from hmean.inference.detector import TextDetector
from hmean.inference.export.check import compare_maps, measure_loss, require_same
from hmean.inference.export.convert import convert
from hmean.inference.export.graph import write_onnx
from hmean.inference.exported import ExportedRunner
from hmean.inference.metadata import (
    ExportedMetadata,
    ExportedProvenance,
    ExportedScores,
    ExportProvenance,
    Preprocess,
    network_hash,
    write_metadata,
)
from hmean.inference.torch_runner import TorchRunner
from hmean.inference.trained import Execution, PageFile, text_settings
from hmean.network.detector import Detector
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PagesSeen
from hmean.runs.folder import RunFolder
from hmean.runs.manifest import Manifest, git_state, package_versions
from hmean.runs.metrics import read_epochs
from hmean.runs.provenance import TrainingProvenance
from hmean.runs.scores import Scores
from hmean.types import ExportFormat, Precision, View

SUFFIX: dict[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml", "rapidocr": ".onnx"}
CHECK_PAGES = 24  # that the check runs on, at most
CALIBRATION_PAGES = 32  # that int8 takes its ranges from, at most


@dataclass(frozen=True)
class ExportOptions:
    """What is exported.

    Attributes:
        precision: of the network.
        view: how it sees pages.
        params: post-processing values.
        execution: how networks are run for the check.
    """

    precision: Precision
    view: View
    params: PostprocessParams
    execution: Execution = field(default_factory=Execution)


@dataclass(frozen=True)
class ExportPages:
    """The pages of an export.

    Attributes:
        check: pages on which the exported network must find what the checkpoint finds.
        calibration: pages that int8 takes its ranges from.
        labelled: pages that the loss of int8 is measured on; None if there are none.
        split: of the labelled pages.
    """

    check: Sequence[PageFile]
    calibration: Sequence[PageFile]
    labelled: LabelledImages | None
    split: str


def export_model(checkpoint: Checkpoint, target: Path, options: ExportOptions, pages: ExportPages) -> ExportedMetadata:
    """Export a checkpoint.

    Args:
        checkpoint: the model.
        target: file to write: .onnx, or .xml for OpenVINO, whose .bin file is written next to it.
        options: what is exported.
        pages: that it is checked with.

    Returns:
        The metadata of the file.

    Raises:
        InputError: if the exported network does not find what the checkpoint finds; nothing is then written.
    """
    if options.precision == "int8" and pages.labelled is None:
        raise InputError("precision=int8: needs labelled pages, to measure what it loses; set dataset_base_path=FOLDER")
    started = time.monotonic()
    detector = checkpoint.build("cpu")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        made = Path(scratch) / f"made{target.suffix}"
        single = Path(scratch) / "fp32.onnx"
        write_onnx(detector, single)
        views = _views(pages.calibration, options.view, detector.encoder.fill)
        convert(single, made, options.precision, views)
        metadata = _describe(checkpoint, detector, options)
        write_metadata(made, metadata)
        metadata = _with_hashes(metadata, made)
        write_metadata(made, metadata)  # so that it can be opened
        metadata = _check(made, target, metadata, checkpoint, detector, options, pages)
        metadata = _with_seconds(metadata, time.monotonic() - started)
        write_metadata(made, metadata)
        for part in sorted(Path(scratch).glob("made.*")):  # the weights before the .xml file that needs them
            part.replace(target.with_suffix(part.suffix))
    return metadata


def _views(pages: Sequence[PageFile], view: View, fill: tuple[int, int, int]) -> Iterator[NDArray[np.uint8]]:
    """What the network sees of pages."""
    for page in pages[:CALIBRATION_PAGES]:
        pixels = decode(page.path)
        yield letterbox(pixels.width, pixels.height, view.long_side, view.pad).image(pixels, fill)


def _check(
    made: Path,
    target: Path,
    metadata: ExportedMetadata,
    checkpoint: Checkpoint,
    detector: Detector,
    options: ExportOptions,
    pages: ExportPages,
) -> ExportedMetadata:
    """The metadata with what the comparison with the checkpoint has found."""
    theirs = TorchRunner(detector, options.view, checkpoint.layout, checkpoint.carried.shrink_ratio)
    ours = ExportedRunner(TextDetector(made), options.view)
    check = compare_maps(theirs, ours, pages.check[:CHECK_PAGES], options.params, options.execution)
    require_same(target, check, options.precision)
    loss = None
    if options.precision == "int8" and pages.labelled is not None:
        loss = measure_loss(theirs, ours, pages.labelled, pages.split, options.params, options.execution)
    return metadata.model_copy(update={"check": check, "loss": loss})


def _with_hashes(metadata: ExportedMetadata, made: Path) -> ExportedMetadata:
    """The metadata with the hash of the network, as it is once metadata was written: that writes an .xml file anew."""
    own_hash = network_hash(made)
    hashes = {"network_hash": own_hash}
    if metadata.precision != "fp32":  # another network than the checkpoint's
        hashes["weights_hash"] = own_hash
    return metadata.model_copy(update=hashes)


def _with_seconds(metadata: ExportedMetadata, seconds: float) -> ExportedMetadata:
    """The metadata with the duration of the export."""
    export = metadata.provenance.export.model_copy(update={"seconds": round(seconds, 1)})
    provenance = metadata.provenance.model_copy(update={"export": export})
    return metadata.model_copy(update={"provenance": provenance})


def _describe(checkpoint: Checkpoint, detector: Detector, options: ExportOptions) -> ExportedMetadata:
    """The metadata, without hashes of the network and without what the check finds."""
    seen = checkpoint.pages
    if checkpoint.path.name == "last.ckpt":  # whose epoch no page has chosen
        seen = PagesSeen(train=seen.train, val=np.zeros(0, dtype=np.int64))
    transforms = {
        **checkpoint.training["transforms"],
        "long_side": options.view.long_side,
        "pad": options.view.pad,
        **text_settings(options.view),
    }
    return ExportedMetadata(
        preprocess=Preprocess(
            long_side=options.view.long_side,
            pad=options.view.pad,
            text=options.view.text,
            stride=STRIDE,
            fill=detector.encoder.fill,
        ),
        postprocess=options.params,
        precision=options.precision,
        epoch=checkpoint.epoch,
        weights_hash=checkpoint.weights_hash(),
        history=tuple(checkpoint.history),
        pages=seen,
        provenance=_provenance(checkpoint, options),
        config={**checkpoint.training, "transforms": transforms},
        members=checkpoint.carried.members,
    )


def _provenance(checkpoint: Checkpoint, options: ExportOptions) -> ExportedProvenance:
    scores = None
    if options.precision != "int8":
        scores = _scores(checkpoint, options)
    carried = checkpoint.carried.provenance
    training = carried.training
    if training is None and not checkpoint.carried.members:
        training = _training_of_folder(checkpoint)
    return ExportedProvenance(
        training=training,
        members=carried.members,
        export=ExportProvenance(
            hmean=__version__,
            git=git_state(),
            versions=package_versions(),
            date=time.strftime("%Y-%m-%dT%H:%M:%S"),
        ),
        checkpoint_hash=checkpoint.weights_hash(),
        scores=scores,
    )


def _training_of_folder(checkpoint: Checkpoint) -> TrainingProvenance:
    """What is known of the training of a checkpoint that does not say it: an earlier version of hmean wrote it."""
    if checkpoint.folder is None:
        return TrainingProvenance.of_config(checkpoint.training)
    run = RunFolder(checkpoint.folder)
    if not run.manifest.exists():
        return TrainingProvenance.of_config(checkpoint.training)
    training = TrainingProvenance.of_manifest(Manifest.read(run.manifest), checkpoint.training)
    epochs = [row for row in read_epochs(run.metrics) if row.epoch <= checkpoint.epoch]
    if epochs:
        minutes = round(sum(row.seconds for row in epochs) / 60, 2)
        training = training.model_copy(update={"minutes": minutes})
    return training


def _scores(checkpoint: Checkpoint, options: ExportOptions) -> ExportedScores | None:
    """What the run's evaluation says of these weights, view and values; of tuned values, the cross-fitted scores."""
    if checkpoint.folder is None:
        return None
    run = RunFolder(checkpoint.folder)
    for path in (run.cross_fitted_scores, run.scores):
        if not path.exists():
            continue
        scores = Scores.read(path)
        if scores.influenced_by.trained > 0:  # of pages that the model was trained on: no score of anything
            continue
        made_by = (scores.weights_hash, scores.long_side, scores.text, scores.postprocess)
        if made_by == (checkpoint.weights_hash(), options.view.long_side, options.view.text, options.params):
            file = str(path.relative_to(run.path))
            return ExportedScores(
                file=file,
                split=scores.split,
                images=scores.images,
                cleval=scores.cleval,
                iou50=scores.iou50,
                iou70=scores.iou70,
                interval95=scores.interval95,
            )
    return None
