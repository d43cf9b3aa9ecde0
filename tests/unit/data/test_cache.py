import os
import subprocess
import sys
import time
from unittest.mock import Mock

import numpy as np
import PIL.Image
import pytest

from hmean.data.cache import PageCache
from hmean.errors import InputError
from hmean.images import decode


def draw(path, seed=0, size=(64, 48)):
    PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(path)
    return path


def same(a, b):
    return np.array_equal(a.image, b.image) and (a.width, a.height, a.shrink) == (b.width, b.height, b.shrink)


def stored(cache):
    return sorted(cache.folder.glob("*"))


@pytest.mark.parametrize("shrink", [1, 4])
def test_what_is_kept_is_what_was_decoded(tmp_path, shrink):
    file, cache = draw(tmp_path / "a.jpg", size=(61, 47)), PageCache(tmp_path / "cache", 10**6)
    assert same(cache(file, shrink), decode(file, shrink))
    assert len(stored(cache)) == 1
    os.utime(file, ns=(0, file.stat().st_mtime_ns))
    assert same(cache(file, shrink), decode(file, shrink))
    file_time = file.stat().st_mtime_ns
    file.write_bytes(b"\0" * file.stat().st_size)  # the image is not opened again ...
    os.utime(file, ns=(0, file_time))
    assert cache(file, shrink).width == 61
    os.utime(file, ns=(0, file_time + 1))  # ... until it changes
    with pytest.raises(InputError, match="damaged"):
        cache(file, shrink)
    with pytest.raises(InputError, match="no such image"):
        cache(tmp_path / "none.jpg", shrink)


def test_a_torn_entry_is_written_anew_and_a_full_disk_is_no_error(tmp_path, monkeypatch):
    file, cache = draw(tmp_path / "a.jpg"), PageCache(tmp_path / "cache", 10**6)
    whole = cache(file, 1)
    entry = stored(cache)[0]
    for length in (0, 10, 24, 1000):
        entry.write_bytes(entry.read_bytes()[:length])
        assert same(cache(file, 1), whole)
        assert entry.stat().st_size == 24 + whole.image.size
    monkeypatch.setattr("hmean.data.cache.atomic", Mock(side_effect=InputError("disk full")))
    assert same(cache(draw(tmp_path / "b.jpg", 1), 1), decode(tmp_path / "b.jpg", 1))
    assert stored(cache) == [entry]


def test_the_size_holds_and_the_least_recently_used_of_earlier_runs_go_first(tmp_path):
    one = 24 + 64 * 48 * 3
    files = [draw(tmp_path / f"{i}.jpg", i) for i in range(40)]
    cache = PageCache(tmp_path / "cache", 20 * one)
    for file in files * 2:
        cache(file, 1)
    kept = stored(cache)
    assert 10 <= len(kept) <= 20  # full: what is used now is not thrown out for what comes next
    for age, entry in enumerate(kept):
        os.utime(entry, (1e9 + age, 1e9 + age))
    (cache.folder / ".x.page.9.part").write_bytes(b"left by a process that died")
    os.utime(cache.folder / ".x.page.9.part", (1, 1))
    later = PageCache(tmp_path / "cache", 20 * one)
    for file in files:  # the oldest entry's page is used again
        if np.array_equal(later._read(kept[0]).image, decode(file).image):
            later(file, 1)
    later(draw(tmp_path / "new.jpg", 99), 1)
    left = stored(later)
    assert kept[0] in left  # oldest, but just used
    assert kept[1] not in left
    assert kept[-1] in left
    assert sum(entry.stat().st_size for entry in left) <= 20 * one
    assert not list(later.folder.glob("*.part"))


def test_many_processes_share_a_folder(tmp_path):
    for i in range(12):
        draw(tmp_path / f"{i}.jpg", i)
    code = f"""
import sys
from pathlib import Path
from hmean.data.cache import PageCache
from hmean.images import decode
cache = PageCache(Path({str(tmp_path)!r}) / "cache", 10**6)
for _ in range(5):
    for i in range(12):
        file = Path({str(tmp_path)!r}) / f"{{i}}.jpg"
        assert (cache(file, 1).image == decode(file, 1).image).all()
"""
    started = time.time()
    for process in [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]:
        assert process.wait(timeout=60) == 0
    assert time.time() - started < 60
    assert len(list((tmp_path / "cache" / "hmean-pages").glob("*"))) == 12
