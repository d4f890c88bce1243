# `make demo` and `make test` each do all their set-up on a fresh clone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_HOME ?= .brixa-demo
WORKERS ?= auto
LINT := .venv-lint
TF := .venv-tf
CLIENTS := .venv-clients
SOURCES := brixa_flows brixa flows blocks tests benchmarks docs

# Nothing that we run here phones home.
export DO_NOT_TRACK = 1
export MLFLOW_DISABLE_TELEMETRY = true
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export RAY_USAGE_STATS_ENABLED = 0
export HF_HUB_OFFLINE = 1
export PIP_QUIET = 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop test setup tf-environment clients-environment check bench screenshots format wheel-check clean

help:
	@echo "make demo         the whole loop on real data; KEEP=1 leaves the UIs up"
	@echo "make demo-stop    stop what a demo with KEEP=1 left up"
	@echo "make test         the test suite; ARGS='-k name' is passed to pytest"
	@echo "make check        format, lint, types, architecture"
	@echo "make bench        the benchmarks"
	@echo "make screenshots  the pictures of README and docs, from a demo in Chromium"
	@echo "make setup        every extra and all that tests need, into $(VENV)"
	@echo "make format       black and isort, in place"
	@echo "make tf-environment  transformers 4 with TensorFlow models, for their test"
	@echo "make clients-environment  clients of deployments that others wrote, for their test"

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing Brixa Flows and its demo into $(VENV) (once) ..."
	$(PIP) install -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.all: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing every extra and the test tools into $(VENV) (once, about 1.5 GB) ..."
	$(PIP) install -c constraints.txt -e '.[all]' --group dev
	@touch $@ $(VENV)/.demo

$(LINT)/.created: pyproject.toml constraints.txt
	@echo "Installing the format and lint tools into $(LINT) (once) ..."
	@$(PYTHON) -m venv $(LINT)
	@$(LINT)/bin/python -m pip --disable-pip-version-check install --upgrade 'pip>=25.1'
	@$(LINT)/bin/python -m pip install -c constraints.txt --group lint
	@touch $@

# Of transformers 4, whose TensorFlow models version 5 dropped.
$(TF)/.created: requirements-tf.txt
	@echo "Installing transformers 4 with TensorFlow into $(TF) (once) ..."
	@rm -rf $(TF)
	@$(PYTHON) -m venv $(TF)
	@$(TF)/bin/python -m pip --disable-pip-version-check install --upgrade 'pip>=25.1'
	@$(TF)/bin/python -m pip install --no-compile --no-deps -r requirements-tf.txt
	@$(TF)/bin/python -m pip install --no-deps -e .
	@touch $@

# Triton's and KServe's clients, which ask for an older protobuf and pandas.
$(CLIENTS)/.created: requirements-clients.txt
	@echo "Installing Triton's and KServe's clients into $(CLIENTS) (once) ..."
	@rm -rf $(CLIENTS)
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check install --upgrade 'pip>=25.1'
	@$(CLIENTS)/bin/python -m pip install --no-compile --no-deps -r requirements-clients.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.all
	$(PIP) install -c constraints.txt --group bench
	@touch $@

setup: $(VENV)/.all

tf-environment: $(TF)/.created

clients-environment: $(CLIENTS)/.created

demo: $(VENV)/.demo
	@$(BIN)/brixa demo --home $(DEMO_HOME) $(if $(KEEP),--keep)

demo-stop: $(VENV)/.demo
	@$(BIN)/brixa demo --home $(DEMO_HOME) --stop

# In the order of tests/conftest.py, which starts the longest file first.
test: $(VENV)/.all
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.all $(LINT)/.created
	$(LINT)/bin/black --check --quiet $(SOURCES)
	$(LINT)/bin/isort --check-only --quiet $(SOURCES)
	$(LINT)/bin/flake8 $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n 0 tests/architecture

format: $(LINT)/.created
	$(LINT)/bin/black --quiet $(SOURCES)
	$(LINT)/bin/isort --quiet $(SOURCES)

bench: $(VENV)/.bench
	@for program in benchmarks/[a-z]*.py; do echo "== $$program"; $(BIN)/python $$program || exit 1; done

screenshots: $(VENV)/.all
	@$(BIN)/python -m docs.screenshots $(if $(KEPT),--home $(KEPT))

# The wheel in an environment of its own, with nothing but what it asks for.
wheel-check: $(VENV)/.all
	@rm -rf dist .venv-wheel
	@$(BIN)/python -m build --wheel --no-isolation >/dev/null
	@$(PYTHON) -m venv .venv-wheel
	@.venv-wheel/bin/python -m pip install --upgrade 'pip>=25.1'
	@.venv-wheel/bin/python -m pip install -c constraints.txt dist/*.whl
	@cd dist && ../.venv-wheel/bin/brixa --help
	@rm -rf .venv-wheel

clean:
	rm -rf $(VENV) $(LINT) $(TF) $(CLIENTS) $(DEMO_HOME) dist build .pytest_cache .mypy_cache .import_linter_cache
