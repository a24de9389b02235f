# ResonantGen. `make demo` and `make test` work on a fresh machine with Python 3.11 or newer (set PYTHON to choose one).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROMPT ?= dark techno with driving bass

.PHONY: help demo test lint types benchmarks clean

help:
	@echo "make demo        environment, install, \"$(PROMPT)\" -> stems, mix, MIDI and a picture in ./demo"
	@echo "make test        environment, install, all tests"
	@echo "make lint types  ruff and mypy"
	@echo "make benchmarks  measures what docs/benchmarks.md states (half an hour; needs jackd2)"
	@echo "make clean       removes what these made, the environment too"

# The environment is remade when what it should hold changes.
$(VENV)/.run: pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (about a minute) ..."
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "ResonantGen needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/resonantgen generate "$(PROMPT)" --project demo.rg --seed 9
	@$(BIN)/resonantgen export --project demo.rg --to demo
	@$(BIN)/resonantgen show --project demo.rg --picture demo/session.png

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

benchmarks: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/generation.py
	$(BIN)/python tests/benchmarks/mix_balance.py
	$(BIN)/python tests/benchmarks/latency.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/live.py

clean:
	rm -rf $(VENV) demo demo.rg .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find engine bridge tests -name __pycache__ -type d -prune -exec rm -rf {} +
