"""Any page, written in any format and read again, is what the format can hold of it."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmean.labels.convert import convert_labels
from hmean.labels.formats import FORMATS, format_of_name, open_labels, write_labels
from hmean.labels.label_format import Lost, fitted
from hmean.types import Page, Polygons
from support.labels import draw_images, require_same, some_pages

WRITTEN = [pytest.param(found, id=found.name) for found in FORMATS if found.write is not None]
WIDTH, HEIGHT = 160, 100
ARROW = np.array([[0, 0], [1, 0.5], [0, 1], [0.3, 0.5]])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text != "###")
AWKWARD = st.sampled_from(
    ["*", " ###", '"', '\\"', '"a"', "1,2", "text", " ", "\n", "\r\n", "\t", "\0", "12,13,14,15", "é\u2028"]
)


@st.composite
def outlines(draw):
    x, y = draw(st.floats(20, 140)), draw(st.floats(20, 80))
    radius = draw(st.floats(0.6, 30))
    if draw(st.booleans()):
        return ARROW[:: draw(st.sampled_from([1, -1]))] * radius + [x, y]
    count = draw(st.integers(3, 7))
    start = draw(st.floats(0, 2 * math.pi))
    angles = [start + 2 * math.pi * k / count for k in range(count)]
    return np.array([[x + radius * math.cos(a), y + radius / 2 * math.sin(a)] for a in angles])


@st.composite
def pages(draw):
    polygons = draw(st.lists(outlines(), max_size=4))
    ignore = [draw(st.booleans()) for _ in polygons]
    texts = []
    for is_ignored in ignore:
        text = draw(st.none() | TEXTS | AWKWARD)
        texts.append(draw(st.sampled_from([text, "###"])) if is_ignored else text)
    group = draw(st.none() | TEXTS)
    return Page(
        "a.png",
        WIDTH,
        HEIGHT,
        Polygons.of(polygons),
        texts=tuple(texts),
        ignore=np.array(ignore, dtype=bool),
        group=group,
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    draw_images(folder, some_pages())
    return folder


@pytest.mark.parametrize("label_format", WRITTEN)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(page=pages())
def test_pages_come_back(label_format, page, images):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels"
        write_labels(path, label_format, [page])
        require_same(open_labels(path, images), list(fitted([page], label_format.keeps, Lost())))


@pytest.mark.parametrize("label_format", WRITTEN)
def test_a_format_holds_all_that_it_gave(label_format, images, tmp_path):
    """A second trip through a format, and one through UFO, which holds everything, lose nothing."""
    first, ufo, again = tmp_path / "first", tmp_path / "ufo", tmp_path / "again"
    write_labels(first, label_format, some_pages())
    assert convert_labels([first], ufo, format_of_name("ufo"), images).lost == Lost()
    assert convert_labels([ufo], again, label_format, images).lost == Lost()
    opened = open_labels(first, images)
    require_same(open_labels(again, images), [opened.page(k) for k in range(len(opened.names))])


@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize("source", WRITTEN)
def test_every_pair_of_formats(source, target, images, tmp_path):
    """What both formats can hold comes through both."""
    write_labels(tmp_path / "a", source, some_pages())
    convert_labels([tmp_path / "a"], tmp_path / "b", target, images)
    once = list(fitted(some_pages(), source.keeps, Lost()))
    require_same(open_labels(tmp_path / "b", images), list(fitted(once, target.keeps, Lost())))
