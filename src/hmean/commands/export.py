"""``hmean export``: a checkpoint in; one file out that runs without torch and was checked against the checkpoint."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.checkpoints import Checkpoint
from hmean.inference.export.check import SAME_IOU
from hmean.inference.export.model import (
    CALIBRATION_PAGES,
    CHECK_PAGES,
    SUFFIX,
    ExportOptions,
    ExportPages,
    export_model,
)
from hmean.inference.export.rapidocr import (
    describe,
    maps_for_rapidocr,
    notice_of,
    rapidocr_values,
    write_for_rapidocr,
)
from hmean.inference.inputs import LabelImages, expand_pages, gather
from hmean.inference.metadata import Check, ExportedMetadata
from hmean.inference.opening import open_checkpoint
from hmean.inference.trained import Execution, PageFile, page_files
from hmean.metrics.tables import change_text
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.rapidocr import STOCK, RapidOcrView
from hmean.runs.comparison import Difference
from hmean.settings.build import open_dataset
from hmean.settings.export import ExportSettings
from hmean.settings.keys import with_present_keys
from hmean.settings.models import warn_of_start
from hmean.settings.sections import (
    Dataset,
    SplitName,
)
from hmean.synth.dataset import write_dataset
from hmean.tuning.rapidocr import RapidOcrScores, choose_for_rapidocr

DRAWN_PAGES = 6  # receipts that the check runs on where there are no other pages


@dataclass(frozen=True)
class ExportResult:
    """The file that was written, and its metadata."""

    file: Path
    metadata: ExportedMetadata

    def summary(self) -> str:
        """What a person needs: size, the check, where the weights come from, what is next. The file has the rest."""
        lines = [f"{self.file}: {self.metadata.precision}, {self._size() / 1e6:.1f} MB"]
        if self.metadata.check is not None:
            lines.append(_describe_check(self.metadata.check))
        loss = self.metadata.loss
        if loss is not None:
            for name in ("macro", "pooled", "iou50", "iou70"):
                lines.append(_describe_loss(name, getattr(loss, name)))
        lines += self.metadata.provenance.describe_origin()
        lines.append(f"next: hmean predict IMAGES checkpoint_path={self.file}")
        return "\n".join(lines)

    def _size(self) -> int:
        """Bytes of the file, and of the weights beside it."""
        size = self.file.stat().st_size
        if self.file.suffix == ".xml":
            size += self.file.with_suffix(".bin").stat().st_size
        return size


@dataclass(frozen=True)
class RapidOcrExport:
    """A file for RapidOCR, and how it is used.

    Attributes:
        file: that was written.
        view: how RapidOCR has to scale pages.
        params: values for RapidOCR: ``thresh``, ``box_thresh``, ``unclip_ratio``.
        scores: None: there were no labelled pages, and the values are RapidOCR's own.
        max_difference: of P from the checkpoint's network, on the pages of the check.
        notice: what the file says of where it comes from.
    """

    file: Path
    view: RapidOcrView
    params: PostprocessParams
    scores: RapidOcrScores | None
    max_difference: float
    notice: str

    def snippet(self) -> str:
        """Python that makes RapidOCR use the file."""
        lines = ["from rapidocr import RapidOCR", "", "engine = RapidOCR(params={"]
        values = {"model_path": str(self.file), **rapidocr_values(self.view, self.params)}
        for key, value in values.items():
            literal = repr(value)
            if isinstance(value, str):
                literal = json.dumps(value, ensure_ascii=False)
            lines.append(f'    "Det.{key}": {literal},')
        return "\n".join([*lines, "})"])

    def summary(self) -> str:
        """What was written and measured, and the snippet."""
        lines = [
            f"{self.file}: {self.file.stat().st_size / 1e6:.1f} MB, for RapidOCR (Det.model_path)",
            f"checked against torch: P differs by up to {self.max_difference:.2g}, with RapidOCR's normalisation",
        ]
        if self.scores is None:
            lines.append(
                "no labelled pages: the values are RapidOCR's own; set dataset_base_path=FOLDER to choose them"
            )
        else:
            lines += self.scores.describe()
        return "\n".join([*lines, self.notice, "", self.snippet()])


def _describe_check(check: Check) -> str:
    pages = f"checked against torch on {check.pages} pages: P differs by up to {check.max_difference:.2g}"
    if check.boxes == 0:
        return f"{pages}, and neither finds a box: is the model trained?"
    return f"{pages}, {100 * check.same_boxes:.2f} % of {check.boxes} boxes are the same (IoU >= {SAME_IOU:g})"


def _describe_loss(statistic: str, change: Difference) -> str:
    points = f"{statistic} H {100 * change.difference:+.2f} points"
    if change.interval95 is not None:
        points = f"{points} {change_text(change.interval95)}"
    return f"{points} against fp32: {change.verdict}"


def run(settings: ExportSettings) -> ExportResult | RapidOcrExport:
    """Export a checkpoint.

    Raises:
        InputError: if the exported network does not find what the checkpoint finds; nothing is then written.
    """
    checkpoint = open_checkpoint(settings.model_file(), settings.trusted_targets)
    warn_of_start(checkpoint.path)
    target = _target(settings, checkpoint)
    if settings.format == "rapidocr":
        return _export_for_rapidocr(settings, checkpoint, target)
    loader = settings.dataloaders.predict_dataloader
    options = ExportOptions(
        precision=settings.precision,
        view=settings.transforms.seen(),
        params=settings.models.head.postprocess.params(),
        execution=Execution("cpu", loader.batch_size, loader.num_workers),
    )
    with tempfile.TemporaryDirectory(prefix="hmean-export-") as scratch:
        pages = _pages(settings, checkpoint, Path(scratch))
        metadata = export_model(checkpoint, target, options, pages)
    return ExportResult(target, metadata)


def _export_for_rapidocr(settings: ExportSettings, checkpoint: Checkpoint, target: Path) -> RapidOcrExport:
    """Write the file, and choose RapidOCR's values on labelled pages."""
    if settings.precision != "fp32":
        raise InputError(f"precision={settings.precision}: not supported with format=rapidocr, which writes fp32")
    view = RapidOcrView(settings.transforms.seen().long_side, "max")
    notice = notice_of(checkpoint)
    params = STOCK
    scores = None
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        pages = _pages(settings, checkpoint, Path(scratch))
        made = Path(scratch) / "made.onnx"
        difference = write_for_rapidocr(checkpoint, made, pages.check[:CHECK_PAGES], view)
        if pages.labelled is not None:
            maps = maps_for_rapidocr(made, pages.labelled, view)
            truth = [pages.labelled.page(position) for position in range(len(pages.labelled))]
            params, scores = choose_for_rapidocr(truth, lambda page: maps[page.name])
        describe(made, notice, view, params)
        made.replace(target)
    return RapidOcrExport(target, view, params, scores, difference, notice)


def _target(settings: ExportSettings, checkpoint: Checkpoint) -> Path:
    """The file to write."""
    suffix = SUFFIX[settings.format]
    if settings.output is not None:
        target = Path(settings.output)
    elif checkpoint.folder is None:
        raise InputError(f"{checkpoint.path}: does not lie in a run folder; set output=FILE{suffix}")
    else:
        name = checkpoint.training["exp_name"] or "model"
        kind: str = settings.precision
        if settings.format == "rapidocr":
            kind = "rapidocr"
        target = checkpoint.folder / "exported" / f"{name}_{kind}{suffix}"
    if target.suffix != suffix:
        raise InputError(f"output={target}: must end in {suffix} with format={settings.format}")
    if target.exists() and not settings.overwrite:
        raise InputError(f"{target}: exists already; set overwrite=true or another output")
    return target


def _pages(settings: ExportSettings, checkpoint: Checkpoint, scratch: Path) -> ExportPages:
    """The inputs, else the labelled pages of the split, else drawn receipts."""
    labelled = _open_existing(_dataset(settings, checkpoint, settings.split))
    if settings.inputs:
        images = LabelImages(None, Path(settings.dataset_base_path) / "images")
        check: Sequence[PageFile] = expand_pages(gather(settings.inputs, images))
    elif labelled is not None:
        check = page_files(labelled)
    else:
        print("no labelled pages found: the check runs on drawn receipts")
        check = _draw_receipts(scratch)
    calibration: Sequence[PageFile] = ()
    if settings.precision == "int8":
        calibration = _calibration_pages(_dataset(settings, checkpoint, "train")) or check
    return ExportPages(check=check, calibration=calibration, labelled=labelled, split=settings.split)


def _dataset(settings: ExportSettings, checkpoint: Checkpoint, split: SplitName) -> Dataset:
    """The data set of a split that the user has named, else that of the training."""
    training = with_present_keys(checkpoint.training)["datasets"]
    name = f"{split}_dataset"
    is_given = settings.given("datasets") or settings.given("dataset_base_path")
    if is_given or training.get(name) is None:  # a training without validation has no val pages
        return settings.datasets.of_split(split)
    values = {key: training[name][key] for key in Dataset.model_fields}
    return Dataset.model_validate(values)


def _open_existing(dataset: Dataset) -> LabelledImages | None:
    if not all(path.exists() for path in dataset.label_paths):
        return None
    return open_dataset(dataset)


def _calibration_pages(dataset: Dataset) -> list[PageFile]:
    """Pages at equal distances in the data set; none if it does not exist."""
    pages = _open_existing(dataset)
    if pages is None:
        return []
    step = max(1, len(pages) // CALIBRATION_PAGES)
    return page_files(pages)[::step]


def _draw_receipts(folder: Path) -> list[PageFile]:
    write_dataset(folder / "drawn", train=DRAWN_PAGES, seed=0)
    images = sorted((folder / "drawn" / "images").glob("*.jpg"))
    return [PageFile(image.name, image) for image in images]
