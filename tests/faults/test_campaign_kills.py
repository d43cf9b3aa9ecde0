"""A campaign that is killed, again and again."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from hmean.campaign import run as campaign_run
from hmean.cli import main
from support.campaigns import campaign_file, ran, stand_in_process, state

LIMITS = (0.9695, 0.95)  # at this learning rate: retry, then the sweep


def comparable(tmp_path):
    """The phases of a campaign without what differs between folders: paths, and stamps, which follow from them."""
    text = json.dumps(state(tmp_path)["phases"]).replace(str(tmp_path), "")
    return re.sub(r'"[0-9a-f]{16}"', "STAMP", text)


def report(tmp_path):
    """Without the time that it took."""
    text = (tmp_path / "outputs/camp/report.md").read_text().replace(str(tmp_path), "")
    return re.sub(r"\d+\.\d+ of 1 hours", "", text)


@pytest.fixture
def whole(tmp_path, receipts, monkeypatch):
    """The folder of a campaign that nothing has disturbed; its commands ran in this process."""
    folder = tmp_path / "whole"
    folder.mkdir()
    monkeypatch.setenv("STAND_IN_LOG", str(folder / "log"))
    monkeypatch.setattr(campaign_run, "run_command", stand_in_process)
    assert main(["campaign", str(campaign_file(folder, receipts, 0.0008, LIMITS))]) == 0
    return folder


def test_killed_twice_it_ends_as_an_unbroken_one(tmp_path, receipts, monkeypatch, whole):
    """SIGKILL of everything, in a training and in the folds; then the same commands were run, the finished ones once."""
    broken = tmp_path / "broken"
    broken.mkdir()
    log = broken / "log"
    path = campaign_file(broken, receipts, 0.0008, LIMITS)
    command = [sys.executable, "-m", "hmean", "campaign", str(path)]
    for started in (r"start train .*retry", r"start crossval"):
        process = subprocess.Popen(
            command,
            env={**os.environ, "STAND_IN_LOG": str(log)},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        while not (log.exists() and re.search(started, log.read_text())):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (broken / "outputs/camp/report.html").exists()
    monkeypatch.setenv("STAND_IN_LOG", str(log))
    assert main(["campaign", str(path)]) == 0
    assert comparable(broken) == comparable(whole)
    assert state(broken)["winner"] == state(whole)["winner"]
    assert report(broken) == report(whole)
    assert sorted(ran(broken, "end")) == sorted(ran(whole, "end"))  # what had ended was not run again
    again = log.read_text()
    assert main(["campaign", str(path)]) == 0
    assert log.read_text() == again
