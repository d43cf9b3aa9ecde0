import re

import pytest
import yaml

from hmean.cli import main
from hmean.errors import InputError
from hmean.settings.config import check_components, choices, compose, config_dir, known_keys
from hmean.settings.overrides import Arguments, split_arguments

SPEC_KEYS = [
    "exp_name",
    "seed",
    "wandb",
    "checkpoint_path",
    "dataset_base_path",
    "trainer.max_epochs",
    "models.optimizer.lr",
    "models.optimizer.weight_decay",
    "models.head.postprocess.thresh",
    "models.head.postprocess.box_thresh",
    "models.head.postprocess.max_candidates",
    "models.head.postprocess.use_polygon",
    "models.head.postprocess.unclip_ratio",
    "models.head.postprocess.unclip",
    "models.encoder.model_name",
    "datasets.train_dataset.annotation_path",
    "datasets.predict_dataset.image_path",
    "dataloaders.train_dataloader.batch_size",
    "transforms.long_side",
]


@pytest.mark.parametrize("preset", choices("preset"))
def test_every_shipped_preset_is_valid(preset):
    config = compose([f"preset={preset}"])
    check_components(config)
    assert config.exp_name == preset


def test_presets_have_the_values_they_are_named_for():
    config = compose(["preset=efficientnet_b4_lr_optimized"])
    assert config.models.optimizer.lr == 0.0004
    assert config.models.optimizer.weight_decay == 0.0001
    assert config.models.scheduler.arguments() == {"T_max": 22, "eta_min": 0.00001}
    head = config.models.head.postprocess
    assert (head.thresh, head.box_thresh, head.max_candidates) == (0.28, 0.25, 600)
    assert (config.trainer.max_epochs, config.dataloaders.train_dataloader.batch_size, config.seed) == (22, 4, 42)
    assert config.transforms.long_side == 960
    assert compose(["preset=resnet50"]).models.optimizer.lr == 0.0005


@pytest.mark.parametrize("key", SPEC_KEYS)
def test_keys_of_the_spec_exist(key):
    assert key in set(known_keys())


def test_optimizer_and_scheduler_values_can_be_overridden():
    config = compose(
        [
            "preset=efficientnet_b4_lr_optimized",
            "models.scheduler.T_max=20",
            "models.scheduler.eta_min=5e-6",
            "models.loss.k=30",
        ]
    )
    check_components(config)
    assert config.models.scheduler.arguments() == {"T_max": 20, "eta_min": 5e-6}


def test_all_faults_come_in_one_message_with_the_nearest_key():
    with pytest.raises(InputError) as caught:
        compose(
            [
                "models.optimiser.lr=1",
                "models.optimizer.lr=abc",
                "trainer.max_epoch=3",
                "+typo=1",
                "seed=-1",
                "transforms.pad=round",
            ]
        )
    text = str(caught.value)
    for expected in (
        "models.optimiser: there is no such key; did you mean models.optimizer?",
        "models.optimizer.lr: input should be a valid number, got 'abc'",
        "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?",
        "typo: there is no such key",
        "seed: input should be greater than or equal to 0, got -1",
        "transforms.pad: input should be 'square' or 'stride', got 'round'",
    ):
        assert expected in text


def test_arguments_of_components_are_checked_against_their_signature():
    config = compose(
        [
            "models.decoder.inner_chanels=3",
            "models.loss.k=abc",
            "models.scheduler.T_max=3",
            "models.encoder._target_=hmean.network.encoder.Timm",
        ]
    )
    with pytest.raises(InputError) as caught:
        check_components(config)
    text = str(caught.value)
    assert "models.decoder.inner_chanels: there is no such key; did you mean inner_channels?" in text
    assert "models.loss.k" in text
    assert "models.scheduler.T_max" in text
    assert "cannot be imported" in text


def test_arguments_that_are_missing_or_not_a_configs_to_give():
    config = compose([
        "models.decoder.in_channels=[1]", "models.optimizer.params=3",
        "models.scheduler={_target_: torch.optim.lr_scheduler.StepLR}", "~models.scheduler.warmup", "~models.scheduler.decay",
    ])  # fmt: skip
    with pytest.raises(InputError) as caught:
        check_components(config)
    assert str(caught.value).splitlines()[1:] == [
        "  - models.decoder.in_channels: is hmean's to give; leave it out",
        "  - models.optimizer.params: is hmean's to give; leave it out",
        "  - models.scheduler.step_size: is missing; StepLR needs it",
    ]


def test_paths_are_taken_as_they_are_typed():
    config = compose([
        "checkpoint_path=a=1, b (2)/best.ckpt", "dataset_base_path='x y'", "output=null",
        "datasets.val_dataset.annotation_path=${dataset_base_path}/a=b.json",
    ])  # fmt: skip
    assert config.checkpoint_path == "a=1, b (2)/best.ckpt"
    assert config.output is None
    assert config.datasets.val_dataset.annotation_path == "x y/a=b.json"


def test_a_checkpoint_may_not_name_any_function_it_likes():
    config = compose(["models.encoder._target_=os.system", "models.decoder._target_=hmean.files.write_text"])
    with pytest.raises(InputError, match=r"trusted_targets=\[os\]"):
        check_components(config, trusted=[])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("preset=resnet5", "did you mean resnet50"),
        ("seed=1,2", "several values"),
        ("a b=c d", "not key=value"),
        ("exp_name=a/b", "exp_name"),
        ("exp_name='a=b'", "exp_name"),
        ("datasets.val_dataset.split={k: 5, fold: 5, part: val, seed: 1}", "fold must be 0..4"),
        ("transforms.train.crop=100", "multiple of 32"),
        ("transforms.train.long_side=[640,320]", r"\[low, high\]"),
        ("transforms.train={crop: null, long_side: [320, 640]}", "without crop"),
        ("models.head.postprocess.unclip=double", "'ratio' or 'inverse'"),
        ("transforms.long_side=${nothing}", "nothing"),
    ],
)
def test_single_faults(override, message):
    with pytest.raises(InputError, match=message):
        compose([override])


def test_wrong_config_is_exit_code_2_and_no_traceback(capsys):
    assert main(["train", "trainer.max_epoch=3"]) == 2
    assert capsys.readouterr().err.startswith("error: The settings are not valid:\n  - trainer.max_epoch: unknown key")


def test_every_yaml_key_is_known_and_typed_keys_have_values():
    base = yaml.safe_load((config_dir() / "base.yaml").read_text())
    base.pop("defaults")
    missing = [key for key in known_keys() if "." not in key and key not in base and key != "models"]
    assert missing == []


@pytest.mark.parametrize("where", ["plain", "a,b=(c) 'd'"])
def test_user_presets_in_the_current_folder(tmp_path, monkeypatch, where):
    tmp_path = tmp_path / where
    folder = tmp_path / "configs" / "preset"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - resnet50\n  - _self_\ntrainer: {max_epochs: 3}\n"
    )
    monkeypatch.chdir(tmp_path)
    config = compose(["preset=mine"])
    assert (config.trainer.max_epochs, config.models.encoder.model_name) == (3, "resnet50")


def test_paths_and_overrides_are_told_apart():
    assert split_arguments(["scans/", "a=1", "--", "b=2.jpg", "-x"]) == Arguments(("scans/", "b=2.jpg", "-x"), ("a=1",))
    with pytest.raises(InputError, match="--fast"):
        split_arguments(["--fast"])


def test_head_comment_and_values_agree():
    """A config whose comment says other numbers than its values misled a team once: comments hold no numbers of keys."""
    for file in config_dir().rglob("*.yaml"):
        for line in file.read_text().splitlines():
            if line.startswith("#"):
                assert not re.search(r"(thresh|lr|unclip\w*)\s*[=:]?\s*0\.\d", line), f"{file}: {line}"


@pytest.mark.parametrize(("choice", "target"), [("dbnetpp", "DBNetPP"), ("unet", "UNet"), ("unet_slim", "UNet")])
def test_parts_are_chosen_by_group(choice, target):
    config = compose(["preset=resnet50", f"preset/models/decoder={choice}"])
    assert config.models.decoder.target.endswith(f".{target}")
    check_components(config)


def test_a_checkpoint_from_before_a_key_has_its_default():
    models = compose([]).to_dict()["models"]
    targets = {"shrink_ratio": 0.5, "min_side": 1.0}
    carried = {"models": {**models, "targets": targets}}
    assert compose([], carried).models.targets.model_dump() == {**targets, "antialias": False}
    assert compose(["models.targets.antialias=true"], carried).models.targets.antialias
