# `make demo` and `make test` set up everything they need under .venv; nothing is installed outside this folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
PIP := $(BIN)/python -m pip --quiet

.PHONY: help demo test check bench soak mutants lock

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 14

demo: .venv/.demo ## set up and run the demonstration; ARGS="..." adds options
	@$(BIN)/gateway demo $(ARGS)

test: check ## set up, then lint, types, import contracts and all tests
	@$(BIN)/python -m pytest || { [ $$? -eq 1 ] && echo "once more, alone, what failed:" \
		&& $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

check: .venv/.test ## lint, types and import contracts only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: .venv/.test ## benchmarks against peers and the floor; ONLY=name runs one
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

soak: .venv/.test ## the tests that are too long for `make test`
	@$(BIN)/python -m pytest -m soak --hypothesis-profile=default

mutants: .venv/.test ## mutate the rules; fails where a change goes unnoticed; ONLY=module mutates one
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only $(ONLY))

lock: .venv/.test ## resolve the locked dependencies again
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) pyproject.toml -c requirements.lock --group hil -o requirements-hil.lock
	@$(COMPILE) pyproject.toml -c requirements.lock --group hil --group dev -o requirements-dev.lock
	@$(COMPILE) --no-deps --group schemas -o requirements-schemas.lock
	@$(subst 3.11,3.12,$(COMPILE)) --no-deps --group procedures -o requirements-procedures.lock

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

# A stamp is newer than what it was made from. The test set holds the demo set, so it stamps both.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "setting up .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: requirements-hil.lock pyproject.toml | .venv/.made
	@echo "installing what the demonstration needs"
	@$(PIP) install --require-hashes -r requirements-hil.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

# The procedures are data: no Python runs them, and their wheel brings a package "tests" that would stand before ours.
ASIDE = --ignore-requires-python --upgrade --target .venv/procedures

.venv/.test: requirements-dev.lock requirements-schemas.lock requirements-procedures.lock requirements-hil.lock \
		pyproject.toml | .venv/.made
	@echo "installing what the tests need"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --require-hashes --no-deps -r requirements-schemas.lock
	@$(PIP) install --require-hashes --no-deps -r requirements-procedures.lock $(ASIDE)
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch .venv/.demo $@
