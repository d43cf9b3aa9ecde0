#!/usr/bin/env bash
# EfficientNet-B4 at 960 px in five folds: train (22 epochs each), tune out of fold, ensemble, report. Stopped, the same
# command goes on; a finished fold is never trained again.
# usage: bash scripts/train_efficientnet_b4_5fold_optimized.sh [key=value ...], such as dataset_base_path=data k=5 agents=4
# Everything lies in outputs/efficientnet_b4_5fold (exp_name=... takes another): folds/, ensemble/, report.html, and
# hmean predict IMAGES run=outputs/efficientnet_b4_5fold uses what it decided for.
set -euo pipefail
cd "$(dirname "$0")/.."
told=("${@/#exp_name=/name=}")
told=("${told[@]/#k=/crossval.k=}")
told=("${told[@]/#holdout=/crossval.holdout=}")
told=("${told[@]/#agents=/crossval.agents=}")
"${HMEAN:-.venv/bin/hmean}" campaign configs/campaign/efficientnet_b4_5fold.yaml "${told[@]}"
