PYTHON ?= python3
VENV := .venv
.PHONY: setup
setup: $(VENV)/.ready
$(VENV)/.ready:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --upgrade -e libs/framework[telemetry,redis,postgres,auth,testing,local] ruff mypy import-linter hypothesis playwright pytest-timeout coverage
	$(VENV)/bin/pip install -q --no-deps -e services/auth -e services/catalog -e services/feed
	touch $@
