# ResonantGen. `make demo` and `make test` work on a fresh machine with Python 3.11 or newer (set PYTHON to choose one).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROMPT ?= dark techno with driving bass

.PHONY: help demo neural musicgen test lint types benchmarks plugin plugin-windows clean

help:
	@echo "make demo        environment, install, \"$(PROMPT)\" -> stems, mix, MIDI and a picture in ./demo"
	@echo "make neural      what recordings, our codec and training need (PyTorch), into the environment"
	@echo "make musicgen    what MusicGen needs (PyTorch, transformers), into the environment"
	@echo "make test        environment, install, all tests"
	@echo "make lint types  ruff and mypy"
	@echo "make benchmarks  measures what docs/benchmarks.md states (35 minutes; needs jackd2, ardour, dpf-source)"
	@echo "make plugin      the plugin for DAWs (VST3, CLAP, LV2) -> plugin_stub/plugin/bin; plugin-windows cross-builds it"
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

# torch first: with --index-url https://download.pytorch.org/whl/cpu as TORCH_FROM, Linux does without CUDA's gigabytes.
neural: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(TORCH_FROM) torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[neural]"

musicgen: neural
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[musicgen]"

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
	$(BIN)/python tests/benchmarks/codec.py
	$(BIN)/python tests/benchmarks/lm.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/live.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/plugin.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/ardour.py

# These need no Python: g++ and DPF (Debian: dpf-source); for Windows, mingw-w64 (VST3 and CLAP -> bin/windows).
plugin:
	@command -v $(CXX) >/dev/null || { echo "No $(CXX): sudo apt install dpf-source g++ make"; exit 1; }
	@$(MAKE) --no-print-directory -C plugin_stub/plugin

MINGW ?= x86_64-w64-mingw32
plugin-windows:
	@command -v $(MINGW)-g++-posix >/dev/null || { echo "No $(MINGW)-g++-posix: sudo apt install dpf-source g++-mingw-w64-x86-64-posix make"; exit 1; }
	@$(MAKE) --no-print-directory -C plugin_stub/plugin DPF_BUILD_DIR=build/windows DPF_TARGET_DIR=bin/windows \
		CC=$(MINGW)-gcc-posix CXX=$(MINGW)-g++-posix

clean:
	rm -rf plugin_stub/plugin/build plugin_stub/plugin/bin
	rm -rf $(VENV) demo demo.rg .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find engine bridge tests -name __pycache__ -type d -prune -exec rm -rf {} +
