"""Folds: groups stay together, kinds of pages are spread, and the file says what the function said."""

import json
from pathlib import Path

import numpy as np
import pytest

from hmean.cli import main
from hmean.data.folds import HOLDOUT, fold_of, kinds_of, read_splits, write_splits
from hmean.errors import InputError
from hmean.settings.build import open_pages
from hmean.settings.config import DatasetConfig, Split
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
    folds = np.array([0, 1, HOLDOUT, 1])
    write_splits(tmp_path / "splits.json", list("abcd"), folds, {"k": 2})
    assert np.array_equal(read_splits(tmp_path / "splits.json", list("dcba")), folds[::-1])
    with pytest.raises(InputError, match="does not say the fold of 1 pages, first e"):
        read_splits(tmp_path / "splits.json", list("abcde"))
    (tmp_path / "other.json").write_text('{"fold": {"a": "x"}}')
    with pytest.raises(InputError, match=r"is no splits\.json"):
        read_splits(tmp_path / "other.json", ["a"])


def test_the_command_writes_what_a_config_reads(tmp_path, capsys):
    labels = tmp_path / "labels.json"
    pages = many(40, 12)
    labels.write_text(json.dumps({"images": {p.name: p.to_ufo() for p in pages}}))
    assert main(["data", "split", str(labels), str(tmp_path / "splits.json"), "-k", "3", "--holdout", "0.2"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("fold 0\t")
    seen = {}
    for fold in range(3):
        for part in ("train", "val", "holdout"):
            split = Split(file=str(tmp_path / "splits.json"), fold=fold, part=part)
            config = DatasetConfig(image_path=str(tmp_path), annotation_path=str(labels), split=split)
            opened = open_pages(config)
            seen[fold, part] = {opened.name(i) for i in range(len(opened))}
        parts = [seen[fold, part] for part in ("train", "val", "holdout")]
        assert set.union(*parts) == {p.name for p in pages}
        assert sum(map(len, parts)) == len(pages)
        assert seen[fold, "holdout"] == seen[0, "holdout"]
    assert main(["data", "split", str(labels), str(tmp_path / "splits.json")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["data", "split", str(labels), str(tmp_path / "s.json"), "-k", "30"]) == 2
    assert not Path(tmp_path / "s.json").exists()
