import PIL.Image
import pytest

from hmean.errors import InputError
from hmean.labels.formats import open_labels


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b b.png"):
        PIL.Image.new("RGB", (100, 50)).save(folder / name)
    return folder


@pytest.fixture
def labels(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    return folder


def test_sroie_and_icdar_text_files(images, labels):
    (labels / "a.txt").write_text(
        "1,2,30,2,30,12,1,12,TOTAL, RM 1,234.00\n\n5,20,40,20,40,30,5,30,###\n", encoding="utf-8-sig"
    )
    (labels / "gt_b b.txt").write_text('10,5,60,25,"7 Eleven"\n10,30,60,45,12,5\n')
    read = open_labels(labels, images)
    assert list(read.names) == ["a.jpg", "b b.png"]
    a, b = read.page(0), read.page(1)
    assert a.ids == ("0001", "0003")
    assert a.texts == ("TOTAL, RM 1,234.00", "###")
    assert a.ignored.tolist() == [False, True]
    assert a.polygons[0].tolist() == [[1, 2], [30, 2], [30, 12], [1, 12]]
    assert b.texts == ("7 Eleven", "12,5")
    assert b.polygons[0].tolist() == [[10, 5], [60, 5], [60, 25], [10, 25]]
    assert (b.width, b.height) == (100, 50)


def test_lines_unlike_the_others_are_faults(images, labels):
    (labels / "a.txt").write_text("1,2,nothing\n")
    read = open_labels(labels, images)
    with pytest.raises(InputError, match=r"a\.jpg: line 1: '1,2,nothing' is not left,top,right,bottom,text"):
        read.page(0)
    (labels / "a.txt").write_text("1,2,30,2,30,12,1,12,A\n5,20,40,20,40,30,5,B\n1,32,30,32,30,42,1,42,7\n")
    with pytest.raises(InputError, match=r"a\.jpg: line 2: '5,20,40,20,40,30,5,B' is not x1,y1,...,x4,y4,text"):
        read.page(0)  # not a rectangle of an ICDAR 2013 file
    (labels / "a.txt").write_text("1,2,nan,12,A\n")
    with pytest.raises(InputError, match=r"a\.jpg: line 1: has a coordinate that is not a finite number"):
        read.page(0)
    (labels / "a.txt").write_bytes(b"1,2,30,12,\xff\n")
    with pytest.raises(InputError, match=r"(?s)a\.txt: wrong labels:.*a\.txt: is not UTF-8"):
        read.page(0)


def test_every_file_needs_its_image(images, labels):
    with pytest.raises(InputError, match=r"labels: holds no \.txt label files"):
        open_labels(labels, images)
    (labels / "res_c.txt").write_text("")
    with pytest.raises(InputError, match=r"res_c\.txt: no image c\.\*"):
        open_labels(labels, images)
