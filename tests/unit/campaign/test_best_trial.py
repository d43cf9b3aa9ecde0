"""The trial that a sweep phase stands for."""

import pytest

from hmean.campaign.file import CampaignFile
from hmean.campaign.results import run_folder
from hmean.campaign.state import Campaign
from hmean.search.ranking import Ranking, ranked
from support import stand_in
from support.trials import ended


@pytest.fixture
def campaign(tmp_path):
    values = {
        "name": "camp",
        "args": [],
        "budget_hours": 1.0,
        "expectations": {"conservative": 0.9, "neutral": 0.95, "optimistic": 0.99},
        "phases": {"sweep": {"kind": "sweep", "file": "sweep.yaml", "n": 2}},
    }
    for number, h in enumerate((0.95, 0.93, 0.90)):  # the third repeats the first
        folder = tmp_path / f"sweep/trial_{number:02d}"
        (folder / "checkpoints").mkdir(parents=True)
        stand_in.scores(folder, h)
    return Campaign(CampaignFile.model_validate(values), tmp_path, str)


def test_the_ranking_of_the_sweep_says_which(campaign, tmp_path):
    trials = [ended(0, 0.95), ended(1, 0.93), ended(2, 0.90, repeats_rank=0), ended(3, 0.94, repeats_rank=1)]
    Ranking.of(ranked(trials, 1), "val/hmean", tmp_path / "sweep").write(tmp_path / "sweep/ranking.json")
    assert run_folder(campaign, "sweep") == tmp_path / "sweep/trial_01"


def test_a_sweep_of_an_earlier_version_has_no_ranking(campaign, tmp_path):
    assert run_folder(campaign, "sweep") == tmp_path / "sweep/trial_00"
