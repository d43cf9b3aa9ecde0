"""Means of maps: exact where frames agree or are whole-pixel moves of one another, and in place where they are not."""

from dataclasses import replace

import numpy as np
import pytest

from hmean import geometry
from hmean.data.targets import make_targets
from hmean.data.views import PageView, letterbox
from hmean.ensemble.detect import detect_voted, mean_map
from hmean.ensemble.voting import VotingParams
from hmean.metrics.scorer import Scorer
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Page, Polygons
from support.plane import rect_corners

PARAMS = PostprocessParams(thresh=0.5, box_thresh=0.5, unclip="inverse", inverse_r=0.6, min_size=1)
WORDS = [rect_corners(60 + 150 * (i % 3), 50 + 48 * (i // 3), 110, 24, angle) for i, angle in enumerate([0, 3, -3, 8, 0, -8, 2, 1, 0])]  # fmt: skip


def page(words=WORDS, width=500, height=240):
    return Page("a.jpg", width, height, Polygons.of(words))


def ideal(view, of):
    """The map that a perfect model would draw in this view."""
    words = view.polygons(of.polygons)
    drawn = make_targets(words, of.ignored, view.width, view.height, shrink_ratio=0.6, min_side=1, antialias=True)
    p = drawn.shrink.astype(np.float32)
    return PageMap(of.name, p / max(p.max(), 1), view.to_page, of.width, of.height)


def iou70(found, truth=None):
    scorer = Scorer("aspect")
    scorer.update(truth or page(), found)
    return scorer.compute().iou70.h


def test_equal_frames_give_the_plain_mean(rng):
    view = letterbox(500, 240, 320, "stride")
    arrays = [rng.random((view.height, view.width), dtype=np.float32) for _ in range(3)]
    maps = [PageMap("a.jpg", a, view.to_page, 500, 240) for a in arrays]
    assert mean_map(maps).probability == pytest.approx(np.mean(arrays, axis=0), abs=1e-6)
    assert mean_map(maps).probability == pytest.approx(mean_map(maps[::-1]).probability, abs=1e-6)
    assert np.array_equal(mean_map(maps[:1]).probability, arrays[0])
    eight = [replace(m, probability=np.round(m.probability * 255).astype(np.uint8)) for m in maps]
    assert mean_map(eight).probability == pytest.approx(np.mean(arrays, axis=0), abs=1 / 500)


def test_crops_at_whole_pixels_are_exact_and_have_no_say_elsewhere(rng):
    view = PageView(geometry.scaling(0.5, 0.5), 256, 128)
    p = rng.random((128, 256), dtype=np.float32)
    whole = PageMap("a.jpg", p, view.to_page, 500, 240)
    left = PageMap("a.jpg", p[20:100, :90] * 0.5, view.to_page @ geometry.translation(0, 20), 500, 240)
    mean = mean_map([whole, left]).probability
    expected = p.copy()
    expected[20:100, :90] *= 0.75
    assert mean == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("long_side", [320, 400, 640, 768, 1000])
def test_a_plane_stays_in_place_in_a_frame_of_another_size(long_side):
    """P rises along the page; half a pixel of drift would show as 0.5 / 500 in x."""
    base, other = letterbox(500, 240, 512, "stride"), letterbox(500, 240, long_side, "stride")

    def rising(view):
        x, y = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
        at = geometry.transform(view.to_page, np.stack([x.ravel(), y.ravel()], axis=1))
        return ((at[:, 0] / 1000 + at[:, 1] / 800).reshape(view.height, view.width)).astype(np.float32)

    maps = [PageMap("a.jpg", rising(view), view.to_page, 500, 240) for view in (base, other)]
    inside = np.s_[4:-8, 4:-8]
    height = round(240 * 512 / 500)
    mean, expected = mean_map(maps).probability[:height], maps[0].probability[:height]
    assert mean[inside] == pytest.approx(expected[inside], abs=1e-4)


@pytest.mark.parametrize("others", [
    [letterbox(500, 240, 640, "stride")],
    [letterbox(500, 240, 384, "square"), letterbox(500, 240, 800, "stride")],
    [PageView(geometry.translation(-100, -40) @ geometry.scaling(1.3, 1.3), 256, 192)],
])  # fmt: skip
def test_regions_of_the_mean_neither_shrink_nor_merge(others):
    views = [letterbox(500, 240, 512, "stride"), *others]
    found = detect(mean_map([ideal(view, page()) for view in views]), PARAMS)
    assert len(found) == len(WORDS)
    assert iou70(found) == 1
    alone = detect(ideal(views[0], page()), PARAMS)
    ratios = np.sort([*map(geometry.area, found.polygons)]) / np.sort([*map(geometry.area, alone.polygons)])
    assert np.abs(ratios - 1).max() < 0.08
    assert abs(ratios.mean() - 1) < 0.03


def test_maps_of_different_pages_are_refused():
    view = letterbox(500, 240, 320, "stride")
    a = PageMap("a.jpg", np.zeros((view.height, view.width), np.float32), view.to_page, 500, 240)
    with pytest.raises(ValueError, match="different pages"):
        mean_map([a, replace(a, name="b.jpg")])


def test_members_of_different_geometry_vote_on_the_page():
    views = [letterbox(500, 240, 512, "stride"), letterbox(500, 240, 640, "square"), letterbox(500, 240, 704, "stride")]  # fmt: skip
    maps = [ideal(view, page()) for view in views]
    shared = {name: getattr(PARAMS, name) for name in PostprocessParams.__dataclass_fields__}
    many = [VotingParams(**{**shared, "thresh": t}, votes=v, iou=0.6) for t in (0.4, 0.6) for v in (2, 3, 4)]
    found = detect_voted(maps, many)
    assert [len(one) for one in found] == [9, 9, 0] * 2
    assert iou70(found[1]) == 1


def test_a_mean_reaches_as_far_as_any_of_its_maps():
    """The first map shows a part of the page; what others show beside it is not lost."""
    view = letterbox(500, 240, 250, "stride")
    p = np.zeros((view.height, view.width), np.float32)
    p[10:20, 5:15] = p[90:100, 200:230] = 0.5
    whole = PageMap("a.jpg", p, view.to_page, 500, 240)
    part = PageMap("a.jpg", p[80:112, 192:256] + 0.25, view.to_page @ geometry.translation(192, 80), 500, 240)
    mean = mean_map([part, whole])
    in_part = geometry.transform(np.linalg.inv(whole.to_page) @ mean.to_page, np.zeros((1, 2)))
    assert np.allclose(in_part, 0, atol=1e-9)
    assert mean.probability[12, 7] == pytest.approx(0.5)  # the part does not count there
    assert mean.probability[95, 210] == pytest.approx((0.5 + 0.75) / 2)
    assert mean.probability[82, 194] == pytest.approx(0.125)
    together = detect(mean, PARAMS)
    apart = detect(mean_map([whole, part]), PARAMS)
    assert len(together) == len(apart)
