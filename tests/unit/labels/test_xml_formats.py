"""CVAT, PAGE XML, ALTO and hOCR: what they say, and what hostile files do."""

import re
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hmean.errors import InputError
from hmean.labels.formats import format_of_name, open_labels, recognised, write_labels
from hmean.labels.peek import Peek
from hmean.types import Page, Polygons

FILES = Path(__file__).parent / "files"
BOX = [[140, 30], [180, 30], [180, 50], [140, 50]]
QUAD = [[20, 30], [100, 34], [99, 54], [19, 50]]
KINDS = ["cvat", "page", "alto", "hocr"]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    PIL.Image.new("L", (200, 300)).save(folder / "receipt_1.png")
    PIL.Image.new("L", (300, 200)).save(folder / "receipt_2.png")
    return folder


def sample(kind):
    (first, *_) = sorted((FILES / kind).iterdir())
    return first.read_text()


def opened(tmp_path, kind, content, images):
    """A label file in a folder of its own, named like an image."""
    folder = tmp_path / "labels"
    folder.mkdir(exist_ok=True)
    path = folder / ("receipt_1" + min((FILES / kind).iterdir()).suffix)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_labels(path, images)


# --- CVAT -------------------------------------------------------------------------------------------------------------


def test_cvat_turns_a_box_clockwise_about_its_centre(tmp_path, images):
    text = '<annotations><image name="receipt_1.png" width="200" height="300">{}</image></annotations>'
    box = '<box label="text" xtl="80" ytl="90" xbr="120" ybr="110" rotation="90"/>'
    page = opened(tmp_path, "cvat", text.format(box), images).page(0)
    assert np.allclose(page.polygons[0], [[110, 80], [110, 120], [90, 120], [90, 80]])


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ('<mask label="text" rle="1, 2" left="1" top="1" width="2" height="2"/>', "is a mask"),
        ('<polyline label="text" points="1,1;2,2;3,1"/>', "is a polyline"),
        ('<polygon label="text" points="1,1;2,2;3"/>', "points is not a list"),
        ('<polygon label="text" points="1,1;2,2;3,x"/>', "points is '1,1;2,2;3,x'"),
        ('<polygon label="text"/>', "points is None"),
        ('<box label="text" xtl="1" ytl="1" xbr="nan" ybr="3"/>', "xtl, ytl, xbr, ybr and rotation are"),
        ('<box label="text" xtl="1" ytl="1" xbr="1e400" ybr="3"/>', "xtl, ytl, xbr, ybr and rotation are"),
        (f'<box label="text" xtl="1" ytl="1" xbr="{"9" * 5000}" ybr="3"/>', "xtl, ytl, xbr, ybr and rotation are"),
    ],
)
def test_cvat_shapes_that_are_no_outline(tmp_path, images, shape, fault):
    text = f'<annotations><image name="receipt_1.png" width="200" height="300">{shape}</image></annotations>'
    faults = []
    page = opened(tmp_path, "cvat", text, images).page(0, faults)
    assert len(page.polygons) == 0
    assert len(faults) == 1
    assert faults[0].startswith("receipt_1.png: word 0001: ")
    assert fault in faults[0]


def test_cvat_says_what_is_wrong_with_a_file(tmp_path, images):
    video = "<annotations><meta/><track id='0'><box frame='0'/></track></annotations>"
    with pytest.raises(InputError, match="for a video; export it as CVAT for images"):
        opened(tmp_path, "cvat", video, images)
    with pytest.raises(InputError, match="image 2 has no name"):
        opened(tmp_path, "cvat", "<annotations><image name='a.png'/><image/></annotations>", images)
    with pytest.raises(InputError, match="it has no image"):
        opened(tmp_path, "cvat", "<annotations><meta/></annotations>", images)
    faults = []
    odd = "<annotations><image name='receipt_1.png' width='2e2' height='many'/></annotations>"
    opened(tmp_path, "cvat", odd, images).page(0, faults)
    assert faults == ["receipt_1.png: height is 'many', not the image's size in whole pixels"]


def test_cvat_knows_ignore_regions_by_their_label_too(tmp_path, images):
    shape = '<box label="Ignore" xtl="1" ytl="1" xbr="9" ybr="3"/>'
    text = f'<annotations><image name="receipt_1.png" width="200" height="300">{shape}</image></annotations>'
    assert opened(tmp_path, "cvat", text, images).page(0).ignored.tolist() == [True]


# --- PAGE, ALTO, hOCR -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("page", "Word", "Glyph"),
        ("alto", "String", "Strong"),
        ("hocr", "ocrx_word", "ocrx_cinfo"),
    ],
)
def test_a_line_without_words_stands_for_itself(tmp_path, images, kind, old, new):
    page = opened(tmp_path, kind, sample(kind).replace(old, new), images).page(0)
    assert len(page.polygons) == 2
    assert page.ignored.tolist() == [False, True]
    expected = {"page": "COFFEE 4.50", "alto": None, "hocr": "COFFEE 4.50"}
    assert page.texts[0] == expected[kind]


@pytest.mark.parametrize("kind", ["page", "alto", "hocr"])
def test_the_image_is_named_in_the_file_or_like_it(tmp_path, images, kind):
    text = sample(kind)
    assert list(opened(tmp_path, kind, text.replace("receipt_1.png", "receipt_2.png"), images).names) == [
        "receipt_2.png"
    ]
    assert list(opened(tmp_path, kind, text.replace("receipt_1.png", "gone.tif"), images).names) == ["receipt_1.png"]
    (images / "receipt_1.png").unlink()
    assert list(opened(tmp_path, kind, text.replace("receipt_1.png", "gone.tif"), images).names) in (
        ["gone.tif"],
        ["scans/gone.tif"],
    )


@pytest.mark.parametrize(("kind", "page_tag"), [("alto", "<Page .*</Page>"), ("hocr", "<div class='ocr_page'.*</div>")])
def test_several_pages_are_those_of_one_image_file(tmp_path, images, kind, page_tag):
    text = re.sub(f"({page_tag})", r"\1 \1", sample(kind), flags=re.DOTALL)
    labels = opened(tmp_path, kind, text, images)
    assert list(labels.names) == ["receipt_1.png#page=1", "receipt_1.png#page=2"]
    assert len(labels.page(1).polygons) == 3


def test_alto_in_millimetres_is_scaled_to_the_image(tmp_path, images):
    text = (
        sample("alto").replace("pixel", "mm10").replace('WIDTH="200" HEIGHT="300" PHY', 'WIDTH="400" HEIGHT="600" PHY')
    )
    page = opened(tmp_path, "alto", text, images).page(0)
    assert (page.width, page.height) == (200, 300)
    assert np.allclose(page.polygons[1], np.array(BOX) / 2)
    with pytest.raises(InputError, match=r"WIDTH and HEIGHT of a Page are \[None, None\], in mm10"):
        opened(tmp_path, "alto", text.replace('WIDTH="400" HEIGHT="600" PHY', "PHY"), images)


def test_hocr_of_a_browser_is_read(tmp_path, images):
    text = "<html><body><div class='x ocr_page' title='image \"a;b.png\"; bbox 0 0 200 300'>"
    text += "<span class=ocrx_word title='x_wconf 9; bbox 1 2 9 8'>a &amp;&nbsp; <b>b</b>\n c<br></span></div></body></html>"
    labels = opened(tmp_path, "hocr", text, images)
    assert labels.page(0).texts == ("a &\xa0 b c",)
    latin = '<html><head><meta charset="iso-8859-1"></head>' + text[6:].replace("&amp;", "é")
    assert opened(tmp_path, "hocr", latin.encode("latin-1"), images).page(0).texts == ("a é\xa0 b c",)
    with pytest.raises(InputError, match="ends before </html>"):
        opened(tmp_path, "hocr", text.replace("</html>", ""), images)
    faults = []
    opened(tmp_path, "hocr", text.replace("1 2 9 8", "1 2 9"), images).page(0, faults)
    assert "without bbox left top right bottom" in faults[0]


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_places_that_are_no_numbers(tmp_path, images, kind):
    text = sample(kind).replace("140,30", "140,1e999").replace('HPOS="140.0"', 'HPOS="1e999"')
    text = text.replace("20,30 ", "20 ").replace("20 30 100", "20 30 x")
    faults = []
    page = opened(tmp_path, kind, text, images).page(0, faults)
    assert len(faults) == 2
    assert page.ignored.tolist() == [True]


def test_old_page_files_have_points(tmp_path, images):
    text = sample("page").replace(
        'points="20,30 100,34 99,54 19,50"/>', "><!-- --><Point x='20' y='30'/><Point x='100' y='34'/></Coords>"
    )
    text = text.replace("</Coords>", "<Point x='99' y='54'/><Point x='19' y='50'/></Coords>")
    assert np.allclose(opened(tmp_path, "page", text, images).page(0).polygons[0], QUAD)
    faults = []
    opened(tmp_path, "page", text.replace("x='99'", "x='99px'"), images).page(0, faults)
    assert len(faults) == 1


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings(tmp_path, images, kind, encoding):
    text = sample(kind).replace("COFFEE", "CAFÉ 한").replace("\n", "\r\n")
    if encoding == "utf-16":
        text = text.replace('encoding="UTF-8"', 'encoding="UTF-16"').replace('encoding="utf-8"', 'encoding="UTF-16"')
    page = opened(tmp_path, kind, text.encode(encoding), images).page(0)
    assert page.texts[0] == "CAFÉ 한"


BOMB = "<!DOCTYPE x [" + "".join(f'<!ENTITY e{k + 1} "{f"&e{k};" * 10}">' for k in range(1, 20)) + '<!ENTITY e1 "ha">]>'
FILE = '<!DOCTYPE x [<!ENTITY e20 SYSTEM "file:///etc/passwd">]>'
REMOTE = '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'


@pytest.mark.parametrize("dtd", [BOMB, FILE, REMOTE], ids=["bomb", "file", "remote"])
@pytest.mark.parametrize("kind", KINDS)
def test_entities_and_definitions_are_refused(tmp_path, images, kind, dtd):
    head, _, rest = sample(kind).partition("?>")
    rest = rest.replace("COFFEE", "&e20;").replace(
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"', "<!--"
    )
    rest = rest.replace('transitional.dtd">', "-->")
    text = f"{head}?>{dtd}{rest}"
    if kind == "hocr":  # a browser knows no entities but its own
        assert opened(tmp_path, kind, text, images).page(0).texts[0] == "&e20;"
        return
    with pytest.raises(InputError, match=r"declares a document type|is not XML") as error:
        opened(tmp_path, kind, text, images)
    assert "root:" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_deep_files_end_in_a_message(tmp_path, images, kind):
    deep = sample(kind)
    for place in ("</image>", "</Page>", "</body>"):
        deep = deep.replace(place, "<b>" * 100_000 + "</b>" * 100_000 + place)
    with pytest.raises(InputError, match=r"looks like .* depth"):
        opened(tmp_path, kind, deep, images)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"&#xd800;", b"&#0;", b"<", b"&nothing;"])
def test_characters_that_are_none_end_in_a_message_or_are_read(tmp_path, images, kind, fault):
    content = sample(kind).encode().replace(b"COFFEE", b"COF" + fault + b"FEE")
    try:
        labels = opened(tmp_path, kind, content, images)
    except InputError as error:
        assert "receipt_1" in str(error)  # noqa: PT017
        return
    page = labels.page(0)
    assert page.texts[0].startswith("COF")
    write_labels(tmp_path / "again.json", format_of_name("ufo"), [page])


@pytest.mark.parametrize("kind", KINDS)
def test_what_xml_cannot_hold_is_lost_and_told(tmp_path, images, kind):
    texts = ("a\x01b", "\ud800", "\ufffe", "<&>\"'", " a  b ", "a\nb\tc\r")
    polygons = Polygons.of([np.add(BOX, [0, 40 * k]) for k in range(6)])
    page = Page("receipt_1.png", 200, 300, polygons, texts=texts)
    path = tmp_path / "labels"
    lost = write_labels(path, format_of_name(kind), [page])
    found = open_labels(path, images).page(0).texts
    if kind == "hocr":
        assert lost.texts == 5
        assert found == (None, None, None, "<&>\"'", None, None)
    else:
        assert lost.texts == 3
        assert found == (None, None, None, *texts[3:])


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_name_that_xml_cannot_hold_is_refused(tmp_path, kind):
    with pytest.raises(InputError, match="rename the image"):
        write_labels(tmp_path / "labels", format_of_name(kind), [Page("a\x01.png", 9, 9, Polygons.of([]))])


def test_other_xml_says_what_it_is(tmp_path):
    (tmp_path / "a.xml").write_text('<?xml version="1.0"?>\n<!-- a --><x:notation xmlns:x="u"><object/></x:notation>')
    with pytest.raises(InputError, match="is XML, but in no format that is known: its outermost element is 'notation'"):
        open_labels(tmp_path / "a.xml", tmp_path)


def test_files_beside_the_labels_are_no_labels(tmp_path, images):
    shutil.copytree(FILES / "page", tmp_path / "page")
    (tmp_path / "page" / "metadata.xml").write_text("<trpDocMetadata/>")
    (tmp_path / "page" / "mets.xml").write_text("<ns3:mets xmlns:ns3='u'/>")
    assert len(open_labels(tmp_path / "page", images).names) == 2
    assert recognised(Peek.of(tmp_path / "page" / "mets.xml")) is None
