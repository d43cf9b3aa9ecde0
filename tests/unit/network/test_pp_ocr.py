"""The published PP-OCRv6 detectors as networks of ours."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.errors import InputError
from hmean.images import read_image
from hmean.network.build import build_detector
from hmean.network.catalogue import CATALOGUE, PackagedFile, by_name
from hmean.network.fused_weights import load_fused
from hmean.plugins import Component

MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of planes in the order of the published preprocessing: BGR
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def network_of(published):
    parts = []
    for name in ("encoder", "decoder", "head"):
        arguments = dict(published.components[name])
        parts.append(Component(f"models.{name}", arguments.pop("_target_"), arguments))
    return build_detector(*parts)


def weights_of(published):
    pytest.importorskip("onnx")
    path = published.find()
    if path is None:
        pytest.skip(f"none of the packages with {published.title} is installed")
    return path


def p_of_onnx_runtime(path, image):
    """P of the published file, by the published preprocessing."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    blue_first = image[..., ::-1].astype(np.float32) / 255
    planes = ((blue_first - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
    (maps,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(planes)})
    return maps[0, 0]


def p_of_ours(network, image):
    with torch.inference_mode():
        logits, _ = network.eval()(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
    return logits[0].sigmoid().numpy()


@pytest.mark.parametrize("published", CATALOGUE, ids=lambda published: published.name)
def test_p_is_that_of_the_published_file(published, receipts):
    path = weights_of(published)
    network = network_of(published)
    load_fused(network, path)
    page = read_image(next((receipts / "images").iterdir()))
    image = page[: page.shape[0] // 32 * 32, : page.shape[1] // 32 * 32]
    expected = p_of_onnx_runtime(path, image)
    assert expected.max() > 0.9  # it finds text on the page, so there is something to compare
    assert np.abs(p_of_ours(network, image) - expected).max() < 1e-4


def test_p_is_that_of_the_published_file_on_real_pages(sroie):
    published = by_name("pp-ocrv6-small")
    path = weights_of(published)
    network = network_of(published)
    load_fused(network, path)
    for file in sorted((sroie / "images").iterdir())[:3]:
        page = read_image(file)
        image = page[: min(page.shape[0], 960) // 32 * 32, : page.shape[1] // 32 * 32]
        assert np.abs(p_of_ours(network, image) - p_of_onnx_runtime(path, image)).max() < 1e-4


def test_the_threshold_map_starts_at_one_half_with_the_features_of_p():
    published = by_name("pp-ocrv6-tiny")
    network = network_of(published)
    load_fused(network, weights_of(published))
    network.train()
    _, threshold = network(torch.randint(0, 256, (1, 3, 64, 64)).float())
    assert torch.equal(threshold.sigmoid(), torch.full_like(threshold, 0.5))
    assert torch.equal(network.head.threshold[0].weight, network.head.probability[0].weight)


def test_a_file_of_another_size_is_refused_with_the_first_difference():
    small = by_name("pp-ocrv6-small")
    path = weights_of(small)
    with pytest.raises(
        InputError, match=r"convolution 1 of 85 has weights \(24, 3, 3, 3\) and biases, the network .*16"
    ):
        load_fused(network_of(by_name("pp-ocrv6-tiny")), path)


def test_a_network_that_is_no_pp_ocr_is_told_what_it_would_need():
    small = by_name("pp-ocrv6-small")
    path = weights_of(small)
    encoder = Component(
        "models.encoder",
        "hmean.network.encoder.TimmEncoder",
        {"model_name": "test_resnet", "pretrained": False},
    )
    decoder = Component("models.decoder", "hmean.network.decoder.UNet", {"inner_channels": 16, "output_channels": 8})
    head = Component("models.head", "hmean.network.head.DBHead", {})
    with pytest.raises(InputError, match=r"remove the keys that change models\.encoder"):
        load_fused(build_detector(encoder, decoder, head), path)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x07" * 40])
def test_a_damaged_file_is_refused(tmp_path, content):
    pytest.importorskip("onnx")
    path = tmp_path / "damaged = 손상.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|does not fit"):
        load_fused(network_of(by_name("pp-ocrv6-tiny")), path)


def test_another_file_under_the_published_name_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "some_ocr"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "det.onnx").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"is not the file that some-ocr==1 has published .*reinstall"):
        PackagedFile("some_ocr", "det.onnx", "0" * 64, "some-ocr==1").find()
    shutil.rmtree(package)
    assert PackagedFile("some_ocr", "det.onnx", "0" * 64, "some-ocr==1").find() is None


def test_activations_can_be_cheaper_with_the_same_weights():
    network = network_of(by_name("pp-ocrv6-tiny"))
    for activation in ("gelu_tanh", "relu"):
        other = Component(
            "models.encoder",
            "hmean.network.lcnet.LCNetV4",
            {"model_name": "pp_lcnet_v4_tiny", "activation": activation},
        ).build()
        other.load_state_dict(network.encoder.state_dict())
        assert other.channels == network.encoder.channels
