import json
import shutil

import PIL.Image
import pytest

from hmean.errors import InputError
from hmean.labels.formats import FORMATS, format_of_name, images_of, open_labels, write_labels
from hmean.labels.label_format import Lost, fitted
from hmean.labels.partial_json import read_start
from hmean.labels.peek import Peek
from hmean.types import Polygons
from support.labels import draw_images, require_same, some_pages

WRITTEN = [pytest.param(found, id=found.name) for found in FORMATS if found.write is not None]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    draw_images(folder, some_pages())
    return folder


def target(label_format, folder):
    if label_format.write.is_folder:
        return folder / "labels"
    return folder / "labels.txt"  # the name says nothing


@pytest.mark.parametrize("label_format", WRITTEN)
def test_what_a_format_keeps_comes_back(label_format, images, tmp_path):
    path = target(label_format, tmp_path)
    lost = write_labels(path, label_format, some_pages())
    expected_loss = Lost()
    expected = list(fitted(some_pages(), label_format.keeps, expected_loss))
    assert lost == expected_loss
    require_same(open_labels(path, images), expected)


@pytest.mark.parametrize("label_format", WRITTEN)
def test_written_labels_are_of_one_format(label_format, tmp_path):
    path = target(label_format, tmp_path)
    write_labels(path, label_format, some_pages())
    peeks = [Peek.of(path)]
    if label_format.write.is_folder:
        peeks += [Peek.of(file) for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size]
    for peek in peeks:
        recognising = [found.name for found in FORMATS if found.recognises(peek)]
        assert len(recognising) <= 1


@pytest.mark.parametrize("label_format", WRITTEN)
def test_nothing_is_overwritten_without_being_told(label_format, tmp_path):
    path = target(label_format, tmp_path)
    write_labels(path, label_format, some_pages())
    with pytest.raises(InputError, match="exists already"):
        write_labels(path, label_format, some_pages())
    write_labels(path, label_format, some_pages()[1:], overwrite=True)
    if label_format.write.is_folder:
        (path / "mine.doc").write_text("")
        with pytest.raises(InputError, match=r"holds other files than such labels \(mine.doc\)"):
            write_labels(path, label_format, some_pages(), overwrite=True)
        assert not [file for file in path.rglob("a.*") if file.is_file()]  # the first page is no longer there
    other_kind = tmp_path / "other"
    other_kind.touch()
    if not label_format.write.is_folder:
        other_kind.unlink()
        other_kind.mkdir()
    with pytest.raises(InputError, match="remove it"):
        write_labels(other_kind, label_format, some_pages(), overwrite=True)


@pytest.mark.parametrize("label_format", WRITTEN)
def test_labels_are_complete_or_not_there(label_format, tmp_path):
    def broken():
        yield some_pages()[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_labels(target(label_format, tmp_path), label_format, broken())
    assert list(tmp_path.iterdir()) == []


def test_losses_are_told_in_numbers():
    keeps = format_of_name("yolo").keeps
    lost = Lost()
    list(fitted(some_pages(), keeps, lost))
    assert lost == Lost(outlines=3, texts=3, ignore=1, groups=1, unlabelled=1)
    lost = Lost()
    list(fitted(some_pages(), format_of_name("icdar").keeps, lost))
    assert lost == Lost(outlines=2, rounded=2, groups=1, unlabelled=1)


def test_words_that_stick_out_of_the_page_are_cut(images, tmp_path):
    outlines = [
        [[-20, 5], [50, 5], [50, 20], [-20, 20]],
        [[-9, -9], [200, -3], [3, 200]],
        [[150, 90], [170, 90], [170, 91]],
    ]
    page = some_pages()[0].__class__("a.png", 160, 100, Polygons.of(outlines))
    for name in ("page", "hocr"):
        lost = write_labels(tmp_path / name, format_of_name(name), [page])
        assert lost == Lost(cut=3)
        assert lost.sentences(format_of_name(name).keeps) == ["3 words were cut off at the edge of the page"]
        found = open_labels(tmp_path / name, images).page(0).polygons
        assert found[0].tolist() == [[0, 5], [50, 5], [50, 20], [0, 20]]
        assert (found.points.min(axis=0) >= 0).all()
        assert (found.points.max(axis=0) <= [160, 100]).all()


def test_pages_of_one_stem_are_not_mixed_up(tmp_path):
    pages = some_pages()[:1]
    other = [page.__class__("a.jpg", page.width, page.height, page.polygons) for page in pages]
    with pytest.raises(InputError, match=r"a\.jpg, a\.png: the labels of both would be a\.txt"):
        write_labels(tmp_path / "labels", format_of_name("icdar"), pages + other)


def test_a_folder_of_label_sets_is_read_as_one(images, tmp_path):
    first, *others = some_pages()
    write_labels(tmp_path / "train.json", format_of_name("ufo"), [first])
    write_labels(tmp_path / "val.json", format_of_name("ufo"), others)
    require_same(open_labels(tmp_path, images), some_pages())
    (tmp_path / "notes.json").write_text('{"author": "me"}')
    with pytest.raises(InputError, match=r"notes\.json: is JSON, but in no format .* its keys are \['author'\]"):
        open_labels(tmp_path, images)
    shutil.copy(tmp_path / "train.json", tmp_path / "notes.json")
    with pytest.raises(InputError, match=r"1 images are listed twice, first a\.png"):
        open_labels(tmp_path, images)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"{}", "is not JSON, or an empty object"),
        (b"[", "is not JSON"),
        (b'{"a": 1, "b', r"its keys are \['a'\]"),
        (b'[{"c": 1}]', r"a list of items with the keys \['c'\]"),
        (b"SQLite\0\0", "is no text"),
        (b"hello\nyou", "it begins with .*hello"),
        (b'{"a":' * 100_000, "is JSON, but in no format"),
    ],
)
def test_files_of_no_format_say_what_they_look_like(tmp_path, content, message):
    (tmp_path / "labels.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        open_labels(tmp_path / "labels.json", tmp_path)
    assert "icdar" in str(error.value)


def test_a_file_whose_first_key_holds_much_is_known(images, tmp_path):
    write_labels(tmp_path / "a.json", format_of_name("ufo"), some_pages())
    text = (tmp_path / "a.json").read_text().replace("{", json.dumps({"info": "x" * 200_000})[:-1] + ", ", 1)
    (tmp_path / "b.json").write_text(text)
    require_same(open_labels(tmp_path / "b.json", images), some_pages())


def test_a_missing_data_set_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="hmean data synth") as error:
        open_labels(tmp_path / "jsons" / "train.json", tmp_path)
    assert "not found" in str(error.value)
    assert "labels in one of these formats" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotations><track id='0' label='text'/></annotations>", "this looks like CVAT for video; export it as"),
        ("<annotation><filename>a.png</filename><object/></annotation>", "this looks like Pascal VOC; export it as"),
        ('[{"ocr": "a.png", "id": 1, "annotator": 1, "annotation_id": 1}]', "this looks like Label Studio JSON-MIN"),
    ],
)
def test_exports_of_other_tools_are_named(tmp_path, content, message):
    (tmp_path / "labels").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        open_labels(tmp_path / "labels", tmp_path)
    assert "no format that is known" not in str(error.value)


def test_the_formats_are_listed_once_in_a_message(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"author": "me"}')
    with pytest.raises(InputError, match=r"b\.json: is JSON") as error:
        open_labels(tmp_path, tmp_path)
    assert str(error.value).count("labels in one of these formats") == 1


def test_a_file_that_was_cut_off_is_not_told_of_nan(tmp_path):
    (tmp_path / "labels.json").write_text('{"images": {"a.png": {"img_w": 40,')
    with pytest.raises(InputError, match="is not JSON") as error:
        open_labels(tmp_path / "labels.json", tmp_path)
    assert "NaN" not in str(error.value)


def test_images_lie_in_images_beside_the_labels_or_right_beside_them(tmp_path):
    labels = tmp_path / "labels.json"
    assert images_of(labels) == tmp_path
    (tmp_path / "images").mkdir()
    assert images_of(labels) == tmp_path / "images"


def test_the_start_of_json_is_read_as_far_as_it_goes():
    text = '{"a": [1, {"b": "x\\"y", "c": null}], "d": true, "e": {}, "f": -1.5e3}'
    assert read_start(text) == {"a": [1, {"b": 'x\\"y', "c": None}], "d": True, "e": {}, "f": -1500}
    for cut in range(1, len(text)):
        assert isinstance(read_start(text[:cut]), dict)
    assert read_start(text[:30])["a"][1] == {"b": 'x\\"y'}
    assert read_start("[[[") == [[[]]]
    assert read_start("no") is None
    assert read_start('{"a": nonsense, "b": 1}') == {}
    assert read_start("7 8") == 7


def test_a_page_whose_image_is_missing_says_so(tmp_path):
    pages = some_pages()[:1]
    write_labels(tmp_path / "labels", format_of_name("yolo-obb"), pages)
    draw_images(tmp_path / "images", pages)
    labels = open_labels(tmp_path / "labels", tmp_path / "images")
    (tmp_path / "images/a.png").unlink()
    faults = []
    assert labels.page(0, faults).words_known is False
    assert len(faults) == 1
    assert "a.png: no such image" in faults[0]
    PIL.Image.new("L", (160, 100)).save(tmp_path / "images/a.png")
    assert labels.page(0).words_known
