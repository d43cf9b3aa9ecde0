#!/usr/bin/env bash
# EfficientNet-B4 at 960 px in five folds: train, tune out of fold, ensemble, report. Stopped, the same command goes on.
# usage: bash scripts/train_efficientnet_b4_5fold_optimized.sh [key=value ...], such as dataset_base_path=data agents=4
set -euo pipefail
cd "$(dirname "$0")/.."
hmean() { "${HMEAN:-.venv/bin/hmean}" "$@"; }
run=outputs/efficientnet_b4_5fold
data=()
for o in "$@"; do case $o in dataset*|dataloaders.*|trainer.accelerator=*) data+=("$o") ;; esac; done

# 1. Five trainings (22 epochs each), then one setting tuned on all out-of-fold maps. A finished fold is never trained again.
hmean crossval preset=efficientnet_b4_lr_optimized exp_name=efficientnet_b4_5fold "$@"

# 2. Ensembles of the five, each with its verdict: one is kept only if it beats the best single fold, interval and all.
held="datasets.val_dataset.split={file: $run/splits.json, part: holdout}"
labels='datasets.val_dataset.annotation_path=${dataset_base_path}/jsons/train.json'
[ -f "$run/ensemble/ensemble.json" ] || hmean ensemble $run/fold_{0,1,2,3,4} output=$run/ensemble "$labels" "$held" "${data[@]}"

# 3. One page with everything on it.
echo "Report: $(hmean report $run/fold_{0,1,2,3,4} output=$run/report.html)"
