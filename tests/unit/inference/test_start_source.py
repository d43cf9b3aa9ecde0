"""One answer to what ``models.pretrained`` names."""

import pytest

from hmean.inference import start_source
from hmean.inference.start_source import kind_of


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("pp-ocrv6-small", "published"),
        ("receipts-lite", "bundled"),
        ("someone/detector", "snapshot"),
        ("folder", "snapshot"),
        ("folder/none", "missing"),
        ("best.ckpt", "checkpoint"),
        ("ours.onnx", "exported"),
        ("theirs.onnx", "fused"),
        ("weights.safetensors", "tensors"),
        ("weights.pt", "tensors"),
        ("weights.txt", "unsupported"),
        ("none.ckpt", "missing"),
        ("pp-ocr-v6", "missing"),
    ],
)
def test_each_source_has_one_kind(tmp_path, monkeypatch, source, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("best.ckpt", "ours.onnx", "theirs.onnx", "weights.safetensors", "weights.pt", "weights.txt"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(start_source, "read_text", lambda path: "{}" if path.name == "ours.onnx" else None)
    assert kind_of(source) == kind
