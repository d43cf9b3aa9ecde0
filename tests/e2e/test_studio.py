"""hmean studio as a process."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from hmean.cli import main

pytest.importorskip("fastapi", reason="needs hmean[web]")


def test_it_prints_its_address_and_ends_quietly(two_runs):
    command = [sys.executable, "-m", "hmean", "studio", str(two_runs[0])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url + "about", timeout=60) as answer:  # noqa: S310 - of our own server
            assert len(json.loads(answer.read())["pages"]) == 3
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")


def test_a_config_that_is_none_of_a_run_is_named(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert main(["studio", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'config.yaml'}: is not the config of a run" in told
    assert "datasets: is missing" in told
