"""The config of a command that uses a trained model: a bridge for commands whose settings are not typed yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hmean.errors import InputError
from hmean.inference.opening import open_model
from hmean.inference.trained import TrainedModel
from hmean.settings.config import Config, compose
from hmean.types import View


def open_configured(overrides: Sequence[str]) -> tuple[Config, TrainedModel]:
    """The model that overrides name, and the config that they give with its ``models`` and ``transforms``.

    Raises:
        InputError: if the config is wrong, names no model, or the model cannot be used.
    """
    config = compose(overrides)
    if config.checkpoint_path is None:
        raise InputError("checkpoint_path: name a model, such as checkpoint_path=outputs/NAME/checkpoints/best.ckpt")
    model = open_model(config.checkpoint_path, config.trusted_targets)
    carried = {"models": carried_models(model), "transforms": model.training["transforms"]}
    return compose(overrides, _escaped(carried)), model


def carried_models(model: TrainedModel) -> dict[str, Any]:
    """The section ``models`` of a model's training, with the post-processing values that hold now."""
    models = model.training["models"]
    return {**models, "head": {**models["head"], "postprocess": model.postprocess.to_dict()}}


def view_of(config: Config) -> View:
    """How a config shows pages to a network."""
    return View(config.transforms.long_side, config.transforms.pad)


def _escaped(value: Any) -> Any:
    """Carried values are literals: no interpolation in them is resolved."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, str):
        return value.replace("${", "\\${")
    return value
