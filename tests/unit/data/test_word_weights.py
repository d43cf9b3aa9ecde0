import numpy as np
import pytest

from hmean.data.word_weights import LEAST, MOST, draw_word_weights
from hmean.types import Polygons
from support import plane

LINE = plane.rect_corners(100, 20, 160, 20, 0)  # 3200 square pixels
WORD = plane.rect_corners(60, 60, 40, 20, 0)  # 800
DIGIT = plane.rect_corners(120, 60, 10, 20, 0)  # 200


def weights(words, exponent, ignore=None, min_side=2.0):
    if ignore is None:
        ignore = np.zeros(len(words), dtype=bool)
    return draw_word_weights(Polygons.of(words), ignore, 200, 80, exponent=exponent, min_side=min_side)


@pytest.mark.parametrize("exponent", [0.25, 0.5])
def test_words_weigh_by_their_share_of_the_median_area(exponent):
    drawn = weights([LINE, WORD, DIGIT], exponent)
    assert drawn.dtype == np.float32
    assert drawn[20, 100] == pytest.approx((800 / 3200) ** exponent)
    assert drawn[60, 60] == pytest.approx(1)
    assert drawn[60, 120] == pytest.approx(4**exponent)
    assert drawn[40, 10] == 1  # away from all words


def test_with_exponent_one_all_words_sum_to_the_same():
    drawn = weights([LINE, WORD, DIGIT], 1.0)
    sums = [drawn[10:30, 20:180].sum(), drawn[50:70, 40:80].sum(), drawn[50:70, 115:125].sum()]
    assert sums == pytest.approx([800, 800, 800])


def test_weights_reach_a_little_around_a_word_and_no_further():
    drawn = weights([LINE, WORD, DIGIT], 0.5)
    assert drawn[60, 113] == pytest.approx(2)  # 2 px left of the digit, whose margin is 3
    assert drawn[60, 108] == 1


def test_weights_have_limits():
    dot = plane.rect_corners(120, 60, 3, 3, 0)
    drawn = weights([LINE, WORD, dot], 1.0)
    assert drawn.max() == MOST
    assert drawn.min() == LEAST


def test_the_smaller_of_two_words_wins_where_they_overlap():
    digit_in_line = plane.rect_corners(100, 20, 10, 20, 0)
    for words in ([LINE, digit_in_line, WORD], [digit_in_line, LINE, WORD]):
        assert weights(words, 0.5)[20, 100] == pytest.approx(2)


def test_words_that_do_not_count_have_no_weight():
    assert (weights([LINE, WORD], 1.0, ignore=np.array([True, True])) == 1).all()
    assert (weights([DIGIT, WORD], 1.0, min_side=30.0) == 1).all()
    assert (weights([], 1.0) == 1).all()
