"""Which of the models is one of all pages, that the members together have to beat."""

from types import SimpleNamespace

import pytest

from hmean.ensemble.checks import split_off_bases
from hmean.runs.carried import PagesSeen


def model(name, train, val=()):
    return SimpleNamespace(name=name, pages=PagesSeen(train=list(train), val=list(val)))


FOLDS = [model("0", [3, 4, 5, 6], [1, 2]), model("1", [1, 2, 5, 6], [3, 4]), model("2", [1, 2, 3, 4], [5, 6])]
ALL = model("all", [6, 5, 4, 3, 2, 1])


def names(models):
    return [one.name for one in models]


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_model_of_all_pages_is_a_base_wherever_it_stands(position):
    models = [*FOLDS]
    models.insert(position, ALL)
    members, bases = split_off_bases(models)
    assert names(members) == ["0", "1", "2"]
    assert names(bases) == ["all"]


def test_several_seeds_of_it_are_bases():
    _, bases = split_off_bases([ALL, *FOLDS, model("again", ALL.pages.train)])
    assert names(bases) == ["all", "again"]


@pytest.mark.parametrize(
    "models",
    [
        FOLDS,
        [model("seed 1", [1, 2, 3], [4]), model("seed 2", [1, 2, 3], [4]), model("seed 3", [1, 2, 3], [4])],
        [*FOLDS, model("more pages", [1, 2, 3, 4, 5, 6, 7])],
        [*FOLDS, model("other pages", [1, 2, 3, 4, 7])],
        [],
    ],
    ids=["folds", "seeds of one training", "also trained on pages of nobody", "no union", "none"],
)
def test_all_others_are_members(models):
    members, bases = split_off_bases(models)
    assert members == models
    assert bases == []


def test_seeds_of_one_fold_and_a_model_of_its_validation_pages_too():
    seeds = [model("seed 1", [1, 2, 3], [4]), model("seed 2", [1, 2, 3], [4])]
    members, bases = split_off_bases([*seeds, model("all", [1, 2, 3, 4])])
    assert members == seeds
    assert names(bases) == ["all"]
