import errno

import pytest

from hmean.errors import InputError
from hmean.files import read_json, write_json, write_with


def test_a_full_disk_leaves_the_earlier_file_whole(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})

    def write(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        InputError, match=r"scores\.json: cannot be written \(No space left on device\); nothing was changed"
    ):
        write_with(path, write)
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_reading(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    for content in ("[" * 100_000, "9" * 5_000, "\udc80"):
        (tmp_path / "odd.json").write_text(content, errors="surrogateescape")
        with pytest.raises(InputError, match=r"odd\.json: is not JSON"):
            read_json(tmp_path / "odd.json")
    with pytest.raises(InputError, match=r"bad\.json: is not JSON"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        read_json(tmp_path / "none.json")
