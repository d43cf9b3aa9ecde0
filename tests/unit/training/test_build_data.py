import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from hmean.errors import InputError
from hmean.settings.build import open_dataset
from hmean.settings.build_training import build_data, first_views
from hmean.settings.compose import compose_all


def data_of(receipts, *overrides):
    settings = compose_all(["preset=quickstart", f"dataset_base_path={receipts}", *overrides])
    train = open_dataset(settings.datasets.train_dataset)
    return build_data(settings, train, open_dataset(settings.datasets.val_dataset), fill=(0, 0, 0)), train


@pytest.fixture
def drawn(receipts, tmp_path):
    """The validation pages again, under other names and in a folder of their own."""
    (tmp_path / "images").mkdir()
    text = (receipts / "jsons" / "val.json").read_text()
    for file in (receipts / "images").glob("*.jpg"):
        text = text.replace(file.name, f"drawn_{file.name}")
        shutil.copy(file, tmp_path / "images" / f"drawn_{file.name}")
    (tmp_path / "drawn.json").write_text(text)
    return f"image_path: {tmp_path / 'images'}, annotation_path: {tmp_path / 'drawn.json'}"


def test_drawn_pages_have_their_share_of_an_epoch(receipts, drawn):
    own = len(data_of(receipts)[1])
    with_share, pages = data_of(receipts, f"datasets.train_dataset.also=[{{{drawn}, share: 0.5}}]")
    assert len(with_share.train) == 2 * own
    assert len(pages) > own
    names = {pages.name(with_share.train.mixture.page(0, position)) for position in range(own, 2 * own)}
    assert all(name.startswith("drawn_") for name in names)
    without, pages = data_of(receipts, f"datasets.train_dataset.also=[{{{drawn}}}]")
    assert len(without.train) == len(pages)


def test_shares_leave_room_for_the_own_pages(receipts, drawn):
    with pytest.raises(InputError, match="must add up to less than 1, got 1"):
        data_of(receipts, f"datasets.train_dataset.also=[{{{drawn}, share: 0.5}}, {{{drawn}, share: 0.5}}]")


def test_a_teacher_does_not_know_pasted_words(receipts, tmp_path):
    teacher = ["transforms.train.paste=0.5", f"datasets.train_dataset.teacher={tmp_path}"]
    with pytest.raises(InputError, match="do not know pasted words"):
        data_of(receipts, *teacher)


def test_first_views_are_the_first_batch_of_a_training(receipts):
    overrides = ["dataloaders.train_dataloader={batch_size: 4, num_workers: 0}", "transforms.train.crop=64"]
    settings = compose_all(["preset=quickstart", f"dataset_base_path={receipts}", *overrides])
    pages = open_dataset(settings.datasets.train_dataset)
    views = first_views(settings, pages, 4)
    fill = settings.models.components().encoder.build().fill
    batch = next(iter(build_data(settings, pages, pages, fill).train_dataloader()))
    seen = np.stack([view.image for view in views])
    assert np.array_equal(seen, batch["image"].permute(0, 2, 3, 1).numpy())
