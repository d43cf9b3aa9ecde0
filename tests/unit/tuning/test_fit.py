"""Tuning as a whole, on planted maps; and its record."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hmean.metrics.scorer import Scorer, choose_characters
from hmean.postprocess.decoding import detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Influence
from hmean.tuning.choose import Floors
from hmean.tuning.fit import TuneOptions, fit
from hmean.tuning.result import TuneResult
from hmean.types import Page, Polygons
from support.planted_maps import planted_map

BEFORE = PostprocessParams(thresh=0.3, box_thresh=0.7, unclip="inverse", inverse_r=0.4, min_size=2)


@pytest.fixture(scope="module")
def pages():
    rng = np.random.default_rng(0)
    found = []
    for i in range(24):
        quads = []
        for row in range(int(rng.integers(3, 8))):
            right = rng.uniform(70, 110)
            quads.append([[20, 10 + 24 * row], [right, 10 + 24 * row], [right, 24 + 24 * row], [20, 24 + 24 * row]])
        found.append(Page(f"{i}.png", 120, 200, Polygons.of(quads), group=f"shop {i % 6}"))
    return found


@pytest.fixture(scope="module")
def maps(pages):
    rng = np.random.default_rng(1)
    return {page.name: planted_map(page, 192, rng, 0.4) for page in pages}


def tune(pages, maps, **options):
    lists = {"thresh": [0.2, 0.3, 0.4], "box_thresh": [0.3, 0.5, 0.7], "inverse_r": [0.4, 0.5, 0.6]}
    return fit(
        pages,
        lambda page: maps[page.name],
        TuneOptions(lists=lists, **options),
        before=BEFORE,
        in_model=BEFORE,
        split="val",
        influenced_by=Influence(trained=3),
    )


@pytest.fixture(scope="module")
def tuned(pages, maps):
    return tune(pages, maps)


def test_the_record_says_what_was_found(tuned, pages, maps):
    result = tuned.result
    assert result.searched.settings == result.searched.scored == len(result.grid) == 27
    assert result.axes == {"thresh": [0.2, 0.3, 0.4], "box_thresh": [0.3, 0.5, 0.7], "inverse_r": [0.4, 0.5, 0.6]}
    objectives = [row.objective for row in result.grid]
    assert objectives == sorted(objectives, reverse=True)
    assert sum(row.plateau for row in result.grid) == result.plateau.settings
    scorer = Scorer(choose_characters(pages))
    for page in pages:
        scorer.update(page, detect(maps[page.name], result.after.postprocess))
    assert result.after.score.cleval.macro == scorer.compute().macro
    assert result.after.gain == pytest.approx(result.after.score.objective - result.before.score.objective)
    cross_fitted = result.cross_fitted
    assert len(cross_fitted.chosen) == 5
    assert cross_fitted.optimism.gain == pytest.approx(result.after.score.objective - cross_fitted.score.objective)


def test_adopted_values_are_those_of_the_model_and_their_scores_are_cross_fitted(pages, maps, tuned):
    many = [
        Page(page.name, page.width, page.height, page.polygons, group=f"shop {i % 12}") for i, page in enumerate(pages)
    ]
    found = tune(many, maps)
    result = found.result
    assert (result.decision, result.reason, result.adopt) == ("adopted", "gain shown", "shown")
    assert result.in_model == result.after.postprocess == found.decided != BEFORE
    assert result.rule.adopted == len(result.rule.left) == 5
    assert result.rule.gain == pytest.approx(result.rule.score.objective - result.before.score.objective)
    assert found.held_out.compute().macro == result.rule.score.cleval.macro
    assert result.searched.scored == 27  # settings are scored once
    # Of 6 shops, what the choice is worth can be shown; but nothing could be without the pages of a fold.
    result = tuned.result
    assert (result.decision, result.rule) == ("adopted", None)
    assert tuned.held_out.compute().macro == result.cross_fitted.score.cleval.macro
    assert result.grouping.groups == 6


def test_where_nothing_is_shown_the_model_keeps_its_values_and_the_scores_are_of_them(pages, maps, tuned):
    best = tuned.result.after.postprocess
    many = [Page(page.name, page.width, page.height, page.polygons, group=None) for page in pages]
    options = TuneOptions(lists={"thresh": [best.thresh]})
    earlier = replace(best, min_size=1)
    found = fit(
        many,
        lambda page: maps[page.name],
        options,
        before=best,
        in_model=earlier,
        split="val",
        influenced_by=Influence(),
    )
    result = found.result
    assert (result.decision, result.reason, result.in_model) == ("kept", "gain not shown", earlier)
    assert found.decided == best
    assert result.rule.adopted == result.rule.gain == 0
    assert found.held_out.compute().macro == result.before.score.cleval.macro
    summary = result.summary()
    assert "adopted in 0 of 5 folds" in summary
    assert "kept: the choice's gain on held-out pages is not shown" in summary
    assert "tune.adopt=any" in summary
    assert "the model's values were chosen on these pages earlier" in summary


def test_the_summary_names_gains_groups_optimism_and_warnings(tuned):
    text = tuned.result.summary()
    assert text.startswith("macro H +")
    assert "on pages with no part in the choice (cross-fitted); decided on this, so it is selected" in text
    assert "optimism" in text
    assert "24 pages of 6 groups" in text
    assert "\nwarning: only 6 groups of pages" in text
    assert "\nwarning: 3 of these pages were trained on" in text
    for name, value in tuned.result.at_list_ends.items():
        assert f"{name}={value:g} is at an end of its list" in text
    assert text.splitlines()[-1].startswith(f"thresh={tuned.result.in_model.thresh} ")


@pytest.mark.parametrize("groups", [1, 5])
def test_too_few_groups_show_nothing_and_any_adopts_all_the_same(pages, maps, groups):
    few = [
        Page(page.name, page.width, page.height, page.polygons, group=f"{i % groups}") for i, page in enumerate(pages)
    ]
    found = tune(few, maps)
    result = found.result
    assert (result.decision, result.reason) == ("kept", "too few groups")
    assert result.in_model == found.decided == BEFORE
    assert (result.cross_fitted is None) == (groups == 1)
    assert result.plateau is None
    assert not any(row.plateau for row in result.grid)
    assert found.held_out.compute().macro == result.before.score.cleval.macro
    assert "tune.adopt=any adopts what was chosen all the same" in result.summary()
    found = tune(few, maps, adopt="any")
    result = found.result
    assert (result.decision, result.reason, result.adopt) == ("adopted", "any is adopted", "any")
    assert result.in_model == found.decided == result.after.postprocess != BEFORE
    if groups == 1:
        assert result.rule is None
    else:
        assert result.rule.gain == result.cross_fitted.gain > 0
        assert result.rule.interval95 is None
        assert found.held_out.compute().macro == result.cross_fitted.score.cleval.macro


def test_floors_are_reported(pages, maps):
    result = tune(pages, maps, floors=Floors(precision=0.999)).result
    precision = result.cross_fitted.score.cleval.macro.p
    assert result.floors.shortfall == pytest.approx(max(0.999 - precision, 0))
    assert "the floors are 99.9 and 0" in result.summary()


def test_a_file_of_an_earlier_version_is_read(tuned, tmp_path):
    now = tuned.result
    old = now.to_json()
    old["part"] = old.pop("split")
    old["at_the_end"] = old.pop("at_list_ends")
    old["holds"] = old.pop("in_model")
    old["decided"] = {"adopted": "tuned", "kept": "kept"}[old.pop("decision")]
    text = json.dumps(old).replace('"unclip"', '"growth"')
    (tmp_path / "tuned.json").write_text(text)
    read = TuneResult.read(tmp_path / "tuned.json")
    assert read == now
    for name in ("grouping", "rule", "adopt", "reason"):
        del old[name]
    read = TuneResult.parse(old, "tuned.json")
    assert (read.cross_fitted, read.rule, read.reason) == (now.cross_fitted, None, None)
    assert read.summary()
    assert TuneResult.parse({**old, "decided": "by hand"}, "tuned.json").decision == "manual"
