"""An ONNX network in another precision, or as OpenVINO files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.types import Precision

SMALL = 16  # numbers of a tensor, up to which it stays in single precision: sizes and constants


def convert(network: Path, target: Path, precision: Precision, views: Iterator[NDArray[np.uint8]]) -> None:
    """Write a network in a precision, in the format that the target's suffix says.

    Args:
        network: an ONNX file in single precision, which may be changed.
        target: .onnx or .xml.
        precision: of the target.
        views: what the network sees of pages, (H, W, 3) each, from which int8 takes its ranges.
    """
    if precision == "int8":
        quantised = network.with_name("int8.onnx")
        quantise(network, quantised, views)
        network = quantised
    if target.suffix == ".xml":
        import openvino  # noqa: PLC0415 - an extra

        openvino.save_model(openvino.convert_model(network), target, compress_to_fp16=precision == "fp16")
        return
    if precision == "fp16":
        halve(network)
    network.replace(target)


def halve(path: Path) -> None:
    """Keep weights in half precision and compute in single: what ``compress_to_fp16`` does in OpenVINO.

    A processor has no faster half precision, and ONNX Runtime makes single precision of the weights when it loads them.
    """
    import onnx  # noqa: PLC0415 - an extra

    model = onnx.load(path)
    graph = model.graph
    casts = []
    for weights in graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size <= SMALL:
            continue
        name = weights.name
        halved = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        weights.CopyFrom(halved)
        casts.append(onnx.helper.make_node("Cast", [halved.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def quantise(network: Path, target: Path, views: Iterator[NDArray[np.uint8]]) -> None:
    """Write the convolutions in 8 bits: static ranges from views of pages, QDQ, weights per channel."""
    import onnx  # noqa: PLC0415 - an extra
    from onnxruntime import quantization  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Views(quantization.CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def get_next(self) -> dict[str, Any] | None:
            view = next(views, None)
            if view is None:
                return None
            return {"image": view[None]}

    prepared = network.with_name("prepared.onnx")
    quant_pre_process(network, prepared, skip_symbolic_shape=True)
    # The first convolution sees the page itself: in 8 bits it alone costs more boxes than all others together.
    first = next(node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv")
    quantization.quantize_static(
        prepared,
        target,
        Views(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # 7 bits for weights: without VNNI a processor's 8-bit products overflow 16 bits
        calibrate_method=quantization.CalibrationMethod.MinMax,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[first],
    )
