import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hmean import geometry
from hmean.data.views import PageView, letterbox, samples_of_epoch
from hmean.images import Pixels


def test_only_what_is_seen_is_read_and_nothing_of_it_changes(rng):
    """A small window on a page equals the same place of a view of the whole page."""
    page = Pixels(rng.integers(0, 255, (900, 700, 3), dtype=np.uint8), 700, 900)
    for scale in (0.15, 0.37, 0.6, 0.9, 1.7):
        matrix = geometry.scaling(scale, scale) @ geometry.about(geometry.rotation(7), 350, 450)
        whole = PageView(matrix, 1300, 1600).image(page, (1, 2, 3))
        x, y = 32, 64
        part = PageView(geometry.translation(-x, -y) @ matrix, 64, 96).image(page, (1, 2, 3))
        if scale * geometry.FINER > 0.5:  # else the blocks that are averaged begin elsewhere
            assert np.abs(part.astype(int) - whole[y : y + 96, x : x + 64]).max() <= 1
        beside = PageView(geometry.translation(5000, 0) @ matrix, 64, 96).image(page, (1, 2, 3))
        assert (beside == (1, 2, 3)).all()


@given(st.integers(40, 1500), st.integers(40, 1500), st.sampled_from([96, 320, 960]))
def test_letterbox_sizes(width, height, long_side):
    square, stride = letterbox(width, height, long_side, "square"), letterbox(width, height, long_side, "stride")
    assert square.width == square.height == long_side
    assert stride.width % 32 == stride.height % 32 == 0
    assert max(stride.width, stride.height) == long_side
    assert np.array_equal(square.matrix, stride.matrix)


def test_few_pages_are_taken_more_often():
    assert samples_of_epoch(pages=400, views_per_page=1, min_samples=400) == 400
    assert samples_of_epoch(pages=10, views_per_page=1, min_samples=400) == 400
    assert samples_of_epoch(pages=7, views_per_page=1, min_samples=400) == 400
    assert samples_of_epoch(pages=10, views_per_page=50, min_samples=400) == 500
    assert samples_of_epoch(pages=0, views_per_page=2, min_samples=400) == 0
