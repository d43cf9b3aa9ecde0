#!/usr/bin/env bash
# The detector that comes with hmean (receipts-lite): SROIE's training shops (labels.json and images/ under $1) and synthetic receipts.
# About an hour on 2 cores; goes on where it was stopped.
# usage: bash scripts/train_box_model.sh DATA/sroie [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?usage: $0 DATA/sroie [key=value ...]}"); shift
.venv/bin/python benchmarks/box_data.py "$data" outputs/box_data
.venv/bin/hmean train preset=receipts_lite exp_name=receipts_lite_box resume=auto dataset_base_path=outputs/box_data \
  transforms.train.augment.rotate=8 trainer.max_epochs=16 trainer.check_val_every_n_epoch=16 "$@"
