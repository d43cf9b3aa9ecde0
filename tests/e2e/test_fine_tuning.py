"""Trainings that start from a published detector, and from models of ours that descend from one."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint
from hmean.network.catalogue import by_name
from hmean.training.start import open_start
from support.pages import TINY

SMALL = [argument for argument in TINY if not argument.startswith("models.")]  # the start says what the network is
# Steps that change next to nothing: what is learned is not the point here.
STILL = [
    "models.optimizer.lr=1e-9",
    "models.optimizer.weight_decay=0",
    "trainer.ema_decay=null",
    "trainer.max_epochs=1",
]


@pytest.fixture(scope="module")
def fine_tuned(receipts, tmp_path_factory):
    """The folder of a run that started from PP-OCRv6 tiny."""
    if by_name("pp-ocrv6-tiny").find() is None:
        pytest.skip("none of the packages with PP-OCRv6 tiny is installed")
    outputs = tmp_path_factory.mktemp("fine_tuned")
    command = ["train", *SMALL, *STILL, "from=pp-ocrv6-tiny", f"dataset_base_path={receipts}", f"output_dir={outputs}"]
    assert main([*command, "exp_name=first"]) == 0
    return outputs / "first"


def test_the_run_says_what_it_started_from(fine_tuned):
    checkpoint = load_checkpoint(fine_tuned / "checkpoints/best.ckpt")
    training = checkpoint.carried.provenance.training
    (start,) = training.started_from
    assert start.name == "pp-ocrv6-tiny"
    assert start.licence == "Apache-2.0"
    assert "started from PP-OCRv6 tiny" in training.describe()
    assert checkpoint.training["models"]["encoder"]["model_name"] == "pp_lcnet_v4_tiny"


def test_the_checkpoint_needs_the_published_weights_no_more(fine_tuned, receipts, tmp_path, monkeypatch):
    monkeypatch.setattr("hmean.network.catalogue.find_spec", lambda _: None)
    page = next((receipts / "images").iterdir())
    model = f"checkpoint_path={fine_tuned / 'checkpoints/best.ckpt'}"
    assert main(["predict", model, str(page), f"output={tmp_path / 'found'}"]) == 0


def test_a_training_goes_on_from_a_checkpoint_with_its_network(fine_tuned, receipts, tmp_path):
    """Nothing but ``from=`` says what the network is."""
    start = f"from={fine_tuned / 'checkpoints/best.ckpt'}"
    others = "datasets.val_dataset.annotation_path=${dataset_base_path}/jsons/test.json"
    command = ["train", *SMALL, *STILL, start, others, f"dataset_base_path={receipts}", f"output_dir={tmp_path}"]
    assert main([*command, "exp_name=more"]) == 0
    before = load_checkpoint(fine_tuned / "checkpoints/best.ckpt")
    after = load_checkpoint(tmp_path / "more/checkpoints/best.ckpt")
    for name, tensor in before.weights.items():
        assert torch.allclose(tensor, after.weights[name], atol=1e-5)
    names = [start.name for start in after.carried.provenance.training.started_from]
    assert names == ["best.ckpt", "pp-ocrv6-tiny"]
    assert set(before.pages.all().tolist()) <= set(after.pages.train.tolist())


def test_a_training_goes_on_from_an_exported_model(fine_tuned, tmp_path, capsys):
    """Its weights are in the file under their own names; T, which is not exported, starts from P's features."""
    best = fine_tuned / "checkpoints/best.ckpt"
    exported = tmp_path / "tiny.onnx"
    assert main(["export", f"checkpoint_path={best}", f"output={exported}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "started from: PP-OCRv6 tiny" in printed
    assert sum(line.startswith("licence: Apache-2.0 of PP-OCRv6 tiny; ") for line in printed) == 1
    checkpoint = load_checkpoint(best)
    network = checkpoint.build("cpu")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    start = open_start(str(exported))
    start.fill(network)
    for name, tensor in network.state_dict().items():
        if not name.startswith("head.threshold"):
            assert torch.equal(tensor, checkpoint.weights[name])
    assert start.model.pages.all().tolist() == checkpoint.pages.all().tolist()


def test_a_checkpoint_that_names_foreign_code_is_no_start(fine_tuned, receipts, tmp_path, capsys):
    content = torch.load(fine_tuned / "checkpoints/best.ckpt", weights_only=True)
    content["hmean"]["config"]["models"]["decoder"]["_target_"] = "os.system"
    foreign = tmp_path / "foreign.ckpt"
    torch.save(content, foreign)
    assert main(["train", *SMALL, f"from={foreign}", f"dataset_base_path={receipts}", "exp_name=x"]) == 2
    assert "models.decoder._target_ is os.system, which is not hmean's own" in capsys.readouterr().err
