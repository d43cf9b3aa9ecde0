import pytest

pytest.importorskip("torch")

from hmean.data.sampler import EpochSampler, Mixture


def test_every_sample_comes_once_and_ranks_share_them():
    whole = list(EpochSampler(10, seed=3, samples=20))
    assert sorted(p for _, p in whole) == list(range(20))
    shares = [list(EpochSampler(11, seed=3, rank=r, world=3)) for r in range(3)]
    assert len({len(s) for s in shares}) == 1
    assert {p for share in shares for _, p in share} == set(range(11))


def test_an_epoch_goes_on_at_the_page_where_the_one_before_has_stopped():
    sampler = EpochSampler(10, seed=3, samples=14)
    seen = []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(keys) == len({position for _, position in keys}) == 14
        seen += [position % 10 for _, position in keys]
    assert [seen.count(page) for page in range(10)] == [7] * 10


def test_an_epoch_has_an_order_of_its_own():
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert [e for e, _ in sampler] == [1] * 10
    assert [p for _, p in sampler] != [p for _, p in first]


def test_parts_with_a_share_have_it_of_every_epoch_and_all_their_pages_are_seen():
    mixture = Mixture.of_shares([30, 100, 7], [None, 0.25, 0.25], seed=5)
    assert len(mixture) == 60
    seen = {}
    for epoch in range(20):
        pages = [mixture.page(epoch, position) for position in range(60)]
        assert sorted(pages[:30]) == list(range(30))
        assert all(30 <= page < 130 for page in pages[30:45])
        assert all(130 <= page < 137 for page in pages[45:])
        for page in pages:
            seen[page] = seen.get(page, 0) + 1
    assert {seen[page] for page in range(30, 130)} == {3}  # 20 epochs of 15 samples, 100 pages
    assert {seen[page] for page in range(130, 137)} == {42, 43}
    assert Mixture.of_shares([30, 100, 7], [None, 0.25, 0.25], seed=6).page(0, 40) != mixture.page(0, 40)


def test_shares_must_leave_something_to_the_other_pages():
    for shares in ([None, 1.0], [0.5, 0.5]):
        with pytest.raises(ValueError, match="must leave something"):
            Mixture.of_shares([3, 4], shares, seed=0)
