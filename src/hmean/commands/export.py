"""``hmean export``: a checkpoint in; one file out that runs without torch and finds the same boxes, shown on pages.

The network is written with what would drift if it were written down elsewhere: normalisation and sigmoid are in the
graph (uint8 RGB in, P out), all else that a page goes through is in the file's metadata (``docs/reference/export.md``).
"""

from __future__ import annotations

import hashlib
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hmean.commands.predict import expand, gather
from hmean.data.pages import LabelledImages
from hmean.data.views import STRIDE, letterbox
from hmean.errors import InputError
from hmean.files import read_json
from hmean.images import decode
from hmean.inference.checkpoints import Checkpoint
from hmean.inference.detector import TextDetector
from hmean.inference.exported import ExportedRunner
from hmean.inference.metadata import network_hash, write_about
from hmean.inference.torch_runner import TorchRunner
from hmean.inference.trained import PageFile, Runner, Unreadable
from hmean.metrics.iou import match_array
from hmean.metrics.scorer import PageScore, Scorer, choose_characters
from hmean.network.detector import Detector
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.runs.comparison import Result, compare
from hmean.runs.manifest import Manifest
from hmean.runs.scores import Scores
from hmean.settings.build import open_pages
from hmean.settings.config import Config, DatasetConfig
from hmean.settings.opening import open_configured, view_of
from hmean.synth.dataset import write_dataset
from hmean.types import Page

Format = Literal["onnx", "openvino"]
Precision = Literal["fp32", "fp16", "int8"]
CHECKED = 24  # pages that the check runs, at most
CALIBRATED = 32  # pages that int8 takes its ranges from, at most
SAME = 0.9  # IoU from which two boxes are the same
# The most that P may differ, and the least share of boxes that are the same. Another library adds up in another order;
# where a pixel's P is that near to thresh, the outline of a small word may move by more than SAME allows.
LIMITS: Mapping[str, tuple[float, float]] = {"fp32": (1e-3, 0.995), "fp16": (0.1, 0.98)}
Asked = Sequence[tuple[str, Path]]


def run(paths: Sequence[str], overrides: Sequence[str]) -> str:
    """Export the model of ``checkpoint_path``.

    Args:
        paths: images to check with; none: the validation pages of the model's training, or, without them, drawn ones.
        overrides: ``format=``, ``precision=``, and those of the config.

    Returns:
        What was written and what the check found, in words.

    Raises:
        InputError: if the exported network does not find what the checkpoint finds; nothing is then written.
    """
    form, precision, rest = _options(overrides)
    config, checkpoint = open_configured(rest)
    if not isinstance(checkpoint, Checkpoint):
        raise InputError(f"{checkpoint.path}: is exported already; give the checkpoint that it was made of")
    suffix = ".xml" if form == "openvino" else ".onnx"
    target = Path(config.output) if config.output else _default(checkpoint, precision, suffix)
    if target.suffix != suffix:
        raise InputError(f"output={target}: must end in {suffix} with format={form}")
    if target.exists() and not config.overwrite:
        raise InputError(f"{target}: is there already; set overwrite=true or another output")
    detector = checkpoint.build("cpu")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        made, work = Path(scratch) / f"made{suffix}", Path(scratch)
        labelled, asked = _pages(config, checkpoint, paths, rest, work)
        if precision == "int8" and labelled is None:
            raise InputError("precision=int8 must say what it loses: labelled pages are needed (dataset_base_path=...)")
        whole = work / "fp32.onnx"
        _write_onnx(detector, whole)
        _convert(whole, made, precision, partial(_views, config, checkpoint, rest, asked, detector.encoder.fill))
        about = _about(config, checkpoint, detector, precision)
        write_about(made, about)
        about["network_hash"] = network_hash(made)  # of what writing leaves
        if precision != "fp32":
            about["weights_hash"] = about["network_hash"]
        write_about(made, about)
        theirs = TorchRunner(detector, view_of(config), checkpoint.layout)
        ours = ExportedRunner(TextDetector(made), view_of(config))
        about["check"] = compare_maps(config, theirs, ours, asked[:CHECKED])
        if precision == "int8" and labelled is not None:
            about["loss"] = _loss(config, theirs, ours, labelled)
        _require_same(target, about["check"], precision)
        write_about(made, about)
        for part in sorted(work.glob("made.*")):  # the weights before the .xml that names them
            part.replace(target.with_suffix(part.suffix))
    return summary(target, about)


def _options(overrides: Sequence[str]) -> tuple[Format, Precision, list[str]]:
    own = {"format": "onnx", "precision": "fp32"}
    own |= dict(o.split("=", 1) for o in overrides if o.startswith(("format=", "precision=")))
    for (key, value), kind in zip(own.items(), (Format, Precision), strict=True):
        if value not in get_args(kind):
            raise InputError(f"{key}={value}: must be one of {', '.join(get_args(kind))}")
    rest = [o for o in overrides if not o.startswith(("format=", "precision="))]
    return own["format"], own["precision"], ["trainer.accelerator=cpu", *rest]  # type: ignore[return-value]  # checked


def _default(checkpoint: Checkpoint, precision: Precision, suffix: str) -> Path:
    if checkpoint.folder is None:
        raise InputError(f"{checkpoint.path}: lies in no run folder; say where to write with output=FILE{suffix}")
    return checkpoint.folder / "exported" / f"{checkpoint.training['exp_name'] or 'model'}_{precision}{suffix}"


def _pages(
    config: Config, checkpoint: Checkpoint, paths: Sequence[str], overrides: Sequence[str], scratch: Path
) -> tuple[LabelledImages | None, Asked]:
    """Labelled pages, where there are some, and the pages to check with."""
    source = _dataset(config, checkpoint, overrides, config.evaluate_on)
    labelled = open_pages(source) if Path(source.annotation_path).exists() else None
    if paths:
        return labelled, expand(gather(config, paths))
    if labelled is None:
        print("no labelled pages here: the check runs on drawn receipts")
        write_dataset(scratch / "drawn", train=6, seed=0)
        return None, [(path.name, path) for path in sorted((scratch / "drawn" / "images").glob("*.jpg"))]
    return labelled, [(labelled.name(i), labelled.file(i)) for i in range(len(labelled))]


def _dataset(config: Config, checkpoint: Checkpoint, overrides: Sequence[str], part: str) -> DatasetConfig:
    """A data set of the command line, or else of the training."""
    told = any(o.startswith("dataset") for o in overrides)
    own: DatasetConfig = getattr(config.datasets, f"{part}_dataset")
    return (
        own
        if told
        else DatasetConfig.model_validate(
            {k: v for k, v in checkpoint.training["datasets"][f"{part}_dataset"].items() if not k.startswith("teacher")}
        )
    )


class _Graph(nn.Module):
    """uint8 (N, H, W, 3) to P (N, H, W)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector.eval()
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        logits, _ = self.detector(image.permute(0, 3, 1, 2))
        probability: Tensor = logits.float().sigmoid()
        return probability


class _PaddedConvolution(torch.autograd.Function):
    """A convolution padded differently on each side: two operators of torch's, but one of ONNX."""

    @staticmethod
    def forward(_: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: dict[str, Any]) -> Tensor:
        top, left, bottom, right = settings["pads_i"]
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, weight, bias, settings["strides_i"], groups=settings["group_i"])

    @staticmethod
    def symbolic(graph: Any, x: Any, weight: Any, bias: Any, settings: dict[str, Any]) -> Any:
        return graph.op("Conv", x, weight, *([] if bias is None else [bias]), **settings)


class _SamePadded(nn.Module):
    """``timm.layers.Conv2dSame`` ("same" padding as TensorFlow has it) for sizes that are multiples of the strides.

    timm works the padding out from each image, and a runtime then copies the largest features of the network to pad
    them; here it is a constant of the convolution.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        total = [max(size - stride, 0) for size, stride in zip(conv.kernel_size, conv.stride, strict=True)]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]  # top, left, bottom, right
        self.settings = {
            "kernel_shape_i": conv.kernel_size, "strides_i": conv.stride, "group_i": conv.groups, "pads_i": pads
        }  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        padded: Tensor = _PaddedConvolution.apply(x, self.weight, self.bias, self.settings)
        return padded


def _with_constant_padding(detector: Detector) -> Detector:
    copied = deepcopy(detector)
    for name, module in list(copied.named_modules()):
        if isinstance(module, Conv2dSame) and module.dilation == (1, 1):
            copied.set_submodule(name, _SamePadded(module))
    return copied


def _write_onnx(detector: Detector, path: Path) -> None:
    """Dynamic batch, height and width (multiples of 32).

    By tracing, which any torch from 2.6 on does: the newer exporter takes far longer and asks for onnxscript. What
    tracing gets wrong, such as a size that became a constant, the check finds.
    """
    axes = {0: "pages", 1: "height", 2: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about itself, and about sizes that it takes for constants
        torch.onnx.export(
            _Graph(_with_constant_padding(detector)),
            (torch.zeros((1, 2 * STRIDE, 3 * STRIDE, 3), dtype=torch.uint8),), path, dynamo=False, opset_version=17,
            input_names=["image"], output_names=["probability"], dynamic_axes={"image": axes, "probability": axes},
        )  # fmt: skip


def _convert(whole: Path, made: Path, precision: Precision, views: Any) -> None:
    """The network at this precision and in this format."""
    plain = whole
    if precision == "int8":
        plain = whole.with_name("int8.onnx")
        _quantise(whole, plain, views())
    elif precision == "fp16" and made.suffix == ".onnx":
        _halve(whole)
    if made.suffix == ".onnx":
        plain.replace(made)
        return
    import openvino  # noqa: PLC0415 - an extra

    openvino.save_model(openvino.convert_model(plain), made, compress_to_fp16=precision == "fp16")


def _halve(path: Path) -> None:
    """Keep weights in half precision and compute in single: what ``compress_to_fp16`` does in OpenVINO.

    A processor has no faster half precision, and ONNX Runtime makes single precision of the weights as it loads them.
    """
    import onnx  # noqa: PLC0415 - an extra

    model = onnx.load(path)
    graph, casts = model.graph, []
    for weights in graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size > 16:
            name = weights.name
            weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [weights.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def _quantise(whole: Path, made: Path, views: Iterator[NDArray[np.uint8]]) -> None:
    """Static, QDQ, weights per channel; ranges from the views of pages."""
    import onnx  # noqa: PLC0415 - an extra
    from onnxruntime import quantization as q  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def get_next(self) -> dict[str, Any] | None:
            view = next(views, None)
            return None if view is None else {"image": view[None]}

    ready = whole.with_name("ready.onnx")
    quant_pre_process(whole, ready, skip_symbolic_shape=True)
    # The first convolution sees the page itself: in 8 bits it alone costs more boxes than all others together.
    first = next(node.name for node in onnx.load(ready).graph.node if node.op_type == "Conv")
    # 7 bits for weights: without VNNI the processor's 8-bit products overflow 16 bits.
    q.quantize_static(
        ready, made, Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True, reduce_range=True,
        calibrate_method=q.CalibrationMethod.MinMax, op_types_to_quantize=["Conv"], nodes_to_exclude=[first],
    )  # fmt: skip


def _views(
    config: Config, checkpoint: Checkpoint, overrides: Sequence[str], asked: Asked, fill: tuple[int, int, int]
) -> Iterator[NDArray[np.uint8]]:
    """What the network sees of training pages, or of the pages to check with, where those are not here."""
    source = _dataset(config, checkpoint, overrides, "train")
    if Path(source.annotation_path).exists():
        pages = open_pages(source)
        every = max(1, len(pages) // CALIBRATED)
        asked = [(pages.name(i), pages.file(i)) for i in range(0, len(pages), every)]
    for _, file in asked[:CALIBRATED]:
        pixels, seen = decode(file), config.transforms
        yield letterbox(pixels.width, pixels.height, seen.long_side, seen.pad).image(pixels, fill)


def _about(config: Config, checkpoint: Checkpoint, detector: Detector, precision: Precision) -> dict[str, Any]:
    """The metadata, but for what the check finds and the hash of the written network."""
    run_of = checkpoint.folder
    manifest = read_json(run_of / "manifest.json") if run_of and (run_of / "manifest.json").exists() else {}
    last = checkpoint.path.name == "last.ckpt"  # whose epoch no page chose
    now = Manifest.collect(checkpoint.training, manifest.get("data_hash", {}), config.seed).to_json()
    return {
        "preprocess": {
            "long_side": config.transforms.long_side, "pad": config.transforms.pad, "stride": STRIDE,
            "fill": list(detector.encoder.fill), "input": "uint8 RGB (pages, height, width, 3)",
        },
        "postprocess": config.models.head.postprocess.params().to_dict(),
        "classes": ["text"],
        "precision": precision,
        "epoch": checkpoint.epoch,
        "weights_hash": checkpoint.weights_hash(),
        "history": [change.to_json() for change in checkpoint.history],
        "pages": {**checkpoint.pages.to_json(), **({"val": []} if last else {})},
        "provenance": {
            "exported": time.strftime("%Y-%m-%dT%H:%M:%S"), "checkpoint_hash": checkpoint.weights_hash(),
            **{key: now[key] for key in ("hmean", "config_hash", "data_hash", "git", "versions")},
            "scores": None if precision == "int8" else _scores(config, checkpoint),
        },
        "config": {**checkpoint.training, "transforms": config.transforms.model_dump(mode="json")},
    }  # fmt: skip


def _scores(config: Config, checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What the run's evaluation says of these weights with these values; of chosen values, the cross-fitted scores."""
    is_of = {
        "weights_hash": checkpoint.weights_hash(),
        "long_side": config.transforms.long_side,
        "postprocess": config.models.head.postprocess.params().to_dict(),
    }
    for name in ("cross_fitted/scores.json", "scores.json"):
        path = (checkpoint.folder or Path()) / name
        if checkpoint.folder is not None and path.exists():
            found = Scores.read(path).to_json()
            if all(found.get(key) == value for key, value in is_of.items()):
                keys = ("split", "images", "cleval", "iou50", "iou70", "interval95")
                return {"file": name, **{key: found[key] for key in keys}}
    return None


def compare_maps(config: Config, base: Runner, other: Runner, asked: Asked) -> dict[str, Any]:
    """How far two ways of running a network are apart: in P, and in the boxes that the config's values give."""
    params, loader = config.models.head.postprocess.params(), config.dataloaders.predict_dataloader
    worst, counts, pages = 0.0, np.zeros(3, np.int64), 0
    files = [PageFile(*page) for page in asked]
    streams = [runner(files, batch_size=loader.batch_size, workers=loader.num_workers) for runner in (base, other)]
    with track("checking", len(asked)) as advance:
        for a, b in zip(*streams, strict=True):
            advance()
            if isinstance(a, PageMap) and isinstance(b, PageMap):
                difference = a.probability - b.probability
                worst, pages = max(worst, float(np.abs(difference).max())), pages + 1
                counts += _same_boxes(a, b, params)
    same, ours, theirs = counts.tolist()
    share = 2 * same / (ours + theirs) if ours + theirs else 1.0
    return {
        "pages": pages, "max_difference": worst, "boxes": ours, "exported_boxes": theirs, "same_boxes": share,
        "postprocess": params.to_dict(),
    }  # fmt: skip


def _same_boxes(a: PageMap, b: PageMap, params: PostprocessParams) -> NDArray[np.int64]:
    """Boxes that are the same, of ``a``, and of ``b``."""
    first, second = detect(a, params), detect(b, params)
    counts: NDArray[np.int64] = match_array(
        [Page(a.name, a.page_width, a.page_height, first.polygons)], [second], [SAME]
    )[0, 0, 0]
    return counts


def _require_same(target: Path, check: Mapping[str, Any], precision: Precision) -> None:
    if not check["pages"]:
        raise InputError(f"{target}: not written, since no page could be read to check it with")
    most, least = LIMITS.get(precision, (1.0, 0.0))  # int8 states its loss
    if not check["max_difference"] <= most or check["same_boxes"] < least:
        raise InputError(
            f"{target}: not written, since it does not find what the checkpoint finds on {check['pages']} pages: P "
            f"differs by up to {check['max_difference']:.2g} (allowed {most:g}), {100 * check['same_boxes']:.2f} % of "
            f"the boxes are the same ({100 * least:g} %). Try format=onnx precision=fp32; if that differs, it is a bug"
        )


def _loss(config: Config, base: Runner, other: Runner, pages: LabelledImages) -> dict[str, Any]:
    """Difference of each hmean on labelled pages, with paired interval and verdict."""
    truth = [pages.page(i) for i in range(len(pages))]
    asked = [PageFile(page.name, pages.file(i)) for i, page in enumerate(truth)]
    loader = config.dataloaders.predict_dataloader
    characters = choose_characters(truth)
    scored: list[list[PageScore]] = []
    for what, each in (("checkpoint", base), ("int8", other)):
        scorer = Scorer(characters)
        with track(f"scoring {what}", len(truth)) as advance:
            maps = each(asked, batch_size=loader.batch_size, workers=loader.num_workers)
            for page, found in zip(truth, maps, strict=True):
                if isinstance(found, Unreadable):
                    raise InputError(found.reason)
                scorer.update(page, detect(found, config.models.head.postprocess.params()))
                advance()
        scored.append(scorer.pages)
    a, b = (Result(name, one, characters, None, None) for name, one in zip(("fp32", "int8"), scored, strict=True))
    rows = compare(a, b).to_json()
    keys = pages.page_keys()
    params = config.models.head.postprocess.params().to_dict()
    known = {
        "postprocess": params,
        "pages": len(truth),
        "part": config.evaluate_on,
        "page_keys": hashlib.sha256(keys.tobytes()).hexdigest(),
    }
    return {**known, **{k: v for k, v in rows.items() if isinstance(v, dict)}}


def summary(target: Path, about: Mapping[str, Any]) -> str:
    """What the command prints."""
    check = about["check"]
    size = sum(part.stat().st_size for part in {target, target.with_suffix(".bin")} if part.exists())
    lines = [
        f"{target}: {about['precision']}, {size / 1e6:.1f} MB",
        f"on {check['pages']} pages P differs from the checkpoint's by up to {check['max_difference']:.2g}",
        f"{100 * check['same_boxes']:.2f} % of {check['boxes']} boxes are the same (IoU >= {SAME:g})"
        if check["boxes"]
        else "neither finds a box on them: is it trained?",
    ]
    for name, row in about.get("loss", {}).items():
        if isinstance(row, dict) and "difference" in row:
            change, low, high = (100 * v for v in (row["difference"], *row["interval95"]))
            lines.append(f"{name} H {change:+.2f} points [{low:+.2f}, {high:+.2f}] against fp32: {row['verdict']}")
    return "\n".join(lines)
