"""What tests read of run folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def rows(run: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl``."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
