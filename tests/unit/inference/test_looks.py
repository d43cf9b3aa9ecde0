"""Looks at pages: the view of the text, its exact inverse, and pages where there is little to go by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmean import geometry
from hmean.data.views import MARGIN, MOST_ENLARGED, TextPlace, letterbox, text_heights, text_view
from hmean.inference.looks import FATTER, MOST_LOOKS, SeenPage, look_at
from hmean.postprocess.decoding import detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.looks import LookCosts
from hmean.types import Look, Points, TextView, View

SHRINK = 0.5
TRAINED = SHRINK - FATTER  # cores of a network are fatter than its targets
VIEW = View(640, "stride", TextView(height=20, first_look=320))


def words_at(left, top, height, rows=6, columns=4):
    """Rows of words of one height."""
    words = []
    for row in range(rows):
        for column in range(columns):
            x = left + column * 6 * height
            y = top + row * 2 * height
            words.append(geometry.corners(4 * height, height) + np.array([x, y]))
    return words


class DrawnNetwork:
    """Sees the cores of words exactly; counts what it is asked for."""

    def __init__(self, words_of_pages, least=0.0):
        self.words = words_of_pages
        self.least = least  # height in a view, in pixels, below which nothing is seen
        self.asked = []

    def __call__(self, positions, views):
        self.asked.append(list(positions))
        return [self.draw(self.words[position], view) for position, view in zip(positions, views, strict=True)]

    def draw(self, words, view):
        drawn = np.zeros((view.height, view.width), np.float32)
        for word in words:
            seen = geometry.transform(view.matrix, word)
            left, top = seen.min(axis=0)
            right, bottom = seen.max(axis=0)
            if bottom - top < self.least:
                continue
            by = (right - left) * (bottom - top) * (1 - SHRINK**2) / (2 * (right - left + bottom - top))
            low = np.maximum(np.round([left + by, top + by]), 0).astype(int)
            high = np.maximum(np.round([right - by, bottom - by]), 0).astype(int)
            drawn[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)] = 1
        return drawn


def seen(network, width, height, view=VIEW):
    (found,) = look_at([SeenPage("a.jpg", width, height)], view, TRAINED, network)
    return found


def height_in(found, words):
    heights = text_heights([geometry.transform(np.linalg.inv(found.to_page), word) for word in words])
    return float(np.median(heights))


def test_text_on_a_quarter_of_a_page_is_seen_at_the_height_asked_for():
    words = words_at(100, 150, 28)
    found = seen(DrawnNetwork([words]), 2000, 2800)
    assert height_in(found, words) == pytest.approx(20, rel=0.3)
    whole = letterbox(2000, 2800, 640, "stride")
    assert height_in(found, words) > 2.5 * 28 * whole.scale
    assert len(found.looks) in (2, 3)


def test_large_text_of_a_small_photo_is_made_smaller():
    words = words_at(20, 20, 60, rows=3, columns=1)
    found = seen(DrawnNetwork([words]), 400, 500)
    assert height_in(found, words) == pytest.approx(20, rel=0.3)
    assert found.probability.size < 320 * 320


def test_all_text_is_in_the_view_with_a_margin():
    words = words_at(300, 200, 24)
    found = seen(DrawnNetwork([words]), 1500, 1500)
    height, width = found.probability.shape
    in_view = geometry.transform(np.linalg.inv(found.to_page), np.concatenate(words))
    margin = 0.8 * MARGIN * height_in(found, words)
    assert (in_view >= margin).all()
    assert (in_view <= np.array([width, height]) - margin).all()


def test_what_an_earlier_look_has_found_stays_in_view():
    """Text that only the first look sees is still within the last view."""
    words = words_at(300, 300, 12)
    apart = geometry.corners(300, 60) + np.array([60, 900])
    network = DrawnNetwork([words])

    def see(positions, views):
        maps = network(positions, views)
        if len(network.asked) == 1:  # lines that are seen as one, and text that is not seen again
            lines = geometry.corners(240, 60) + np.array([300, 300])
            maps = [network.draw([lines, lines + np.array([300, 0]), apart], views[0])]
        return maps

    (found,) = look_at([SeenPage("a.jpg", 1200, 1200)], VIEW, TRAINED, see)
    assert len(found.looks) == 3
    height, width = found.probability.shape
    in_view = geometry.transform(np.linalg.inv(found.to_page), apart)
    assert (in_view >= 0).all()
    assert (in_view <= (width, height)).all()


def test_a_page_without_text_is_read_whole():
    found = seen(DrawnNetwork([[]]), 900, 1200)
    whole = letterbox(900, 1200, 640, "stride")
    assert np.array_equal(found.to_page, whole.to_page)
    assert found.probability.shape == (whole.height, whole.width)


def test_text_that_the_first_look_is_too_small_for_is_found_on_the_whole_page():
    words = words_at(100, 100, 10)
    network = DrawnNetwork([words], least=4)  # 2.7 pixels at 320, 5.3 at 640
    found = seen(network, 1200, 1200)
    assert len(found.looks) == 3
    assert height_in(found, words) == pytest.approx(20, rel=0.35)


def test_no_look_follows_one_that_shows_text_as_it_should_be():
    words = words_at(60, 60, 20, rows=4, columns=2)
    network = DrawnNetwork([words])
    found = seen(network, 320, 320)
    assert network.asked == [[0]]
    assert len(found.looks) == 1


def test_a_view_of_the_page_takes_one_look():
    network = DrawnNetwork([words_at(100, 150, 28)])
    found = seen(network, 2000, 2800, View(640, "stride"))
    assert len(found.looks) == 1
    assert np.array_equal(found.to_page, letterbox(2000, 2800, 640, "stride").to_page)


def test_pages_share_their_looks():
    network = DrawnNetwork([words_at(100, 150, 28), words_at(60, 60, 20, rows=4, columns=2), []])
    pages = [SeenPage("a.jpg", 2000, 2800), SeenPage("b.jpg", 320, 320), SeenPage("c.jpg", 640, 640)]
    together = look_at(pages, VIEW, TRAINED, network)
    assert network.asked[0] == [0, 1, 2]
    assert network.asked[1] == [0, 2]
    assert len(network.asked) <= MOST_LOOKS
    for position, page in enumerate(pages):
        alone = look_at([page], VIEW, TRAINED, lambda _, views, k=position: network([k] * len(views), views))
        assert np.array_equal(alone[0].to_page, together[position].to_page)
        assert np.array_equal(alone[0].probability, together[position].probability)


@given(
    st.tuples(st.integers(40, 4000), st.integers(40, 4000)),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.floats(0.5, 300),
    st.sampled_from([320, 960]),
)
def test_a_view_of_text_is_bounded_and_its_inverse_exact(page, ends, height, long_side):
    size = np.array(page)
    low = np.minimum(ends[:2], ends[2:]) * size
    high = np.maximum(ends[:2], ends[2:]) * size
    view = text_view(*page, TextPlace(low, high, height), 20, long_side)
    assert view.width % 32 == view.height % 32 == 0
    assert view.scale <= MOST_ENLARGED * 1.5  # rounded to whole pixels
    assert view.width * view.height <= long_side**2 + 64 * (view.width + view.height)
    points: Points = np.array([low, high, size / 2])
    there_and_back = geometry.transform(view.to_page, geometry.transform(view.matrix, points))
    assert np.abs(there_and_back - points).max() < 1e-6
    # The text is in the view.
    in_view = geometry.transform(view.matrix, np.array([low, high]))
    assert (in_view >= -1e-6).all()
    assert (in_view <= np.array([view.width, view.height]) + 1e-6).all()


def test_words_come_back_to_their_place_on_the_page():
    """Less than half a pixel of the page away, after a network that draws whole pixels of a view twice as fine."""
    words = words_at(103, 151, 10, rows=4, columns=2)
    found = seen(DrawnNetwork([words]), 400, 600)
    params = PostprocessParams(thresh=0.3, box_thresh=0.3, unclip="inverse", inverse_r=SHRINK)
    boxes = detect(found, params)
    assert len(boxes) == len(words)
    centres = np.array([box.mean(axis=0) for box in boxes.polygons])
    for word in words:
        assert np.linalg.norm(centres - word.mean(axis=0), axis=1).min() < 0.5


def test_a_scaled_view_scales_text_and_bound():
    assert VIEW.scaled(0.5) == View(320, "stride", TextView(10, 320))
    assert View(640, "square").scaled(1.25) == View(800, "square")


def test_costs_are_means_over_pages():
    costs = LookCosts.of([[Look(1_000_000, 0.1)], [Look(3_000_000, 0.3), Look(2_000_000, 0.2), Look(4_000_000, 0.2)]])
    assert costs == LookCosts(pages=2, looks=2, first_megapixels=2, first_ms=200, later_megapixels=3, later_ms=200)
    assert costs.text().startswith("a page costs 2.00 looks: the first 2.00 megapixels in 200 ms")
    one = LookCosts.of([[Look(250_000, 0.05)]])
    assert one.text() == "a page costs one look of 0.25 megapixels in 50 ms"
    assert LookCosts.of([]) is None
    assert LookCosts.of([[Look(1, 1)], []]) is None
