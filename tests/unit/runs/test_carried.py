"""What a checkpoint carries: read without torch, without running anything, and from files of earlier versions."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PagesSeen, PostprocessChange, read_carried
from hmean.runs.checkpoints import read_checkpoint, replace_postprocess, write_checkpoint


@pytest.fixture
def carried() -> Carried:
    return Carried(
        epoch=3,
        config={"exp_name": "${oc.env:HOME}", "transforms": {"long_side": 160, "pad": "stride"}},
        postprocess=PostprocessParams(thresh=0.4),
        history=(),
        pages=PagesSeen(train=[1, 2**62, -5], val=[7]),
    )


@pytest.fixture
def checkpoint(carried, tmp_path):
    path = tmp_path / "best.ckpt"
    write_checkpoint(path, carried, {"w": torch.arange(4.0), "n": torch.tensor(3)})
    return path


def assert_same(a: Carried, b: Carried) -> None:
    assert a.to_json() == b.to_json()


def test_what_is_written_is_read_with_torch_and_without(carried, checkpoint):
    assert_same(read_carried(checkpoint), carried)
    content = read_checkpoint(checkpoint)
    assert_same(content.carried, carried)
    assert content.weights["w"].tolist() == [0, 1, 2, 3]
    assert content.carried.config["exp_name"] == "${oc.env:HOME}"  # a literal
    code = (
        "import sys\nfrom pathlib import Path\nfrom hmean.runs.carried import read_carried\n"
        f"assert read_carried(Path({str(checkpoint)!r})).pages.train.tolist() == [1, 2**62, -5]\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_change_of_values_is_in_the_history(carried, checkpoint):
    change = PostprocessChange(postprocess=carried.postprocess, until="now", why="because", pages=[8, 9])
    replace_postprocess(checkpoint, change, PostprocessParams(thresh=0.2))
    after = read_carried(checkpoint)
    assert after.postprocess.thresh == 0.2
    (kept,) = after.history
    assert (kept.postprocess.thresh, kept.why, kept.pages.tolist()) == (0.4, "because", [8, 9])
    assert after.influenced_by(np.array([1, 7, 8])).to_json() == {"trained": 1, "epoch_chosen": 1, "tuned": 1}
    assert after.influenced_by(np.array([1, 7, 8]), epoch_chosen=False).epoch_chosen == 0
    assert read_checkpoint(checkpoint).weights["n"] == 3


def test_files_of_earlier_versions_are_read(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    values = content["hmean"]
    values["postprocess"] = {**values["postprocess"], "thresh": 0.3, "removed": 1}
    values["postprocess"]["growth"] = "inverse"
    del values["postprocess"]["unclip"]
    values["something"] = "else"
    torch.save(content, checkpoint)
    params = read_carried(checkpoint).postprocess
    assert (params.thresh, params.unclip) == (0.3, "inverse")
    values["format"] = 1
    torch.save(content, checkpoint)
    with pytest.raises(InputError, match="has format 1, and this version of hmean reads 2"):
        read_carried(checkpoint)


def test_what_is_not_a_checkpoint_is_one_message(tmp_path, checkpoint):
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"hmean": {}, "state_dict": Evil()}, tmp_path / "evil.ckpt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(checkpoint.read_bytes()[:800])
    for read in (read_carried, read_checkpoint):
        with pytest.raises(InputError, match="checkpoint not found"):
            read(tmp_path / "none.ckpt")
        with pytest.raises(InputError, match="damaged"):
            read(tmp_path / "cut.ckpt")
        with pytest.raises(InputError, match="is not a checkpoint of hmean"):
            read(tmp_path / "other.ckpt")
        with pytest.raises(InputError):
            read(tmp_path / "evil.ckpt")
