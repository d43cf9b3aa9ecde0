"""One model from several: the mean of weights that were trained from one initialisation (Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmean.errors import InputError
from hmean.inference.checkpoints import Checkpoint
from hmean.inference.trained import TrainedModel
from hmean.runs.carried import PagesSeen, PostprocessChange
from hmean.runs.provenance import Provenance, TrainingProvenance


def average_weights(models: Sequence[TrainedModel], path: Path) -> Checkpoint:
    """The mean of all weights, BatchNorm statistics too, as a checkpoint at ``path``, which is not written yet.

    It has seen all pages that one of the models has seen. The mean of their BatchNorm statistics is not what the
    averaged network would measure: it is exact only where they were frozen at one value.

    Raises:
        InputError: listing models of another architecture or initialisation (other ``models`` values, seed or start).
    """
    first = models[0]
    faults = []
    for model in models[1:]:
        fault = _mismatch(first, model)
        if fault is not None:
            faults.append(fault)
    if faults:
        raise InputError.listing(
            "Averaged weights are of use only if the models share architecture and initialisation:", faults
        )
    history: list[PostprocessChange] = []
    train = []
    val = []
    trainings: list[TrainingProvenance] = []
    for model in models:
        trainings.append(model.carried.provenance.training or TrainingProvenance.of_config(model.training))
        history += model.history
        train.append(model.pages.train)
        val.append(model.pages.val)
    pages = PagesSeen(
        train=np.unique(np.concatenate(train)),
        val=np.unique(np.concatenate(val)),
    )
    carried = first.carried.model_copy(
        update={
            "epoch": max(model.epoch for model in models),
            "history": tuple(history),
            "pages": pages,
            "members": tuple(model.weights_hash() for model in models),
            "provenance": Provenance(members=tuple(trainings)),
        }
    )
    return Checkpoint(path, carried, _mean([model.weights for model in models]))


def _mean(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Means in double precision; counters stay those of the first."""
    mean = {}
    for name, tensor in weights[0].items():
        if tensor.is_floating_point():
            stacked = torch.stack([each[name].double() for each in weights])
            mean[name] = stacked.mean(dim=0).to(tensor.dtype)
        else:
            mean[name] = tensor
    return mean


def _mismatch(a: TrainedModel, b: TrainedModel) -> str | None:
    """Why the weights of two models have no useful mean; None if they do."""
    if _shapes(a) != _shapes(b):
        return f"{b.path}: has another architecture than {a.path}"
    if _initialisation(a) != _initialisation(b):
        return f"{b.path}: was initialised differently (models, start or seed) from {a.path}"
    return None


def _shapes(model: TrainedModel) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.weights.items()}


def _initialisation(model: TrainedModel) -> dict[str, Any]:
    """What the first weights of a training follow from."""
    training = model.training
    start = training["models"].get("pretrained") or training.get("checkpoint_path")
    found = {"start": start}
    if start is None:
        found["seed"] = training.get("seed")  # which only draws the first weights where nothing else gives them
    for part in ("encoder", "decoder", "head"):
        found[part] = {**training["models"][part], "postprocess": None}
    return found
