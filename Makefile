# Two commands do all the set-up: `make load-100` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN = $(BIN)/loadproof run
WORKERS ?= 3
FUZZ_S ?= 600
ROUNDS ?= 20
SCENARIOS ?= load-100 spike-1000 soak-10m
GATE ?=
MUTATION_S ?= 600
TEST_PROCESSES ?= 4
PYTEST = $(BIN)/python -m pytest --durations=10 --durations-min=1
SIDE_BY_SIDE = -n $(TEST_PROCESSES) --dist loadgroup
TRACED = $(if $(COVERAGE),--cov --cov-report= --cov-fail-under=0)
# Hundreds of processes would compile the same modules again where the environment forbids to keep bytecode.
unexport PYTHONDONTWRITEBYTECODE
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help load-100 smoke spike-1000 soak-10m breakpoint distributed compose gate ui target
.PHONY: test test-fast test-long check check-all mutation fuzz format schema sample golden lock clean
.PHONY: bench bench-throughput bench-truth bench-rate bench-starvation bench-coverage bench-analysis bench-adversary bench-revisions
.PHONY: flood-1000 flood-5000 redis-drill backup-drill alerts-drill

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

load-100: $(VENV)/installed ## 100 concurrent users, then 100 simultaneous requests; about 90 seconds.
	@$(RUN) scenarios/load-100.yaml

smoke: $(VENV)/installed ## Ten seconds of ten users.
	@$(RUN) scenarios/smoke.yaml

spike-1000: $(VENV)/installed ## A minute of 1000 requests per second.
	@$(RUN) scenarios/spike-1000.yaml

soak-10m: $(VENV)/installed ## Ten minutes of steady load.
	@$(RUN) scenarios/soak-10m.yaml

breakpoint: $(VENV)/installed ## Stairs beyond what the target takes, and back.
	@$(RUN) scenarios/breakpoint.yaml

gate: $(VENV)/installed ## Run SCENARIOS one after the other and sum up (load-100, spike-1000, soak-10m unless given).
	@$(BIN)/loadproof gate $(SCENARIOS:%=scenarios/%.yaml) $(GATE)

distributed: $(VENV)/installed ## load-100 from WORKERS processes of this machine (3 unless given).
	@$(RUN) scenarios/load-100.yaml --workers $(WORKERS)

compose: ## load-100 by docker-compose: target, master and WORKERS workers in containers.
	@WORKERS=$(WORKERS) LOADPROOF_UID=$$(id -u) LOADPROOF_GID=$$(id -g) \
		$(COMPOSE) up --build --exit-code-from master; code=$$?; $(COMPOSE) down --timeout 5; exit $$code

ui: $(VENV)/installed ## Locust's web UI on the same users, against the embedded target.
	@$(BIN)/loadproof ui

target: $(VENV)/installed ## The embedded target alone, on port 8000.
	@$(BIN)/python -m payments_api --port 8000

# Simulations are not traced: it would take thrice their time.
test: $(VENV)/developed ## The tests, but for the long ones; simulations by a quarter.
	@$(PYTEST) $(SIDE_BY_SIDE) -m "not quiet and not long $(if $(COVERAGE),and not statistics)" $(TRACED)
	@$(if $(COVERAGE),$(PYTEST) $(SIDE_BY_SIDE) -m "statistics and not quiet and not long")
	@$(PYTEST) tests/end_to_end -m "quiet and not long" $(if $(COVERAGE),--cov --cov-append --cov-report=term --cov-fail-under=90)

test-long: $(VENV)/developed ## The long ones: real runs of several processes, or of half a minute.
	@$(PYTEST) $(SIDE_BY_SIDE) -m "long and not quiet"
	@$(PYTEST) tests/end_to_end -m "long and quiet"

test-fast: $(VENV)/developed ## The tests that start no program, simulate nothing and open no browser.
	@$(PYTEST) -n 2 -m "not process and not statistics and not browser"

check: $(VENV)/developed ## Lint, types, and `make test` with coverage.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory test COVERAGE=1

check-all: $(VENV)/developed ## As check, with all simulations, the long tests, and mutation.
	@LOADPROOF_SIMULATIONS=all $(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory test-long
	@$(MAKE) --no-print-directory mutation

mutation: $(VENV)/developed ## Plant faults in what judges and counts, MUTATION_S seconds for each part (600 unless given): do tests notice?
	@$(BIN)/python -m bench.mutation --seconds $(MUTATION_S); code=$$?; $(BIN)/python -m bench.tables; exit $$code

bench-throughput: $(VENV)/developed ## loadproof beside Locust's clients, k6, hey and wrk (needs them and nginx).
	@$(BIN)/python -m bench.throughput
	@$(BIN)/python -m bench.tables
	@sed -n '/<!-- throughput/,/<!-- end/p' docs/performance.md

bench-truth: $(VENV)/developed ## What loadproof, k6, Locust, hey and wrk report, beside the server's own log.
	@$(BIN)/python -m bench.truth
	@$(BIN)/python -m bench.tables

bench-rate: $(VENV)/developed ## How late and how costly 1000 requests per second are, beside k6.
	@$(BIN)/python -m bench.rate
	@$(BIN)/python -m bench.tables

bench-starvation: $(VENV)/developed ## A starved generator or a slow target, 20 times each: does the verdict tell?
	@$(BIN)/python -m bench.starvation
	@$(BIN)/python -m bench.tables

bench-coverage: $(VENV)/developed ## How often intervals cover the truth, however alike seconds are.
	@$(BIN)/python -m bench.coverage
	@$(BIN)/python -m bench.tables

bench-analysis: $(VENV)/developed ## Time and memory of reports on runs of 1, 3 and 10 times the size.
	@$(BIN)/python -m bench.analysis
	@$(BIN)/python -m bench.tables

bench-adversary: $(VENV)/developed ## Hostile and honest targets, workers and files: is the word right? ROUNDS of the honest ones (20 unless given).
	@$(BIN)/python -m bench.adversary --honest-rounds $(ROUNDS); code=$$?; $(BIN)/python -m bench.tables; exit $$code

bench-revisions: $(VENV)/developed ## What the code costs beside an earlier revision: BEFORE=<revision> (needs nginx).
	@$(BIN)/python -m bench.revisions $(BEFORE)

bench: bench-throughput bench-truth bench-rate bench-starvation bench-coverage bench-analysis ## All benchmarks, and their tables in the documents.
	@$(BIN)/python -m bench.clients
	@$(BIN)/python -m bench.parts
	@$(BIN)/python -m bench.request_profile
	@$(BIN)/python -m bench.target_capacity
	@$(BIN)/python -m bench.protection
	@$(BIN)/python -m bench.tables

flood-1000: $(VENV)/developed ## A minute of 1000 requests per second from one address, beside clients that keep to their limits.
	@$(BIN)/python -m drills.flood

flood-5000: $(VENV)/developed ## 5000 requests per second from one address for 15 seconds: the neighbours' p(95) against their calm one.
	@$(BIN)/python -m drills.flood --rps 5000 --seconds 15

redis-drill: $(VENV)/developed ## Redis killed, back, hung and continued under load: what clients and limits see of it.
	@$(BIN)/python -m drills.redis

alerts-drill: $(VENV)/developed ## A ledger that can't be read: what Telegram and Sentry are told of it; half a minute.
	@$(BIN)/python -m drills.alerts

backup-drill: $(VENV)/installed ## Back the API up under load, restore, and look for every payment acknowledged before.
	@$(BIN)/python -m drills.backup

fuzz: $(VENV)/developed ## Fuzz the parser of answers for FUZZ_S seconds (600 unless given).
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	@mkdir -p .fuzz && $(BIN)/python -m tests.loadproof.http.fuzz_answers .fuzz -artifact_prefix=.fuzz/ -max_total_time=$(FUZZ_S)

format: $(VENV)/developed ## Format the code.
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

schema: $(VENV)/installed ## Generate the JSON schemas of scenarios and target files for editors, and of verdicts.
	@$(BIN)/loadproof schema > scenarios/scenario.schema.json
	@$(BIN)/loadproof schema target > scenarios/target.schema.json
	@$(BIN)/loadproof schema verdict > reports/verdict.schema.json

sample: $(VENV)/developed ## Make the run in reports/sample and its picture anew (needs chromium).
	@$(BIN)/python docs/make_sample.py

golden: $(VENV)/developed ## Write the expected outputs in tests/golden anew.
	@$(BIN)/python -m pytest -q tests/analysis/test_golden.py --refresh-golden

lock: ## Write requirements.lock anew (needs uv).
	uv pip compile --universal --python-version 3.11 --extra dev --no-emit-index-url --no-header --no-annotate \
		pyproject.toml -o requirements.lock

clean: ## Remove the virtual environment and all caches; run directories stay.
	rm -rf $(VENV) *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml requirements.lock
	@$(call create-venv)
	@echo "installing into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint requirements.lock --editable '.[all]'
	@touch $@

$(VENV)/developed: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint requirements.lock --editable '.[dev]'
	@touch $@

# One line for each thing that may be missing, instead of a traceback.
define create-venv
	command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON); install Python 3.11 or newer" >&2; exit 2; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$($(PYTHON) --version) is too old; install Python 3.11 or newer, or give PYTHON=..." >&2; exit 2; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 2; }; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
endef
