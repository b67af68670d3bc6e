# `make` lists the targets. Everything they need is installed into .venv, from locked requirements.

VENV := .venv
BIN := $(VENV)/bin
SERVICES := $(wildcard *-service)
CODE := common local $(SERVICES) tests benchmarks reliability conftest.py

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# Docker Compose 2 goes by two names.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# $(call install,SET): the locked requirements/SET.txt and the path of this repository, in .venv.
define install
@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
@echo "Installing requirements/$(1).txt into $(VENV)"
@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt
@pwd > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pyportal.pth"
@: > $@
endef

.DEFAULT_GOAL := help
.PHONY: help setup run seed up down logs redis flask shell reset test lint format bench stress chaos-tasks chaos-notifications lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/test.stamp ## install everything, for run and test (the others do it when needed)

run: $(VENV)/local.stamp ## the whole portal on this machine, until Ctrl-C
	@$(BIN)/python -m local run

seed: $(VENV)/local.stamp ## users, flights and bookings for the portal that runs
	@$(BIN)/python -m local seed

up: ## the whole portal in Docker, in the background
	@$(COMPOSE) up --detach --build --wait --wait-timeout 180

down: ## end what make up started; its data stays
	@$(COMPOSE) down

logs: ## what it logs, until Ctrl-C
	@$(COMPOSE) logs --follow --tail 100

redis: $(VENV)/local.stamp ## redis-cli at the portal's Redis: make redis args="get user:1"
	@$(BIN)/python -m local redis

flask: $(VENV)/local.stamp ## the flask command of a service: make flask service=usermanagement args="routes"
	@$(BIN)/python -m local flask

shell: $(VENV)/local.stamp ## a Python prompt in a service: make shell service=usermanagement
	@$(BIN)/python -m local shell

reset: $(VENV)/local.stamp ## remove what make run has stored
	@$(BIN)/python -m local reset

test: $(VENV)/test.stamp ## every test
	@$(MAKE) --no-print-directory --jobs 2 $(SYNC) test-e2e $(LONGEST_FIRST:%=test-%) test-rest

# Two runs of pytest side by side, each with servers of its own. Their output comes when they end.
LONGEST_FIRST := usermanagement-service $(filter-out usermanagement-service,$(SERVICES))
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)
test-e2e:
	@$(BIN)/pytest tests/e2e
test-rest:
	@$(BIN)/pytest tests reliability --ignore tests/e2e
test-%:
	@$(BIN)/pytest $*/tests

lint: $(VENV)/test.stamp ## style and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy common local tests benchmarks conftest.py
	MYPYPATH=usermanagement-service $(BIN)/mypy reliability
	@for service in $(SERVICES); do echo mypy $$service && (cd $$service && MYPYPATH=.. ../$(BIN)/mypy --config-file ../pyproject.toml app wsgi.py gunicorn.conf.py tests) || exit 1; done

format: $(VENV)/test.stamp ## put the code into the project's style
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/test.stamp $(VENV)/peers.stamp ## what benchmarks/README.md describes
	@$(BIN)/python -m benchmarks

stress: $(VENV)/test.stamp ## cache consistency under failures, a minute: make stress args="--plain --seconds 20"
	@$(BIN)/python -m reliability cache $(args)

chaos-tasks: $(VENV)/test.stamp ## tasks take effect exactly once, a minute: make chaos-tasks args="--postgres --bookings 300"
	@$(BIN)/python -m reliability tasks $(args)

chaos-notifications: $(VENV)/test.stamp ## notifications are delivered, a minute: make chaos-notifications args="--postgres"
	@$(BIN)/python -m reliability notifications $(args)

lock: ## renew requirements/*.txt from the .in files (needs uv)
	@for set in run local test peers; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate requirements/$$set.in -o requirements/$$set.txt || exit 1; done

$(VENV)/local.stamp: requirements/local.txt
	$(call install,local)

$(VENV)/test.stamp: requirements/test.txt
	$(call install,test)
	@: > $(VENV)/local.stamp

# Apart from $(VENV), and emptied first: what the services run with must not depend on these.
$(VENV)/peers.stamp: requirements/peers.txt | $(VENV)/test.stamp
	@echo "Installing requirements/peers.txt into $(VENV)/peers"
	@$(BIN)/python -m venv --clear $(VENV)/peers
	@$(VENV)/peers/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peers.txt
	@: > $@
