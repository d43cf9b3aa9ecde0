#!/usr/bin/env bash
# The whole story in small: draw receipts, train, tune on the validation pages, score on pages nothing was chosen on,
# use it on pages it never saw, report. Minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
hmean() { .venv/bin/hmean "$@"; }
run=outputs/quickstart
data=outputs/synthetic

# 1. 264 synthetic receipts, exact labels: 200 to train on, 24 to choose on, 40 to report on.
[ -f "$data/jsons/test.json" ] || hmean data synth "$data" --train 200 --val 24 --test 40 --long-side 640 960

# 2. A strong open detector, fine-tuned (configs/preset/quickstart.yaml). Stopped half-way, the same command continues.
hmean train preset=quickstart exp_name=quickstart resume=auto

# 3. Thresholds from the cached maps of the validation pages, into the checkpoint.
hmean tune run=$run preset=quickstart

# 4. The test pages: nothing was chosen on them.
echo; echo "Unseen test pages:"
hmean evaluate checkpoint_path=$run/checkpoints/best.ckpt preset=quickstart evaluate_on=test overwrite=true

# 5. Use it: predictions.json, submission.csv, overlays.
hmean predict "$data/images/00228.jpg" "$data/images/00232.jpg" checkpoint_path=$run/checkpoints/best.ckpt output=$run/predicted overwrite=true

# 6. One page with everything on it.
echo; echo "Report: $(hmean report $run)"
