import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.data.augment import Augment, TrainView
from hmean.data.dataset import (
    EvalDataset,
    TrainDataset,
    UnreadablePage,
    collate_eval,
    collate_train,
)
from hmean.data.pages import LabelledImages
from hmean.data.paste import Paste
from hmean.data.photometric import Photometric
from hmean.data.sampler import Mixture
from hmean.labels.formats import open_labels
from hmean.synth.dataset import write_dataset

AUGMENT = Augment(rotate=5, scale=(0.8, 1.25), shear=3, perspective=0.03, stretch=0.2, p=0.8)
PHOTOMETRIC = Photometric(brightness=0.3, contrast=0.3, p_noise=0.3, p_blur=0.3, p_jpeg=0.3, p_shadow=0.2)
FILL = (1, 2, 3)


def train_dataset(pages, *, crop=64, long_side=(128, 192), paste=0.0, mixture=None):
    view = TrainView(long_side, crop, 0.8, AUGMENT, PHOTOMETRIC, paste=Paste(paste))
    return TrainDataset(pages, view, seed=1, shrink_ratio=0.6, min_side=2, fill=FILL, mixture=mixture)


@pytest.mark.parametrize(("crop", "side"), [(64, 64), (None, 192)])
def test_an_item_is_a_function_of_seed_epoch_and_position(pages, crop, side):
    dataset = train_dataset(pages, crop=crop)
    first, again, other = dataset[(2, 3)], dataset[(2, 3)], dataset[(3, 3)]
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["image"], other["image"])
    assert {k: (v.dtype, tuple(v.shape)) for k, v in first.items()} == {
        "image": (torch.uint8, (3, side, side)),
        "shrink": (torch.uint8, (side, side)),
        "threshold": (torch.float32, (side, side)),
        "band": (torch.uint8, (side, side)),
        "valid": (torch.uint8, (side, side)),
    }


def test_balanced_words_come_with_a_weight_of_each_pixel(pages):
    view = TrainView((128, 192), None, 0.8, Augment(), Photometric())
    options = {"seed": 1, "shrink_ratio": 0.6, "min_side": 2, "fill": FILL}
    plain = TrainDataset(pages, view, **options)[(0, 0)]
    balanced = TrainDataset(pages, view, word_balance=0.5, **options)[(0, 0)]
    weight = balanced.pop("weight")
    assert weight.shape == plain["shrink"].shape
    assert weight.dtype == torch.float32
    assert len(weight[plain["shrink"] == 255].unique()) > 3
    assert all(torch.equal(plain[name], balanced[name]) for name in plain)


def test_text_is_dark_where_the_map_says_text(tmp_path):
    """Targets lie on the ink: a word's core is darker than the rim around it, on nearly every view."""
    write_dataset(tmp_path, train=8, seed=3, long_side=(640, 640))
    labels = open_labels(tmp_path / "jsons" / "train.json", tmp_path / "images")
    pages = LabelledImages(labels, tmp_path / "images", range(8))
    dataset = train_dataset(pages, crop=256, long_side=(640, 640))
    darker = []
    for position in range(24):
        item = dataset[(0, position)]
        grey = item["image"].float().mean(dim=0)
        core, rim = item["shrink"] == 255, (item["band"] == 1) & (item["shrink"] == 0)
        if core.sum() > 500:
            darker.append(bool(grey[core].mean() < grey[rim].mean()))
    assert len(darker) > 15
    assert np.mean(darker) > 0.9


def test_pasted_words_are_in_the_targets(tmp_path):
    """Somewhere among a few whole pages there is room."""
    write_dataset(tmp_path, train=4, seed=3, long_side=(640, 640))
    labels = open_labels(tmp_path / "jsons" / "train.json", tmp_path / "images")
    pages = LabelledImages(labels, tmp_path / "images", range(4))
    plain = train_dataset(pages, crop=None, long_side=(640, 640))
    pasted = train_dataset(pages, crop=None, long_side=(640, 640), paste=1.0)
    more = [int(pasted[(0, i)]["shrink"].sum()) - int(plain[(0, i)]["shrink"].sum()) for i in range(4)]
    assert min(more) >= 0
    assert max(more) > 0


def test_a_mixture_says_which_page_a_sample_shows(pages):
    mixture = Mixture([2, len(pages) - 2], [2, 1], seed=3)
    mixed = train_dataset(pages, mixture=mixture)
    assert len(mixed) == 3
    third = mixture.page(5, 2)
    named = train_dataset(pages)
    rng = np.random.default_rng([1, 5, 2])
    assert np.array_equal(mixed.sample((5, 2)).image, named._sample(third, rng).image)


def test_a_training_page_that_cannot_be_read_is_an_error_of_its_batch(pages, tmp_path):
    lost = LabelledImages(pages.labels, tmp_path, pages.indices)
    item = train_dataset(lost)[(0, 0)]
    assert list(item) == ["error"]
    assert "no such image" in item["error"]
    assert collate_train([train_dataset(pages)[(0, 0)], item]) == item


def test_batches_of_pages_are_padded_and_unreadable_ones_named(receipts, tmp_path):
    files = sorted((receipts / "images").glob("*.jpg"))[:2]
    data = EvalDataset([*files, tmp_path / "none.jpg"], long_side=160, pad="stride", fill=(9, 8, 7))
    batch = collate_eval([data[i] for i in range(3)], fill=(9, 8, 7))
    assert batch.images.shape[0] == 2
    assert batch.positions == [0, 1]
    assert len(batch.views) == len(batch.sizes) == 2
    assert [page.position for page in batch.unreadable] == [2]
    assert "no such image" in batch.unreadable[0].error
    nothing = collate_eval([UnreadablePage(0, "why")], fill=(9, 8, 7))
    assert nothing.images.shape[0] == 0


def test_padding_has_the_fill_colour(receipts):
    data = EvalDataset(sorted((receipts / "images").glob("*.jpg"))[:2], long_side=160, pad="stride", fill=(9, 8, 7))
    items = [data[0], data[1]]
    narrow = min(items, key=lambda item: item.image.shape[2])
    wide = torch.full((3, 192, 192), 100, dtype=torch.uint8)
    items = [narrow, type(narrow)(1, wide, narrow.view, narrow.size)]
    first, second = collate_eval(items, fill=(9, 8, 7)).images
    height, width = narrow.image.shape[1:]
    assert torch.equal(first[:, :height, :width], narrow.image)
    assert first[:, height:, :].flatten(1).unique(dim=1).tolist() == [[9], [8], [7]]
    assert torch.equal(second, wide)


def test_batches_of_pages_move_as_lightning_and_the_loader_ask(receipts, monkeypatch):
    from lightning.fabric.utilities import move_data_to_device
    from torch.utils.data._utils.pin_memory import pin_memory

    data = EvalDataset(sorted((receipts / "images").glob("*.jpg"))[:1], long_side=160, pad="stride", fill=FILL)
    batch = collate_eval([data[0], UnreadablePage(1, "why")], fill=FILL)
    moved = move_data_to_device(batch, torch.device("meta"))
    assert moved.images.device.type == "meta"
    assert (moved.positions, moved.views, moved.sizes) == (batch.positions, batch.views, batch.sizes)
    assert moved.unreadable == batch.unreadable
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    assert pin_memory(batch).positions == [0]
    assert len(pinned) == 1


@pytest.mark.parametrize("paste", [0.0, 1.0])
def test_a_sample_can_be_seen_as_the_training_sees_it(pages, paste):
    dataset = train_dataset(pages, paste=paste)
    seen = dataset.sample((2, 3))
    assert np.array_equal(seen.image, dataset[(2, 3)]["image"].permute(1, 2, 0).numpy())
    assert seen.page.name == pages.name(3)
    assert (seen.view.width, seen.view.height) == (64, 64)
    own = seen.view.polygons(seen.page.polygons)
    assert np.array_equal(seen.polygons.points[: len(own.points)], own.points)
    assert len(seen.ignored) == len(seen.polygons) >= len(own)
