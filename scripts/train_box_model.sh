#!/usr/bin/env bash
# The detector that comes with hmean (receipts-lite): PP-OCRv6 small, fine-tuned on SROIE's training shops (labels.json and
# images/ under DATA/sroie) with three seeds, of which the middle one is shipped. Continues where it was stopped.
# usage: bash scripts/train_box_model.sh DATA/sroie [FOLDER=outputs]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?usage: $0 DATA/sroie [FOLDER=outputs]}")
folder=${2:-outputs}
if [ -x .venv/bin/hmean ]; then PATH="$PWD/.venv/bin:$PATH"; fi
# Four fifths of the shops train, one fifth validates.
own=("dataset_base_path=$data" 'datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json'
  'datasets.train_dataset.folds={k:5,seed:42,fold:0,split:train}' 'datasets.val_dataset.annotation_path=${dataset_base_path}/labels.json'
  'datasets.val_dataset.folds={k:5,seed:42,fold:0,split:val}')
grid=('tune.objective={macro: 3, iou70: 1}' 'tune.thresh=[0.1,0.15,0.2,0.25,0.3,0.35,0.4]'
  'tune.box_thresh=[0.3,0.4,0.5,0.6,0.7,0.8,0.9]' 'tune.unclip_ratio=[]' 'tune.inverse_r=[0.5,0.55,0.6,0.65,0.7,0.75,0.8]')
runs=()
for seed in 42 1 2; do
  run=$folder/receipts_lite_seed$seed
  runs+=("$run")
  hmean train preset=pp_ocrv6_small preset/transforms=rough "exp_name=receipts_lite_seed$seed" "output_dir=$folder" "seed=$seed" \
    resume=auto dataloaders.train_dataloader.num_workers=1 "${own[@]}"
  hmean tune "run=$run" "${own[@]}" "${grid[@]}"
done
middle=$(python benchmarks/box_choice.py "${runs[@]}")
echo "in the middle: $middle"
hmean export "run=$middle" "${own[@]}" precision=fp16
hmean export "run=$middle" "${own[@]}" precision=int8 format=openvino
# Then, to ship it: copy its exported/*_fp16.onnx to src/hmean/weights/receipts_lite.onnx, and make its card:
# python benchmarks/box.py DATA FOLDER EIGHT_BITS.xml
