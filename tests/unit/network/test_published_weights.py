"""Detectors of PaddleOCR as the hub has them: P of ours is that of the transformers modules, whatever the weights."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hmean.errors import InputError
from hmean.network.catalogue import by_name
from hmean.network.published_weights import is_published, load_published
from support.published import NAMES, network_of, pixels_of, random_published


@pytest.mark.parametrize("name", NAMES)
def test_p_is_that_of_transformers(name):
    theirs = random_published(name).double()  # rounding of 32-bit floats grows in networks with random weights
    network = network_of(by_name(name)).double()
    load_published(network, theirs.state_dict(), name)
    image = torch.randint(0, 256, (1, 3, 96, 64), generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        expected = theirs(pixels_of(image)).last_hidden_state[0, 0].numpy()
        logits, threshold = network.eval()(image)
    assert threshold is None
    assert expected.std() > 0.02  # there is something to compare
    assert np.abs(logits[0].sigmoid().numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_reaches_p_and_t(name):
    network = network_of(by_name(name))
    load_published(network, random_published(name).state_dict(), name)
    network.train()
    probability, threshold = network(torch.randint(0, 256, (1, 3, 64, 64)).float())
    assert torch.equal(threshold.sigmoid(), torch.full_like(threshold, 0.5))
    (probability.square().mean() + (threshold - 1).square().mean()).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    assert network.head.threshold[-1].weight.grad.abs().max() > 0


def test_large_kernels_that_are_products_are_taken_apart():
    theirs = random_published("pp-ocrv6-medium")
    published = by_name("pp-ocrv6-medium")
    decoder = {**published.components["decoder"], "separable": True}
    separable = replace(published, components={**published.components, "decoder": decoder})
    with pytest.raises(
        InputError, match=r"is no product of a depthwise and a 1x1 .*; remove models\.decoder\.separable"
    ):
        load_published(network_of(separable), theirs.state_dict(), "medium")
    with torch.no_grad():
        for parameter in theirs.model.neck.parameters():
            if parameter.shape[-2:] == (9, 9):
                out_channels, in_channels = parameter.shape[:2]
                parameter.copy_(torch.randn(out_channels, in_channels, 1, 1) * torch.randn(1, in_channels, 9, 9) / 100)
    whole, apart = network_of(published), network_of(separable)
    load_published(whole, theirs.state_dict(), "medium")
    load_published(apart, theirs.state_dict(), "medium")
    image = torch.randint(0, 256, (1, 3, 64, 64)).float()
    with torch.inference_mode():
        expected, _ = whole.eval()(image)
        logits, _ = apart.eval()(image)
    assert (logits.sigmoid() - expected.sigmoid()).abs().max() < 1e-4
    parameters = [sum(p.numel() for p in network.decoder.parameters()) for network in (whole, apart)]
    assert parameters[1] < parameters[0] / 5


def test_logits_stay_finite_where_probabilities_round_to_0_and_1():
    from hmean.network.head import _logit_of_mean

    logits = _logit_of_mean(torch.tensor([200.0, -200.0, 0.0]), torch.tensor([200.0, -200.0, 0.0]))
    assert torch.allclose(logits, torch.tensor([200.0, -200.0, 0.0]))


def test_weights_of_another_size_are_refused_with_the_first_difference():
    tensors = random_published("pp-ocrv6-tiny").state_dict()
    assert is_published(tensors)
    with pytest.raises(InputError, match=r"stem1 has weights \(16, 3, 3, 3\), the network \(24, 3, 3, 3\)"):
        load_published(network_of(by_name("pp-ocrv6-small")), tensors, "tiny")
    with pytest.raises(InputError, match=r"it has no model\.backbone\.embedder"):
        load_published(network_of(by_name("pp-ocrv5-server")), tensors, "tiny")


def test_tensors_without_a_place_are_refused():
    tensors = random_published("pp-ocrv6-tiny").state_dict()
    tensors["head.conv_more.weight"] = torch.zeros(1)
    with pytest.raises(InputError, match=r"no place for head\.conv_more\.weight"):
        load_published(network_of(by_name("pp-ocrv6-tiny")), tensors, "tiny")
