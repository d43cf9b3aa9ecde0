"""Each parameter is declared once; the config, requests and sliders follow; old names are read."""

from dataclasses import fields, replace

import numpy as np
import pytest

from hmean.errors import InputError
from hmean.postprocess.parameters import PARAMETERS, PostprocessParams, implied_unclip, is_read, present_names
from hmean.records import Record
from hmean.settings.compose import compose_all


def test_every_field_is_declared():
    assert list(PARAMETERS) == [field.name for field in fields(PostprocessParams)]
    for name, parameter in PARAMETERS.items():
        assert parameter.name == name
        assert parameter.fault(parameter.default) is None
        assert parameter.help.endswith(".")
        assert (parameter.slider is None) == bool(parameter.choices)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("thresh", 2, "thresh must lie in [0, 1], got 2"),
        ("thresh", "0.3", "thresh must be a number, got '0.3'"),
        ("thresh", float("nan"), "thresh must be a number, got nan"),
        ("box_thresh", True, "box_thresh must be a number, got True"),
        ("unclip", "double", "unclip must be 'ratio' or 'inverse', got 'double'"),
        ("unclip_ratio", -1, "unclip_ratio must be at least 0, got -1"),
        ("inverse_r", 0, "inverse_r must lie in (0, 1], got 0"),
        ("edge_level", 1.5, "edge_level must lie in [0, 1], got 1.5"),
        ("min_size", float("inf"), "min_size must be a number, got inf"),
        ("max_candidates", 1.5, "max_candidates must be a whole number, got 1.5"),
        ("max_candidates", 0, "max_candidates must be at least 1, got 0"),
        ("use_polygon", 1, "use_polygon must be True or False, got 1"),
    ],
)
def test_a_fault_names_the_parameter_and_its_range(name, value, message):
    with pytest.raises(ValueError, match="must") as caught:
        PostprocessParams(**{name: value})
    assert str(caught.value) == message


def test_all_faults_are_listed():
    with pytest.raises(ValueError, match=r"thresh.*box_thresh.*max_candidates"):
        PostprocessParams(thresh=2, box_thresh=-1, max_candidates=0)


def test_numbers_of_numpy_are_numbers():
    params = PostprocessParams(thresh=np.float32(0.5), max_candidates=np.int64(7), use_polygon=np.bool_(True))
    assert params == PostprocessParams(thresh=0.5, max_candidates=7, use_polygon=True)


def test_the_unclip_mode_follows_the_value_that_is_given():
    params = PostprocessParams()
    assert params.replaced({"inverse_r": 0.5}) == replace(params, unclip="inverse", inverse_r=0.5)
    assert params.replaced({"unclip_ratio": 2.0, "inverse_r": 0.5}).unclip == "ratio"
    with pytest.raises(ValueError, match="inverse_r is not read with unclip=ratio"):
        params.replaced({"unclip": "ratio", "inverse_r": 0.5})
    assert implied_unclip(["thresh"]) is None
    assert is_read("thresh", "inverse")
    assert not is_read("unclip_ratio", "inverse")


def test_a_name_of_an_earlier_version_is_read():
    old = {"growth": "inverse", "thresh": 0.4}
    params = PostprocessParams(unclip="inverse", thresh=0.4)
    assert PostprocessParams.from_dict(old) == params
    assert PostprocessParams().replaced(old) == params
    assert present_names({"axes": {"growth": ["ratio"]}, "grid": [old]}) == {
        "axes": {"unclip": ["ratio"]},
        "grid": [{"unclip": "inverse", "thresh": 0.4}],
    }
    with pytest.raises(ValueError, match="growth is the old name of unclip"):
        PostprocessParams.from_dict({**old, "unclip": "ratio"})
    with pytest.raises(ValueError, match="tresh: unknown"):
        PostprocessParams.from_dict({"tresh": 0.3})


def test_a_record_reads_and_writes_the_parameters():
    class Tuned(Record):
        postprocess: PostprocessParams

    tuned = Tuned.parse({"postprocess": {"growth": "inverse", "thresh": 1}}, "tuned.json")
    assert tuned.postprocess == PostprocessParams(unclip="inverse", thresh=1)
    assert tuned.to_json() == {"postprocess": tuned.postprocess.to_dict()}
    assert "unclip" in str(Tuned.model_json_schema())
    with pytest.raises(InputError, match=r"thresh must lie in \[0, 1\]"):
        Tuned.parse({"postprocess": {"thresh": 2}}, "tuned.json")


def test_the_config_reads_old_names(tmp_path, monkeypatch):
    config = compose_all(["models.head.postprocess.growth=inverse", "tune.growth=[ratio,inverse]"])
    assert config.models.head.postprocess.params().unclip == "inverse"
    assert config.to_dict()["tune"]["unclip"] == ["ratio", "inverse"]
    folder = tmp_path / "configs" / "preset"
    folder.mkdir(parents=True)
    preset = "# @package _global_\ndefaults:\n  - receipts_lite\n  - _self_\n"
    (folder / "mine.yaml").write_text(f"{preset}models: {{head: {{postprocess: {{growth: ratio}}}}}}\n")
    monkeypatch.chdir(tmp_path)
    assert compose_all(["preset=mine"]).models.head.postprocess.params().unclip == "ratio"
