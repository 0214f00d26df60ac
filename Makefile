# Agent Hub. Needs Python 3.11 or newer with venv, and GNU make; nothing else.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
SHELL := /bin/sh

BIN := .venv/bin
PYTHON := $(BIN)/python
RUNTIME := .venv/runtime.stamp
DEV := .venv/dev.stamp
PEERS := .venv/peers/bench.stamp
JOBS ?= 2
GATES := gate-format gate-ruff gate-imports gate-templates gate-types gate-django
# Older makes (macOS) cannot keep the output of parallel gates apart.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help setup setup-dev up test check soak bench lint format schema lock clean $(GATES)

help: ## Show this menu
	@awk 'BEGIN {FS = ":.*## "} /^# == / {printf "\n%s\n", substr($$0, 6)} \
	  /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# == Run
setup: $(RUNTIME) ## Create .venv from the locked requirements

up: $(RUNTIME) ## Start the hub: ARGS="--port 9000 --data-dir D --once"
	@$(PYTHON) manage.py up $(ARGS)

# == Develop
setup-dev: $(DEV) ## The same with the tools and the test libraries

test: $(DEV) ## The one gate: format, lint, types, imports, schema, all tests
	@$(MAKE) lint; static=$$?; $(BIN)/pytest -n $(JOBS) $(ARGS) && exit $$static

check: test ## The same as make test

soak: $(DEV) ## Fault tests at length: 500 runs, 40 killed workers
	@FAULT_RUNS=500 FAULT_KILLS=20 FAULT_RECOVERIES=20 $(BIN)/pytest tests/faults $(ARGS)

bench: $(DEV) $(PEERS) ## Measure beside peers: ARGS="http fanout --rounds 1"
	@$(PYTHON) -m bench $(ARGS)

lint: $(DEV) ## The static part of the gate
	@$(MAKE) -j$(JOBS) -k $(SYNC) $(GATES)

format: $(DEV) ## Format and repair what can be repaired mechanically
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@$(BIN)/djlint --reformat --quiet --warn .

# == Generate
schema: $(DEV) ## Write docs/openapi.yaml
	@$(PYTHON) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

lock: $(DEV) ## Resolve requirements/*.in again, with hashes and no index address
	@for name in runtime dev bench; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url --no-emit-find-links $(ARGS) \
	    --output-file requirements/$$name.txt requirements/$$name.in || exit 1; \
	done

# == Tidy
clean: ## Remove .venv, caches and test results; .hub (your data) stays
	@rm -rf .venv .cache .hypothesis .static test-results
	@find . -name __pycache__ -type d -not -path './.hub/*' -prune -exec rm -rf {} +

# --- How it works -----------------------------------------------------------------------------

# The first interpreter that is new enough and can make a virtual environment.
FIND_PYTHON = for python in $(PYTHON_COMMAND) python3.11 python3.12 python3.13 python3; do \
	  $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  python=; \
	done; \
	test -n "$$python" || { echo "Agent Hub needs Python 3.11 or newer with venv (Debian, Ubuntu: apt-get install python3 python3-venv); then run make again." >&2; exit 1; }

.venv/%.stamp: requirements/%.txt
	@$(FIND_PYTHON); $$python requirements/install.py $*

# The development lock holds the runtime lock, so the one stamp answers for both.
.venv/dev.stamp: requirements/dev.txt
	@$(FIND_PYTHON); $$python requirements/install.py dev && touch $(RUNTIME)

$(PEERS): requirements/bench.txt
	@$(FIND_PYTHON); $$python requirements/install.py bench .venv/peers

gate-format:
	@$(BIN)/ruff format --check .

gate-ruff:
	@$(BIN)/ruff check --quiet .

gate-imports:
	@report=$$($(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter 2>&1) || { echo "$$report"; exit 1; }

gate-templates:
	@$(BIN)/djlint --lint --check --quiet .

gate-types:
	@$(BIN)/mypy --no-error-summary .

gate-django:
	@$(PYTHON) manage.py check --fail-level WARNING
