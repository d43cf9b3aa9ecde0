#!/usr/bin/env bash
# The detector that comes with hmean (receipts-lite): SROIE's training shops (labels.json and images/ under $1) and synthetic receipts.
# About an hour on 2 cores; continues where it was stopped.
# usage: bash scripts/train_box_model.sh DATA/sroie [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?usage: $0 DATA/sroie [key=value ...]}"); shift
.venv/bin/python benchmarks/box_data.py "$data" outputs/box_data
.venv/bin/hmean train preset=receipts_lite exp_name=receipts_lite_box resume=auto dataset_base_path=outputs/box_data \
  transforms.train.augment.rotate=8 trainer.max_epochs=16 trainer.check_val_every_n_epoch=16 "$@"
.venv/bin/hmean tune run=outputs/receipts_lite_box dataset_base_path=outputs/box_data 'tune.objective={macro: 3, iou70: 1}' \
  'tune.thresh=[0.1,0.15,0.2,0.25,0.3,0.35,0.4]' 'tune.box_thresh=[0.3,0.4,0.5,0.6,0.7,0.8,0.9]' 'tune.unclip_ratio=[]' \
  'tune.inverse_r=[0.5,0.55,0.6,0.65,0.7,0.75,0.8]'
.venv/bin/hmean export run=outputs/receipts_lite_box dataset_base_path=outputs/box_data precision=fp16
.venv/bin/hmean export run=outputs/receipts_lite_box dataset_base_path=outputs/box_data precision=int8 format=openvino
# Then, to ship it: copy outputs/receipts_lite_box/exported/receipts_lite_box_fp16.onnx to src/hmean/weights/receipts_lite.onnx
# and run python benchmarks/box.py DATA outputs/results
# outputs/receipts_lite_box/exported/receipts_lite_box_int8.xml, which writes its card.
