#!/usr/bin/env bash
# EfficientNet-B4 at 960 px in five folds: train, tune out of fold, ensemble, report. Stopped, the same command goes on.
# usage: bash scripts/train_efficientnet_b4_5fold_optimized.sh [key=value ...], such as dataset_base_path=data agents=4
set -euo pipefail
cd "$(dirname "$0")/.."
hmean() { "${HMEAN:-.venv/bin/hmean}" "$@"; }
name=efficientnet_b4_5fold outputs=outputs
data=('datasets.val_dataset.annotation_path=${dataset_base_path}/jsons/train.json')
for o in "$@"; do
  case $o in
    exp_name=*) name=${o#*=} ;;
    output_dir=*) outputs=${o#*=} ;;
    # The pages that an ensemble is judged on are of the labels that the folds were made of.
    datasets.train_dataset.annotation_path=* | datasets.train_dataset.image_path=*)
      data+=("datasets.val_dataset.${o#datasets.train_dataset.}") ;;
    dataset* | dataloaders.* | trainer.accelerator=*) data+=("$o") ;;
  esac
done
run=$outputs/$name

# 1. The trainings (22 epochs each), then one setting tuned on all out-of-fold maps. A finished fold is never trained again.
hmean crossval preset=efficientnet_b4_lr_optimized exp_name="$name" "$@"

# 2. Ensembles of them, each with its verdict: one is kept only if it beats the best single fold, interval and all.
held="datasets.val_dataset.split={file: $run/splits.json, part: holdout}"
[ -f "$run/ensemble/ensemble.json" ] || hmean ensemble "$run"/fold_*/ output="$run/ensemble" "$held" "${data[@]}"

# 3. One page with everything on it.
echo "Report: $(hmean report "$run"/fold_*/ output="$run/report.html")"
