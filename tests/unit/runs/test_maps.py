import numpy as np
import pytest

from hmean.errors import InputError
from hmean.postprocess.decoding import PageMap
from hmean.runs.maps import FoundMaps, MapStore, find_maps, maps_name
from hmean.types import TextView, View


def page(name, value):
    return PageMap(name, np.full((8, 6), value, np.float32), np.diag([2.0, 2.5, 1.0]), 12, 20)


@pytest.fixture
def images(tmp_path):
    files = {"영수증 1=2/x.jpg": tmp_path / "x", "y.jpg": tmp_path / "y"}
    for name, file in files.items():
        file.write_bytes(name.encode())
    return files


def test_maps_come_back(tmp_path, images):
    MapStore(tmp_path / "maps", "a", images).add(page("영수증 1=2/x.jpg", 0.5))
    again = MapStore(tmp_path / "maps", "a", images)  # also after a kill: each map counts once it is written
    assert "영수증 1=2/x.jpg" in again
    assert "y.jpg" not in again
    read = again.read("영수증 1=2/x.jpg")
    assert (read.probability == 128).all()
    assert read.probability.dtype == np.uint8
    assert (read.page_width, read.page_height) == (12, 20)
    np.testing.assert_array_equal(read.to_page, np.diag([2.0, 2.5, 1.0]))


def test_maps_of_other_settings_or_of_a_changed_image_are_never_read(tmp_path, images):
    old = MapStore(tmp_path / "maps", "old", images)
    old.add(page("y.jpg", 0.1))
    new = MapStore(tmp_path / "maps", "new", images)
    assert "y.jpg" not in new
    new.add(page("y.jpg", 0.9))
    assert old.read("y.jpg").probability[0, 0] < new.read("y.jpg").probability[0, 0]
    (tmp_path / "y").write_bytes(b"another scan")
    assert "y.jpg" not in MapStore(tmp_path / "maps", "old", images)


def test_damaged_maps_are_told(tmp_path, images):
    store = MapStore(tmp_path / "maps", "a", images)
    store.add(page("y.jpg", 0.1))
    (file,) = (tmp_path / "maps").iterdir()
    whole = file.read_bytes()
    for damaged in (b"x", whole[:-3], whole.replace(b"[8, 6]", b"[8, 7]")):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="delete it and run the command again"):
            store.read("y.jpg")
    (tmp_path / "y").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        MapStore(tmp_path / "maps", "a", images)


def test_maps_are_found_anywhere_under_a_folder_unless_two_are_of_one_page(tmp_path, images):
    MapStore(tmp_path / "maps" / "best-1", "a", images).add(page("y.jpg", 0.5))
    read = FoundMaps(tmp_path, ["y.jpg"])("y.jpg")
    assert (read.probability == 128).all()
    with pytest.raises(InputError, match=r"other\.jpg: has no map"):
        find_maps(tmp_path, ["other.jpg"])
    MapStore(tmp_path / "maps" / "best-2", "a", images).add(page("y.jpg", 0.5))
    with pytest.raises(InputError, match=r"y\.jpg: has 2 maps, in \S+best-1 and \S+best-2: name the folder of one"):
        find_maps(tmp_path, ["y.jpg"])
    assert len(find_maps(tmp_path / "maps" / "best-2", ["y.jpg"])) == 1


def test_maps_of_text_lie_apart_from_those_of_pages():
    assert maps_name("best", "0123456789abcdef", View(960, "stride")) == "best-0123456789ab"
    assert maps_name("best", "0123456789abcdef", View(960, "stride", TextView())) == "best-0123456789ab-text"


def test_maps_of_what_a_training_started_from_do_not_count(tmp_path, images):
    MapStore(tmp_path / "maps" / "best-1", "a", images).add(page("y.jpg", 0.5))
    MapStore(tmp_path / "maps" / "start-2", "b", images).add(page("y.jpg", 0.25))
    assert (FoundMaps(tmp_path, ["y.jpg"])("y.jpg").probability == 128).all()
