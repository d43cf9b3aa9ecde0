"""Comparisons of sides: intervals with the spread of seeds, families, what is refused, and what is noted."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.metrics.cleval import Counts
from hmean.metrics.intervals import Contributions, contributions, interval_pairs, intervals, page_groups
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer
from hmean.metrics.seeds import SeedSpread
from hmean.runs.comparison import COMPARED, Difference, compare, compare_sides
from hmean.runs.scores import Scores
from hmean.runs.sides import Result, Side, open_result, require_comparable

GROUPS = 8  # few, so that there are few flips
PAGES_A_GROUP = 3


def training(rng, skill, name="a", config=None, **scored_with) -> Result:
    """What a model of that skill (expected share of text found) scores on pages that are noisy."""
    found = rng.binomial(1000, skill, GROUPS * PAGES_A_GROUP)
    pages = []
    for i, tp in enumerate(found.tolist()):
        match = MatchCounts(tp // 5, 200, 200)
        pages.append(PageScore(str(i), Counts(gt=1000, tp=tp), match, match, str(i // PAGES_A_GROUP)))
    return Result(name, pages, "transcription", "a", config, scored_with)


def side(rng, skills, name="a") -> Side:
    """Trainings of those skills."""
    return Side(name, [training(rng, skill, f"{name}{i}") for i, skill in enumerate(skills)])


def macro_without_seeds(base, other):
    """The interval over pages alone of the difference in macro H."""
    groups = page_groups(base.results[0].pages)

    def mean(of):
        return Contributions.mean_of([contributions(r.pages, ["macro"], groups)["macro"] for r in of.results])

    (interval,) = intervals(mean(other).minus(mean(base)))
    return interval


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_equal_recipes_whose_seeds_differ_are_hardly_ever_called_better():
    rng = np.random.default_rng(0)
    repeats = 300
    better = 0
    better_without_seeds = 0
    for _ in range(repeats):
        a, b = [side(rng, rng.normal(0.9, 0.004, 3)) for _ in range(2)]
        (found,) = compare_sides(a, [b])
        better += found.macro.verdict == "better"
        better_without_seeds += macro_without_seeds(a, b).low > 0
    assert better / repeats <= 0.04
    assert better_without_seeds / repeats > 0.1


def test_of_four_equal_recipes_hardly_ever_one_is_called_better():
    rng = np.random.default_rng(1)
    repeats = 150
    any_better = 0
    any_better_alone = 0
    for _ in range(repeats):
        base, *others = [side(rng, rng.normal(0.9, 0.004, 3), name) for name in "abcde"]
        found = compare_sides(base, others)
        any_better += any(each.macro.verdict == "better" for each in found)
        any_better_alone += any(each.macro.interval95.low > 0 for each in found)
    assert any_better / repeats <= 0.05
    assert any_better_alone > any_better


def test_a_recipe_that_is_better_with_every_seed_is_called_better():
    rng = np.random.default_rng(0)
    (found,) = compare_sides(side(rng, [0.85, 0.851, 0.852]), [side(rng, [0.89, 0.891, 0.892], "b")])
    assert found.macro.verdict == "better"
    assert found.macro.verdict_text() == "better"
    assert found.macro.runs == (3, 3)


def test_the_numbers_of_a_side_are_means_and_its_intervals_have_the_spread_of_all_sides():
    rng = np.random.default_rng(2)
    a, b, c = side(rng, [0.90, 0.91, 0.92]), side(rng, [0.91, 0.93], "b"), side(rng, [0.95], "c")
    of_b, of_c = compare_sides(a, [b, c])
    h = [[result.score().macro.h for result in each.results] for each in (a, b, c)]
    assert of_b.macro.difference == pytest.approx(np.mean(h[1]) - np.mean(h[0]), abs=1e-12)
    assert of_c.macro.difference == pytest.approx(h[2][0] - np.mean(h[0]), abs=1e-12)
    spread = SeedSpread.of(*h)
    assert of_b.macro.seeds.sd == of_c.macro.seeds.sd == pytest.approx(spread.sd)
    assert of_b.macro.seeds.degrees_of_freedom == 3
    assert (of_b.macro.runs, of_c.macro.runs) == ((2, 3), (1, 3))
    over_pages = macro_without_seeds(a, b)
    below = np.hypot(of_b.macro.difference - over_pages.low, spread.half_width(2, 3))
    assert of_b.macro.interval95.low == pytest.approx(of_b.macro.difference - below, abs=1e-12)
    below_in_family = of_b.macro.difference - of_b.macro.family95.low
    assert below_in_family > np.hypot(of_b.macro.difference - over_pages.low, spread.half_width(2, 3, family=2))


def test_it_says_whose_seeds_the_spread_is_of():
    rng = np.random.default_rng(0)
    several, one = side(rng, [0.90, 0.91]), side(rng, [0.92], "b")
    (found,) = compare_sides(several, [one])
    assert "b is one training: the spread of its seeds is taken from a" in found.notes
    (found,) = compare_sides(one, [side(rng, [0.97], "c")])
    assert found.notes == []
    assert found.macro.seeds is None
    assert found.macro.verdict_text() == "better (one training a side: another seed may say otherwise)"


# --- families ---------------------------------------------------------------------------------------------------------


def test_several_results_against_one_are_a_family():
    rng = np.random.default_rng(3)
    base, *others = [training(rng, skill, name) for skill, name in zip((0.9, 0.903, 0.91, 0.89), "abcd", strict=True)]
    found = compare_sides(Side.of(base), [Side.of(other) for other in others])
    for statistic in COMPARED:
        differences = [each.of(statistic) for each in found]
        groups = page_groups(base.pages)
        stacked = Contributions.stacked([contributions(o.pages, [statistic], groups)[statistic] for o in others])
        pairs = interval_pairs(stacked.minus(contributions(base.pages, [statistic], groups)[statistic]))
        assert [difference.interval95 for difference in differences] == pairs.single
        assert [difference.family95 for difference in differences] == pairs.family
    assert [each.family for each in found] == [3, 3, 3]
    assert [each.name for each in found] == ["b", "c", "d"]
    alone = compare(base, others[0])
    assert alone.macro.family95 == alone.macro.interval95
    assert alone.macro.interval95 == pytest.approx(found[0].macro.interval95, abs=1e-12)
    assert compare_sides(Side.of(base), []) == []


def test_the_verdict_is_that_of_the_family():
    rng = np.random.default_rng(0)
    for _ in range(100):
        base = training(rng, 0.9)
        found = compare_sides(Side.of(base), [side(rng, [0.9 + rng.normal(0, 0.005)], name) for name in "bcdefgh"])
        for each in found:
            if each.macro.interval95.low > 0 > each.macro.family95.low:
                assert each.macro.verdict == "not distinguishable"
                return
    raise AssertionError("no single interval excluded 0 where the family's did not")


# --- groups -----------------------------------------------------------------------------------------------------------


def test_the_unit_is_the_group_of_a_page_and_the_result_says_so():
    rng = np.random.default_rng(0)
    found = compare(training(rng, 0.9), training(rng, 0.91, "b"))
    assert (found.grouping.pages, found.grouping.groups, found.grouping.unit) == (24, 8, "group")
    few = [Result(str(i), training(rng, 0.9).pages[:15], "transcription", "a", None) for i in range(2)]
    few = compare(*few)
    assert few.macro.verdict == "too few groups"
    assert few.macro.interval95 is few.macro.family95 is None


def write(result: Result, folder, *, config=None, **about):
    folder.mkdir()
    Scores.collect(Scorer("transcription", result.pages), data_hash="a", **about).write(folder / "scores.json")
    if config is not None:
        (folder / "config.yaml").write_text(json.dumps(config))
    return folder


def test_files_of_earlier_versions_name_no_groups_which_is_said(tmp_path):
    rng = np.random.default_rng(0)
    old = write(training(rng, 0.9), tmp_path / "old")
    new = write(training(rng, 0.91), tmp_path / "new")
    values = json.loads((old / "scores.json").read_text())
    del values["grouping"]
    for page in values["pages"]:
        del page["group"]
    (old / "scores.json").write_text(json.dumps(values))
    both_old = compare(open_result(old), open_result(old))
    assert both_old.grouping.unit == "page"
    assert not both_old.grouping.known
    assert both_old.grouping.text() == "24 pages, groups unknown: pages are taken as independent"
    assert "too narrow" in both_old.grouping.warning()
    assert any("of an earlier version" in note and "--truth" in note for note in both_old.notes)
    mixed = compare(open_result(old), open_result(new))  # the other file says the groups of the same pages
    assert mixed.grouping.unit == "group"
    assert mixed.grouping.known
    assert mixed.notes == []
    without = write(replace(training(rng, 0.91), pages=open_result(old).pages), tmp_path / "without")
    known_to_have_none = compare(open_result(old), open_result(without))
    assert known_to_have_none.grouping.text() == "24 pages, each a group of its own"


def test_differences_of_earlier_versions_are_read():
    old = {"difference": 0.01, "interval95": [0.001, 0.02], "verdict": "better"}
    found = Difference.parse(old, "a file")
    assert (found.family95, found.runs, found.seeds) == (None, None, None)
    assert found.verdict_text() == "better"
    assert Difference.parse(found.to_json(), "a file") == found


# --- one result under two names ---------------------------------------------------------------------------------------


def test_a_result_that_is_compared_with_itself_is_remarked_on(tmp_path):
    rng = np.random.default_rng(0)
    folder = write(training(rng, 0.9), tmp_path / "run")
    assert "are the same result" in compare(open_result(folder), open_result(folder)).notes[0]
    pages = training(rng, 0.9)
    same_model = [replace(pages, name=name, scored_with={"weights_hash": "w"}) for name in "ab"]
    (note,) = compare(*same_model).notes
    assert note == "a and b are of the same model and score the same on every page: it is compared with itself"
    (note,) = compare(replace(pages, name="a"), replace(pages, name="b")).notes
    assert note == "a and b score the same on every page: check that they are results of two models"
    assert compare(pages, training(rng, 0.9)).notes == []
    tuned = replace(training(rng, 0.9), scored_with={"weights_hash": "w"})  # the same model with other values
    assert compare(same_model[0], tuned).notes == []


# --- what is refused --------------------------------------------------------------------------------------------------


def test_the_trainings_of_a_side_differ_by_their_seed_alone():
    rng = np.random.default_rng(0)

    def run(name, weights, seed, lr=0.1, long_side=640):
        config = {"seed": seed, "exp_name": name, "models": {"optimizer": {"lr": lr}}}
        return training(rng, 0.9, name, config, weights_hash=weights, epoch=seed, long_side=long_side)

    base = Side.of(run("base", "x", 0))

    def faults(*results):
        with pytest.raises(InputError) as refused:
            compare_sides(base, [Side("b", list(results))])
        return str(refused.value)

    repeats = [run("r0", "a", 0), run("r1", "b", 1)]
    (found,) = compare_sides(base, [Side("b", repeats)])
    assert found.notes == ["base is one training: the spread of its seeds is taken from b"]
    assert found.config == []
    assert "r1 is not a repeat of r0: models.optimizer.lr: was 0.1, now 0.2" in faults(
        repeats[0], run("r1", "b", 1, lr=0.2)
    )
    elsewhere = {"datasets": {"train_dataset": {"folds": {"file": "other/splits.json", "fold": 0}}}}
    here = {"datasets": {"train_dataset": {"folds": {"file": "splits.json", "fold": 0}}}}
    in_folds = [replace(repeats[0], config={"seed": 0, **here}), replace(repeats[1], config={"seed": 1, **elsewhere})]
    require_comparable([Side("b", in_folds)])
    other_fold = [replace(in_folds[0], trained_on="a"), replace(in_folds[1], trained_on="b")]
    assert "it was trained on other pages" in faults(*other_fold)
    assert "long_side: was 640, now 320" in faults(repeats[0], run("r1", "b", 1, long_side=320))
    assert "r0 and r1 have the same weights" in faults(repeats[0], run("r1", "a", 1))
    assert "r0 and r1 have the same seed (0)" in faults(repeats[0], run("r1", "b", 0))
    copy = training(np.random.default_rng(5), 0.9, "copy")
    assert "found the same on every page" in faults(copy, copy)
    other_pages = Result("short", repeats[1].pages[:3], "transcription", "a", repeats[1].config)
    assert "short has 3" in faults(repeats[0], other_pages)


def test_what_is_not_known_of_repeats_is_noted():
    rng = np.random.default_rng(0)
    config = {"seed": 0}
    several = Side(
        "b",
        [
            training(rng, 0.9, "r0", config, weights_hash="a", postprocess={"thresh": 0.3}),
            training(rng, 0.9, "r1", None, weights_hash="b", postprocess={"thresh": 0.2}),
        ],
    )
    (found,) = compare_sides(side(rng, [0.9]), [several])
    assert "r1 has no config: that it differs by its seed alone is not checked" in found.notes
    assert "the trainings of b were scored with post-processing values of their own" in found.notes


def test_an_evaluation_in_a_run_folder_has_the_config_of_the_run(tmp_path):
    rng = np.random.default_rng(0)
    run = write(training(rng, 0.9), tmp_path / "run", config={"seed": 3})
    evaluation = write(training(rng, 0.9), run / "evaluate_test")
    assert open_result(evaluation).config is None  # of a folder that may be anything
    (run / "manifest.json").write_text("{}")
    assert open_result(evaluation).config == {"seed": 3}
    assert open_result(run).config == {"seed": 3}
