"""``hmean lr_find``: learning rates at which a model learns, to set up a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl

from hmean.files import write_text
from hmean.plugins import check_components
from hmean.reports.figures import draw_learning_rates
from hmean.runs.folder import RunFolder
from hmean.settings.build import open_dataset, open_validation
from hmean.settings.build_training import build_data, build_module, trainer_options
from hmean.settings.training import LrFindSettings
from hmean.training.learning_rates import LearningRates
from hmean.training.lr_finder import find_learning_rates
from hmean.training.pages import require_trainable


@dataclass(frozen=True)
class LrFindResult:
    """What was found, and the folder with ``lr_find.json`` and ``lr_find.svg``."""

    folder: Path
    rates: LearningRates

    def summary(self) -> str:
        """The range to search, and the folder."""
        low, high = self.rates.range
        return f"search learning rates from {low:.2g} to {high:.2g}\n{self.folder}"


def run(settings: LrFindSettings) -> LrFindResult:
    """Train a hundred steps at rising learning rates.

    Raises:
        InputError: if settings or data are wrong.
    """
    check_components(settings.models.components().all())
    train_pages = open_dataset(settings.datasets.train_dataset)
    val_pages = open_validation(settings.datasets.val_dataset, train_pages)
    require_trainable(train_pages, val_pages)
    pl.seed_everything(settings.seed, verbose=False)
    module = build_module(settings, train_pages, val_pages)
    data = build_data(settings, train_pages, val_pages, fill=module.detector.encoder.fill)
    folder = Path(settings.output_dir) / f"{settings.run_name()}_lr_find"
    rates = find_learning_rates(trainer_options(settings), module, data, RunFolder(folder))
    rates.write(folder / "lr_find.json")
    write_text(folder / "lr_find.svg", draw_learning_rates(rates))
    return LrFindResult(folder, rates)
