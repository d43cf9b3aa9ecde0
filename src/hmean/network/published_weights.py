"""Weights of PaddleOCR's detectors as the hub has them, for networks of ours: BatchNorm and branches are fused.

The names of tensors are those of the ``transformers`` modules of these detectors (``pp_ocrv6_small_det``,
``pp_ocrv6_medium_det``, ``pp_ocrv5_mobile_det``, ``pp_ocrv5_server_det``), which are not needed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from hmean.errors import InputError
from hmean.network import hgnet, lcnet, lcnet_v3
from hmean.network.detector import Detector
from hmean.network.head import DBHead, RefinedDBHead
from hmean.network.lk_pan import LKPAN, Intraclass, Separable
from hmean.network.rse_fpn import RSEFPN, Lateral, Smooth
from hmean.network.squeeze import SqueezeExcitation

OwnConvolution = nn.Conv2d | nn.ConvTranspose2d
BACKBONE = "model.backbone"
NECK = "model.neck"
EPSILON = 1e-5  # of BatchNorm's variance: torch's default, which the published modules have
SEPARABLE_REST = 1e-3  # share of a kernel's norm that may be lost when it is taken apart: rounding of a stored product
_COUNTER = "num_batches_tracked"


def is_published(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors have the hub's names, and not those of a network of ours."""
    return any(name.startswith(f"{BACKBONE}.") for name in tensors)


def load_published(detector: Detector, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill a network with published weights; T starts from the features of P, and is 0.5 everywhere.

    Args:
        detector: the network, of parts that have BatchNorm fused away.
        tensors: by the hub's names.
        source: where they are from, for messages.

    Raises:
        InputError: if they are not those of the network.
    """
    published = _Tensors(tensors, source)
    head = detector.head
    if not isinstance(head, DBHead):
        raise published.other_network("the head", head)
    with torch.no_grad():
        _fill_encoder(detector.encoder, published)
        _fill_decoder(detector.decoder, published)
        _fill_head(head, published)
    published.check_all_used()
    head.threshold_from_probability()


# --- tensors ----------------------------------------------------------------------------------------------------------


class Weights(NamedTuple):
    """Of one convolution."""

    kernel: Tensor
    bias: Tensor | None


class _Tensors:
    """Published tensors by name, which remember what was taken."""

    def __init__(self, tensors: Mapping[str, Tensor], source: str) -> None:
        self.tensors = tensors
        self.source = source
        self.taken: set[str] = set()

    def take(self, name: str) -> Tensor:
        """A tensor, as 64-bit floats: sums and products of weights are rounded once, at the end."""
        if name not in self.tensors:
            raise self._misfit(f"it has no {name}")
        self.taken.add(name)
        return self.tensors[name].double()

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self.tensors

    def plain(self, name: str) -> Weights:
        """A convolution as it stands."""
        bias = None
        if self.has(f"{name}.bias"):
            bias = self.take(f"{name}.bias")
        return Weights(self.take(f"{name}.weight"), bias)

    def normalised(self, name: str, norm: str = "normalization", *, transposed: bool = False) -> Weights:
        """The one convolution that a convolution and the BatchNorm behind it are."""
        weights = self.plain(f"{name}.convolution")
        scale, shift = self.affine(f"{name}.{norm}")
        shape = (1, -1, 1, 1) if transposed else (-1, 1, 1, 1)
        bias = shift
        if weights.bias is not None:
            bias = weights.bias * scale + shift
        return Weights(weights.kernel * scale.view(shape), bias)

    def affine(self, name: str) -> tuple[Tensor, Tensor]:
        """Scale and shift of each channel that a BatchNorm in evaluation mode is."""
        deviation = (self.take(f"{name}.running_var") + EPSILON).sqrt()
        scale = self.take(f"{name}.weight") / deviation
        shift = self.take(f"{name}.bias") - self.take(f"{name}.running_mean") * scale
        return scale, shift

    def fill(self, module: nn.Module, weights: Weights, name: str) -> None:
        """Put weights into a convolution of ours."""
        assert isinstance(module, OwnConvolution)  # noqa: S101 - for the type checker: parts of ours hold these
        if module.weight.shape != weights.kernel.shape:
            found, own = tuple(weights.kernel.shape), tuple(module.weight.shape)
            raise self._misfit(f"{name} has weights {found}, the network {own}")
        if (module.bias is None) != (weights.bias is None):
            raise self._misfit(f"only one of the two has biases of {name}")
        module.weight.copy_(weights.kernel)
        if module.bias is not None and weights.bias is not None:
            module.bias.copy_(weights.bias)

    def fill_separable(self, module: Separable, name: str) -> None:
        """Take a full kernel apart into the depthwise and the 1x1 one whose product it is."""
        weights = self.plain(name)
        depthwise, pointwise, rest = _factors(weights.kernel)
        if rest > SEPARABLE_REST:
            raise self._misfit(
                f"{name} is no product of a depthwise and a 1x1 convolution: a share of {rest:.2g} is left; remove "
                "models.decoder.separable"
            )
        self.fill(module.depthwise, Weights(depthwise, None), name)
        self.fill(module.pointwise, Weights(pointwise, weights.bias), name)

    def check_all_used(self) -> None:
        """Refuse tensors that the network has no place for."""
        for name in self.tensors:
            if name not in self.taken and not name.endswith(_COUNTER):
                raise self._misfit(f"the network has no place for {name}")

    def other_network(self, part: str, module: nn.Module) -> InputError:
        """The error of a part that no published detector has."""
        return self._misfit(
            f"{part} is {type(module).__name__}; remove the keys that change models.encoder, models.decoder or "
            "models.head"
        )

    def _misfit(self, reason: str) -> InputError:
        return InputError(f"{self.source}: does not fit the network of the config ({reason})")


def _factors(kernel: Tensor) -> tuple[Tensor, Tensor, float]:
    """The nearest product of a depthwise kernel (I, 1, k, k) and a 1x1 one (O, I, 1, 1), and the share that it misses.

    Args:
        kernel: (O, I, k, k).
    """
    out_channels, in_channels, height, width = kernel.shape
    by_input = kernel.transpose(0, 1).reshape(in_channels, out_channels, height * width)
    left, strengths, right = torch.linalg.svd(by_input, full_matrices=False)
    root = strengths[:, :1].sqrt()
    pointwise = (left[:, :, 0] * root).T.reshape(out_channels, in_channels, 1, 1)
    depthwise = (right[:, 0] * root).reshape(in_channels, 1, height, width)
    rest = strengths[:, 1:].norm() / strengths.norm().clamp(min=1e-30)
    return depthwise, pointwise, float(rest)


# --- encoders ---------------------------------------------------------------------------------------------------------


def _fill_encoder(encoder: object, published: _Tensors) -> None:
    if isinstance(encoder, lcnet.LCNetV4):
        _fill_lcnet(encoder, published)
    elif isinstance(encoder, lcnet_v3.LCNetV3):
        _fill_lcnet_v3(encoder, published)
    elif isinstance(encoder, hgnet.HGNetV2):
        _fill_hgnet(encoder, published)
    else:
        assert isinstance(encoder, nn.Module)  # noqa: S101 - for the type checker: the protocol says so in words
        raise published.other_network("the encoder", encoder)


def _fill_stem(stem: lcnet.Stem, published: _Tensors, name: str) -> None:
    parts = {
        "stem1": stem.first,
        "stem2a": stem.narrow,
        "stem2b": stem.widen,
        "stem3": stem.join,
        "stem4": stem.last,
    }
    for part, module in parts.items():
        published.fill(module, published.normalised(f"{name}.{part}"), f"{name}.{part}")


def _fill_lcnet(encoder: lcnet.LCNetV4, published: _Tensors) -> None:
    _fill_stem(encoder.stem, published, f"{BACKBONE}.encoder.convolution")
    for position, stage in enumerate(encoder.stages):
        for number, block in enumerate(_blocks(stage)):
            assert isinstance(block, lcnet.Block)  # noqa: S101 - for the type checker
            name = f"{BACKBONE}.encoder.blocks.{position}.blocks.{number}"
            # Where a block changes neither size nor channels, the published file has its branches merged already.
            token = f"{name}.token_conv"
            merged = published.has(f"{token}.weight")
            depthwise = published.plain(token) if merged else published.normalised(token)
            published.fill(block.depthwise, depthwise, token)
            _fill_squeeze(block.squeeze, published, f"{name}.token_squeeze_excitation")
            for part, module in {"channel_conv1": block.expand, "channel_conv2": block.project}.items():
                published.fill(module, published.normalised(f"{name}.{part}"), f"{name}.{part}")


def _fill_lcnet_v3(encoder: lcnet_v3.LCNetV3, published: _Tensors) -> None:
    stem = f"{BACKBONE}.encoder.convolution"
    published.fill(encoder.stem, published.normalised(stem), stem)
    for position, stage in enumerate(encoder.stages):
        for number, block in enumerate(_blocks(stage)):
            assert isinstance(block, lcnet_v3.Block)  # noqa: S101 - for the type checker
            name = f"{BACKBONE}.encoder.blocks.{position}.layers.{number}"
            _fill_branches(block.depthwise, block.depthwise_activation, published, f"{name}.depthwise_convolution")
            _fill_squeeze(block.squeeze, published, f"{name}.squeeze_excitation_module")
            _fill_branches(block.pointwise, block.pointwise_activation, published, f"{name}.pointwise_convolution")
    for position, leave in enumerate(encoder.exits):
        published.fill(leave, published.plain(f"model.layer.{position}"), f"model.layer.{position}")


def _fill_branches(module: nn.Module, activation: nn.Module, published: _Tensors, name: str) -> None:
    """Merge the branches of a published layer into one convolution, and take what stands behind its activation."""
    assert isinstance(module, nn.Conv2d)  # noqa: S101 - for the type checker
    kernel = torch.zeros_like(module.weight, dtype=torch.float64)
    bias = torch.zeros(module.out_channels, dtype=torch.float64)
    for branch in _branches(module, published, name):
        kernel += branch.kernel
        assert branch.bias is not None  # noqa: S101 - for the type checker: BatchNorm always shifts
        bias += branch.bias
    scale = published.take(f"{name}.lab.scale")
    shift = published.take(f"{name}.lab.bias")
    published.fill(module, Weights(kernel * scale, bias * scale + shift), name)
    behind = f"{name}.act.lab"
    if isinstance(activation, lcnet_v3.ScaledHardswish):
        activation.scale.copy_(published.take(f"{behind}.scale"))
        activation.bias.copy_(published.take(f"{behind}.bias"))
    else:
        # The file has these numbers even where the layer does not use them.
        published.taken |= {f"{behind}.scale", f"{behind}.bias"}


def _branches(module: nn.Conv2d, published: _Tensors, name: str) -> Sequence[Weights]:
    """The branches as convolutions of the full kernel: several of it, one of 1x1, and the input itself."""
    size = module.kernel_size[0]
    found = []
    number = 0
    while published.has(f"{name}.conv_symmetric.{number}.convolution.weight"):
        found.append(published.normalised(f"{name}.conv_symmetric.{number}"))
        number += 1
    if published.has(f"{name}.conv_small_symmetric.convolution.weight"):
        small = published.normalised(f"{name}.conv_small_symmetric")
        found.append(Weights(_padded(small.kernel, size), small.bias))
    if published.has(f"{name}.identity.weight"):
        scale, shift = published.affine(f"{name}.identity")
        found.append(Weights(_padded(_identity(module, scale), size), shift))
    for branch in found:
        if branch.kernel.shape != module.weight.shape:
            published.fill(module, branch, name)  # says so
    return found


def _identity(module: nn.Conv2d, scale: Tensor) -> Tensor:
    """The 1x1 kernel that multiplies each channel by a number."""
    if module.groups > 1:
        return scale.view(-1, 1, 1, 1)
    return torch.diag(scale).view(len(scale), len(scale), 1, 1)


def _padded(kernel: Tensor, size: int) -> Tensor:
    """A 1x1 kernel in the middle of a larger one."""
    margin = size // 2
    return F.pad(kernel, (margin, margin, margin, margin))


def _fill_hgnet(encoder: hgnet.HGNetV2, published: _Tensors) -> None:
    _fill_stem(encoder.stem, published, f"{BACKBONE}.embedder")
    for position, stage in enumerate(encoder.stages):
        assert isinstance(stage, hgnet.Stage)  # noqa: S101 - for the type checker
        name = f"{BACKBONE}.encoder.stages.{position}"
        if position > 0:
            published.fill(stage.halve, published.normalised(f"{name}.downsample"), f"{name}.downsample")
        for number, block in enumerate(stage.blocks):
            assert isinstance(block, hgnet.Block)  # noqa: S101 - for the type checker
            _fill_hgnet_block(block, published, f"{name}.blocks.{number}")


def _fill_hgnet_block(block: hgnet.Block, published: _Tensors, name: str) -> None:
    for number, layer in enumerate(block.layers):
        own = f"{name}.layers.{number}"
        if isinstance(layer, hgnet.Light):
            published.fill(layer.pointwise, published.normalised(f"{own}.conv1"), f"{own}.conv1")
            published.fill(layer.depthwise, published.normalised(f"{own}.conv2"), f"{own}.conv2")
        else:
            assert isinstance(layer, hgnet.Full)  # noqa: S101 - for the type checker
            published.fill(layer.conv, published.normalised(own), own)
    for number, module in enumerate((block.squeeze, block.mix)):
        own = f"{name}.aggregation.{number}"
        published.fill(module, published.normalised(own), own)


def _blocks(stage: nn.Module) -> Sequence[nn.Module]:
    assert isinstance(stage, nn.Sequential)  # noqa: S101 - for the type checker
    return list(stage)


def _fill_squeeze(module: nn.Module, published: _Tensors, name: str) -> None:
    if isinstance(module, SqueezeExcitation):
        published.fill(module.reduce, published.plain(f"{name}.convolutions.0"), name)
        published.fill(module.restore, published.plain(f"{name}.convolutions.2"), name)


# --- decoders and heads -----------------------------------------------------------------------------------------------


def _fill_decoder(decoder: nn.Module, published: _Tensors) -> None:
    if isinstance(decoder, RSEFPN):
        for level, lateral in enumerate(decoder.lateral):
            _fill_lateral(lateral, published, f"{NECK}.insert_conv.{level}")
        for level, smooth in enumerate(decoder.smooth):
            _fill_smooth(smooth, published, f"{NECK}.input_conv.{level}")
    elif isinstance(decoder, LKPAN):
        _fill_lk_pan(decoder, published)
    else:
        raise published.other_network("the decoder", decoder)


def _fill_lateral(module: nn.Module, published: _Tensors, name: str) -> None:
    assert isinstance(module, Lateral)  # noqa: S101 - for the type checker
    published.fill(module.conv, published.plain(f"{name}.in_conv"), name)
    _fill_neck_squeeze(module.squeeze, published, f"{name}.squeeze_excitation_block")


def _fill_smooth(module: nn.Module, published: _Tensors, name: str) -> None:
    if not isinstance(module, Smooth):
        _fill_lateral(module, published, name)
        return
    published.fill(module.depthwise, published.plain(f"{name}.depthwise_convolution"), name)
    published.fill(module.pointwise, published.plain(f"{name}.pointwise_convolution"), name)
    _fill_neck_squeeze(module.squeeze, published, f"{name}.squeeze_excitation_module")


def _fill_neck_squeeze(module: SqueezeExcitation, published: _Tensors, name: str) -> None:
    published.fill(module.reduce, published.plain(f"{name}.conv1"), name)
    published.fill(module.restore, published.plain(f"{name}.conv2"), name)


def _fill_lk_pan(decoder: LKPAN, published: _Tensors) -> None:
    parts = {
        "input_channel_adjustment_convolution": decoder.lateral,
        "input_feature_projection_convolution": decoder.narrow,
        "path_aggregation_head_convolution": decoder.down,
        "path_aggregation_lateral_convolution": decoder.refine,
    }
    for part, modules in parts.items():
        for number, module in enumerate(modules):
            name = f"{NECK}.{part}.{number}"
            if isinstance(module, Separable):
                published.fill_separable(module, name)
            else:
                published.fill(module, published.plain(name), name)
    for number, intraclass in enumerate(decoder.intraclass):
        assert isinstance(intraclass, Intraclass)  # noqa: S101 - for the type checker
        _fill_intraclass(intraclass, published, f"{NECK}.intraclass_blocks.{number}")


def _fill_intraclass(module: Intraclass, published: _Tensors, name: str) -> None:
    published.fill(module.reduce, published.plain(f"{name}.conv_reduce_channel"), name)
    kinds = {
        "symmetric_conv_long": module.square,
        "vertical_long_to_small_conv": module.tall,
        "horizontal_small_to_long_conv": module.flat,
    }
    for kind, modules in kinds.items():
        for size, own in zip(("long", "mid", "short"), modules, strict=True):
            part = f"{name}.{kind}_{size}ratio"
            published.fill(own, published.plain(part), part)
    published.fill(module.restore, published.normalised(f"{name}.conv_final", "norm"), f"{name}.conv_final")


def _fill_head(head: DBHead, published: _Tensors) -> None:
    first = "head"
    if isinstance(head, RefinedDBHead):
        first = "head.binarize_head"
        local = "head.local_refinement_module"
        refine = published.normalised(f"{local}.convolution_backbone", "norm")
        published.fill(head.refine, refine, f"{local}.convolution_backbone")
        published.fill(head.refined, published.plain(f"{local}.convolution_final"), f"{local}.convolution_final")
    narrow, _, _, enlarge, _, _, last = head.probability
    published.fill(narrow, published.normalised(f"{first}.conv_down", "norm"), f"{first}.conv_down")
    enlarged = published.normalised(f"{first}.conv_up", "norm", transposed=True)
    published.fill(enlarge, enlarged, f"{first}.conv_up")
    published.fill(last, published.plain(f"{first}.conv_final"), f"{first}.conv_final")
