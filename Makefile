# What CI runs is what you run. `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

# The system's own interpreter first: Debian builds it with profile-guided optimisation, which a put feels (10 %).
PYTHON ?= $(or $(firstword $(shell PATH=/usr/bin:$$PATH command -v python3.11 python3.12 python3.13 python3)),python3)
export PYTHON
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
SECONDS_EACH ?= 10
ROUNDS ?= 3
SCENARIOS ?= kill stop part restart replace sizes stuck

.PHONY: help setup run cluster test check format proto rewrite property bench bench-short chaos chaos-cluster fuzz slow power systemd differential fuzz-gateway compat patroni profile clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- setting up -------------------------------------------------------------------------------------------------------
setup: .venv/.dev ## set up everything: system packages, .venv, development tools, the oracle

$(BIN)/python:
	.ci/packages run
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "zetcd needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"

.venv/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

.venv/.dev: pyproject.toml .ci/packages | $(BIN)/python
	.ci/packages test
	$(BIN)/python -m pip install -q -e . --group dev
	@touch .venv/.run $@

# -- using it ---------------------------------------------------------------------------------------------------------
run: .venv/.run ## set up and run one member in ./default.zetcd (tcp://127.0.0.1:2378, http://127.0.0.1:2379); ARGS="--flag value"
	exec $(BIN)/zetcd --name default --data-dir default.zetcd $(ARGS)

cluster: .venv/.run ## set up and run three members in ./local.zetcd (tcp://127.0.0.1:2378, 2388, 2398; http:// one above each)
	exec $(BIN)/zetcd local-cluster $(ARGS)

# -- proving it -------------------------------------------------------------------------------------------------------
test: check ## set up and pass the tests (the default suite: what CI runs)
	$(PYTEST) -q -n $(WORKERS) --dist loadgroup --ignore tests/tidy $(ARGS)

check: .venv/.dev ## ruff, formatting, types, import floors, tidy tests: fast
	$(BIN)/ruff check zetcd tests
	$(BIN)/ruff format --check zetcd tests
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(PYTEST) -q tests/tidy

format: .venv/.dev ## rewrite the sources as ruff wants them
	$(BIN)/ruff check --fix zetcd tests
	$(BIN)/ruff format zetcd tests

proto: .venv/.dev ## write zetcd_pb anew from proto/*.proto
	$(BIN)/python proto/generate.py

rewrite: .venv/.dev ## write the transcripts of the Raft core (tests/transcripts) anew; judge the difference by `git diff`
	REWRITE=1 $(PYTEST) -q -n 0 tests/transcripts

property: .venv/.dev ## the property tests with fresh examples: EXAMPLES=1000 each (those that say how many keep to it)
	HYPOTHESIS_PROFILE=fresh EXAMPLES=$(or $(EXAMPLES),1000) $(PYTEST) -q -n $(WORKERS) --timeout 1800 -m "not slow" $$(grep -rlE "hypothesis" tests/unit tests/property --include="test_*.py")

slow: .venv/.dev ## the tests too long for every run (marker slow)
	$(PYTEST) -q -m slow --timeout 1800 $(ARGS)

chaos: .venv/.dev ## kill every kind of process under load: KILLS=56 SEED=1
	$(BIN)/python -m tests.process.crash --kills $(or $(KILLS),56) --seed $(or $(SEED),1)

chaos-cluster: .venv/.dev ## leaders killed, stopped, cut off; members restarted, replaced; beside etcd: KILLS=30 SCENARIOS="kill part"
	for scenario in $(SCENARIOS); do \
	    $(BIN)/python -m tests.process.failover $$scenario --kills $(or $(KILLS),30) || [ $$? -eq 77 ] || exit 1; \
	done

power: .venv/.dev ## real power loss on a loop-mounted file system, with its control (marker power; needs root)
	$(PYTEST) -q -m power --timeout 1800 $(ARGS)

systemd: .venv/.dev ## the units under a real systemd (marker systemd; needs root)
	$(PYTEST) -q -m systemd --timeout 600 $(ARGS)

fuzz: .venv/.dev ## coverage-guided and property fuzzing of every decoder, minutes each (marker fuzz)
	$(PYTEST) -q -m fuzz --timeout 3600 $(ARGS)

differential: .venv/.dev ## the long comparison with real etcd: STEPS=20000 SEED=... (0 draws one)
	$(BIN)/python -m tests.compat.differential --steps $(or $(STEPS),20000) --seed $(or $(SEED),0)

patroni: .venv/.dev ## Patroni and two PostgreSQL nodes on three members, switched over and killed (2 minutes): ARGS="--server etcd"
	.ci/packages patroni
	$(BIN)/python -m tests.compat.patroni $(ARGS)

fuzz-gateway: .venv/.dev ## the same steps and streams through gRPC, then JSON: STEPS=50000 each, SEED=... (0 draws one)
	for through in grpc json; do \
	    $(BIN)/python -m tests.compat.differential --through $$through --steps $(or $(STEPS),50000) --seed $(or $(SEED),0) || exit 1; \
	done

compat: .venv/.dev ## other people's clients: suites of three Python clients on 1 and 3 members; etcdctl beside etcd, all formats
	$(BIN)/python -m tests.compat.suites --members 1
	$(BIN)/python -m tests.compat.suites --members 3
	$(BIN)/python -m tests.compat.etcdctl --checks

# -- measuring it -----------------------------------------------------------------------------------------------------
bench: .venv/.dev ## the whole comparison with etcd into docs/benchmarks (about 25 minutes; nothing else running)
	$(BIN)/python -m tests.bench --seconds $(SECONDS_EACH) --rounds $(ROUNDS) --keys 1000000 --output docs/benchmarks

bench-short: .venv/.dev ## the same with short runs and few keys into build/bench: does it work, not how fast
	$(BIN)/python -m tests.bench --seconds 1 --rounds 1 --keys 5000 --output build/bench

clean: ## remove what the targets above made, but no data directory
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .venv
