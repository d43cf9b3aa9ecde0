#!/usr/bin/env bash
# Every page under docs/results and docs/benchmarks.md, made again, in order; before each step, what it cost the last time.
# DATA is a folder with sroie/ and receipts_de/ (each with images/ and labels.json). Trainings and maps go to FOLDER.
# Stopped, the same command continues: finished trainings and maps are taken over. STEPS names some steps instead of all.
# All trainings come first: what the pages' programs write would make them trainings of an uncommitted tree.
# usage: bash scripts/results.sh DATA [FOLDER=outputs/results] [STEP ...]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?usage: $0 DATA [FOLDER=outputs/results] [STEP ...]}"); shift
folder=${1:-outputs/results}; shift || true
asked=("$@")
steps=$(sed -n 's/^if step \([a-z_]*\) .*/\1/p' scripts/results.sh)
for name in "${asked[@]}"; do
  if ! grep -qx "$name" <<<"$steps"; then
    echo "$name: no such step; there are: "$steps >&2
    exit 2
  fi
done
if [ -x .venv/bin/hmean ]; then PATH="$PWD/.venv/bin:$PATH"; fi
sroie=$data/sroie
short=(preset=receipts_lite "dataset_base_path=$sroie" "output_dir=$folder"
  'datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json' crossval.k=5 crossval.seed=42
  transforms.train.crop=320 trainer.ema_decay=0.98
  dataloaders.train_dataloader.num_workers=1)

# step NAME PAGE [trainings]: whether to do it; says what it cost the last time.
step() {
  local name=$1
  if [ ${#asked[@]} -gt 0 ] && [[ " ${asked[*]} " != *" $name "* ]]; then return 1; fi
  printf '\n== %s: %s\n' "$name" "$(python benchmarks/cost.py "${@:2}")"
}

# --- trainings --------------------------------------------------------------------------------------------------------

# Five folds by shop of all development pages, three seeds.
if step train_folds crossval_sroie trainings; then
  for seed in 42 1 2; do
    hmean crossval "${short[@]}" "exp_name=sroie_folds_seed$seed" crossval.holdout=0 "seed=$seed" \
      trainer.max_epochs=3 trainer.check_val_every_n_epoch=3
  done
fi

# The bundled model's recipe, five folds by shop, three seeds: PP-OCRv6 small, fine-tuned.
if step train_fine_tuned fine_tuned_sroie trainings; then
  bash scripts/train_box_model.sh "$sroie" "$folder" "0 1 2 3 4"
fi

# Members of an ensemble, with pages that none of them sees, and one model on all pages that they see, for as long as all of them.
# With another seed and exp_name=sroie_holdout_seed1, ... the page shows that one, too.
if step train_members ensemble_sroie trainings; then
  hmean crossval "${short[@]}" exp_name=sroie_holdout crossval.holdout=0.14 crossval.base=true seed=42 \
    trainer.max_epochs=2 trainer.check_val_every_n_epoch=2
fi

# A sweep of short trainings. Half of the shops judge: of a fifth of them, one would have half of the pages.
if step train_sweep sweep_sroie trainings; then
  hmean sweep configs/sweep_receipts_lite.yaml engine=optuna n=8 agents=2 confirm=3 name=sweep_sroie "output_dir=$folder" \
    "dataset_base_path=$sroie" trainer.max_epochs=3 trainer.check_val_every_n_epoch=3 trainer.limit_train_batches=25 \
    trainer.ema_decay=0.9 transforms.long_side=512 transforms.train.crop=256 'transforms.train.long_side=[400,800]' \
    'datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json' \
    'datasets.train_dataset.folds={k:2,fold:1,split:train,seed:42}' \
    'datasets.val_dataset.annotation_path=${dataset_base_path}/labels.json' \
    'datasets.val_dataset.folds={k:2,fold:1,split:val,seed:42}'
fi

# 10 to 396 pages, three starts, three seeds. In pieces: python benchmarks/learning_curve.py DATA FOLDER do=train sizes=10 ...
if step train_learning_curve learning_curve trainings; then
  python benchmarks/learning_curve.py "$data" "$folder" do=train
fi

# What each part of the recipe is worth: its variants on one fold, three seeds. What the learning curve has trained is taken over.
# In pieces: python benchmarks/ablation.py DATA FOLDER do=train variants=base,rough seeds=42 ...
if step train_ablation ablation trainings; then
  python benchmarks/ablation.py "$data" "$folder" do=train
fi

# --- pages ------------------------------------------------------------------------------------------------------------

if step crossval_sroie crossval_sroie; then python benchmarks/crossval_sroie.py "$data" "$folder"; fi
if step fine_tuned_sroie fine_tuned_sroie; then
  python benchmarks/crossval_sroie.py "$data" "$folder" recipe=receipts-lite
fi
if step tuning_sroie tuning_sroie; then python benchmarks/tuning_sroie.py "$data" "$folder"; fi
if step ensemble_sroie ensemble_sroie; then python benchmarks/ensemble_sroie.py "$data" "$folder"; fi
if step sweep_sroie sweep_sroie; then python benchmarks/sweep_sroie.py "$folder"; fi
if step learning_curve learning_curve; then python benchmarks/learning_curve.py "$data" "$folder" do=page; fi
if step ablation ablation; then python benchmarks/ablation.py "$data" "$folder" do=page; fi
# It needs train_fine_tuned; a model in eight bits is added behind FOLDER.
if step receipts_lite_box receipts_lite_box; then python benchmarks/box.py "$data" "$folder"; fi
if step views views; then python benchmarks/views.py "$data" "$folder"; fi
if step leaderboard leaderboard; then python benchmarks/leaderboard.py "$data" "$folder"; fi
# Further models: their files (NAME=PATH) behind FOLDER; what is kept there is not measured again.
if step robustness robustness; then python benchmarks/robustness.py "$data" "$folder"; fi
if step intervals intervals; then python benchmarks/intervals.py; fi
if step serve serve; then python benchmarks/serve.py; fi
if step stages stages; then HMEAN_DATA=$data python benchmarks/stages.py; fi
if step benchmarks benchmarks; then HMEAN_DATA=$data python benchmarks/run.py; fi
