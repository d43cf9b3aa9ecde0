"""An exported network is compared with the checkpoint, also where the two have cut other views of the text."""

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.inference.export.check import compare_maps, require_same
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams

PARAMS = PostprocessParams(thresh=0.3, box_thresh=0.5, unclip="ratio", unclip_ratio=1.0)


class Stub:
    """Gives out the maps that it was made with, in place of a network."""

    def run(self, runner, pages):  # noqa: ARG002 - as networks are run
        yield from runner


def page_map(*, columns, shift=0.0, noise=0.0):
    """A map with one text line, as wide as the number of columns, that starts so far to the right."""
    probability = np.zeros((32, columns), dtype=np.float32)
    probability[8:20, 10:50] = 0.9 - noise
    to_page = np.array([[1.0, 0.0, shift], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return PageMap("a.png", probability, to_page, 96, 32)


def compared(first, second):
    return compare_maps([first], [second], [None], PARAMS, Stub())


def test_maps_of_one_view_are_compared_pixel_by_pixel():
    check = compared(page_map(columns=64), page_map(columns=64, noise=0.05))
    assert check.max_difference == pytest.approx(0.05)
    assert (check.pages, check.boxes, check.same_boxes, check.other_views) == (1, 1, 1.0, 0)
    assert check.same_boxes_in_other_views is None
    require_same("a.onnx", check, "fp16")
    with pytest.raises(InputError, match=r"P differs by up to 0.05 \(allowed: 0.001\)"):
        require_same("a.onnx", check, "fp32")


def test_maps_of_other_views_are_compared_by_their_boxes():
    same = page_map(columns=64)
    moved = page_map(columns=96, shift=0.5)
    pages = [None] * 2
    check = compare_maps([same, same], [same, moved], pages, PARAMS, Stub())
    assert (check.max_difference, check.other_views) == (0.0, 1)
    assert (check.boxes, check.same_boxes_in_other_views) == (1, 1.0)
    require_same("a.onnx", check, "fp32")
    far = page_map(columns=96, shift=30)
    check = compare_maps([same, same], [same, far], pages, PARAMS, Stub())
    assert check.same_boxes_in_other_views == 0.0
    with pytest.raises(InputError, match=r"on 1 pages it cuts another view .* only 0.00 % of the boxes"):
        require_same("a.onnx", check, "fp16")


def test_views_that_mostly_differ_are_refused():
    check = compared(page_map(columns=64), page_map(columns=96))
    with pytest.raises(InputError, match=r"other views of the text than the checkpoint on 1 of 1 pages"):
        require_same("a.onnx", check, "fp16")
