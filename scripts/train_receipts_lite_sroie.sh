#!/usr/bin/env bash
# receipts_lite on SROIE (labels.json and images/ under $1): four fifths of the shops to train on, one fifth to score.
# About an hour on 2 cores. Writes docs/results/receipts_lite_sroie.{json,md}.
# usage: bash scripts/train_receipts_lite_sroie.sh DATA/sroie [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?usage: $0 DATA/sroie [key=value ...]}"); shift
part() { echo "datasets.$1_dataset.annotation_path=\${dataset_base_path}/labels.json datasets.$1_dataset.split={k:5,fold:0,part:$1,seed:42}"; }
# shellcheck disable=SC2046
.venv/bin/hmean train preset=receipts_lite exp_name=receipts_lite_sroie resume=auto "dataset_base_path=$data" \
  $(part train) $(part val) "$@"
.venv/bin/python benchmarks/receipts_lite_sroie.py "$data" outputs/receipts_lite_sroie
