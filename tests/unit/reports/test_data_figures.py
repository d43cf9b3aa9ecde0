import numpy as np
import pytest

from hmean.reports.data_figures import FEWEST_BINS, LEAST_SPAN, MOST_BINS, _edges


def test_few_values_have_few_bins_and_many_have_many():
    values = np.linspace(10, 90, 5000)
    for is_log in (False, True):
        assert len(_edges(values, is_log=is_log)) == MOST_BINS + 1
        assert len(_edges(values[:3], is_log=is_log)) == FEWEST_BINS + 1


@pytest.mark.parametrize("is_log", [False, True])
def test_values_that_are_all_equal_lie_inside_of_the_edges(is_log):
    edges = _edges(np.full(24, 1280.0), is_log=is_log)
    assert edges[0] < 1280 < edges[-1]
    if not is_log:
        assert edges[-1] - edges[0] == pytest.approx(LEAST_SPAN * 1280)


def test_a_single_outlier_does_not_make_the_others_one_bar():
    values = np.r_[np.linspace(10, 90, 5000), 1e6]
    assert _edges(values, is_log=False)[-1] < 200
