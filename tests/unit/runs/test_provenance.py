"""Where weights come from: nothing is invented, and what is not known is said to be not recorded."""

from hmean.runs.manifest import GitState, Machine, Manifest, command_line
from hmean.runs.provenance import Provenance, Schedule, StartProvenance, TrainingProvenance

CONFIG = {
    "seed": 7,
    "dataloaders": {"train_dataloader": {"batch_size": 4}},
    "models": {
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.001},
        "scheduler": {"_target_": "hmean.training.schedules.warmup_flat_linear"},
    },
    "trainer": {"max_epochs": 16},
}


def manifest() -> Manifest:
    return Manifest(
        hmean="0.1.0",
        config_hash="c" * 64,
        data_hash={"train": "a" * 64, "val": "b" * 64},
        git=GitState(commit="d" * 40, dirty=True),
        seed=7,
        python="3.11.7",
        versions={"torch": "2.9", "onnx": None},
        machine=Machine(system="Linux", processor="a processor", command=["hmean", "train", "seed=7"]),
    )


def test_everything_that_the_manifest_knows_is_kept():
    training = TrainingProvenance.of_manifest(manifest(), CONFIG).at(90)
    assert training.schedule == Schedule(
        epochs=16,
        batch_size=4,
        optimizer="torch.optim.AdamW",
        lr=0.001,
        scheduler="hmean.training.schedules.warmup_flat_linear",
    )
    text = training.describe()
    for part in ("commit dddddddd with uncommitted changes", "hmean 0.1.0", "seed 7", "16 epochs", "batch 4", "lr 0.001",
                 "warmup_flat_linear", "train aaaaaaaa", "config: cccccccc", "hmean train seed=7", "minutes of training 1.5",
                 "torch 2.9"):  # fmt: skip
        assert part in text
    assert "not recorded" not in text
    assert "onnx" not in text


def test_what_is_not_known_is_said_to_be_not_recorded():
    assert Provenance().describe_training() == "not recorded"
    text = TrainingProvenance.of_config({"seed": 3}).describe()
    assert "seed 3" in text
    for part in ("commit not recorded", "hmean not recorded", "not recorded epochs", "data: not recorded", "command: not recorded",
                 "saved not recorded", "minutes of training not recorded", "versions: not recorded"):  # fmt: skip
        assert part in text


def test_a_training_that_was_continued_says_whose_commit_it_names():
    training = TrainingProvenance.of_manifest(manifest(), CONFIG).model_copy(update={"starts": 2})
    assert "started 2 times; commit, versions and command are those of the last start" in training.describe()


def test_an_average_of_weights_tells_each_training():
    members = (TrainingProvenance(seed=1), TrainingProvenance(seed=2))
    text = Provenance(members=members).describe_training()
    assert text.startswith("average of the weights of 2 models")
    assert "seed 1" in text
    assert "seed 2" in text


def test_the_origin_is_a_line_each_for_starts_licences_and_notes():
    published = StartProvenance(name="pp-ocrv6-small", title="PP-OCRv6 small", licence="Apache-2.0")
    starts = (StartProvenance(name="best.ckpt", of_ours=True), published)
    training = TrainingProvenance(started_from=starts, note="trained without validation")
    expected = [
        "started from: best.ckpt; before that PP-OCRv6 small",
        "licence: Apache-2.0 of PP-OCRv6 small; say that the weights were changed where you pass them on",
        "note: trained without validation",
    ]
    assert Provenance(training=training).describe_origin() == expected
    assert Provenance(members=(training, training)).describe_origin() == expected  # each once
    assert Provenance().describe_origin() == []


def test_a_module_that_python_runs_is_the_command_of_its_name():
    assert command_line(["/anywhere/hmean/__main__.py", "train", "seed=1"]) == ["hmean", "train", "seed=1"]
