"""What checkpoints carry, for tests that write some."""

from __future__ import annotations

from typing import Any

from hmean.runs.carried import Carried, PagesSeen
from hmean.settings.config import Config


def carried_of(config: Config, *, train: Any = (), val: Any = (), epoch: int = 0) -> Carried:
    """What a training with this config on the pages with these keys carries."""
    return Carried(
        epoch=epoch,
        config=config.to_dict(),
        postprocess=config.models.head.postprocess.params(),
        history=(),
        pages=PagesSeen(train=train, val=val),
    )
