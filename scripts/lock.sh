#!/usr/bin/env bash
# Writes constraints.txt: the version of every package that the tests run with, resolved afresh in an environment of its own.
# Run it after a change of the dependencies in pyproject.toml: make lock
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3.11}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check)
# torch and torchvision keep their version: a new one changes the numbers of a training.
grep -E '^(torch|torchvision)==' constraints.txt > "$folder/torch.txt"
"${pip[@]}" install -c "$folder/torch.txt" torch torchvision
"${pip[@]}" install -c "$folder/torch.txt" '.[dev]'
{
  echo "# Every package that the tests run with. Written by: make lock"
  # torch pins its CUDA packages itself, and a build without CUDA has none.
  "${pip[@]}" freeze --exclude hmean --exclude pip --exclude setuptools | sed "s/+cpu$//" | grep -vE "^(nvidia|cuda|triton)" | LC_ALL=C sort -f
} > "$folder/constraints.txt"
mv "$folder/constraints.txt" constraints.txt
