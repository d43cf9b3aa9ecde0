# make demo: see it work.  make test: all tests.  Both make .venv first; nothing else has to be installed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check

.PHONY: .venv demo test unit check coverage docs reference lock bench results leaderboard clean

# The marker is newer than what it was made from: a changed pyproject.toml installs again.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch torchvision
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@

.venv: $(VENV)/installed

demo: $(VENV)/installed
	bash scripts/demo.sh

test: $(VENV)/installed
	$(BIN)/python -m pytest

# The tests of single modules: the ones to run while writing.
unit: $(VENV)/installed
	$(BIN)/python -m pytest tests/unit

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

# Branch coverage of the unit tests, in the terminal.
coverage: $(VENV)/installed
	$(BIN)/python -m pytest tests/unit --cov --cov-report=term:skip-covered

docs: $(VENV)/installed
	$(BIN)/mkdocs build --strict

# Writes the reference pages from the declarations in the code.
reference: $(VENV)/installed
	$(BIN)/python scripts/reference.py

# Pins everything that the tests run with, as a fresh environment resolves it today.
lock:
	bash scripts/lock.sh

bench: $(VENV)/installed
	$(PIP) install --no-deps -r benchmarks/peers/requirements.txt
	$(BIN)/python benchmarks/run.py

# Every page of results again, from trainings on: make results DATA=... [FOLDER=outputs/results] [STEPS="crossval_sroie ..."]
FOLDER ?= outputs/results
results: $(VENV)/installed
	$(PIP) install --no-deps -r benchmarks/peers/requirements.txt
	bash scripts/results.sh "$(DATA)" "$(FOLDER)" $(STEPS)

# Other people's detectors beside ours, each in a virtual environment of its own: make leaderboard DATA=... [FOLDER=...]
# [BOARD="detectors=pp_ocrv6_small,tesseract models=mine.onnx time=true"]. Stopped, it goes on where it was.
BOARD ?=
leaderboard: $(VENV)/installed
	$(BIN)/python benchmarks/leaderboard.py "$(DATA)" "$(FOLDER)" $(BOARD)

clean:
	rm -rf $(VENV) build dist site
