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


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("4,4,24,12,1998", "1998"),
        ("4,4,24,12,12,5", "12,5"),
        ("4,4,24,12,1,234,567", "1,234,567"),
        ("4,4,24,12,1,234,567,890", "1,234,567,890"),  # eight numbers, but no convex quad
        ('4,4,24,12,"24,13,4,13"', "24,13,4,13"),
        ("4,4,24,12", None),
        ("4,4,24,12,", None),
        ('4, 4, 24, 12, "7 Eleven"', "7 Eleven"),
        (r'4,4,24,12,"say \"a\" \\"', 'say "a" \\'),
        ('4 4 24 12 "Foot, print"', "Foot, print"),
        ("4 4 24 12 1998", "1998"),
        ("4,4,24,12, spaces count ", " spaces count "),
        ("4,4,24,12,one\u2028line\x0cstill", "one\u2028line\x0cstill"),
    ],
)
def test_texts_of_boxes(images, labels, line, text):
    (labels / "gt_a.txt").write_text(f"{line}\r\n", encoding="utf-8", newline="")
    page = open_labels(labels, images).page(0)
    assert page.polygons[0].tolist() == [[4, 4], [24, 4], [24, 12], [4, 12]]
    assert page.texts == (text,)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("4,4,24,4,24,12,4,12", None),
        ("4,4,24,4,24,12,4,12,1998", "1998"),
        ("4,4,24,4,24,12,4,12,1,5", "1,5"),
        ("4 4 24 4 24 12 4 12 TOTAL 5", "TOTAL 5"),
    ],
)
def test_texts_of_quads(images, labels, line, text):
    (labels / "gt_a.txt").write_text(line)
    page = open_labels(labels, images).page(0)
    assert page.polygons[0].tolist() == [[4, 4], [24, 4], [24, 12], [4, 12]]
    assert page.texts == (text,)


def test_a_line_that_may_be_either_is_read_as_most_are(images, labels):
    either = "4,32,24,33,23,40,4,40,C"
    (labels / "a.txt").write_text(f"4,4,24,12,A\n4,20,24,30,1998\n{either}\n")
    page = open_labels(labels, images).page(0)
    assert page.texts == ("A", "1998", "23,40,4,40,C")
    assert page.polygons[2].tolist() == [[4, 32], [24, 32], [24, 33], [4, 33]]
    (labels / "a.txt").write_text(f"4,4,24,4,24,12,4,12,A\n1,20,30,20,30,30,1,30,B\n{either}\n")
    page = open_labels(labels, images).page(0)
    assert page.texts == ("A", "B", "C")
    assert page.polygons[2].tolist() == [[4, 32], [24, 33], [23, 40], [4, 40]]
    (labels / "a.txt").write_text(either)
    assert open_labels(labels, images).page(0).texts == ("C",)
    (labels / "a.txt").write_text('4,32,24,33,"23,40,4,40,C"')
    assert open_labels(labels, images).page(0).texts == ("23,40,4,40,C",)
    (labels / "a.txt").write_text("4,4,24,12,A\n4,20,24,30,1998\n4,32,24,32,24,40,4,40,C\n")
    with pytest.raises(InputError, match=r"line 3: has no area"):
        open_labels(labels, images).page(0)


def test_only_three_hashes_are_ignored(images, labels):
    texts = ["*", "#", "##", "####", "*###", "###*", '"###"', "###"]
    (labels / "a.txt").write_text("".join(f"4,4,24,12,{text}\n" for text in texts))
    assert open_labels(labels, images).page(0).ignored.tolist() == [False] * 6 + [True, True]
    (labels / "a.txt").write_text("4,4,24,12, ###\n")  # a word of four characters to the official program
    with pytest.raises(InputError, match=r"a\.jpg: line 1: the text is ' ###'; remove the spaces"):
        open_labels(labels, images).page(0)


def test_width_and_height_are_not_taken_for_a_corner(images, labels):
    (labels / "a.txt").write_text("40,30,20,8,A\n")
    with pytest.raises(InputError, match=r"line 1: '40,30,20,8,A' is not .*right is less than left"):
        open_labels(labels, images).page(0)


def test_labels_may_lie_beside_their_images(images):
    (images / "gt_a.txt").write_text("4,4,24,12,A\n")
    (images / "b b.txt").write_text("4,4,24,12,B\n")
    read = open_labels(images, images)
    assert list(read.names) == ["b b.png", "a.jpg"]


def test_every_file_needs_its_image(images, labels):
    with pytest.raises(InputError, match=r"labels: holds no label files"):
        open_labels(labels, images)
    (labels / "res_c.txt").write_text("")
    with pytest.raises(InputError, match=r"res_c\.txt: no image c\.\*"):
        open_labels(labels, images)
