# make demo: see it work.  make test: the tests.  Both make .venv first; nothing else has to be installed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

# The marker is newer than what it was made from: a changed pyproject.toml installs again.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv: $(VENV)/installed

demo: $(VENV)/installed
	bash scripts/demo.sh

test: $(VENV)/installed
	$(BIN)/python -m pytest

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers/requirements.txt
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist
