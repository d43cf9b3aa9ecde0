"""An agent: its folders, and lists of commands that it does."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hmean.errors import InputError
from hmean.execute import agent
from hmean.execute.commands import run_commands


def test_what_a_dead_agent_left_running_is_ended_first(tmp_path):
    """Where commands do not die with their agent, the lock on the folder tells about them."""
    with agent._own_folder(tmp_path / "f") as lock:
        orphan = subprocess.Popen(["sleep", "60"], start_new_session=True, pass_fds=[lock.fileno()])
        agent._write_holder(lock, orphan.pid)
        assert (tmp_path / "f" / ".lock").read_text() == f"{socket.gethostname()}:{orphan.pid}\n"
    with agent._own_folder(tmp_path / "f"):
        assert orphan.wait(5) == -signal.SIGKILL


def test_a_list_of_commands_with_a_gpu_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    # The first waits for the second: so each of the two agents has one.
    code = """
import os, pathlib, sys, time
number = int(sys.argv[1])
pathlib.Path(f"{number}.txt").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
while number == 0 and not pathlib.Path("1.txt").exists():
    time.sleep(0.02)
"""
    commands = {f"fold_{i}": [sys.executable, "-c", code, str(i)] for i in range(3)}
    commands["bad"] = [sys.executable, "-c", "1/0"]
    commands["wrong"] = [sys.executable, "-c", "import sys; print('no such key'); sys.exit(2)"]
    found = run_commands(commands, Path("folds"), agents=2, grace=12)
    assert {name: task.state for name, task in found.items()} == {
        "fold_0": "done",
        "fold_1": "done",
        "fold_2": "done",
        "bad": "failed",
        "wrong": "failed",
    }
    assert (found["bad"].attempt, found["wrong"].attempt) == (3, 1)  # wrong input stays wrong
    assert found["wrong"].result.reason == "exit code 2: no such key"
    assert "ZeroDivisionError" in found["bad"].result.reason
    assert {Path(f"{i}.txt").read_text() for i in range(2)} == {"3", "5"}
    with pytest.raises(InputError, match=r"commands\.x: was None"):
        run_commands({"x": ["true"]}, Path("folds"))
