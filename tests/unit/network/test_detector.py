import pytest

torch = pytest.importorskip("torch")

from hmean.network.decoder import DBNetPP, UNet
from hmean.network.detector import Detector
from hmean.network.encoder import TimmEncoder
from hmean.network.head import DBHead


@pytest.mark.parametrize("decoder_class", [UNet, DBNetPP])
def test_shapes_and_the_threshold_branch(decoder_class):
    encoder = TimmEncoder("test_resnet", pretrained=False)
    decoder = decoder_class(encoder.channels, inner_channels=12, output_channels=4)
    detector = Detector(encoder, decoder, DBHead(decoder.channels))
    images = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    probability, threshold = detector(images)
    assert probability.shape == threshold.shape == (2, 64, 96)
    with torch.no_grad():
        assert detector.eval()(images)[1] is None
