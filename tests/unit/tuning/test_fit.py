"""Tuning as a whole, on planted maps; and its record."""

import json

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


def test_adopted_values_are_those_of_the_model_and_their_scores_are_cross_fitted(tuned):
    result = tuned.result
    assert result.decision == "adopted"
    assert result.in_model == result.after.postprocess != BEFORE
    assert tuned.held_out.compute().macro == result.cross_fitted.score.cleval.macro


def test_the_summary_names_gain_optimism_and_warnings(tuned):
    text = tuned.result.summary()
    assert text.startswith("macro H +")
    assert "on pages with no part in the choice (cross-fitted)" in text
    assert "optimism" in text
    assert "3 of these pages were trained on" in text
    for name, value in tuned.result.at_list_ends.items():
        assert f"{name}={value:g} is at an end of its list" in text
    assert text.splitlines()[-1].startswith(f"thresh={tuned.result.in_model.thresh} ")


def test_pages_of_one_group_change_nothing(pages, maps):
    alone = [Page(page.name, page.width, page.height, page.polygons, group="one") for page in pages]
    found = tune(alone, maps)
    assert found.result.cross_fitted is None
    assert found.result.decision == "kept"
    assert found.result.in_model == BEFORE
    assert found.held_out.compute().macro == found.result.before.score.cleval.macro


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
    assert TuneResult.parse({**old, "decided": "by hand"}, "tuned.json").decision == "manual"
