import pytest

pytest.importorskip("torch")

from hmean.data.sampler import EpochSampler


def test_every_sample_comes_once_and_ranks_share_them():
    whole = list(EpochSampler(10, seed=3, views_per_page=2))
    assert sorted(p for _, p in whole) == list(range(20))
    shares = [list(EpochSampler(11, seed=3, rank=r, world=3)) for r in range(3)]
    assert len({len(s) for s in shares}) == 1
    assert {p for share in shares for _, p in share} == set(range(11))


def test_an_epoch_has_an_order_of_its_own():
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert [e for e, _ in sampler] == [1] * 10
    assert [p for _, p in sampler] != [p for _, p in first]
