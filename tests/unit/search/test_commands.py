"""The commands of a trial."""

import pytest
import yaml

from hmean.execute.processes import HMEAN
from hmean.search.commands import kept_parameters, split_overrides, trial_command, tune_command
from hmean.search.sweepfile import SweepFile
from support.sweeps import FILE, LR


def test_a_training_has_its_own_folder_and_resumes(tmp_path):
    file = SweepFile.parse({**FILE, "parameters": {**FILE["parameters"], "seed": {"value": 7}}}, "s.yaml")
    command = trial_command(file, {LR: 0.001}, ["dataset_base_path=data"], tmp_path / "trial_00")
    assert command[2:] == [
        "fake_train.py",
        "preset=receipts_lite",
        "trainer.max_epochs=4",
        "seed=7",
        f"{LR}=0.001",
        "wandb=false",
        "score_start=false",
        "dataset_base_path=data",
        f"output_dir={tmp_path}",
        "exp_name=trial_00",
        "resume=auto",
    ]


def test_the_tuning_reads_the_config_of_the_training_and_trusts_what_it_ran(tmp_path):
    folder = tmp_path / "trial_00"
    folder.mkdir()
    models = {
        "encoder": {"_target_": "hmean.network.encoder.TimmEncoder"},
        "decoder": {"_target_": "mine.parts.Decoder"},
        "optimizer": {"_target_": "torch.optim.AdamW"},
        "targets": {"shrink_ratio": 0.4},
        "pretrained": "pp-ocrv6-small",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({"models": models}))
    training_command = ["python", "train.py", "preset=mine", "models.optimizer.lr=0.1"]
    command = tune_command(folder, "iou70", training_command, ["tune.folds=2"], ["thresh", "unclip"])
    assert command[len(HMEAN) :] == [
        "tune",
        "preset=mine",
        f"config={folder}/config.yaml",
        f"checkpoint_path={folder}/checkpoints/best.ckpt",
        "trusted_targets=[mine]",
        "split=val",
        "tune.adopt=any",
        "tune.folds=2",
        "tune.objective=iou70",
        "tune.thresh=[]",
        "tune.unclip=[]",
    ]


POSTPROCESS = "models.head.postprocess"


@pytest.mark.parametrize(("parameters", "command", "overrides", "kept"), [
    ({}, [], [], []),
    ({f"{POSTPROCESS}.thresh": {"value": 0.28}}, [], [], ["thresh"]),
    ({f"{POSTPROCESS}.thresh": {"min": 0.2, "max": 0.4}}, [], [], ["thresh"]),  # searched: not tuned away either
    ({}, [f"{POSTPROCESS}.box_thresh=0.25"], [], ["box_thresh"]),
    ({}, [], [f"++{POSTPROCESS}.max_candidates=600", "tune.thresh=[0.2]"], ["max_candidates"]),
    ({f"{POSTPROCESS}.growth": {"value": "ratio"}}, [], [], ["unclip"]),  # by its name in earlier versions
    ({f"{POSTPROCESS}.inverse_r": {"value": 0.4}}, [], [], ["unclip", "inverse_r"]),  # another mode would ignore it
])  # fmt: skip
def test_what_the_sweep_sets_or_searches_is_not_tuned(parameters, command, overrides, kept):
    file = SweepFile.parse(
        {**FILE, "parameters": {**FILE["parameters"], **parameters}, "command": [*FILE["command"], *command]}, "s.yaml"
    )
    assert kept_parameters(file, overrides) == kept


def test_overrides_of_the_training_and_of_the_tuning_are_told_apart():
    overrides = ["tune.folds=2", "tuner=1", "trainer.max_epochs=3", "+tune.thresh=[0.3]"]
    assert split_overrides(overrides) == (["tuner=1", "trainer.max_epochs=3"], ["tune.folds=2", "+tune.thresh=[0.3]"])
