"""Entries of a JSON file are found block by block, wherever a block happens to end."""

import json
import tracemalloc

import msgspec
import pytest

from hmean.errors import InputError
from hmean.labels import entries as module
from hmean.labels.entries import Entries

NASTY = {
    "plain.jpg": {"words": {"1": {"points": [[1, 2], [3, 4], [5, 6]]}}},
    'quote".jpg': {"text": 'says "}{" and \\'},
    "brace{.jpg": {"text": "}}}", "deep": {"er": [{}, {"x": "{"}]}},
    "backslash\\": {"text": "\\\\\\"},
    "영수증.jpg": {"text": "é{" * 40},
    "empty.jpg": {},
    "number": 4,
    "list": [{"a": 1}, 2],
    "null": None,
}


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("block", [1, 7, 64, 1 << 18])
def test_entries_are_the_values_of_images(tmp_path, monkeypatch, block, ascii_only):
    monkeypatch.setattr(module, "_BLOCK", block)
    path = tmp_path / "file.json"
    content = {"info": {"a": {"b": {"c": '"}'}}}, "images": NASTY, "more": [{"d": {"e": {}}}]}
    path.write_text(json.dumps(content, ensure_ascii=ascii_only, indent=1), encoding="utf-8")
    entries = Entries.of(path)
    assert entries.names == list(NASTY)
    for i, (name, value) in enumerate(NASTY.items()):
        if name != "list":  # of what is no object, only that is known
            assert json.loads(entries.read(i)) == value
    assert list(entries) == [entries.read(i) for i in range(len(entries))]
    assert isinstance(json.loads(entries.read(list(NASTY).index("list"))), list)


@pytest.mark.parametrize(
    "text",
    [
        '{"images": {"a": {}}',
        '{"images": {"a": {}}}}',
        '{"images": {"a": {}, }}',
        '{"images": {"a": {"b": {}}',
        '{"a": "',
    ],
)
def test_what_is_not_json_is_refused(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(msgspec.DecodeError):
        Entries.of(path)


def test_an_image_that_is_listed_twice_is_refused(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"images": {"a": {"words": {}}, "b": {}, "a": {}}}')
    entries = Entries.of(path)
    assert entries.names == ["a", "b", "a"]
    with pytest.raises(InputError, match=r"file\.json: 1 images are listed twice"):
        entries.require_single()


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "file.json"
    entry = json.dumps({"words": {str(i): {"points": [[i, i]] * 4} for i in range(300)}})
    path.write_text('{"images": {' + ",".join(f'"{i}": {entry}' for i in range(1000)) + "}}")
    assert path.stat().st_size > 15e6
    tracemalloc.start()
    entries = Entries.of(path)
    for _ in entries:
        pass
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(entries) == 1000
    assert held < 0.3e6
    assert peak < 5e6
