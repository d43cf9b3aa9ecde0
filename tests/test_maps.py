import numpy as np
import pytest

from hmean.errors import InputError
from hmean.maps import MapStore, quantise
from hmean.postprocess import PageMap


def page(name, value):
    return PageMap(name, quantise(np.full((8, 6), value, np.float32)), np.eye(3), 12, 16)


def test_maps_come_back(tmp_path):
    store = MapStore(tmp_path, "a")
    store.add(page("영수증 1=2/x.jpg", 0.5))
    store.save()
    again = MapStore(tmp_path, "a")
    assert "영수증 1=2/x.jpg" in again
    read = again.read("영수증 1=2/x.jpg")
    assert (read.probability == 128).all()
    assert (read.page_width, read.page_height) == (12, 16)


def test_maps_of_another_key_are_never_read_even_if_killed_half_way(tmp_path):
    old = MapStore(tmp_path, "old")
    old.add(page("x", 0.1))
    old.save()
    new = MapStore(tmp_path, "new")
    assert "x" not in new
    new.add(page("x", 0.9))  # killed here: the index was not saved
    assert len(MapStore(tmp_path, "old")) == 0


def test_damaged_maps_are_told(tmp_path):
    store = MapStore(tmp_path, "a")
    store.add(page("x", 0.1))
    store.save()
    (tmp_path / "000000.z").write_bytes(b"x")
    with pytest.raises(InputError, match="evaluate again"):
        MapStore(tmp_path, "a").read("x")
