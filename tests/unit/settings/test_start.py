"""``from=``: the network follows the weights that a training starts from."""

import pytest

from hmean.errors import InputError
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
