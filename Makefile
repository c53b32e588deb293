# The targets are described in README.md; `make` alone lists them.
.POSIX:
.PHONY: help run test check lock bench faults mutants up down

PORT ?= 8080
DATA ?= ./var
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

help:
	@echo 'make run      serve on 127.0.0.1, PORT=8080, data in DATA=./var'
	@echo 'make up       Kafka, Redis, two gateways and two workers in containers (needs Docker and compose)'
	@echo 'make down     stop those; ARGS=-v forgets what they stored'
	@echo 'make test     all tests'
	@echo 'make check    format, lint, types, import direction, coverage of schemas, tests without services'
	@echo 'make bench    speed, against the floors (needs wrk)'
	@echo 'make faults   kills under load; ARGS=... chooses rows'
	@echo 'make mutants  mutation tests of decide, patch and filter'
	@echo 'make lock     the lock files anew from pyproject.toml; ARGS=--upgrade takes newer versions'

run:
	@VENV='$(VENV)' PYTHON='$(PYTHON)' sh deploy/venv.sh runtime
	@exec '$(BIN)/scimgw' serve --host 127.0.0.1 --port '$(PORT)' --data '$(DATA)'

up:
	@sh deploy/compose.sh up

down:
	@sh deploy/compose.sh down $(ARGS)

dev:
	@VENV='$(VENV)' PYTHON='$(PYTHON)' sh deploy/venv.sh dev
.PHONY: dev

# Twice: what takes minutes watches its own clock, and wants the machine for itself.
test: dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow'
	$(BIN)/python -m pytest -m slow || test $$? -eq 5

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_direction.py
	$(BIN)/python -m coverage run -m pytest -q tests/schemas
	$(BIN)/python -m coverage report
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not slow and not services' --ignore tests/schemas

bench: dev
	$(BIN)/python -m tests.load.bench $(ARGS)

faults: dev
	$(BIN)/python -m tests.faults.run $(ARGS)

mutants: dev
	$(BIN)/python -m tests.mutants $(ARGS)

lock: dev
	$(UV_COMPILE) $(ARGS) --group build --group dev --output-file requirements-dev.lock
	$(UV_COMPILE) $(ARGS) --group build --constraints requirements-dev.lock --output-file requirements.lock
