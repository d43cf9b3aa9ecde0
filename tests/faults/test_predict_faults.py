"""Predictions that are killed, meet damaged files, or meet each other."""

import json
import os
import signal
import subprocess
import sys
import time

import PIL.Image
import pytest

from hmean.cli import main
from hmean.inference.prediction import ModelPredictor
from hmean.locks import locked
from support.pages import count_found as found
from support.pages import drawn_page as drawn


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_one_bad_file_never_ends_the_run(ink, scans, tmp_path, capsys):
    for name, data in {"empty.png": b"", "text.pdf": b"%PDF-1.4 nothing", "cut.tif": (scans / "more/book.tif").read_bytes()[:300],
                       "bomb.png": (scans / "1.png").read_bytes().replace((120).to_bytes(4, "big"), (60_000).to_bytes(4, "big"), 1)
                       .replace((200).to_bytes(4, "big"), (60_000).to_bytes(4, "big"), 1)}.items():  # fmt: skip
        (scans / name).write_bytes(data)
    (scans / "gone.png").symlink_to(tmp_path / "nowhere")
    assert main(["predict", f"checkpoint_path={ink}", f"output={tmp_path / 'a'}", str(scans)]) == 2
    said = capsys.readouterr().err
    bad = ("empty.png", "text.pdf", "cut.tif#page=1", "cut.tif#page=2", "bomb.png")
    assert "empty.png: damaged, or not an image\n" in said  # and nothing about our buffers
    assert "5 images were skipped" in said  # the dangling link is no file
    assert all(f"{name}: damaged" in said for name in bad)
    assert sum(found(tmp_path / "a").values()) == 21 + 9 + 5
    sizeless = {"img_w": None, "img_h": None, "words": {}}
    assert json.loads((tmp_path / "a/predictions.json").read_text())["images"]["empty.png"] == sizeless
    assert len(json.loads((tmp_path / "a/manifest.json").read_text())["skipped"]) == 5


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_book_that_is_cut_off_is_told(ink, tmp_path, capfd, compression):
    """Its whole pages are read, the torn one is skipped, and nothing but that is said."""
    book = tmp_path / "book.tif"
    drawn(2).save(book, save_all=True, append_images=[drawn(3), drawn(4)], compression=compression)
    with PIL.Image.open(book) as image:
        image.seek(1)
        start = image.tag_v2.next  # of the third page's tags
    for end in (start - 4, start + 1, start + 30):
        (tmp_path / "cut.tif").write_bytes(book.read_bytes()[:end])
        told = ["predict", f"checkpoint_path={ink}", f"output={tmp_path / str(end)}", str(tmp_path / "cut.tif")]
        assert main(told) == 2
        assert found(tmp_path / str(end)) == {f"cut.tif#page={i}": n for i, n in ((1, 2), (2, 3), (3, 0))}
        said = capfd.readouterr().err  # of libtiff, too
        assert "1 images were skipped" in said
        assert "is cut off before page 3 is whole" in said
        assert "Warning" not in said


def test_a_killed_prediction_goes_on(ink, scans, tmp_path):
    for i in range(300):
        (scans / f"{i:04d}.png").write_bytes((scans / f"{i % 6 + 1}.png").read_bytes())
    told = ["predict", f"checkpoint_path={ink}", "predict.overlays=0", str(scans)]
    out = tmp_path / "out"
    journal = out / "journal" / "1-of-1.jsonl"
    process = subprocess.Popen([sys.executable, "-m", "hmean", *told, f"output={out}"], stdout=subprocess.DEVNULL)
    while not journal.exists() or journal.stat().st_size < 2_000:
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "predictions.json").exists()
    with journal.open("ab") as file:
        file.write(b'{"name": "torn')
    done = journal.read_bytes().count(b"\n") - 1
    assert 0 < done < 310
    looked = []
    real = ModelPredictor.maps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelPredictor, "maps", lambda self, pages, how: looked.extend(pages) or real(self, pages, how))
        assert main([*told, f"output={out}"]) == 0
    assert len(looked) == 310 - done  # and not one page more
    assert main([*told, f"output={tmp_path / 'whole'}"]) == 0
    assert (out / "predictions.json").read_bytes() == (tmp_path / "whole" / "predictions.json").read_bytes()


def test_what_cannot_be_written_to_or_gone_on_with_is_told(ink, scans, tmp_path, capsys):
    told = ["predict", f"checkpoint_path={ink}", str(scans)]
    for output in (scans / "1.png", scans / "1.png" / "found"):
        assert main([*told, f"output={output}"]) == 2
        assert f"{output}: cannot be written to" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main([*told, f"output={out}", "shard=1/2"]) == 0
    (journal,) = (out / "journal").iterdir()
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"garbage\n" + b"".join(whole[1:]))
    assert main([*told, f"output={out}"]) == 2
    assert "set overwrite=true" in capsys.readouterr().err
    journal.write_bytes(whole[0] + b"garbage\n" + b"".join(whole[2:]))
    assert main([*told, f"output={out}"]) == 0
    assert sum(found(out).values()) == 21 + 9 + 5


def test_two_predictions_are_never_at_work_in_one_place(ink, scans, tmp_path, capsys):
    told = ["predict", f"checkpoint_path={ink}", str(scans), f"output={tmp_path}"]
    with locked(tmp_path, shared=True), locked(tmp_path, ".lock-1-of-2"):  # as the first shard does
        assert main([*told, "shard=1/2"]) == 2
        assert main(told) == 2
        assert capsys.readouterr().err.count("another process is using this folder") == 2
        assert main([*told, "shard=2/2"]) == 0
    assert main(told) == 0


def test_a_changed_file_is_done_again(ink, scans, tmp_path):
    told = ["predict", f"checkpoint_path={ink}", "predict.overlays=0", f"output={tmp_path / 'out'}", str(scans)]
    assert main([*told, "shard=1/1"]) == 0
    assert main([*told, "overwrite=true"]) == 0
    for part in (1, 2):
        assert main([*told, "overwrite=true", f"shard={part}/2"]) == 0
    drawn(6).save(scans / "1.png")
    assert main([*told, "overwrite=true"]) == 0
    assert found(tmp_path / "out")["1.png"] == 6


def test_what_was_skipped_or_has_changed_is_tried_again(ink, scans, tmp_path):
    told = ["predict", f"checkpoint_path={ink}", "predict.overlays=0", f"output={tmp_path / 'out'}", str(scans)]
    page, seconds = (scans / "1.png").read_bytes(), 1_700_000_000
    blank = PIL.Image.new("RGB", (120, 200), "white")
    blank.save(scans / "5.png")
    padding = len((scans / "6.png").read_bytes()) - len((scans / "5.png").read_bytes())
    (scans / "5.png").write_bytes((scans / "5.png").read_bytes() + bytes(padding))  # of the size of the later one
    os.utime(scans / "5.png", (seconds, seconds))
    (scans / "1.png").write_bytes(b"x" * len(page))
    os.utime(scans / "1.png", (seconds, seconds))
    for part in (1, 2):
        assert main([*told, f"shard={part}/2"]) == 0
    (scans / "1.png").write_bytes(page)  # the journal says that it is damaged, of this size and time
    os.utime(scans / "1.png", (seconds, seconds))
    drawn(6).save(scans / "5.png")
    assert main(told) == 0
    assert (found(tmp_path / "out")["1.png"], found(tmp_path / "out")["5.png"]) == (1, 6)
