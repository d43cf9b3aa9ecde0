"""The convolutions of an ONNX network in the order of its graph: how fused networks of other programs are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError

# Operators that pass a tensor on as it is: weights and biases are looked for behind them.
_PASSING = ("Identity", "Cast")


class Convolution(NamedTuple):
    """Weights and biases of one convolution, or of one transposed convolution."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None

    def __str__(self) -> str:
        biases = "no biases" if self.bias is None else "biases"
        return f"weights {tuple(self.weight.shape)} and {biases}"


def read_convolutions(path: Path) -> list[Convolution]:
    """The convolutions of an ONNX file, in the order of its graph.

    A bias that is added by an operator of its own counts as the convolution's.

    Raises:
        InputError: if the file cannot be read, or the onnx package is not installed.
    """
    graph = _read_graph(path)
    reader = _Graph(graph)
    convolutions = []
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            convolutions.append(reader.convolution(node))
    return convolutions


def read_initializers(path: Path) -> dict[str, NDArray[np.generic]]:
    """The constant tensors of an ONNX file by their names.

    Raises:
        InputError: as ``read_convolutions``.
    """
    graph = _read_graph(path)
    import onnx  # noqa: PLC0415 - as below

    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _read_graph(path: Path) -> Any:
    try:
        import onnx  # noqa: PLC0415 - slow to import, and only these files need it
    except ImportError as error:
        raise InputError(f"{path}: reading it needs the onnx package; install it with: pip install onnx") from error
    try:
        return onnx.load(str(path)).graph
    except Exception as error:  # protobuf raises kinds of its own that share no base
        raise InputError(f"{path}: is damaged, or not an ONNX file ({error})") from error


class _Graph:
    """The tensors of a graph by name, and who makes and uses each."""

    def __init__(self, graph: Any) -> None:
        self.constants = _constants(graph)
        self.maker: dict[str, Any] = {}
        self.users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.output:
                self.maker[name] = node
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def convolution(self, node: Any) -> Convolution:
        """Weights and biases of a Conv or ConvTranspose."""
        weight = self.constant(node.input[1])
        if weight is None:
            raise InputError(f"{node.name}: has no constant weights")
        bias = None
        if len(node.input) > 2:
            bias = self.constant(node.input[2])
        if bias is None:
            bias = self._added_bias(node.output[0])
        return Convolution(weight, bias)

    def constant(self, name: str) -> NDArray[np.float32] | None:
        """The values of a constant tensor; None if it depends on the input."""
        while name not in self.constants:
            maker = self.maker.get(name)
            if maker is None or maker.op_type not in _PASSING:
                return None
            name = maker.input[0]
        return self.constants[name]

    def _added_bias(self, name: str) -> NDArray[np.float32] | None:
        """One value a channel that is added to a tensor right after it is made."""
        user = self._only_user(name)
        while user is not None and user.op_type in _PASSING:
            name = user.output[0]
            user = self._only_user(name)
        if user is None or user.op_type != "Add":
            return None
        for other in user.input:
            if other == name:
                continue
            values = self.constant(other)
            if values is not None and values.ndim == 4 and values.size == values.shape[1]:
                return values.reshape(-1)
        return None

    def _only_user(self, name: str) -> Any | None:
        users = self.users.get(name, [])
        if len(users) != 1:
            return None
        return users[0]


def _constants(graph: Any) -> Mapping[str, NDArray[np.float32]]:
    import onnx  # noqa: PLC0415 - as above

    found = {}
    for initializer in graph.initializer:
        found[initializer.name] = onnx.numpy_helper.to_array(initializer)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            found[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return found
