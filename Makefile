# Every target works on a machine that has Python 3.11 or newer, make and git: what else is needed is installed first.
.PHONY: help setup serve test check bench chaos

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: .venv/.ready  ## make .venv with everything that development needs

.uv/bin/uv:
	PYTHON=$(PYTHON) bash scripts/debian-packages setup
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --upgrade uv

.venv/.ready: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || $(MAKE) --no-print-directory .uv/bin/uv
	$(UV) sync --frozen --all-groups
	@touch $@

serve: setup  ## start Pilothouse with the built-in assistant: http://127.0.0.1:8123
	.venv/bin/pilothouse serve

test: setup  ## format, lint, types, layers and tests: what CI runs
	bash scripts/debian-packages tests
	$(MAKE) --no-print-directory check
	.venv/bin/pytest

check: setup  ## everything but the tests
	.venv/bin/ruff format --check src tests bench
	.venv/bin/ruff check src tests bench
	.venv/bin/pyright
	.venv/bin/lint-imports
	.venv/bin/python scripts/sizes.py

bench: setup  ## measure beside the peers, each in an environment of its own: some minutes
	.venv/bin/python bench/run.py

chaos: setup  ## kill, stop and restart servers under load, and check what is promised: some minutes
	.venv/bin/python -m bench.chaos --write
