"""Which trained model a command uses, and what its file brings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hmean.errors import InputError
from hmean.inference.bundled import model_path
from hmean.inference.metadata import SUFFIXES, read_metadata
from hmean.runs.carried import Carried
from hmean.runs.carried import read_carried as read_checkpoint
from hmean.runs.folder import model_of
from hmean.runs.start import warning_of_start
from hmean.settings.sections import Settings


class ModelSettings(Settings):
    """Settings of a command that uses a trained model, whose file brings views and post-processing."""

    carried: ClassVar[tuple[str, ...]] = ("models", "transforms")

    run: str | None = None
    """The best checkpoint of this run folder, or the winner of this campaign folder."""
    checkpoint_path: str | None
    """A checkpoint, an exported model or an ensemble.json; in a training: the weights to start from."""
    trusted_targets: list[str]
    """Packages whose classes a checkpoint may name in `_target_`, beside hmean's own."""

    def model_file(self) -> Path:
        """The file of the model.

        Raises:
            InputError: if neither ``run`` nor ``checkpoint_path`` names one, or both do.
        """
        return model_file(self.run, self.checkpoint_path)

    @property
    def is_ensemble(self) -> bool:
        """Whether the model is an ``ensemble.json``."""
        return self.model_file().suffix == ".json"


def warn_of_start(path: Path) -> None:
    """Say on stderr if the model that is used has not beaten the detector that its training started from."""
    warning = warning_of_start(path)
    if warning is not None:
        print(f"warning: {warning}", file=sys.stderr)


def require_own_values(path: Path, settings: Settings) -> None:
    """Check that nothing is set that an ensemble's file decides.

    Raises:
        InputError: if views or post-processing values are given.
    """
    given = [*settings.given("models"), *settings.given("transforms")]
    if given:
        raise InputError(f"{path}: an ensemble has its own models, sizes and thresholds; remove {', '.join(given)}")


def model_file(run: str | None, checkpoint_path: str | None) -> Path:
    """The file that ``run=FOLDER`` or ``checkpoint_path=FILE`` names.

    Raises:
        InputError: if neither names one, or both do.
    """
    if run is not None and checkpoint_path is not None:
        raise InputError("run and checkpoint_path both name a model: remove one of them")
    if run is not None:
        return model_of(Path(run))
    if checkpoint_path is None:
        raise InputError(
            "checkpoint_path: is required; name a model, such as checkpoint_path=outputs/NAME/checkpoints/best.ckpt"
        )
    return model_path(checkpoint_path)


def read_carried(run: str | None, checkpoint_path: str | None) -> Mapping[str, Any]:
    """The sections that a model's file brings: the config of its training, with the present post-processing values.

    Args:
        run: a run folder, or None.
        checkpoint_path: a checkpoint, an exported model, an ``ensemble.json`` (which brings nothing), the name of a
            bundled model, or None.

    Raises:
        InputError: if the file cannot be read.
    """
    path = model_file(run, checkpoint_path)
    if path.suffix == ".json":
        return {}
    model: Carried
    if path.suffix in SUFFIXES:
        model = read_metadata(path)
    else:
        model = read_checkpoint(path)
    config = dict(model.config)
    head = {**config["models"]["head"], "postprocess": model.postprocess.to_dict()}
    config["models"] = {**config["models"], "head": head}
    return config
