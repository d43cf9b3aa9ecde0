"""The mean of weights: of what it is made, and of what it is not."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.ensemble.weights import average_weights
from hmean.errors import InputError
from hmean.inference.checkpoints import Checkpoint
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PagesSeen

MODELS = {"encoder": {"model_name": "a"}, "decoder": {}, "head": {"k": 50, "postprocess": {}}}


def checkpoint(value, *, seen=(), epoch=3, shape=(2,), **config):
    carried = Carried(
        epoch=epoch,
        config={"seed": 42, "checkpoint_path": None, "models": MODELS, **config},
        postprocess=PostprocessParams(),
        history=(),
        pages=PagesSeen(train=seen, val=[9]),
    )
    weights = {"weight": torch.full(shape, value), "batches": torch.tensor(int(value))}
    return Checkpoint(Path(f"{value}.ckpt"), carried, weights)


def test_weights_are_averaged_and_pages_joined():
    made = average_weights([checkpoint(1.0, seen=[1, 2]), checkpoint(4.0, seen=[2, 3], epoch=5)], Path("made.ckpt"))
    assert made.weights["weight"].tolist() == [2.5, 2.5]
    assert made.weights["batches"] == 1  # a counter is no weight
    assert np.array_equal(made.pages.train, [1, 2, 3])
    assert made.pages.val.tolist() == [9]
    assert made.epoch == 5
    assert len(made.carried.members) == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"shape": (3,)}, r"2\.0\.ckpt: has another architecture than 1\.0\.ckpt"),
        ({"seed": 7}, r"2\.0\.ckpt: was initialised differently"),
        ({"checkpoint_path": "start.ckpt"}, r"2\.0\.ckpt: was initialised differently"),
        ({"models": {**MODELS, "encoder": {"model_name": "b"}}}, r"2\.0\.ckpt: was initialised differently"),
    ],
)
def test_other_architectures_and_initialisations_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        average_weights([checkpoint(1.0), checkpoint(2.0, **other)], Path("made.ckpt"))


def test_thresholds_do_not_matter():
    tuned = {**MODELS, "head": {"k": 50, "postprocess": {"thresh": 0.2}}}
    average_weights([checkpoint(1.0), checkpoint(2.0, models=tuned)], Path("made.ckpt"))
