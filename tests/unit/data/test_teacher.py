"""Distillation: a teacher's maps in the view of the sample, blended into the labels' shrink map."""

from dataclasses import dataclass

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.data.augment import Augment, TrainView
from hmean.data.dataset import TrainDataset
from hmean.data.photometric import Photometric
from hmean.data.targets import make_targets
from hmean.data.teacher import blend, teacher_in_view
from hmean.data.views import PageView, letterbox
from hmean.errors import InputError
from hmean.geometry import scaling, transform

RULE = {"shrink_ratio": 0.6, "min_side": 2}


@dataclass
class Map:
    probability: np.ndarray
    to_page: np.ndarray
    page_width: int
    page_height: int


def map_of(page, draw, *, long_side=None):
    """A teacher's map of a page: ``draw(page, view)`` -> uint8."""
    view = letterbox(page.width, page.height, long_side or max(page.width, page.height), "stride")
    return Map(draw(page, view), view.to_page, page.width, page.height)


def labels_of(page, view):
    words = view.polygons(page.polygons)
    return make_targets(words, page.ignored, view.width, view.height, antialias=True, **RULE).shrink


def test_a_teacher_that_equals_the_labels_changes_nothing(pages):
    for i in range(len(pages)):
        page = pages.page(i)
        # Views that move by whole pixels, a crop among them: the teacher's pixels are the view's.
        views = [
            letterbox(page.width, page.height, max(page.width, page.height), "stride"),
            PageView(np.array([[1.0, 0, -17], [0, 1, -5], [0, 0, 1]]), 96, 64),
        ]
        for view in views:
            own = torch.from_numpy(labels_of(page, view))
            taught = teacher_in_view(map_of(page, labels_of), page, view)
            inside = view.image(pages.pixels(i, page), (0, 0, 0)).any(axis=2)  # the teacher knows the page alone
            assert torch.equal(blend(own, taught, 0.7)[inside], own[inside])


def test_a_teachers_map_lies_where_the_page_lies(pages):
    """A disc drawn in a map of another size comes out at its place in turned, mirrored and scaled views."""
    page = pages.page(0)
    at = np.array([[page.width / 2 + 0.3, 83.0]])

    def disc(_page, view):
        ((x, y),) = transform(view.matrix, at)
        yy, xx = np.mgrid[: view.height, : view.width] + 0.5
        return np.round(255 * np.clip(12 - np.hypot(xx - x, yy - y), 0, 1)).astype(np.uint8)

    teacher = map_of(page, disc, long_side=2 * max(page.width, page.height))
    turn = np.array([[0.0, -1.3, 190], [-1.3, 0.2, 250], [0.0004, 0.0, 1]])  # mirrored, sheared, in perspective
    for matrix in (np.eye(3), scaling(0.5, 0.5), scaling(1.7, 1.7), turn):
        seen = teacher_in_view(teacher, page, PageView(matrix, 256, 256)).numpy().astype(float)
        yy, xx = np.mgrid[:256, :256] + 0.5
        centre = [(seen * xx).sum() / seen.sum(), (seen * yy).sum() / seen.sum()]
        assert np.abs(transform(matrix, at)[0] - centre).max() < 0.25


def test_the_weight_is_the_teachers_share(pages):
    view = TrainView((128, 192), 64, 0.8, Augment(rotate=5), Photometric(p_noise=0.3))
    by_name = {pages.name(i): pages.page(i) for i in range(len(pages))}

    def read_teacher(name):
        return map_of(by_name[name], lambda _, v: np.full((v.height, v.width), 255, np.uint8))

    def items(teacher, weight=0.5):
        options = {**RULE, "seed": 1, "fill": (1, 2, 3), "teacher": teacher, "teacher_weight": weight}
        data = TrainDataset(pages, view, **options)
        found = [data[(0, i)] for i in range(3)]
        return {key: torch.stack([item[key] for item in found]) for key in found[0]}

    alone = items(None)
    none, half, all_ = (items(read_teacher, weight) for weight in (0.0, 0.5, 1.0))
    assert alone.keys() == half.keys()
    for key in alone:
        assert torch.equal(alone[key], none[key]), key
        assert key == "shrink" or torch.equal(alone[key], half[key]), key  # the labels alone decide all else
    taught = all_["shrink"] == 255
    assert taught.float().mean() > 0.5
    assert set(half["shrink"][taught & (alone["shrink"] == 0)].tolist()) == {128}
    assert set(half["shrink"][taught & (alone["shrink"] == 255)].tolist()) == {255}


def test_a_map_of_another_image_is_refused(pages):
    page = pages.page(0)
    other = next(pages.page(i) for i in range(len(pages)) if pages.page(i).height != page.height)
    with pytest.raises(InputError, match=f"{other.name}: the teacher's map is of another image"):
        teacher_in_view(map_of(page, labels_of), other, PageView(np.eye(3), 32, 32))
