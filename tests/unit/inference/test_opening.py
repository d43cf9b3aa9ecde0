"""Opening a trained model: what its file may and may not do."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.errors import InputError
from hmean.images import read_image
from hmean.inference.opening import open_checkpoint, open_model
from hmean.inference.trained import PageFile, Unreadable
from hmean.network.build import build_detector, without_pretrained
from hmean.plugins import Component
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.types import View

ENCODER = {"_target_": "hmean.network.encoder.TimmEncoder", "model_name": "test_efficientnet", "pretrained": True}
DECODER = {"_target_": "hmean.network.decoder.UNet", "inner_channels": 16, "output_channels": 8}
HEAD = {"_target_": "hmean.network.head.DBHead"}


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    encoder = without_pretrained(Component("models.encoder", ENCODER["_target_"], {"model_name": "test_efficientnet"}))
    decoder = Component("models.decoder", DECODER["_target_"], {"inner_channels": 16, "output_channels": 8})
    return build_detector(encoder, decoder, Component("models.head", HEAD["_target_"])).state_dict()


@pytest.fixture
def write(tmp_path, weights):
    def write(**parts):
        models = {"encoder": ENCODER, "decoder": DECODER, "head": {**HEAD, "postprocess": {"thresh": 0.1}}, **parts}
        config = {
            "exp_name": "${oc.env:HOME}",
            "transforms": {"long_side": 64, "pad": "stride", "extra": 1},
            "models": models,
        }
        carried = Carried(
            epoch=0,
            config=config,
            postprocess=PostprocessParams(thresh=0.3),
            history=(),
            pages=PagesSeen(train=[1, 2], val=[3]),
        )
        path = tmp_path / "run" / "checkpoints" / "best.ckpt"
        write_checkpoint(path, carried, weights)
        return path

    return write


def test_a_checkpoint_is_a_trained_model(write, receipts, tmp_path):
    model = open_model(write())
    assert model.folder == tmp_path / "run"
    assert model.view == View(64, "stride")
    assert model.postprocess.thresh == 0.3  # the value that holds now, not that of the training
    assert model.training["exp_name"] == "${oc.env:HOME}"  # carried values are literals
    assert model.influenced_by(np.array([1, 3, 9])).to_json() == {"trained": 1, "epoch_chosen": 1, "tuned": 0}
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    image = min((receipts / "images").glob("*.jpg"))
    pages = [PageFile("a", image), PageFile("b", tmp_path / "broken.jpg"), PageFile("c", image)]
    runner = model.start(model.view, "cpu")
    for batch_size in (1, 2, 3):
        first, second, third = runner(pages, batch_size=batch_size)
        assert (first.name, second.name, third.name) == ("a", "b", "c")
        assert isinstance(second, Unreadable)
        assert np.allclose(first.probability, third.probability, atol=1e-6)
        height, width = read_image(image).shape[:2]
        assert (first.page_width, first.page_height) == (width, height)
    larger = runner.at(View(128, "stride"))
    assert max(next(larger(pages[:1])).probability.shape) == 128


def test_checkpoints_of_earlier_versions_open(write):
    old = write(
        encoder={**ENCODER, "_target_": "hmean.models.encoder.TimmEncoder"},
        decoder={**DECODER, "_target_": "hmean.models.decoder.UNet"},
        head={"_target_": "hmean.models.head.DBHead", "postprocess": {"growth": "inverse", "thresh": 0.2}},
    )
    assert open_model(old).start(View(64, "stride"), "cpu")


@pytest.mark.parametrize("part", ["encoder", "decoder", "head"])
def test_a_checkpoint_names_only_what_is_trusted(write, part):
    path = write(**{part: {"_target_": "os.system", "command": "true"}})
    with pytest.raises(InputError, match=rf"models.{part}._target_: os.system .*add trusted_targets=\[os\]"):
        open_model(path)
    assert open_model(path, ["os"])  # nothing of it was called yet


def test_weights_of_another_network_are_refused(write):
    path = write(decoder={**DECODER, "inner_channels": 32})
    with pytest.raises(InputError, match="its weights do not fit"):
        open_model(path).start(View(64, "stride"), "cpu")


def test_an_exported_model_has_no_weights(ink):
    model = open_model(ink)
    assert model.view == View(160, "stride")
    assert model.size > 0
    with pytest.raises(InputError, match="holds no weights; give the checkpoint it was made of"):
        _ = model.weights
    with pytest.raises(InputError, match="is an exported model; give the checkpoint"):
        open_checkpoint(ink)
