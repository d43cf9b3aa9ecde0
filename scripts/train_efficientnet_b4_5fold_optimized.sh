#!/usr/bin/env bash
# EfficientNet-B4 at 960 px in five folds: train (22 epochs each), tune out of fold, ensemble, report. After an
# interruption the same command continues; a finished fold is never trained again.
# usage: bash scripts/train_efficientnet_b4_5fold_optimized.sh [key=value ...], such as dataset_base_path=data k=5 agents=4
# Results: outputs/efficientnet_b4_5fold (or exp_name=...) with folds/, ensemble/ and report.html;
# hmean predict IMAGES run=outputs/efficientnet_b4_5fold uses the winner.
set -euo pipefail
cd "$(dirname "$0")/.."
given=("${@/#exp_name=/name=}")
given=("${given[@]/#k=/crossval.k=}")
given=("${given[@]/#holdout=/crossval.holdout=}")
given=("${given[@]/#agents=/crossval.agents=}")
hmean=.venv/bin/hmean; [ -x "$hmean" ] || hmean=hmean
"${HMEAN:-$hmean}" campaign configs/campaign/efficientnet_b4_5fold.yaml "${given[@]}"
