import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.network.losses import DBLoss, balanced_bce, dice, masked_l1


def maps(text=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shrink = torch.zeros(2, 32, 32, dtype=torch.uint8)
    if text:
        shrink[:, 8:16, 8:24] = 255
    band = (shrink + torch.roll(shrink, 2, 1) > 0).float()
    return {
        "shrink": shrink,
        "band": band,
        "valid": torch.ones(2, 32, 32),
        "threshold": 0.3 + 0.4 * torch.rand(2, 32, 32, generator=generator),
    }


def test_balanced_bce_by_hand():
    """2 positives, ratio 1: the 2 hardest of 4 negatives."""
    logits = torch.tensor([[[2.0, -1.0, 0.0, 1.0, -3.0, 3.0]]])
    target = torch.tensor([[[1.0, 1.0, 0, 0, 0, 0]]])
    softplus = lambda v: float(np.log1p(np.exp(v)))  # noqa: E731
    expected = (softplus(-2) + softplus(1) + softplus(3) + softplus(1)) / 4
    assert balanced_bce(logits, target, torch.ones_like(target), 1.0, 0).item() == pytest.approx(expected, rel=1e-6)


def test_soft_targets_are_mined_as_what_they_are_nearer_to():
    """1 positive (0.75), ratio 1: of the negatives (0.25, 0) the harder one, each with its own soft target."""
    logits, target = torch.tensor([[[1.0, 2.0, -1.0]]]), torch.tensor([[[0.75, 0.25, 0.0]]])
    bce = lambda v, t: float(np.log1p(np.exp(v)) - t * v)  # noqa: E731
    expected = (bce(1, 0.75) + bce(2, 0.25)) / 2
    assert balanced_bce(logits, target, torch.ones_like(target), 1.0, 0).item() == pytest.approx(expected, rel=1e-6)


def test_masked_pixels_change_nothing():
    loss, batch = DBLoss(min_negatives=10), maps()
    batch["valid"][:, :, 26:] = 0
    generator = torch.Generator().manual_seed(1)
    p, t = torch.randn(2, 32, 32, generator=generator), torch.randn(2, 32, 32, generator=generator)
    before = loss(p, t, batch)
    p[:, :, 26:], t[:, :, 26:] = 50, -50
    after = loss(p, t, batch)
    assert {k: v.item() for k, v in before.items()} == pytest.approx({k: v.item() for k, v in after.items()})


@pytest.mark.parametrize("valid", [1.0, 0.0])
def test_a_page_without_text_gives_a_finite_loss_that_teaches(valid):
    loss, batch = DBLoss(), maps(text=False)
    batch["valid"] *= valid
    p = torch.zeros(2, 32, 32, requires_grad=True)
    t = torch.zeros(2, 32, 32, requires_grad=True)
    total = sum(loss(p, t, batch).values())
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(p.grad).all()
    assert (p.grad.sum() > 0) == (valid == 1)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_extreme_logits_and_autocast_stay_finite(scale):
    p = (scale * torch.randn(2, 32, 32)).to(torch.bfloat16).requires_grad_()
    t = (scale * torch.randn(2, 32, 32)).to(torch.bfloat16).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        terms = DBLoss()(p, t, maps())
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    assert total.dtype == torch.float32
    assert torch.isfinite(total)
    assert torch.isfinite(p.grad).all()


def test_a_perfect_prediction_costs_almost_nothing():
    batch = maps()
    p = 40 * (2 * batch["shrink"].float() / 255 - 1)
    t = torch.logit(batch["threshold"])
    assert sum(DBLoss()(p, t, batch).values()).item() < 1e-3


def test_dice_and_l1():
    a, b = torch.tensor([1.0, 1, 0, 0]), torch.tensor([1.0, 0, 1, 0])
    ones = torch.ones(4)
    assert dice(a, b, ones).item() == pytest.approx(1 - (2 + 1) / (4 + 1))
    assert dice(torch.zeros(4), torch.zeros(4), ones).item() == 0
    assert masked_l1(a, b, torch.tensor([0.0, 1, 0, 0])).item() == 1
    assert masked_l1(a, b, torch.zeros(4)).item() == 0


def test_weighted_positives_by_hand():
    """The second of 2 positives counts three times as much as the first, and both together as 2 positives."""
    logits = torch.tensor([[[2.0, -1.0, 0.0, 1.0]]])
    target = torch.tensor([[[1.0, 1.0, 0, 0]]])
    weight = torch.tensor([[[1.0, 3.0, 1.0, 1.0]]])
    softplus = lambda v: float(np.log1p(np.exp(v)))  # noqa: E731
    expected = (0.5 * softplus(-2) + 1.5 * softplus(1) + softplus(0) + softplus(1)) / 4
    loss = balanced_bce(logits, target, torch.ones_like(target), 1.0, 0, weight)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_a_word_that_weighs_more_pulls_more():
    batch = maps()
    batch["weight"] = torch.ones(2, 32, 32)
    t = torch.zeros(2, 32, 32)
    plain = torch.zeros(2, 32, 32, requires_grad=True)
    sum(DBLoss()(plain, t, batch).values()).backward()
    same = torch.zeros(2, 32, 32, requires_grad=True)
    sum(DBLoss()(same, t, {k: v for k, v in batch.items() if k != "weight"}).values()).backward()
    assert torch.allclose(plain.grad, same.grad)

    batch["weight"][0] = 4.0
    weighted = torch.zeros(2, 32, 32, requires_grad=True)
    sum(DBLoss()(weighted, t, batch).values()).backward()
    text = batch["shrink"] == 255
    assert weighted.grad[0][text[0]].sum() < 1.2 * plain.grad[0][text[0]].sum() < 0
    assert weighted.grad[1][text[1]].sum() > plain.grad[1][text[1]].sum()
