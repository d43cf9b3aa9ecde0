import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from hmean.errors import InputError
from hmean.network.encoder import TimmEncoder


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "mobilenetv3_small_050"])
def test_any_timm_encoder_gives_strides_4_to_32(name):
    encoder = TimmEncoder(name, pretrained=False)
    features = encoder(torch.zeros(1, 3, 64, 96))
    assert [tuple(f.shape[2:]) for f in features] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [f.shape[1] for f in features] == encoder.channels


def test_unknown_encoders_are_named():
    with pytest.raises(InputError, match=r"model_name=efficientnet_b44.*timm has no such model"):
        TimmEncoder("efficientnet_b44", pretrained=False)
    with pytest.raises(InputError, match="stride 4 to 32"):
        TimmEncoder("vit_tiny_patch16_224", pretrained=False)


def test_frozen_batchnorm_stays_in_evaluation_mode():
    encoder = TimmEncoder("test_resnet", pretrained=False, freeze_bn=True).train()
    assert not any(m.training for m in encoder.modules() if isinstance(m, nn.BatchNorm2d))


def test_padding_colour_normalises_to_nothing():
    encoder = TimmEncoder("test_resnet", pretrained=False)
    fill = torch.tensor(encoder.fill, dtype=torch.float32).view(1, 3, 1, 1)
    assert np.abs(((fill - encoder.mean) / encoder.std).numpy()).max() < 0.01
