"""Distillation: a teacher's maps in the view of the sample, mixed into the labels' shrink map."""

import numpy as np
import pytest
import torch

from hmean.cli import main
from hmean.data.datamodule import PagesModule
from hmean.data.dataset import EvalDataset, TrainDataset, collate_train, mix, seen_by
from hmean.data.targets import make_targets
from hmean.data.transforms import View, letterbox
from hmean.errors import InputError
from hmean.geometry import scaling, transform
from hmean.inference.checkpoints import load_checkpoint
from hmean.postprocess.decoding import PageMap
from hmean.runs.maps import MapStore, find_maps
from hmean.settings.build import build_train_view, open_pages
from hmean.settings.config import compose
from support.pages import TINY

RULE = {"shrink_ratio": 0.6, "min_side": 2}


@pytest.fixture
def pages(receipts):
    return open_pages(compose([*TINY, f"dataset_base_path={receipts}"]).datasets.train_dataset)


def keep(pages, folder, draw, *, long_side=None):
    """Maps of all pages: ``draw(page, view)`` -> P."""
    store = MapStore(folder, "drawn", {pages.name(i): pages.file(i) for i in range(len(pages))})
    for i in range(len(pages)):
        page = pages.page(i)
        view = letterbox(page.width, page.height, long_side or max(page.width, page.height), "stride")
        store.add(PageMap(page.name, draw(page, view), view.to_page, page.width, page.height))
    return find_maps(folder, [pages.name(i) for i in range(len(pages))])


def labels_of(page, view):
    words = view.polygons(page.polygons)
    return make_targets(words, page.ignored, view.width, view.height, antialias=True, **RULE).shrink


def test_a_teacher_that_equals_the_labels_changes_nothing(pages, tmp_path):
    files = keep(pages, tmp_path, labels_of)
    for i in range(len(pages)):
        page = pages.page(i)
        # Whole-pixel views, a crop among them: the teacher's pixels are the view's.
        for view in (letterbox(page.width, page.height, max(page.width, page.height), "stride"),
                     View(np.array([[1.0, 0, -17], [0, 1, -5], [0, 0, 1]]), 96, 64)):  # fmt: skip
            own = torch.from_numpy(labels_of(page, view))
            taught = seen_by(files[page.name], page, view)
            inside = view.image(pages.pixels(i, page), (0, 0, 0)).any(axis=2)  # beside the page nobody taught anything
            assert torch.equal(mix(own, taught, 0.7)[inside], own[inside])


def test_a_teachers_map_lies_where_the_page_lies(pages, tmp_path):
    """A disc drawn in a map of another size comes out at its place in turned, mirrored and scaled views."""
    at = np.array([[pages.page(0).width / 2 + 0.3, 83.0]])

    def disc(_page, view):
        ((x, y),) = transform(view.matrix, at)
        yy, xx = np.mgrid[: view.height, : view.width] + 0.5
        return np.clip(12 - np.hypot(xx - x, yy - y), 0, 1)

    files = keep(pages, tmp_path, disc, long_side=2 * max(pages.page(0).width, pages.page(0).height))
    page = pages.page(0)
    turn = np.array([[0.0, -1.3, 190], [-1.3, 0.2, 250], [0.0004, 0.0, 1]])  # mirrored, sheared, in perspective
    for matrix in (np.eye(3), scaling(0.5, 0.5), scaling(1.7, 1.7), turn):
        seen = seen_by(files[page.name], page, View(matrix, 256, 256)).numpy().astype(float)
        yy, xx = np.mgrid[:256, :256] + 0.5
        centre = [(seen * xx).sum() / seen.sum(), (seen * yy).sum() / seen.sum()]
        assert np.abs(transform(matrix, at)[0] - centre).max() < 0.25


@pytest.mark.parametrize("on_device", [False, True])
def test_the_weight_is_the_teachers_share(receipts, pages, tmp_path, on_device):
    view = build_train_view(compose([*TINY, f"dataset_base_path={receipts}"]))
    rule = {**RULE, "seed": 1, "fill": (1, 2, 3), "on_device": on_device}
    loaders = {"views_per_page": 1, "train_batch": 3, "val_batch": 1, "train_workers": 0, "val_workers": 0}
    files = keep(pages, tmp_path, lambda _, v: np.ones((v.height, v.width), np.float32))

    def batch(teacher, weight=0.5):
        data = TrainDataset(pages, view, teacher=teacher, teacher_weight=weight, **rule)
        module = PagesModule(data, EvalDataset([], long_side=64, pad="stride", fill=(0, 0, 0)), **loaders)
        return module.on_after_batch_transfer(collate_train([data[(0, i)] for i in range(3)]), 0)

    alone, none, half, all_ = batch(None), batch(files, 0.0), batch(files, 0.5), batch(files, 1.0)
    assert alone.keys() == half.keys()
    for key in alone:
        assert torch.equal(alone[key], none[key]), key
        assert key == "shrink" or torch.equal(alone[key], half[key]), key  # words are the truth of all else
    taught = all_["shrink"] == 255
    assert taught.float().mean() > 0.5
    assert set(half["shrink"][taught & (alone["shrink"] == 0)].tolist()) == {128}
    assert set(half["shrink"][taught & (alone["shrink"] == 255)].tolist()) == {255}


def test_maps_of_other_pages_or_of_two_models_are_refused(pages, tmp_path):
    files = keep(pages, tmp_path, labels_of)
    with pytest.raises(InputError, match=r"other\.jpg: has 0 maps"):
        find_maps(tmp_path, ["other.jpg"])
    first = pages.name(0)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "copy.map").write_bytes(files[first].read_bytes())
    with pytest.raises(InputError, match=f"{first}: has 2 maps"):
        find_maps(tmp_path, [first])
    other = next(pages.page(i) for i in range(len(pages)) if pages.page(i).height != pages.page(0).height)
    with pytest.raises(InputError, match="is of another image"):
        seen_by(files[first], other, View(np.eye(3), 32, 32))


def test_a_student_learns_from_an_evaluation_of_its_teacher(tiny, tmp_path, capsys):
    """From the command line: a run, its maps of the training pages, and a run that they teach."""
    once = [*tiny[:-1], "trainer.max_epochs=1"]
    assert main(["train", *once, "exp_name=teacher"]) == 0
    run = tmp_path / "outputs/teacher"
    data = [o for o in tiny if o.startswith(("dataset_base_path", "dataloaders"))]
    assert main(["evaluate", *data, f"run={run}", "evaluate_on=train"]) == 0
    assert main(["train", *once, "exp_name=student", f"datasets.train_dataset.teacher={run}"]) == 0
    seen = [load_checkpoint(tmp_path / "outputs" / n / "checkpoints/best.ckpt").pages for n in ("teacher", "student")]
    assert set(seen[0].all().tolist()) == set(seen[1].train.tolist())
    assert (tmp_path / "outputs/student/scores.json").exists()
    loss = [(tmp_path / f"outputs/{name}/metrics.jsonl").read_text() for name in ("teacher", "student")]
    assert loss[0] != loss[1]
    capsys.readouterr()
    assert main(["train", *once, "exp_name=third", f"datasets.train_dataset.teacher={tmp_path / 'nowhere'}"]) == 2
    assert "does not say which pages the models that made its maps have seen" in capsys.readouterr().err
    assert not (tmp_path / "outputs/third").exists()
