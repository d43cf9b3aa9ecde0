import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch

from hmean.data.datamodule import PagesModule
from hmean.data.dataset import EpochSampler, EvalDataset, TrainDataset, collate_eval, collate_train
from hmean.data.folds import fold_of
from hmean.data.pages import shared_images
from hmean.labels.ufo import write_ufo
from hmean.settings.build import build_train_view, open_pages
from hmean.settings.config import compose
from hmean.synth.receipts import write_dataset

from support.pages import TINY  # isort: skip


@pytest.fixture
def dataset(receipts):
    config = compose([*TINY, f"dataset_base_path={receipts}"])
    return TrainDataset(
        open_pages(config.datasets.train_dataset),
        build_train_view(config),
        seed=1,
        shrink_ratio=0.6,
        min_side=2,
        fill=(1, 2, 3),
    )


def test_an_item_is_a_function_of_seed_epoch_and_position(dataset):
    first, again, other = dataset[(2, 3)], dataset[(2, 3)], dataset[(3, 3)]
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["image"], other["image"])
    assert {k: (v.dtype, tuple(v.shape)) for k, v in first.items()} == {
        "image": (torch.uint8, (3, 64, 64)),
        "shrink": (torch.uint8, (64, 64)),
        "threshold": (torch.float32, (64, 64)),
        "band": (torch.uint8, (64, 64)),
        "valid": (torch.uint8, (64, 64)),
    }


@pytest.mark.parametrize("antialias", [False, True])
def test_maps_made_after_the_transfer_are_the_loaders(dataset, antialias):
    loaders = {"views_per_page": 1, "train_batch": 3, "val_batch": 1, "train_workers": 0, "val_workers": 0}
    dataset.antialias = antialias
    drawn = collate_train([dataset[(0, i)] for i in range(3)])
    dataset.on_device = True
    words = collate_train([dataset[(0, i)] for i in range(3)])
    data = PagesModule(dataset, EvalDataset([], long_side=64, pad="stride", fill=(0, 0, 0)), **loaders)
    made = data.on_after_batch_transfer(words, 0)
    assert drawn.keys() == made.keys()
    assert torch.equal(drawn["image"], made["image"])
    for name in ("shrink", "threshold", "band", "valid"):
        assert drawn[name].dtype == made[name].dtype
        assert (drawn[name].float() - made[name].float()).abs().gt(1.5 if antialias else 1e-4).sum() <= 2, name
    assert set(drawn["shrink"].unique().tolist()) == {0, 255} or antialias
    error = {"error": "x"}
    assert data.on_after_batch_transfer(error, 0) is error


def test_text_is_dark_where_the_map_says_text(tmp_path):
    """Targets lie on the ink: a word's core is darker than the rim around it, on nearly every view."""
    write_dataset(tmp_path / "large", train=8, seed=3, long_side=(640, 640))
    config = compose(
        [
            *TINY,
            f"dataset_base_path={tmp_path / 'large'}",
            "transforms.train.long_side=[640,640]",
            "transforms.train.crop=256",
        ]
    )
    pages = open_pages(config.datasets.train_dataset)
    dataset = TrainDataset(pages, build_train_view(config), seed=1, shrink_ratio=0.6, min_side=2, fill=(1, 2, 3))
    darker = []
    for position in range(24):
        item = dataset[(0, position)]
        grey = item["image"].float().mean(dim=0)
        core, rim = item["shrink"] == 255, (item["band"] == 1) & (item["shrink"] == 0)
        if core.sum() > 500:
            darker.append(bool(grey[core].mean() < grey[rim].mean()))
    assert len(darker) > 15
    assert np.mean(darker) > 0.9


def test_sampler_covers_everything_once_and_ranks_share_it():
    whole = list(EpochSampler(10, seed=3, views_per_page=2))
    assert sorted(p for _, p in whole) == list(range(20))
    shares = [list(EpochSampler(11, seed=3, rank=r, world=3)) for r in range(3)]
    assert len({len(s) for s in shares}) == 1
    assert {p for share in shares for _, p in share} == set(range(11))
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert [e for e, _ in sampler] == [1] * 10
    assert [p for _, p in sampler] != [p for _, p in first]


def test_batches_of_pages_are_padded_and_unreadable_ones_told(receipts, tmp_path):
    files = sorted((receipts / "images").glob("*.jpg"))[:2]
    data = EvalDataset([*files, tmp_path / "none.jpg"], long_side=160, pad="stride", fill=(9, 8, 7))
    batch = collate_eval([data[i] for i in range(3)], fill=(9, 8, 7))
    assert batch["image"].shape[0] == 2
    assert batch["position"] == [0, 1]
    assert batch["errors"][0][0] == 2
    assert "no such image" in batch["errors"][0][1]
    assert collate_train([{"error": "x"}, {}]) == {"error": "x"}


def test_folds_keep_groups_whole_and_do_not_depend_on_order():
    names = [f"{i}.jpg" for i in range(50)]
    groups = [f"g{i // 4}" if i < 40 else None for i in range(50)]
    folds = fold_of(names, groups, 5, 1)
    assert np.bincount(folds).tolist() == [10] * 5
    for group in set(groups) - {None}:
        assert len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1
    back = fold_of(names[::-1], groups[::-1], 5, 1)[::-1]
    assert np.array_equal(folds, back)
    assert not np.array_equal(folds, fold_of(names, groups, 5, 2))
    with pytest.raises(ValueError, match="3 folds"):
        fold_of(["a", "b"], ["x", "x"], 3, 0)


def test_split_parts_are_disjoint_and_whole(sroie):
    def part(name, fold=0):
        split = f"datasets.train_dataset.split={{k: 5, fold: {fold}, part: {name}, seed: 42}}"
        config = compose(
            [
                f"dataset_base_path={sroie}",
                "datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json",
                split,
            ]
        )
        return open_pages(config.datasets.train_dataset)

    train, val = part("train"), part("val")
    assert len(train) + len(val) == 496
    assert shared_images(train, val) == []
    assert {train.page(i).group for i in range(len(train))}.isdisjoint({val.page(i).group for i in range(len(val))})
    assert shared_images(train, part("val", fold=1)) != []


# Rows of resident memory, MB: of the main process and of its one worker after the first and the last batch.
EPOCH = """
import json, resource, sys
from pathlib import Path
import torch
from torch.utils.data import DataLoader
from hmean.labels.formats import open_labels
from hmean.data.dataset import EpochSampler, TrainDataset, TrainView, collate_train
from hmean.images import decode
from hmean.data.pages import LabelledImages
from hmean.data.photometric import Photometric
from hmean.data.transforms import Augment

folder, start = Path(sys.argv[1]), sys.argv[2]

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

def decode_one(path, shrink):
    return decode(folder / "one.png", shrink)

class Watched(TrainDataset):
    def __getitem__(self, key):
        for index in range(400):  # 250 items touch what a whole epoch would
            self.pages.name((400 * key[1] + index) % len(self)), self.pages.labels.groups[index]
        return {**super().__getitem__(key), "resident": torch.tensor(resident())}

if __name__ == "__main__":
    labels = open_labels(folder / "labels.json", folder)
    pages = LabelledImages(labels, folder, list(range(len(labels.names))), decode_one)
    data = Watched(pages, TrainView((96, 96), None, 0.0, Augment(), Photometric()), seed=1, shrink_ratio=0.4, min_side=2, fill=(0, 0, 0))
    loader = DataLoader(data, 50, sampler=[(0, i) for i in range(250)], num_workers=1, multiprocessing_context=start, collate_fn=collate_train)
    rows = [batch["resident"][-1].item() for batch in loader]
    list(EpochSampler(len(pages), seed=1))
    print(json.dumps([resident(), rows[0], rows[-1]]))
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_hundred_thousand_pages_take_little_memory(tmp_path, start):
    """The index, not the labels, lies in memory, and reading pages does not make a worker grow."""
    PIL.Image.new("RGB", (96, 64), (250, 250, 250)).save(tmp_path / "one.png")
    (tmp_path / "epoch.py").write_text(EPOCH)
    word = {"points": [[10, 10], [60, 10], [60, 30], [10, 30]], "transcription": "TOTAL"}
    entry = {"img_w": 96, "img_h": 64, "group": "shop", "words": {f"{i:04d}": word for i in range(1, 4)}}
    found = []
    for count in (1000, 100_000):
        write_ufo(tmp_path / "labels.json", ((f"receipts/{i:06d}.jpg", entry) for i in range(count)))
        command = [sys.executable, str(tmp_path / "epoch.py"), str(tmp_path), start]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    small, large = np.array(found)
    assert (large - small).max() < 60, found  # MB
    assert large[2] - large[1] < 30, found
