"""The unit tests of parts that need no torch neither load it nor need it."""

import re
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).parent
# Rooms, or single files of a room, whose tests skip without torch.
NEED_TORCH = {
    "data/test_dataset.py",
    "data/test_sampler.py",
    "data/test_teacher.py",
    "ensemble/test_weights.py",
    "inference/test_opening.py",
    "metrics/test_cleval_official.py",
    "network",
    "runs/test_carried.py",
    "test_ablation.py",
    "test_learning_curve.py",
    "training",
    "web/test_studio.py",
}


def test_only_these_need_torch_when_they_are_collected():
    code = "import sys; sys.modules['torch'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = ["--collect-only", "-q", "-n", "0", "-r", "s", "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", code, *options, str(UNIT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = set()
    for file in re.findall(r"^SKIPPED \[\d+\] \S*?tests/unit/(\S+?):", done.stdout, re.MULTILINE):
        room = file.split("/")[0]
        skipped.add(room if room in NEED_TORCH else file)
    assert skipped == NEED_TORCH
