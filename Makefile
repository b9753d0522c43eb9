# Every target makes .venv and installs what it needs; only Python ≥ 3.11, git and make are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DATA_FLAG := $(if $(wildcard ../shared/data),--data-dir ../shared/data,)

# Compiled files are kept whatever the environment says: without them every test process compiles
# the package again, and rewrites the assertions of all tests.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test test-fast coverage check bench paper docs package clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 20

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("qnewton needs Python 3.11 or newer, found " + sys.version.split()[0] + "; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing qnewton and its dependencies into $(VENV) (about a minute)"
	$(INSTALL) -e '.[report]'
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(INSTALL) -e '.[docs]'
	@touch $@

# The peers' torchvision is never loaded here. Where its build does not match torch's (a CUDA one
# beside a CPU torch), loading it fails, and so do Lightning and transformers, which try to.
$(VENV)/.bench: $(VENV)/.dev
	$(INSTALL) -e '.[bench]'
	@$(BIN)/python -c 'import torchvision' 2>/dev/null || $(BIN)/python -m pip uninstall --quiet --yes torchvision
	@touch $@

$(VENV)/.text: $(VENV)/.base
	$(INSTALL) -e '.[text]'
	@touch $@

run: $(VENV)/.base ## train on real digits, print the comparison table, write pictures and a page
	$(BIN)/qnewton compare digits

test: $(VENV)/.dev ## run the whole test suite
	$(BIN)/python -m pytest -n auto

test-fast: $(VENV)/.dev ## run the tests of every package that are quick, and all doctests (under a minute)
	$(BIN)/python -m pytest -n auto -m "not slow" tests src

coverage: $(VENV)/.dev ## run the whole test suite, and print the lines and branches that it runs
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

bench: $(VENV)/.bench $(VENV)/.text ## side by side with peers; prints one table, writes benchmarks/results
	$(BIN)/python -m benchmarks $(DATA_FLAG)

paper: $(VENV)/.text ## every table and figure of the paper, quick versions; needs MNIST, WikiText-2
	$(BIN)/qnewton paper all $(DATA_FLAG)

docs: $(VENV)/.docs $(VENV)/.dev ## build the documentation into docs/_build, open its pages, run their commands (minutes)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build
	$(BIN)/python -m pytest -q tests/docs/test_built_pages.py
	$(BIN)/python -m pytest -q -n auto tests/docs/every_command.py
	@echo "open docs/_build/index.html"

check: $(VENV)/.dev ## format, lint, types, layers
	$(BIN)/ruff format --check src tests benchmarks paper
	$(BIN)/ruff check src tests benchmarks paper
	$(BIN)/pyright
	$(BIN)/lint-imports

package: ## build wheel and sources, install both in an empty environment, and use them
	$(PYTHON) tests/packaging/clean_install.py

clean: ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks paper docs -name __pycache__ -prune -exec rm -rf {} +
