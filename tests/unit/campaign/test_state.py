"""``campaign.json``: what earlier versions wrote is read as what it means now."""

import json

from hmean.campaign.state import CampaignState, PhaseResult, PhaseValues
from hmean.runs.folder import differences

ASKED = {
    "job": "sweep",
    "args": ["a=1"],
    "of": [],
    "when": {"decide": ["sweep"]},
    "file": "sweep.yaml",
    "n": 2,
    "text": "parameters: {}",
    "campaign_args": ["preset=x"],
    "hangs_on": {"decide": "0123456789abcdef"},
}
DIFFERENCE = {"difference": 0.01, "interval95": [0.0, 0.02], "verdict": "not distinguishable"}


def test_values_of_earlier_versions_are_the_same_values():
    phase = {"kind": "sweep", "args": ["a=1"], "when": {"decide": ["sweep"]}, "file": "sweep.yaml", "n": 2}
    now = PhaseValues(
        phase=phase,
        args=["preset=x"],
        sweep_file="parameters: {}",
        depends_on={"decide": "0123456789abcdef"},
    )
    then = PhaseValues.parse(ASKED, "campaign.json")
    assert differences(then.to_json(), now.to_json()) == []
    again = PhaseValues.parse(json.loads(json.dumps(now.to_json())), "campaign.json")
    assert again == now


def test_results_of_earlier_versions_are_read():
    old = {
        "asked": {**ASKED, "job": "choose", "not_distinguishable": "first", "by": None},
        "outcome": "base",
        "distinguishable": False,
        "against": {"sweep": DIFFERENCE},
        "commands": [["train", "x=1"]],
        "scores": {"base": ["base/cross_fitted", "preset=x"]},
        "stamp": "0123456789abcdef",
    }
    for key in ("file", "n"):
        del old["asked"][key]
    found = PhaseResult.parse(old, "campaign.json")
    assert found.values.phase.kind == "choose"
    assert found.scores["base"].folder == "base/cross_fitted"
    assert found.against["sweep"].interval95.high == 0.02
    assert found.stamp == old["stamp"]


def test_a_campaign_of_an_earlier_version_opens():
    phases = {"base": {"job": "train"}, "val": {"job": "score", "part": "val", "of": ["base"]}}
    file = {
        "name": "camp",
        "output_dir": "outputs",
        "command": ["hmean"],
        "args": [],
        "budget_hours": 1.0,
        "expectations": {"conservative": 0.1, "neutral": 0.2, "optimistic": 0.3},
        "phases": phases,
    }
    asked = {"job": "train", "args": [], "of": [], "when": {}, "campaign_args": [], "hangs_on": {}}
    done = {"base": {"asked": asked, "outcome": "done", "commands": [], "scores": {}, "stamp": "0" * 16}}
    old = {"file": file, "phases": done, "begun": {"base": asked}, "seconds": {"base": 1.5}, "chosen": "base"}
    state = CampaignState.parse({**old, "winner": "base/checkpoints/best.ckpt"}, "campaign.json")
    assert state.file.phases["val"].kind == "score"
    assert state.phases["base"].values == state.begun["base"]
    assert state.winner == "base/checkpoints/best.ckpt"
