import pytest

torch = pytest.importorskip("torch")

from hmean.errors import InputError
from hmean.network.decoder import UNet
from hmean.network.detector import Detector
from hmean.network.encoder import TimmEncoder
from hmean.network.head import DBHead
from hmean.plugins import Component
from hmean.training.optimization import Optimization

ADAM = Component("models.optimizer", "torch.optim.Adam", {"lr": 0.01}, ("params",))
COSINE = Component("models.scheduler", "torch.optim.lr_scheduler.CosineAnnealingLR", {"T_max": 5}, ("optimizer",))
WARMUP = Component("models.scheduler", "hmean.training.schedules.warmup_flat_linear", {"warmup": 0.5, "decay": 0.5})


def tiny_detector(lr_scale: float) -> Detector:
    encoder = TimmEncoder("test_resnet", pretrained=False, lr_scale=lr_scale)
    decoder = UNet(encoder.channels, inner_channels=8, output_channels=4)
    return Detector(encoder, decoder, DBHead(decoder.channels))


def test_the_encoder_has_a_learning_rate_of_its_own():
    detector = tiny_detector(lr_scale=0.1)
    configured = Optimization(ADAM, COSINE, lr=0.01).configure(detector, total_steps=10)
    encoder, others = configured["optimizer"].param_groups
    assert (encoder["lr"], others["lr"]) == (pytest.approx(0.001), 0.01)
    trained = [*encoder["params"], *others["params"]]
    assert {id(weight) for weight in trained} == {id(weight) for weight in detector.parameters()}
    assert configured["lr_scheduler"]["interval"] == "epoch"


def test_a_frozen_encoder_does_not_learn():
    detector = tiny_detector(lr_scale=0.0).train()
    (others,) = Optimization(ADAM, COSINE, lr=0.01).configure(detector, total_steps=10)["optimizer"].param_groups
    trained = {id(weight) for weight in others["params"]}
    assert trained == {id(weight) for weight in (*detector.decoder.parameters(), *detector.head.parameters())}
    before = {name: tensor.clone() for name, tensor in detector.encoder.state_dict().items()}
    probability, _ = detector(torch.rand(2, 3, 64, 64) * 255)
    probability.sum().backward()
    assert all(weight.grad is None for weight in detector.encoder.parameters())
    for name, tensor in detector.encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name  # statistics of BatchNorm among them


def test_a_schedule_that_knows_the_steps_moves_with_each():
    configured = Optimization(ADAM, WARMUP, lr=0.01).configure(tiny_detector(1.0), total_steps=10)
    assert configured["lr_scheduler"]["interval"] == "step"
    optimizer = configured["optimizer"]
    schedule = configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[-1]["lr"])
        optimizer.step()
        schedule.step()
    shares = [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2]
    assert rates == pytest.approx([0.01 * share for share in shares])


def test_values_that_are_not_accepted_are_reported_without_a_network():
    Optimization(ADAM, COSINE, lr=0.01).check()
    wrong = Component("models.optimizer", "torch.optim.Adam", {"lr": 0.01, "betas": [2, 3]}, ("params",))
    with pytest.raises(InputError, match=r"models.optimizer: torch.optim.Adam does not accept these arguments"):
        Optimization(wrong, COSINE, lr=0.01).check()
