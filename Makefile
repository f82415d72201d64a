# `make help` lists the targets. Everything happens in this folder: the environment in .venv/, data in .local/.
PYTHON ?= python3
VENV ?= .venv
TESTS ?= tests
BIN := $(VENV)/bin
SERVICES := $(patsubst services/%/pyproject.toml,%,$(wildcard services/*/pyproject.toml))
PACKAGES := $(wildcard libs/*/src/* services/*/src/*)
SCRIPTS := $(wildcard requirements/*.py)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-emit-index-url --no-emit-find-links --no-header --no-emit-package fairlead $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run run-clean test check browser bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.13 chooses the interpreter, VENV=.venv the environment's folder."

setup: ## Prepare .venv with what running needs; nothing to do when it is up to date
	@$(call install,run)

setup-dev: ## Prepare .venv with what testing and checking need as well
	@$(call install,dev)

run: setup ## Start auth, catalog and feed with PostgreSQL and Valkey; Ctrl-C stops everything
	@exec $(BIN)/fairlead up --stop-with-parent

run-clean: setup ## The same from empty databases
	@exec $(BIN)/fairlead up --stop-with-parent --clean

test: setup-dev ## Run every test; TESTS=tests/framework and PYTEST_ARGS=-x narrow it
	@exec $(BIN)/python -m pytest $(TESTS) $(PYTEST_ARGS)

check: setup-dev ## Format, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES) $(SCRIPTS)
	$(BIN)/lint-imports

format: setup-dev ## Format the code and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

browser: ## Install Debian's Chromium for the end-to-end tests, when it is missing and can be had
	@sh requirements/browser.sh

bench: setup-dev ## Measure Fairlead beside its peers; prints ratios
	@exec $(BIN)/python -m benchmarks $(BENCH_ARGS)

lock: setup-dev ## Write requirements/*.txt anew from the .in files and pyprojects; UPGRADE=1 takes newer versions
	$(COMPILE) requirements/dev.in $(wildcard services/*/pyproject.toml) -o requirements/dev.txt
	$(COMPILE) requirements/run.in $(wildcard services/*/pyproject.toml) -c requirements/dev.txt -o requirements/run.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(foreach service,$(SERVICES),$(COMPILE) requirements/service.in services/$(service)/pyproject.toml \
		-c requirements/dev.txt -o requirements/$(service).txt$(newline))

clean: ## Remove the environment, local data and every cache
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov dist build

# Runs requirements/install.py with the chosen interpreter; one that was named on the command line must be used.
define install
command -v $(PYTHON) > /dev/null || { echo "set-up: $(PYTHON) was not found: install Python 3.11 or later, or name one with PYTHON="; exit 1; }; \
$(PYTHON) requirements/install.py $(1) --environment $(VENV) $(if $(filter command environment,$(firstword $(origin PYTHON))),--with-this-python)
endef

define newline


endef
