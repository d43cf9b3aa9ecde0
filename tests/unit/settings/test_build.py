"""Config values to pages: which folds they are, and a training without validation pages."""

import json

import pytest

from hmean.data.folds import write_splits
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.settings.build import open_dataset, open_validation
from hmean.settings.compose import read_settings
from hmean.settings.sections import Dataset, Folds
from hmean.settings.training import TrainSettings


def names(pages):
    return {pages.name(position) for position in range(len(pages))}


@pytest.fixture
def split_of(receipts, tmp_path):
    """From the name of a split to the names of its pages."""
    values = json.loads((receipts / "jsons/train.json").read_text())
    for page in values["images"].values():
        page.pop("group", None)  # each page is a group of its own
    labels = tmp_path / "train.json"
    labels.write_text(json.dumps(values))
    file = tmp_path / "splits.json"
    write_splits(file, open_labels(labels, receipts / "images"), k=2, holdout=0.3, seed=0)

    def open_split(split):
        folds = Folds(file=str(file), fold=1, split=split)
        return names(open_dataset(Dataset(image_path=f"{receipts}/images", annotation_path=str(labels), folds=folds)))

    return open_split


def test_all_folds_are_all_pages_but_those_held_out(split_of):
    assert split_of("all") == split_of("train") | split_of("val")
    assert not split_of("all") & split_of("holdout")
    assert len(split_of("all")) + len(split_of("holdout")) == 6
    assert len(split_of("holdout")) > 0


def test_a_training_needs_no_validation_pages(receipts):
    given = [f"dataset_base_path={receipts}", "datasets.val_dataset=null"]
    settings = read_settings(TrainSettings, given)
    train_pages = open_dataset(settings.datasets.train_dataset)
    val_pages = open_validation(settings.datasets.val_dataset, train_pages)
    assert len(val_pages) == len(val_pages.page_keys()) == 0
    with pytest.raises(InputError, match=r"datasets\.val_dataset: is null; name the pages that split=val stands for"):
        settings.datasets.of_split("val")
