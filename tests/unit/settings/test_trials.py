"""The settings of a sweep's trials: what their tuning keeps, and what it has left to try."""

import pytest

from hmean.errors import InputError
from hmean.postprocess.parameters import PARAMETERS
from hmean.search.sweepfile import SweepFile
from hmean.settings.trials import check_trials, tuned_lists
from support.sweeps import FILE, ROOT, make_folder, read_sweep

THRESH = "models.head.postprocess.thresh"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A sweep file that sets a threshold."""
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path)
    return read_sweep_with({THRESH: {"value": 0.28}})


def read_sweep_with(parameters):
    return SweepFile.parse({**FILE, "parameters": {**FILE["parameters"], **parameters}}, "s.yaml")


def test_what_the_sweep_sets_has_no_values_to_try(file):
    assert "thresh" not in tuned_lists(file, [])
    assert "box_thresh" in tuned_lists(file, [])
    assert "box_thresh" not in tuned_lists(file, ["models.head.postprocess.box_thresh=0.3"])
    nothing = [f"tune.{name}=[]" for name in PARAMETERS if name != "thresh"]
    assert tuned_lists(file, nothing) == []


def test_the_shipped_sweep_keeps_the_values_that_it_sets(monkeypatch):
    monkeypatch.chdir(ROOT)
    left = tuned_lists(read_sweep(ROOT / "configs/sweep_efficientnet_b4_lr_optimized.yaml"), [])
    assert left
    assert not {"thresh", "box_thresh", "max_candidates"} & set(left)


def test_a_list_for_what_the_sweep_sets_is_a_fault(file):
    with pytest.raises(InputError) as error:
        check_trials(file, ["tune.thresh=[0.2,0.3]"], tune_each=True)
    assert f"tune.thresh=[0.2,0.3]: the sweep sets or searches {THRESH}; remove one of the two" in str(error.value)
    check_trials(file, ["tune.thresh=[]"], tune_each=True)
