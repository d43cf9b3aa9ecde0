"""The spread of seeds, and what it does to an interval."""

import numpy as np
import pytest

from hmean.metrics.intervals import Interval
from hmean.metrics.seeds import SeedSpread, student_t, widened

# 97.5 % quantiles as they stand in printed tables.
TABLE = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    9: 2.262,
    10: 2.228,
    29: 2.045,
    30: 2.042,
    120: 1.980,
}


@pytest.mark.parametrize(("freedom", "quantile"), TABLE.items())
def test_the_quantile_of_students_t_is_that_of_printed_tables(freedom, quantile):
    assert student_t(freedom) == pytest.approx(quantile, abs=0.0005)


def test_there_is_no_quantile_without_a_degree_of_freedom():
    with pytest.raises(ValueError, match="degree of freedom"):
        student_t(0)


def test_other_levels_are_those_of_printed_tables_too():
    assert student_t(1, 0.999) == pytest.approx(636.62, abs=0.01)
    assert student_t(4, 0.9) == pytest.approx(2.132, abs=0.0005)


def test_the_intervals_of_a_family_of_five_are_at_99_percent():
    spread = SeedSpread(sd=0.01, degrees_of_freedom=6)
    assert spread.half_width(3, 2, family=5) == pytest.approx(3.707 * 0.01 * np.sqrt(1 / 3 + 1 / 2), rel=1e-3)
    assert spread.half_width(3, 2) == pytest.approx(2.447 * 0.01 * np.sqrt(1 / 3 + 1 / 2), rel=1e-3)


def test_the_spread_is_pooled_over_the_sides():
    spread = SeedSpread.of([0.90, 0.92, 0.94], [0.5, 0.52])
    assert spread.degrees_of_freedom == 3
    assert spread.sd == pytest.approx(np.sqrt((2 * 0.02**2 + 2 * 0.01**2) / 3))
    assert SeedSpread.of([0.9], [0.8]) is None


def test_an_interval_is_widened_in_quadrature():
    assert widened(Interval(-3.0, 4.0), 0.0, 4.0) == pytest.approx((-5.0, np.sqrt(32)))
    assert widened(None, 0.0, 4.0) is None


def test_means_of_few_trainings_differ_by_no_more_than_their_interval():
    rng = np.random.default_rng(0)
    repeats = 2000
    covered = 0
    for _ in range(repeats):
        a, b = rng.normal(size=3), rng.normal(size=3)
        half = SeedSpread.of(a, b).half_width(3, 3)
        covered += abs(a.mean() - b.mean()) <= half
    assert covered / repeats == pytest.approx(0.95, abs=0.015)


def test_how_often_another_seed_crosses_a_bound():
    spread = SeedSpread(sd=0.01, degrees_of_freedom=2)
    assert spread.chance_of_crossing(0.0) == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    other = rng.normal(0, 0.01, 100_000)
    this = rng.normal(0, 0.01, 100_000)
    assert spread.chance_of_crossing(0.01) == pytest.approx(np.mean(other - this > 0.01), abs=0.005)
    assert SeedSpread(sd=0.0, degrees_of_freedom=2).chance_of_crossing(0.01) == 0.0
