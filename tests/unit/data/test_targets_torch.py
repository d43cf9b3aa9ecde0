"""The maps of the training device against those of the loader, page by page."""

import numpy as np
import pytest

from support.words import RULE, random_words

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from hmean.data import targets, targets_torch
from hmean.types import Polygons


def on_device(views, width, height, antialias):
    packed = [targets_torch.pack(p, targets.shrink_distances(p, ignore, **RULE)) for p, ignore in views]
    shape = (len(views), height, width)
    return targets_torch.make_targets(**targets_torch.collate(packed), shape=shape, antialias=antialias)


def assert_same(views, width, height, antialias):
    made = on_device(views, width, height, antialias)
    for i, (polygons, ignore) in enumerate(views):
        expected = targets.make_targets(polygons, ignore, width, height, antialias=antialias, **RULE)
        for name, pixels in made.items():
            theirs = torch.from_numpy(getattr(expected, name))
            assert pixels.dtype == theirs.dtype
            difference = (pixels[i].float() - theirs.float()).abs()
            if name == "threshold":
                assert difference.max() < 1e-4
            elif name == "shrink" and antialias:
                assert difference.max() <= 1  # of 255
            else:
                assert (difference > 0).sum() <= 2, name  # a centre may lie on an edge to float32's last bit


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_maps_equal_those_of_the_loader(seed, antialias):
    rng = np.random.default_rng(seed)
    assert_same([random_words(rng, int(n), 120, 90) for n in rng.integers(0, 20, 3)], 120, 90, antialias)


@pytest.mark.parametrize("antialias", [False, True])
def test_little_memory_changes_nothing(monkeypatch, rng, antialias):
    views = [random_words(rng, 12, 120, 90) for _ in range(2)]
    whole = on_device(views, 120, 90, antialias)
    monkeypatch.setattr(targets_torch, "PIXELS", 900)
    parts = on_device(views, 120, 90, antialias)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_pages_without_words_and_words_without_area():
    nothing = (Polygons.of([]), np.zeros(0, bool))
    point = (Polygons.of([[[5, 5]] * 3, [[-500, -500], [-400, -500], [-450, -400]]]), np.zeros(2, bool))
    assert_same([nothing, nothing], 40, 30, antialias=False)
    assert_same([nothing, point], 40, 30, antialias=True)
