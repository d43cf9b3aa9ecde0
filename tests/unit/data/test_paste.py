import numpy as np
import pytest

from hmean import geometry
from hmean.data.paste import SeenWords, paste_words, source_matrix
from hmean.data.views import PageView
from hmean.images import Pixels
from hmean.types import Page, Polygons


def page_of(words, width=300, height=200, paper=230):
    """A page with a black stroke in the middle of each word (x, y, width, height), and its labels."""
    image = np.full((height, width, 3), paper, np.uint8)
    quads = []
    for x, y, w, h in words:
        image[y + h // 2 - 2 : y + h // 2 + 2, x + 2 : x + w - 2] = 20
        quads.append([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
    texts = tuple("1" if w < 15 else "word" for _, _, w, _ in words)
    return image, Page("a.png", width, height, Polygons.of(quads), texts=texts)


def paste(image, page, source_image, source, *, seed=0, most=8, matrix=None, corners=None):
    if matrix is None:
        matrix = np.eye(3)
    if corners is None:
        corners = geometry.corners(page.width, page.height)
    return paste_words(
        np.random.default_rng(seed),
        SeenWords(image, page.polygons, page.ignored),
        corners,
        Pixels(source_image, source.width, source.height),
        source,
        matrix,
        most,
    )


SOURCE = page_of([(20, 20, 60, 14), (20, 60, 10, 14), (60, 60, 40, 14), (20, 100, 9, 12)])


def test_pasted_words_have_their_ink_inside_their_labels_and_meet_no_other():
    image, page = page_of([(100, 90, 80, 16)], paper=200)
    before = image.copy()
    pasted = 0
    for seed in range(20):
        seen = paste(image, page, *SOURCE, seed=seed)
        assert np.array_equal(image, before)
        assert len(seen.ignored) == len(seen.polygons)
        assert np.array_equal(seen.polygons[0], page.polygons[0])
        labelled = np.zeros(image.shape[:2], int)
        for quad in seen.polygons:
            (left, top), (right, bottom) = (
                np.round(quad.min(axis=0)).astype(int),
                np.round(quad.max(axis=0)).astype(int),
            )
            assert 0 <= left < right <= page.width
            assert 0 <= top < bottom <= page.height
            labelled[top:bottom, left:right] += 1
            assert seen.image[(top + bottom) // 2, (left + right) // 2, 0] < 60
        assert labelled.max() == 1
        assert (seen.image[labelled == 0] == 200).all()
        pasted += len(seen.polygons) - 1
    assert pasted > 30


def test_half_of_the_pasted_words_are_short():
    image, page = page_of([])
    short = 0
    total = 0
    for seed in range(40):
        for quad in paste(image, page, *SOURCE, seed=seed, most=4).polygons:
            total += 1
            short += bool(np.ptp(quad[:, 0]) < 15)
    assert short / total == pytest.approx(0.5, abs=0.15)


def test_nothing_is_pasted_beside_the_page_on_pictures_or_on_dark_paper(rng):
    image, page = page_of([])
    beside = geometry.corners(page.width, page.height) * (0.4, 1)
    for quad in paste(image, page, *SOURCE, corners=beside).polygons:
        assert quad[:, 0].max() <= 0.4 * page.width
    picture = rng.integers(0, 256, image.shape, dtype=np.uint8)
    assert len(paste(picture, page, *SOURCE).polygons) == 0
    assert len(paste(np.full_like(image, 60), page, *SOURCE).polygons) == 0
    inverted = 255 - SOURCE[0]
    assert len(paste(image, page, inverted, SOURCE[1]).polygons) == 0


def test_ignored_words_are_not_pasted():
    image, page = page_of([])
    source = Page("b.png", 300, 200, SOURCE[1].polygons, texts=SOURCE[1].texts, ignore=np.ones(4, np.bool_))
    assert len(paste(image, page, SOURCE[0], source).polygons) == 0


def test_words_come_in_the_direction_and_at_the_scale_of_the_view(rng):
    _, page = page_of([], width=600, height=400)
    _, source = page_of([])
    view = PageView(geometry.translation(90, 5) @ geometry.quarter_turns(1) @ geometry.scaling(0.5, 0.5), 200, 300)
    for _ in range(20):
        matrix = source_matrix(rng, view, page, source)
        across = geometry.transform(matrix, np.array([[0.0, 0], [1, 0]]))
        step = across[1] - across[0]
        assert step[0] == pytest.approx(0, abs=1e-9)
        assert 0.7 <= step[1] <= 1.4  # half of twice the page
