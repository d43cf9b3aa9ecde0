"""Whether this machine has a key for Weights & Biases, found out without torch and without a prompt."""

from __future__ import annotations

import netrc
import os
from urllib.parse import urlparse


def has_wandb_key() -> bool:
    """Whether ``wandb login`` was run or ``WANDB_API_KEY`` is set; asking wandb itself may prompt."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
