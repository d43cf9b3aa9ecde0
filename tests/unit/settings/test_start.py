"""``from=``: the network follows the weights that a training starts from."""

import json

import pytest

from hmean.errors import InputError
from hmean.network.catalogue import CATALOGUE
from hmean.settings.compose import compose_all, read_settings
from hmean.settings.training import TrainSettings

NEW_RUN = ["preset=receipts_lite", "exp_name=mine"]


def test_the_network_is_that_of_the_named_detector():
    settings = read_settings(TrainSettings, [*NEW_RUN, "from=pp-ocrv6-tiny"])
    assert settings.models.pretrained == "pp-ocrv6-tiny"
    assert settings.models.encoder.target == "hmean.network.lcnet.LCNetV4"
    assert settings.models.encoder.model_name == "pp_lcnet_v4_tiny"
    assert settings.models.decoder.arguments() == {"inner_channels": 64, "kernel_size": 5}
    preset = read_settings(TrainSettings, NEW_RUN)
    assert settings.models.head.postprocess == preset.models.head.postprocess
    assert settings.models.targets == preset.models.targets


def test_a_preset_whose_network_gives_way_to_the_start_is_told_by_key_and_both_values():
    notes = read_settings(TrainSettings, [*NEW_RUN, "from=pp-ocrv6-tiny"]).notes
    assert notes[0] == (
        "models.encoder._target_: preset=receipts_lite has hmean.network.encoder.TimmEncoder, and the network follows "
        "from=pp-ocrv6-tiny, which has hmean.network.lcnet.LCNetV4; from=null trains the preset's network"
    )
    notes = read_settings(TrainSettings, ["preset=pp_ocrv6_small", "exp_name=mine", "from=pp-ocrv6-tiny"]).notes
    assert [note.split(": ")[0] for note in notes] == [
        "models.encoder.model_name",
        "models.decoder.inner_channels",
        "models.decoder.kernel_size",
    ]
    assert "preset=pp_ocrv6_small has 96, and the network follows from=pp-ocrv6-tiny, which has 64" in notes[1]
    assert read_settings(TrainSettings, ["exp_name=mine", "from=pp-ocrv6-tiny"]).notes == ()  # no preset was named
    assert read_settings(TrainSettings, ["preset=pp_ocrv6_small", "exp_name=mine"]).notes == ()


def test_from_is_short_for_models_pretrained_in_every_command():
    assert compose_all(["from=pp-ocrv6-tiny"]) == compose_all(["models.pretrained=pp-ocrv6-tiny"])


def test_the_presets_own_start_keeps_what_the_preset_says_of_its_network():
    typed = read_settings(
        TrainSettings, ["preset=pp_ocrv6_small", "from=pp-ocrv6-small", "models.encoder.activation=relu"]
    )
    assert typed.models.encoder.arguments()["activation"] == "relu"
    assert typed.models.encoder.arguments()["lr_scale"] == 1.0


def test_what_the_user_says_of_the_network_holds():
    settings = read_settings(TrainSettings, [*NEW_RUN, "from=pp-ocrv6-tiny", "preset/models/decoder=dbnetpp"])
    assert settings.models.decoder.target == "hmean.network.decoder.DBNetPP"
    settings = read_settings(TrainSettings, [*NEW_RUN, "from=pp-ocrv6-tiny", "models.encoder.lr_scale=0.5"])
    assert settings.models.encoder.arguments() == {"model_name": "pp_lcnet_v4_tiny", "lr_scale": 0.5}


def test_no_start_is_the_presets_encoder():
    settings = read_settings(TrainSettings, ["preset=pp_ocrv6_small", "from=null", "exp_name=mine"])
    assert settings.models.pretrained is None


def test_checkpoint_path_is_the_earlier_name_in_a_training(tmp_path):
    missing = tmp_path / "none.ckpt"
    settings = read_settings(TrainSettings, [*NEW_RUN, f"checkpoint_path={missing}"])
    assert settings.models.pretrained == str(missing)
    file = tmp_path / "earlier.yaml"
    file.write_text(f"checkpoint_path: {missing}\n")
    assert read_settings(TrainSettings, [*NEW_RUN, f"config={file}"]).models.pretrained == str(missing)
    file.write_text("checkpoint_path: null\n")
    assert read_settings(TrainSettings, [*NEW_RUN, f"config={file}"]).models.pretrained is None


def test_a_path_may_hold_an_equals_sign():
    settings = read_settings(TrainSettings, [*NEW_RUN, "from=runs/lr=0.1/best.safetensors"])
    assert settings.models.pretrained == "runs/lr=0.1/best.safetensors"
    settings = read_settings(TrainSettings, [*NEW_RUN, "models.encoder.pretrained=false"])
    assert settings.models.encoder.arguments()["pretrained"] is False


def test_a_start_that_is_no_text_is_a_fault():
    with pytest.raises(InputError, match=r"models\.pretrained"):
        read_settings(TrainSettings, [*NEW_RUN, "++models.pretrained.name=x"])


def folder_with(folder, **config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("published", CATALOGUE, ids=lambda published: published.name)
def test_the_network_is_that_of_a_folders_config(tmp_path, published):
    stem = [3, published.first_channels, 48]
    folder = folder_with(tmp_path / "x = 가", model_type=published.model_type, backbone_config={"stem_channels": stem})
    settings = read_settings(TrainSettings, [*NEW_RUN, f"from={folder}"])
    for part in ("encoder", "decoder", "head"):
        target = getattr(settings.models, part).target
        assert target == published.components[part]["_target_"]
    named = read_settings(TrainSettings, [*NEW_RUN, f"from={published.name}"])
    assert settings.to_dict()["models"] | {"pretrained": ""} == named.to_dict()["models"] | {"pretrained": ""}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "model_type bert.* is not supported; PP-OCRv6 tiny"),
        ({"model_type": "pp_ocrv6_small_det", "backbone_config": {"stem_channels": [3, 99, 9]}}, "is not supported"),
        (
            {"model_type": "pp_ocrv6_medium_det", "interpolate_mode": "bilinear"},
            "medium with interpolate_mode bilinear",
        ),
        (
            {"model_type": "pp_ocrv5_server_det", "backbone_config": {"hidden_act": "gelu"}},
            "server with hidden_act gelu",
        ),
        ({}, "is not the config of a detector"),
        ({"model_type": "pp_ocrv6_medium_det", "backbone_config": 3}, "is not the config of a detector"),
    ],
)
def test_a_folder_with_another_network_is_refused(tmp_path, config, message):
    with pytest.raises(InputError, match=message):
        read_settings(TrainSettings, [*NEW_RUN, f"from={folder_with(tmp_path, **config)}"])


def test_a_folder_without_a_config_says_what_it_needs(tmp_path):
    with pytest.raises(InputError, match=r"the folder has no config\.json; .* checkpoints/best\.ckpt"):
        read_settings(TrainSettings, [*NEW_RUN, f"from={tmp_path}"])
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(InputError, match="is not the config of a detector"):
        read_settings(TrainSettings, [*NEW_RUN, f"from={tmp_path}"])


def test_a_repository_of_the_hub_says_its_network(tmp_path, monkeypatch):
    folder = folder_with(tmp_path / "cache", model_type="pp_ocrv5_mobile_det")
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        return folder / name

    monkeypatch.setattr("hmean.network.hub._download", download)
    settings = read_settings(TrainSettings, [*NEW_RUN, "from=someone/receipts"])
    assert settings.models.encoder.target == "hmean.network.lcnet_v3.LCNetV3"
    assert asked == [("someone/receipts", "config.json")]
    # A run's own config says the whole network: nothing is asked for.
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"models": settings.to_dict()["models"]}))
    again = read_settings(TrainSettings, [*NEW_RUN, f"config={file}"])
    assert again.to_dict()["models"] == settings.to_dict()["models"]
    assert len(asked) == 1


def test_paths_are_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("hmean.network.hub._download", lambda *_: pytest.fail("was asked"))
    monkeypatch.chdir(tmp_path)
    folder_with(tmp_path / "owner").joinpath("name").mkdir()
    for start in ("runs/best.ckpt", "a/b/c", "../x", "/x/y", "x", "receipts-lite"):
        read_settings(TrainSettings, [*NEW_RUN, f"from={start}"])
    with pytest.raises(InputError, match=r"the folder has no config\.json"):
        read_settings(TrainSettings, [*NEW_RUN, "from=owner/name"])


def test_two_starts_are_refused():
    with pytest.raises(InputError, match=r"is given twice \(a\.ckpt and pp-ocrv6-tiny\)"):
        read_settings(TrainSettings, [*NEW_RUN, "checkpoint_path=a.ckpt", "from=pp-ocrv6-tiny"])
