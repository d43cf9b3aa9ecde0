#!/usr/bin/env bash
# The sweep of the campaign: N trials around the learning rate of efficientnet_b4_lr_optimized; from 6 on, then three repeats
# of the best with another seed (confirm=0: none). Stopped in the middle, the same command goes on. With `bg` it returns when its checks are passed, and says how to follow and stop it. It never asks.
# usage: bash scripts/run_sweep_lr_optimized.sh [N=12] [bg] [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python; [ -x "$python" ] || python=python3
n=; background=; file=configs/sweep_efficientnet_b4_lr_optimized.yaml; arguments=()
for argument in "$@"; do
  case $argument in
    bg) background=yes ;;
    file=*) file=${argument#file=} ;;
    n=*|[0-9]*)
      case ${argument#n=} in *[!0-9]*|'') echo "$0: '$argument' is not a number of trials" >&2; exit 2 ;; esac
      [ -z "$n" ] || { echo "$0: '$argument', but n is $n already; give it once" >&2; exit 2; }
      n=${argument#n=} ;;
    *=*|~*) arguments+=("$argument") ;;
    *) echo "usage: $0 [N=12] [bg] [key=value ...], not '$argument'" >&2; exit 2 ;;
  esac
done
command=("$python" -m hmean sweep "$file" "n=${n:-12}" "${arguments[@]+"${arguments[@]}"}")
[ "$background" ] || exec "${command[@]}" < /dev/null
mkdir -p outputs
log=outputs/$(basename "$file" .yaml).$(date +%Y%m%d_%H%M%S).log
setsid nohup "${command[@]}" > "$log" 2>&1 < /dev/null &
pid=$!
# A sweep that is begun says so: "outputs/NAME: 12 trials and 3 repeats, 2 agents here", or that W&B chooses.
started=': [0-9]+ trials?( and [0-9]+ repeats?)?, [0-9]+ agents? here'
begun() { grep -qE "$started|^W&B chooses" "$log"; }
until begun; do
  kill -0 "$pid" 2> /dev/null || { begun || { cat "$log" >&2; wait "$pid" && exit 2; exit $?; }; break; }
  sleep 0.2
done
folder=$(sed -nE "s/$started.*//p" "$log")
echo "pid     $pid"
echo "log     $log"
echo "follow  tail -f $log${folder:+        (or: hmean sweep status $folder)}"
echo "stop    kill $pid             (nothing is lost; the same command continues)"
