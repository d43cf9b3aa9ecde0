#!/usr/bin/env bash
# The detector that comes with hmean (receipts-lite): PP-OCRv6 small, fine-tuned on SROIE's training shops (labels.json and
# images/ under DATA/sroie) with three seeds, of which the middle one is shipped. Continues where it was stopped.
# usage: bash scripts/train_box_model.sh DATA/sroie [FOLDER=outputs] [FOLDS=0] [SEEDS="42 1 2"]
# Of other folds than 0 the models are trained and nothing else; benchmarks/crossval_sroie.py scores them.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?usage: $0 DATA/sroie [FOLDER=outputs]}")
folder=${2:-outputs}
folds=${3:-0}
seeds=${4:-42 1 2}
if [ -x .venv/bin/hmean ]; then PATH="$PWD/.venv/bin:$PATH"; fi
# Four fifths of the shops train, one fifth validates: fold 0. Other folds show what the recipe is worth on all pages.
own=("dataset_base_path=$data" 'datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json'
  'datasets.val_dataset.annotation_path=${dataset_base_path}/labels.json')
for fold in $folds; do
  own_fold=("datasets.train_dataset.folds={k:5,seed:42,fold:$fold,split:train}" "datasets.val_dataset.folds={k:5,seed:42,fold:$fold,split:val}")
  for seed in $seeds; do
    hmean train preset=pp_ocrv6_small preset/transforms=rough "exp_name=receipts_lite_fold${fold}_seed$seed" "output_dir=$folder" \
      "seed=$seed" resume=auto score_start=false transforms.train.min_samples=0 trainer.max_epochs=12 \
      trainer.check_val_every_n_epoch=12 dataloaders.train_dataloader.num_workers=1 "${own[@]}" "${own_fold[@]}"
  done
done
if [ "$folds" != 0 ]; then exit; fi
runs=()
for seed in $seeds; do
  runs+=("$folder/receipts_lite_fold0_seed$seed")
done
middle=$(python benchmarks/box_choice.py "${runs[@]}")
echo "in the middle: $middle"
hmean export "run=$middle" "${own[@]}" "${own_fold[@]}" precision=fp16
hmean export "run=$middle" "${own[@]}" "${own_fold[@]}" precision=int8 format=openvino
python benchmarks/box_ship.py "$middle"/exported/*_fp16.onnx
# Then its card: python benchmarks/box.py DATA FOLDER EIGHT_BITS.xml, where the last is what int8 has made.
