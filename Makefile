# General Circle. `make help` lists the targets; ARGS="…" hands arguments on to run, demo, bench, soak and the tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The compiled twins of plain modules; the .pxd file is what they share.
TWINS := $(wildcard schemas/native_*.pyx pipelines/reservations/native_*.pyx pipelines/reservations/core/native_*.pyx \
	api/http/native_*.pyx)
ARGS ?=
# How many drops `make soak` runs.
ROUNDS ?= 10
# Test processes that compute or have a JVM, and those whose tests also wait for small servers of their own: with two of
# these a machine of two cores rests for a sixth of the time.
TEST_WORKERS ?= 2
SERVER_TEST_WORKERS ?= 3
# With this set, each of the thousands of processes that the tests start compiles its modules once more.
unexport PYTHONDONTWRITEBYTECODE
# PYTHON=… picks another interpreter than ops/run/pick_python.sh does; it has to be 3.11 or 3.12.
PYTHON ?=
# A file's tests share servers. The files with the longest tests come first, so that no process ends long after the other.
# A process that crashes fails the run: one in its place may wait for ever for the rest of the file.
BY_FILE := --dist loadfile --no-loadscope-reorder --max-worker-restart 0
FIRST := tests/integration/ops tests/integration/pipelines
SERVER_TESTS = $(wildcard tests/faults tests/e2e $(FIRST) tests/integration/test_*.py) \
	$(filter-out $(FIRST) %/__pycache__,$(patsubst %/,%,$(wildcard tests/integration/*/)))
PYTEST = $(BIN)/python -m pytest -n $(TEST_WORKERS) $(BY_FILE)
SERVER_PYTEST = $(BIN)/python -m pytest -n $(SERVER_TEST_WORKERS) $(BY_FILE)
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet

# Where no hub can be reached, CIRCLE_IMAGES=circle.local/ takes the images that `make images` has built.
CIRCLE_IMAGES ?=
export CIRCLE_IMAGES
COMPOSE = docker compose -f compose.yaml $(if $(CIRCLE_IMAGES),-f ops/containers/without_a_hub.yaml) --profile full

.PHONY: help setup run demo bench soak test test-unit test-kafka test-long test-machines screenshots lint fmt lock clean images test-containers \
	test-containers-short \
	compose-config compose-build compose-up compose-down compose-logs

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the environment in .venv (does nothing when it is up to date)

$(STAMP): requirements.lock requirements-installer.lock pyproject.toml $(TWINS) schemas/struct_fields.pxd
	@python="$(PYTHON)"; python=$${python:-$$($(SHELL) ops/run/pick_python.sh)}; \
	if ! "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then \
		echo "error: Python 3.11 or 3.12 is needed (Bytewax has no wheels for others); found: $$("$$python" --version 2>/dev/null || python3 --version 2>/dev/null || echo no python3)." >&2; \
		echo "       Name one with: make setup PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	echo "setup: $$("$$python" --version) ($$python) -> $(VENV)"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock || { \
		echo "setup: uv cannot install the packages; pip does (it knows other settings, and takes longer)"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=compat -e .
	@for twin in $(subst /,.,$(basename $(TWINS))); do $(BIN)/python -c "import $$twin" 2>/dev/null || \
		echo "setup: $$twin was not compiled (no C compiler, or no Python.h?): its plain module works, and takes more time"; done
	@touch $@

run: setup ## start the whole platform in this terminal (ARGS="--port 8123")
	@exec $(BIN)/python -I -S ops/run/foreground.py $(BIN)/circle up $(ARGS)

demo: setup ## a whole sold-out drop against a fresh stack, with every invariant checked
	@exec $(BIN)/circle demo $(ARGS)

bench: setup ## throughput and CPU per request by process
	@exec $(BIN)/circle bench $(ARGS)

soak: setup ## whole sold-out drops one after the other, each with its own seed (ROUNDS=10 ARGS="--buyers 5000")
	@for round in $$(seq $(ROUNDS)); do echo "round $$round of $(ROUNDS)"; $(BIN)/circle demo --seed "$$round" $(ARGS); done

test: setup ## unit, simulation, contract, integration and end-to-end tests
	@.ci/beside 19 "$(PYTEST) --timeout 600 $(wildcard tests/unit tests/simulation tests/contract) $(subst ",\",$(ARGS))" \
		$(SERVER_PYTEST) $(SERVER_TESTS) -m "not kafka and not long" $(ARGS)

test-unit: setup ## the unit and contract tests, the quickest round
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) $(wildcard tests/unit tests/contract) $(ARGS)

test-kafka: setup ## the tests on Apache Kafka (a JDK 17 and Maven are needed)
	@$(BIN)/circle kafka resolve
	@$(PYTEST) $(wildcard tests/faults tests/kafka/test_*.py) tests/kafka/ops -m kafka $(ARGS)

screenshots: setup ## make the pictures of the console in the guide (Chromium is needed)
	@$(BIN)/python -m tests.harness.screenshots

test-long: setup ## the tests that take too long for each change: the cost laws, benches with baselines, the console at scale
	@$(SERVER_PYTEST) tests/e2e -m "long and not kafka" $(ARGS)

test-machines: setup ## the platform on many hosts: network namespaces that go, come and are cut off (root, a JDK 17, Maven)
	@$(BIN)/circle kafka resolve
	@$(BIN)/python -m pytest tests/machines -m machines $(ARGS)

lint: setup ## ruff, formatting, types, direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: setup ## format, and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: setup ## update the lock files from pyproject.toml
	@$(LOCK) pyproject.toml --extra dev -o requirements.lock
	@$(LOCK) pyproject.toml -c requirements.lock -o requirements-runtime.lock
	@for group in build installer; do $(LOCK) --group $$group -c requirements.lock -o requirements-$$group.lock; done
	@for tool in tests/contract/openapi/generator tests/kafka/ui; do $(LOCK) $$tool.txt -o $$tool.lock; done

clean: ## remove the environment and every cache
	@rm -rf $(VENV) build dist $(TWINS:.pyx=.c) $(TWINS:.pyx=.*.so) *.egg-info .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

images: setup ## build the image, and stand-ins for the hub's images, without a hub (an engine is started if none answers)
	@$(BIN)/python -m ops.containers.images

test-containers: images ## the stack in containers: the image, a drop, kills, an upgrade, backup and restore
	@$(BIN)/python -m pytest tests/containers -m containers $(ARGS)
	@$(BIN)/python -m ops.containers.with_engine $(PYTEST) tests/faults tests/kafka/test_*.py tests/kafka/ops -m kafka --containers $(ARGS)

test-containers-short: setup ## the image, built here where an engine can be had, and a drop in containers where `make images` has built the rest
	@$(BIN)/python -m ops.containers.short $(BIN)/python -m pytest tests/containers/test_image.py tests/containers/test_stack.py -m containers $(ARGS)

compose-config: ## check compose.yaml (Docker)
	$(COMPOSE) config --quiet

compose-build: ## build the image (Docker)
	$(COMPOSE) build

compose-up: ## the full stack in Docker (CIRCLE_IMAGES=circle.local/ takes the stand-ins of `make images`)
	$(COMPOSE) up --detach --wait

compose-down: ## stop it (ARGS=--volumes forgets its data)
	$(COMPOSE) down $(ARGS)

compose-logs: ## follow its logs
	$(COMPOSE) logs --follow
