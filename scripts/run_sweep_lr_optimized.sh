#!/usr/bin/env bash
# The sweep of the campaign: N runs around the learning rate of efficientnet_b4_lr_optimized. Stopped in the middle, the
# same command goes on. With `bg` it returns at once and says how to follow and stop it. It never asks anything.
# usage: bash scripts/run_sweep_lr_optimized.sh [N=12] [bg] [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python; [ -x "$python" ] || python=python3
n=12; background=; file=configs/sweep_efficientnet_b4_lr_optimized.yaml; arguments=()
for argument in "$@"; do
  case $argument in
    bg) background=yes ;;
    file=*) file=${argument#file=} ;;
    *=*|~*) arguments+=("$argument") ;;
    *[!0-9]*|'') echo "usage: $0 [N=12] [bg] [key=value ...], not '$argument'" >&2; exit 2 ;;
    *) n=$argument ;;
  esac
done
command=("$python" -c 'import sys; from hmean.cli import main; sys.exit(main())' sweep "$file" "n=$n" "${arguments[@]+"${arguments[@]}"}")
[ "$background" ] || exec "${command[@]}" < /dev/null
mkdir -p outputs
log=outputs/$(basename "$file" .yaml).$(date +%Y%m%d_%H%M%S).log
setsid nohup "${command[@]}" > "$log" 2>&1 < /dev/null &
echo "pid     $!"
echo "log     $log"
echo "follow  tail -f $log        (or: hmean sweep status outputs/$(basename "$file" .yaml))"
echo "stop    kill $!             (nothing is lost; the same command goes on)"
