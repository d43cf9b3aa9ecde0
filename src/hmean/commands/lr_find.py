"""``hmean lr_find``: learning rates at which a model learns, to set up a sweep."""

from __future__ import annotations

from pathlib import Path

from hmean.commands.train import build_data, build_module, trainer_options
from hmean.files import write_text
from hmean.reports.figures import draw_learning_rates
from hmean.runs.folder import RunFolder
from hmean.settings.build import open_pages
from hmean.settings.config import Config, check_components
from hmean.training.lr_finder import find_learning_rates


def run(config: Config) -> Path:
    """Train a few steps at rising rates.

    Returns:
        The folder with ``lr_find.json`` (rates, losses, the range suggested) and ``lr_find.svg``.
    """
    check_components(config)
    train_pages = open_pages(config.datasets.train_dataset)
    val_pages = open_pages(config.datasets.val_dataset)
    module = build_module(config, train_pages, val_pages)
    data = build_data(config, module, train_pages, val_pages)
    folder = RunFolder(Path(config.output_dir) / f"{config.exp_name}_lr_find")
    rates = find_learning_rates(trainer_options(config), module, data, folder)
    rates.write(folder.path / "lr_find.json")
    write_text(folder.path / "lr_find.svg", draw_learning_rates(rates))
    return folder.path
