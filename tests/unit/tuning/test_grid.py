"""Grids of settings."""

from hmean.postprocess.parameters import PARAMETERS, PostprocessParams
from hmean.tuning.grid import AXES, at_list_ends, grid_axes, grid_size, make_grid

PRESENT = PostprocessParams()


def test_the_grid_tries_each_setting_once():
    axes = {
        "unclip": ["ratio", "inverse"],
        "unclip_ratio": [1.0, 2.0],
        "inverse_r": [0.4, 0.5, 0.6],
        "thresh": [0.3, 0.4],
    }
    settings = make_grid(PRESENT, axes)
    assert settings[0] == PRESENT
    assert len(settings) == len(set(settings)) == 1 + 2 * (2 + 3)
    assert grid_size(axes) == 2 * (2 + 3)


def test_a_parameter_without_a_list_keeps_its_value():
    axes = grid_axes(PRESENT, {"thresh": [0.1, 0.2], "box_thresh": []})
    assert axes["thresh"] == [0.1, 0.2]
    assert axes["box_thresh"] == [PRESENT.box_thresh]
    assert set(axes) == set(AXES) == set(PARAMETERS)


def test_the_order_of_the_grid_on_which_ties_depend():
    assert AXES == (
        "use_polygon",
        "unclip",
        "thresh",
        "box_thresh",
        "unclip_ratio",
        "inverse_r",
        "edge_level",
        "min_size",
        "max_candidates",
    )


def test_values_at_the_end_of_their_list_are_told_if_they_are_read():
    axes = grid_axes(PRESENT, {"thresh": [0.3, 0.4], "box_thresh": [0.5, 0.6, 0.7], "inverse_r": [0.4, 0.5]})
    assert at_list_ends(PRESENT, axes) == {"thresh": 0.3}
