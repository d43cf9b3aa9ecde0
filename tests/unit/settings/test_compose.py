import re
from typing import ClassVar

import pytest
import yaml

from hmean.cli import main
from hmean.commands.predict import PredictSettings
from hmean.errors import InputError
from hmean.plugins import check_components
from hmean.settings.all import AllSettings
from hmean.settings.compose import NAMES_ELSEWHERE, choices, compose_all, config_folder, read_settings
from hmean.settings.keys import known_keys, with_present_keys
from hmean.settings.models import ModelSettings
from hmean.settings.overrides import Arguments, split_arguments
from hmean.settings.sections import (
    Augment,
    EvaluationView,
    Folds,
    LabelledDatasets,
    OptionSettings,
    Photometric,
    SplitName,
    Targets,
    TrainedModels,
)
from hmean.settings.training import TrainSettings
from hmean.types import View

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
    config = compose_all([f"preset={preset}"])
    check_components(config.models.components().all())
    assert config.exp_name == preset


def test_presets_have_the_values_they_are_named_for():
    config = compose_all(["preset=efficientnet_b4_lr_optimized"])
    assert config.models.optimizer.lr == 0.0004
    assert config.models.optimizer.weight_decay == 0.0001
    assert config.models.scheduler.arguments() == {"T_max": 22, "eta_min": 0.00001}
    head = config.models.head.postprocess
    assert (head.thresh, head.box_thresh, head.max_candidates) == (0.28, 0.25, 600)
    assert (config.trainer.max_epochs, config.dataloaders.train_dataloader.batch_size, config.seed) == (22, 4, 42)
    assert config.transforms.long_side == 960
    assert compose_all(["preset=resnet50"]).models.optimizer.lr == 0.0005


@pytest.mark.parametrize("key", SPEC_KEYS)
def test_keys_of_the_spec_exist(key):
    assert key in set(known_keys(AllSettings))


def test_optimizer_and_scheduler_values_can_be_overridden():
    config = compose_all(
        [
            "preset=efficientnet_b4_lr_optimized",
            "models.scheduler.T_max=20",
            "models.scheduler.eta_min=5e-6",
            "models.loss.k=30",
        ]
    )
    check_components(config.models.components().all())
    assert config.models.scheduler.arguments() == {"T_max": 20, "eta_min": 5e-6}


def test_all_faults_come_in_one_message_with_the_nearest_key():
    with pytest.raises(InputError) as caught:
        compose_all(
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
        "models.optimiser: unknown key; did you mean models.optimizer?",
        "models.optimizer.lr: input should be a valid number, got 'abc'",
        "trainer.max_epoch: unknown key; did you mean trainer.max_epochs?",
        "typo: unknown key",
        "seed: input should be greater than or equal to 0, got -1",
        "transforms.pad: input should be 'square' or 'stride', got 'round'",
    ):
        assert expected in text


def test_arguments_of_components_are_checked_against_their_signature():
    config = compose_all(
        [
            "models.decoder.inner_chanels=3",
            "models.loss.k=abc",
            "models.scheduler.T_max=3",
            "models.encoder._target_=hmean.network.encoder.Timm",
        ]
    )
    with pytest.raises(InputError) as caught:
        check_components(config.models.components().all())
    text = str(caught.value)
    assert "models.decoder.inner_chanels: unknown key; did you mean inner_channels?" in text
    assert "models.loss.k" in text
    assert "models.scheduler.T_max" in text
    assert "cannot be imported" in text


def test_arguments_that_are_missing_or_set_by_hmean():
    config = compose_all([
        "models.decoder.in_channels=[1]", "models.optimizer.params=3",
        "models.scheduler={_target_: torch.optim.lr_scheduler.StepLR}", "~models.scheduler.warmup", "~models.scheduler.decay",
    ])  # fmt: skip
    with pytest.raises(InputError) as caught:
        check_components(config.models.components().all())
    assert str(caught.value).splitlines()[1:] == [
        "  - models.decoder.in_channels: is set by hmean; remove it",
        "  - models.optimizer.params: is set by hmean; remove it",
        "  - models.scheduler.step_size: is required by StepLR",
    ]


def test_paths_are_taken_as_they_are_typed():
    config = compose_all([
        "checkpoint_path=a=1, b (2)/best.ckpt", "dataset_base_path='x y'", "output=null",
        "datasets.val_dataset.annotation_path=${dataset_base_path}/a=b.json",
    ])  # fmt: skip
    assert config.checkpoint_path == "a=1, b (2)/best.ckpt"
    assert config.output is None
    assert config.datasets.val_dataset.annotation_path == "x y/a=b.json"


def test_a_checkpoint_may_not_name_any_function_it_likes():
    config = compose_all(["models.encoder._target_=os.system", "models.decoder._target_=hmean.files.write_text"])
    with pytest.raises(InputError, match=r"trusted_targets=\[os\]"):
        check_components(config.models.components().all(), trusted=[])


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
        ("models.head.postprocess.growth=double", "'ratio' or 'inverse'"),
        ("transforms.long_side=${nothing}", "nothing"),
    ],
)
def test_single_faults(override, message):
    with pytest.raises(InputError, match=message):
        compose_all([override])


def test_wrong_config_is_exit_code_2_and_no_traceback(capsys):
    assert main(["train", "trainer.max_epoch=3"]) == 2
    assert capsys.readouterr().err.startswith("error: The settings are not valid:\n  - trainer.max_epoch: unknown key")


def test_every_yaml_key_is_known_and_typed_keys_have_values():
    base = yaml.safe_load((config_folder() / "base.yaml").read_text())
    base.pop("defaults")
    base = with_present_keys(base)
    missing = [key for key in known_keys(AllSettings) if "." not in key and key not in base and key != "models"]
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
    config = compose_all(["preset=mine"])
    assert (config.trainer.max_epochs, config.models.encoder.model_name) == (3, "resnet50")


def test_paths_and_overrides_are_told_apart():
    typed = split_arguments(["scans/", "a=1", "--", "b=2.jpg", "-x"])
    assert typed == Arguments(inputs=("scans/", "b=2.jpg", "-x"), overrides=("a=1",))
    with pytest.raises(InputError, match="--fast"):
        split_arguments(["--fast"])


def test_head_comment_and_values_agree():
    """A config whose comment says other numbers than its values misled a team once: comments hold no numbers of keys."""
    for file in config_folder().rglob("*.yaml"):
        for line in file.read_text().splitlines():
            if line.startswith("#"):
                assert not re.search(r"(thresh|lr|unclip\w*)\s*[=:]?\s*0\.\d", line), f"{file}: {line}"


@pytest.mark.parametrize(("choice", "target"), [("dbnetpp", "DBNetPP"), ("unet", "UNet"), ("unet_slim", "UNet")])
def test_parts_are_chosen_by_group(choice, target):
    config = compose_all(["preset=resnet50", f"preset/models/decoder={choice}"])
    assert config.models.decoder.target.endswith(f".{target}")
    check_components(config.models.components().all())


class Uses(ModelSettings):
    """A command that uses a trained model."""

    split: SplitName
    datasets: LabelledDatasets
    transforms: EvaluationView
    models: TrainedModels


def carried(**changes):
    """What a model's file brings; ``changes`` are of its models section."""
    own = compose_all(["preset=quickstart"]).to_dict()
    return lambda _run, _path: {**own, "models": {**own["models"], **changes}}


def test_rough_pages_are_laid_over_any_preset():
    plain = compose_all(["preset=receipts_lite"]).transforms
    rough = compose_all(
        ["preset=receipts_lite", "preset/transforms=rough", "transforms.train.augment.turn=0.5"]
    ).transforms
    assert (plain.train.augment.turn, plain.train.photometric.p_dark) == (0, 0)
    assert rough.train.augment.turn == 0.5
    assert rough.train.photometric.p_dark > 0
    assert (rough.long_side, rough.train.crop) == (plain.long_side, plain.train.crop)


def test_configs_of_before_turns_and_worn_pages_have_none():
    """Presets and checkpoints of earlier versions name none of these keys."""
    train = compose_all(["preset=receipts_lite"]).transforms.train
    old_keys = {"rotate", "scale", "shift", "shear", "perspective", "stretch", "hflip", "vflip", "p"}
    augment = Augment.model_validate(train.augment.model_dump(include=old_keys))
    assert (augment.turn, augment.p_tilt) == (0, 0)
    old_keys = {"brightness", "contrast", "saturation", "hue", "noise", "blur", "sharpen", "jpeg"}
    old_keys |= {"p_color", "p_noise", "p_blur", "p_sharpen", "p_jpeg", "p_gray", "p_shadow", "p_fog"}
    photometric = Photometric.model_validate(train.photometric.model_dump(include=old_keys))
    later = [name for name in Photometric.model_fields if name.startswith("p_") and name not in old_keys]
    assert [getattr(photometric, name) for name in later] == [0] * 11


def test_a_key_that_the_command_does_not_read_is_an_error_with_a_hint_that_works():
    typed = ["models.optimizer.lr=3", "tune.thresh=[0.3]", "trasforms.pad=square", "thresh=0.3", "split=all"]
    typed.append("checkpoint_path=x")
    with pytest.raises(InputError) as caught:
        read_settings(Uses, typed)
    assert str(caught.value).splitlines()[1:] == [
        "  - models.optimizer.lr: this command does not read it",
        "  - tune.thresh: this command does not read it; did you mean models.head.postprocess.thresh?",
        "  - trasforms.pad: unknown key; did you mean transforms.pad?",
        "  - thresh: unknown key; did you mean models.head.postprocess.thresh?",
        "  - split: input should be 'val', 'test' or 'train', got 'all'",
    ]


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        (["logger=tensorbord"], "logger: input should be 'csv', 'tensorboard', 'wandb', 'mlflow' or 'none', got"),
        (["wandb=true", "logger=csv"], "wandb=true and logger=csv name two trackers"),
        (["campaign=quickstart"], "campaign: unknown key"),  # a folder of configs, but no group of presets
    ],
)
def test_a_fault_is_one_line_and_names_its_key(typed, fault):
    with pytest.raises(InputError) as caught:
        read_settings(TrainSettings, ["preset=quickstart", *typed])
    (line,) = caught.value.faults
    assert line.startswith(fault)


def test_what_a_model_brings_replaces_the_preset_and_is_replaced_by_overrides():
    typed = ["checkpoint_path=x.ckpt", "models.head.postprocess.box_thresh=0.4", "transforms.long_side=960"]
    settings = read_settings(Uses, typed, read_carried=carried())
    assert settings.transforms.seen() == View(960, "stride")
    assert settings.models.head.postprocess.params().box_thresh == 0.4
    assert settings.given("models") == ["models.head.postprocess.box_thresh"]
    assert settings.given("datasets") == []


def test_a_model_of_before_a_key_has_its_default():
    targets = {"shrink_ratio": 0.5, "min_side": 1.0, "device": True}
    plain = with_present_keys({"models": {"targets": targets}})
    assert plain == {"models": {"targets": {"shrink_ratio": 0.5, "min_side": 1.0}}}
    assert not Targets.model_validate(plain["models"]["targets"]).antialias


def test_what_a_model_brings_is_never_resolved(monkeypatch):
    monkeypatch.setenv("SECRET", "42")
    head = {"_target_": "hmean.network.head.DBHead", "postprocess": {"thresh": "${oc.env:SECRET}"}}
    with pytest.raises(InputError) as caught:
        read_settings(Uses, ["checkpoint_path=x"], read_carried=carried(head=head))
    assert "got '${oc.env:SECRET}'" in str(caught.value)


@pytest.mark.parametrize("old", ["evaluate_on=test", "split=test"])
def test_keys_of_earlier_versions_are_read(old):
    typed = ["checkpoint_path=x", old, "datasets.val_dataset.split={k: 5, seed: 1, fold: 2, part: val}"]
    settings = read_settings(Uses, [*typed, "models.head.postprocess.growth=ratio"], read_carried=carried())
    assert settings.split == "test"
    assert settings.datasets.val_dataset.folds == Folds(k=5, seed=1, fold=2, split="val")
    assert settings.models.head.postprocess.params().unclip == "ratio"


@pytest.mark.parametrize("order", [["split", "folds"], ["folds", "split"]])
def test_an_old_key_in_a_preset_wins_over_the_default_of_the_new_one(order):
    section = {"split": {"k": 5, "part": "val"}, "folds": None}
    section = {name: section[name] for name in order}
    values = with_present_keys({"datasets": {"val_dataset": section}})
    assert values == {"datasets": {"val_dataset": {"folds": {"k": 5, "split": "val"}}}}


def test_a_config_file_gives_the_settings_back(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "42")
    everything = compose_all(["preset=resnet50", "models.optimizer.lr=0.001", "exp_name=x"])
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({**everything.to_dict(), "output_dir": "${oc.env:SECRET}"}))
    again = read_settings(AllSettings, [f"config={file}"])
    assert again.models == everything.models
    assert again.output_dir == "${oc.env:SECRET}"
    assert read_settings(AllSettings, [f"config={file}", "models.optimizer.lr=0.1"]).models.optimizer.lr == 0.1
    assert "models.optimizer.lr" in again.given("models")


class Options(OptionSettings):
    """A command without presets."""

    rest: ClassVar[str | None] = "others"
    inputs: tuple[str, ...] = ()
    port: int = 8000
    name: str | None = "x"
    others: tuple[str, ...] = ()


def test_options_have_defaults_and_numbers_may_be_typed_as_text():
    options = read_settings(Options, ["port=80", "name=null", "a.b=c,d"], inputs=["here"])
    assert options == Options(inputs=("here",), port=80, name=None, others=("a.b=c,d",))
    with pytest.raises(InputError, match="port: "):
        read_settings(Options, ["port=many"])


def test_labels_may_be_a_list_of_files():
    key = "datasets.train_dataset.annotation_path"
    config = compose_all([f"{key}=['${{dataset_base_path}}/a.json',b]", "dataset_base_path=data"])
    assert [str(path) for path in config.datasets.train_dataset.label_paths] == ["data/a.json", "b"]
    with pytest.raises(InputError, match="annotation_path"):
        compose_all([f"{key}=[]"])
    config = compose_all([f"{key}=[one.json"])
    assert config.datasets.train_dataset.annotation_path == "[one.json"


def test_a_first_look_is_no_closer_than_the_view():
    looks = ["transforms.view=text", "transforms.long_side=320", "transforms.first_look=480"]
    with pytest.raises(InputError, match=r"transforms: with view=text, first_look=480 is larger than long_side=320, .*"
                       r"set first_look=320 or less"):  # fmt: skip
        compose_all(looks)
    assert compose_all(looks[1:]).transforms.long_side == 320  # a view of the page has no first look
    assert compose_all([*looks[:2], "transforms.first_look=320"]).transforms.first_look == 320


@pytest.mark.parametrize(("typed", "meant"), sorted(NAMES_ELSEWHERE.items()))
def test_a_key_of_another_tool_is_translated(typed, meant):
    kind = PredictSettings if typed == "conf" else TrainSettings
    with pytest.raises(InputError, match=f"{typed}: unknown key; did you mean {re.escape(meant)}\\?"):
        read_settings(kind, [f"{typed}=1"])
