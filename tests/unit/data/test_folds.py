"""Folds: groups stay together, kinds of pages are spread, and the file says what the function said."""

import json

import numpy as np
import pytest

from hmean.data.folds import HOLDOUT, Splits, fold_of, kinds_of, read_splits, write_splits
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.types import Page, Polygons


def many(n=400, shops=60, seed=0):
    rng = np.random.default_rng(seed)
    groups = [f"shop{g}" for g in rng.integers(0, shops, n)]
    side = {f"shop{g}": (600, 2400)[g % 3 == 0] for g in range(shops)}
    words = [Polygons.of([np.array([[0, 0], [9, 0], [9, 9], [0, 9]])] * int(k)) for k in rng.integers(0, 60, n)]
    return [Page(f"{i}.jpg", side[g], side[g], words[i], group=g) for i, g in enumerate(groups)]


def test_groups_stay_together_and_the_shares_are_kept():
    pages = many()
    names, groups = [p.name for p in pages], [p.group for p in pages]
    folds = fold_of(names, groups, 5, 1, holdout=0.2, strata=kinds_of(pages))
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == shop}) == 1 for shop in set(groups))
    sizes = np.bincount(np.where(folds == HOLDOUT, 5, folds))
    assert np.abs(sizes[:5] - 64).max() <= 10
    assert abs(sizes[5] - 80) <= 10
    shuffled = np.random.default_rng(3).permutation(len(pages))
    again = fold_of([names[i] for i in shuffled], [groups[i] for i in shuffled], 5, 1, holdout=0.2,
                    strata=kinds_of([pages[i] for i in shuffled]))  # fmt: skip
    assert np.array_equal(again, folds[shuffled])


def test_folds_are_even_and_do_not_depend_on_the_order_of_pages():
    names = [f"{i}.jpg" for i in range(50)]
    groups = [f"g{i // 4}" if i < 40 else None for i in range(50)]
    folds = fold_of(names, groups, 5, 1)
    assert np.bincount(folds).tolist() == [10] * 5
    for group in set(groups) - {None}:
        assert len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1
    back = fold_of(names[::-1], groups[::-1], 5, 1)[::-1]
    assert np.array_equal(folds, back)
    assert not np.array_equal(folds, fold_of(names, groups, 5, 2))
    with pytest.raises(ValueError, match="3 folds"):
        fold_of(["a", "b"], ["x", "x"], 3, 0)


def test_strata_even_out_kinds_of_pages():
    pages = many()
    names, groups = [p.name for p in pages], [p.group for p in pages]
    large = np.array([p.width == 2400 for p in pages])

    def unevenness(folds):
        return np.std([large[folds == f].mean() for f in range(5)])

    spread = [fold_of(names, groups, 5, seed, strata=kinds_of(pages)) for seed in range(10)]
    plain = [fold_of(names, groups, 5, seed) for seed in range(10)]
    assert np.mean([unevenness(f) for f in spread]) < 0.5 * np.mean([unevenness(f) for f in plain])


def test_too_few_groups_for_folds_and_a_held_out_part():
    with pytest.raises(ValueError, match="2 folds and a held-out part need as many groups of pages, there are 2"):
        fold_of(["a", "b"], ["x", "y"], 2, 0, holdout=0.3)


def test_the_file_holds_what_was_dealt(tmp_path):
    pages = many(40, 12)
    (tmp_path / "labels.json").write_text(json.dumps({"images": {p.name: p.to_ufo() for p in pages}}))
    labels = open_labels(tmp_path / "labels.json", tmp_path)
    path = tmp_path / "splits.json"
    folds = write_splits(path, labels, k=3, holdout=0.2, seed=5)
    assert np.array_equal(read_splits(path, labels.names[::-1]), folds[::-1])
    record = Splits.read(path)
    assert (record.labels, record.k, record.holdout, record.seed) == ("labels.json", 3, 0.2, 5)
    assert {name for name, fold in record.fold.items() if fold is None} == {
        name for name, fold in zip(labels.names, folds, strict=True) if fold == HOLDOUT
    }
    with pytest.raises(InputError, match=r"does not say the fold of 1 pages, first e\.jpg"):
        read_splits(path, [labels.names[0], "e.jpg"])
    with pytest.raises(InputError, match=r"labels\.json: 30 folds and a held-out part need"):
        write_splits(path, labels, k=30, holdout=0.2, seed=5)


@pytest.mark.parametrize("fold", ['{"a": "x"}', '{"a": -1}', '{"a": true}', '{"a": 1.5}', "[]", "null"])
def test_a_file_of_another_kind_is_refused(tmp_path, fold):
    (tmp_path / "other.json").write_text(f'{{"fold": {fold}}}')
    with pytest.raises(InputError, match=r"other\.json: is not a Splits"):
        read_splits(tmp_path / "other.json", ["a"])


def test_a_file_made_by_hand_needs_the_folds_alone(tmp_path):
    (tmp_path / "splits.json").write_text('{"fold": {"a": 1, "b": null}}')
    assert read_splits(tmp_path / "splits.json", ["b", "a"]).tolist() == [HOLDOUT, 1]
