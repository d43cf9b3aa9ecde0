"""What the studio shows is what detect, evaluate and the breakdown say; it only keeps it at hand."""

from dataclasses import replace

import numpy as np
import pytest

from hmean.labels.ufo import UfoLabels
from hmean.metrics.breakdown import COLUMNS, break_down
from hmean.metrics.scorer import score_pages
from hmean.postprocess.decoding import detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.web import studio_scores as studio
from hmean.web.studio_scores import CURVE_BOX_THRESHOLDS, FAULTS, ModelScores, SupersededError, heights_in_view
from support.planted_maps import planted_map

PARAMS = PostprocessParams(thresh=0.3, box_thresh=0.5, unclip="inverse", inverse_r=0.6, min_size=2)


@pytest.fixture(scope="module")
def truth(receipts):
    labels = UfoLabels(receipts / "jsons" / "train.json")
    return [labels.page(i) for i in range(len(labels.names))]


@pytest.fixture(scope="module")
def maps(truth):
    rng = np.random.default_rng(3)
    return {page.name: planted_map(page, 320, rng, 0.4) for page in truth}


@pytest.fixture
def model(truth, maps):
    return ModelScores(truth, maps.__getitem__, "transcription", threads=2)


SETTINGS = [PARAMS, replace(PARAMS, thresh=0.6), replace(PARAMS, unclip="ratio"), replace(PARAMS, use_polygon=True)]


@pytest.mark.parametrize("params", SETTINGS)
def test_a_page_is_what_detect_and_score_say(model, truth, maps, params):
    for i, page in enumerate(truth):
        shown, found = model.page(i, params), detect(maps[page.name], params)
        assert np.array_equal(shown.found.polygons.points, found.polygons.points)
        assert np.array_equal(shown.found.scores, found.scores)
        scored = score_pages([page], [found], "transcription")[0][0]
        assert (shown.prh, shown.iou50, shown.iou70) == (scored.prh, scored.iou50.prh, scored.iou70.prh)


@pytest.mark.parametrize("params", SETTINGS)
def test_the_whole_set_is_the_sum_of_its_pages_and_its_faults_those_of_the_breakdown(model, truth, maps, params):
    result = model.all_pages(params)
    found = [detect(maps[page.name], params) for page in truth]
    told = break_down(truth, found, "transcription", 320).pages
    prh = result.page_prh()
    faults = result.page_faults()
    assert tuple(faults) == FAULTS
    for fault, counts in faults.items():
        assert counts.tolist() == [getattr(row, fault) for row in told]
    assert set(FAULTS) < set(COLUMNS)
    assert sum(counts.sum() for counts in faults.values()) > 0
    for i in range(len(truth)):
        page = model.page(i, params)
        assert prh[i].tolist() == pytest.approx(list(vars(page.prh).values()), abs=1e-12)
        assert ("missed" in page.word_faults) == (told[i].missed > 0)
        assert ("false" in page.found_faults) == (told[i].false > 0)
        assert ("merged" in page.found_faults) == (told[i].merged > 0)


def test_the_curve_is_what_each_box_thresh_scores(model):
    curve = model.all_pages(replace(PARAMS, box_thresh=0.52)).curve()
    assert curve[:, 0].tolist() == sorted({*CURVE_BOX_THRESHOLDS, 0.52})
    for t, p, r in curve.tolist():
        macro = model.all_pages(replace(PARAMS, box_thresh=t)).at_setting().macro_pr()
        assert (p, r) == pytest.approx((macro[0][0], macro[1][0]), abs=1e-12)
    assert curve[-1, 2] < curve[0, 2]


def test_a_result_that_nobody_waits_for_is_given_up(model):
    asked = []
    with pytest.raises(SupersededError):
        model.all_pages(PARAMS, lambda: bool(asked.append(1)) or True)
    assert asked
    assert model.all_pages(PARAMS, lambda: False).scores.counts.shape[0] == len(CURVE_BOX_THRESHOLDS) + 1


def test_maps_are_read_once_and_results_kept_while_there_is_room(truth, maps, monkeypatch):
    read = []
    room = sum(m.probability.nbytes for m in list(maps.values())[:2])
    monkeypatch.setattr(studio, "MAX_MAP_BYTES", room)
    model = ModelScores(truth, lambda name: read.append(name) or maps[name], "transcription")
    first = model.all_pages(PARAMS)
    assert model.all_pages(PARAMS) is first
    assert len(read) == len(truth)
    model.all_pages(replace(PARAMS, thresh=0.4))
    assert 2 * len(truth) - 3 <= len(read) < 2 * len(truth)
    for i in range(studio.MAX_RESULTS):
        model.all_pages(replace(PARAMS, min_size=float(i + 3)))
    assert model.all_pages(PARAMS) is not first


def test_text_height_is_the_shorter_side_in_the_networks_view(truth):
    page = truth[0]
    assert len(heights_in_view(page, 0.1)) == (~page.ignored).sum()
    assert np.allclose(heights_in_view(page, 0.2), 2 * heights_in_view(page, 0.1))
