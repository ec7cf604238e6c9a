SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest $(PYTEST_ARGS)
# Each worker has engines of its own. Files are handed out in the order in which they are named: the short ones at the end.
WORKERS ?= 2
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' --python-version 3.11 --python-platform linux

.PHONY: help machine setup run secrets demo test test-machine test-unit test-component test-stories test-faults test-compose \
	up down logs ps backup sbom rotate bench bench-scaling lint format \
	contracts check-contracts configuration lock clean

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

machine: ## install the Debian packages that the local run needs, where they are missing
	@deploy/local/install.sh

setup: $(STAMP) ## make .venv with everything pinned, and the doorstep command

# What is installed is named by these two files; when neither changed there is nothing to do.
$(STAMP): requirements/dev.txt pyproject.toml
	@PYTHON='$(PYTHON)' requirements/install.sh
	@touch $@

run: machine setup ## start everything on this machine without Docker, until Ctrl-C
	@$(BIN)/python -m deploy.local.run

# In a container, as the user whose files they shall be: nothing but Docker is needed.
MAKE_SECRETS := docker compose run --rm --build --no-TTY --user "$$(id -u):$$(id -g)" secrets python -m deploy.local.secrets

secrets: ## make the secrets that docker compose hands to the containers, in .doorstep/secrets
	@mkdir -p -m 700 "$${DOORSTEP_DATA_DIR:-.doorstep}"
	@$(MAKE_SECRETS)

demo: machine setup ## play one day of 400 orders and check that all are accounted for
	@$(BIN)/python -m deploy.demo.play

test-machine:
	@deploy/local/install.sh --tests

test: test-machine setup ## run every test but those in containers: unit, component, stories, faults
	@$(PYTEST) --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder tests/unit tests/faults tests/stories tests/component

test-unit: setup ## run the tests of the rules, no broker and no database
	@$(PYTEST) tests/unit

test-component: machine setup ## run the tests of one service on a real broker and database
	@$(PYTEST) tests/component

test-stories: machine setup ## run the stories through all four services
	@$(PYTEST) tests/stories

test-faults: machine setup ## run the tests that kill, cut and corrupt
	@$(PYTEST) tests/faults

test-compose: setup ## run the deployment in containers on a Docker Engine of its own (as root)
	@deploy/local/install.sh --docker
	@$(PYTEST) tests/compose

up: secrets ## start everything in containers and wait until it is healthy
	@docker compose up --build --detach --wait

down: ## stop the containers; the data stay
	@docker compose --profile '*' down

logs: ## follow what the containers say
	@docker compose logs --follow --tail 100

ps: ## show the containers and how they are
	@docker compose ps --all

backup: ## save all documents, as they are at this moment, into doorstep-<time>.backup
	@umask 077; file=doorstep-$$(date -u +%Y%m%dT%H%M%SZ).backup; docker compose run --rm --no-TTY backup save >"$$file" && echo "$$file"

sbom: setup ## list what the image's Python consists of (CycloneDX), in build/doorstep.cdx.json
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements requirements/run.txt --output-reproducible --of JSON --output-file build/doorstep.cdx.json

rotate: ## other passwords and the next sealing key, one service after the other
	@$(MAKE_SECRETS) rotate
	@deploy/compose/rotate.sh

bench: machine setup ## measure speed against a bare program and against plain handlers
	@$(BIN)/python -m tests.bench.run
	@$(BIN)/python -m tests.bench.claims
	@$(BIN)/python -m tests.bench.planning
	@$(BIN)/python -m tests.bench.rounds
	@$(BIN)/python -m tests.bench.reading
	@$(BIN)/python -m tests.bench.imports

bench-scaling: machine setup ## measure what one, two and four replicas of each service cost
	@$(BIN)/python -m tests.bench.scaling

# Each check runs even when one before it failed, so that one run tells everything.
lint: setup ## check style, types and import rules
	@export PYRIGHT_PYTHON_IGNORE_WARNINGS=1; failed=; \
	for check in 'ruff check .' 'ruff format --check .' 'mypy shared services deploy' pyright lint-imports; do \
		echo "-- $$check"; $(BIN)/$$check || failed+=" '$$check'"; \
	done; \
	[[ -z "$$failed" ]] || { echo "Failed:$$failed" >&2; exit 1; }

format: setup ## put the code in its usual shape
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

contracts: setup ## write the schemas and the AsyncAPI document again
	@$(BIN)/python -m deploy.contracts.generate

check-contracts: setup ## fail when the contracts in git differ or break an old reader
	@$(BIN)/python -m deploy.contracts.generate --check

configuration: setup ## write docs/configuration.md again
	@$(BIN)/python -m deploy.configuration

lock: setup ## pin the newest versions of everything in requirements/*.in
	@$(COMPILE) requirements/run.in --output-file requirements/run.txt
	@$(COMPILE) requirements/dev.in --constraint requirements/run.txt --override requirements/overrides.txt \
		--output-file requirements/dev.txt

clean: ## remove what was built, keep the data in .doorstep
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
