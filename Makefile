# `make load-100` and `make test` do all the set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN = $(BIN)/loadproof run
WORKERS ?= 3
FUZZ_S ?= 600
ROUNDS ?= 20
SEARCHES ?= 10
DUELS ?= 40
SCENARIOS ?= load-100 spike-1000 soak-10m
GATE ?=
WAY ?= direct
MUTATION_S ?= 120
JOBS ?= 5
ALL_SIMULATIONS = $(filter all,$(LOADPROOF_SIMULATIONS))
PYTEST = $(BIN)/python -m pytest --durations=10 --durations-min=1 $(if $(ALL_SIMULATIONS),--timeout 900)
# Without bytecode files, hundreds of processes would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help load-100 smoke spike-1000 soak-10m breakpoint limits distributed-limits redis-down burst-limits penalties bots flood-1000 crash metastable ledger webhooks backup duel distributed compose gate ui target
.PHONY: test test-fast test-quiet test-long long-side-by-side long-quiet lint check check-all mutation fuzz format schema sample picture golden lock clean
.PHONY: bench bench-throughput bench-truth bench-rate bench-starvation bench-coverage bench-compare-errors bench-history bench-verdict bench-analysis bench-adversary bench-revisions bench-looks bench-compare bench-capacity
.PHONY: properties properties-quick flood-drill flood-5000 redis-drill backup-drill alerts-drill

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

load-100: $(VENV)/installed ## 100 concurrent users, then 100 simultaneous requests; about 90 seconds.
	@$(RUN) scenarios/load-100.yaml

smoke: $(VENV)/installed ## Ten users for ten seconds.
	@$(RUN) scenarios/smoke.yaml

spike-1000: $(VENV)/installed ## A minute at 1000 requests per second.
	@$(RUN) scenarios/spike-1000.yaml

soak-10m: $(VENV)/installed ## Ten minutes of steady load.
	@$(RUN) scenarios/soak-10m.yaml

breakpoint: $(VENV)/installed ## Step the load past capacity and back.
	@$(RUN) scenarios/breakpoint.yaml

limits: $(VENV)/installed ## Audit the limits of clients that reach them again and again; 20 seconds.
	@$(RUN) scenarios/limits.yaml

distributed-limits: $(VENV)/installed ## Audit limits that two processes share in one Redis; 20 seconds.
	@$(RUN) scenarios/distributed-limits.yaml

redis-down: $(VENV)/installed ## Kill the Redis that two processes share, then hang it, and audit their limits; 40 seconds.
	@$(RUN) scenarios/redis-down.yaml

bots: $(VENV)/installed ## Audit lists, the bot check and ways around limits; 20 seconds.
	@$(RUN) scenarios/bots.yaml

flood-1000: $(VENV)/installed ## Audit the limit of a client that sends 1000 requests per second next to others; a minute.
	@$(RUN) scenarios/flood-1000.yaml

crash: $(VENV)/installed ## Kill the API mid-payment, and audit its ledger; 45 seconds.
	@$(RUN) scenarios/crash.yaml

burst-limits: $(VENV)/installed ## Audit a limit with simultaneous requests from one client; 25 seconds.
	@$(RUN) scenarios/burst-limits.yaml

penalties: $(VENV)/installed ## Audit the growing back-off; 30 seconds.
	@$(RUN) scenarios/penalties.yaml

metastable: $(VENV)/installed ## A retry storm keeps the API down (which must FAIL), and fewer retries don't (which must PASS); 2 minutes.
	@$(RUN) scenarios/metastable.yaml; code=$$?; [ $$code -eq 1 ] || { echo "a FAIL was expected, not exit $$code"; exit 1; }
	@$(RUN) scenarios/metastable.yaml --set retries.times=1

ledger: $(VENV)/installed ## Audit the ledger after 16,000 payments; 80 seconds.
	@$(RUN) scenarios/ledger.yaml

webhooks: $(VENV)/installed ## Audit the effects of 4,000 webhooks, some of them delivered twice; 25 seconds.
	@$(RUN) scenarios/webhooks.yaml

backup: $(VENV)/installed ## Back up the API while payments are running, restore it, and look for every payment; 50 seconds.
	@$(RUN) scenarios/backup.yaml

gate: $(VENV)/installed ## Run SCENARIOS one after the other and summarise them (default: load-100 spike-1000 soak-10m).
	@$(BIN)/loadproof gate $(SCENARIOS:%=scenarios/%.yaml) $(GATE)

# The second candidate takes 22 ms instead of 20: a duel that notices exits with 1, as it should.
duel: $(VENV)/installed ## Compare the API with itself, then with a slower one: looks after 4 and 6 runs of each; five minutes.
	@$(BIN)/loadproof duel scenarios/duel.yaml --quick --baseline '$(call api,20)' --aa; code=$$?; test $$code -ne 1 || exit 1
	@$(BIN)/loadproof duel scenarios/duel.yaml --quick --baseline '$(call api,20)' --candidate '$(call api,22)'; \
		test $$? -eq 1

distributed: $(VENV)/installed ## load-100 from WORKERS processes on this machine (default: 3).
	@$(RUN) scenarios/load-100.yaml --workers $(WORKERS)

compose: ## load-100 in docker-compose: target, master and WORKERS workers in containers.
	@WORKERS=$(WORKERS) LOADPROOF_UID=$$(id -u) LOADPROOF_GID=$$(id -g) \
		$(COMPOSE) up --build --exit-code-from master; code=$$?; $(COMPOSE) down --timeout 5; exit $$code

ui: $(VENV)/installed ## Serve Locust's web UI for the same users, against the embedded target.
	@$(BIN)/loadproof ui

target: $(VENV)/installed ## Run the embedded target alone, on port 8000.
	@$(BIN)/python -m payments_api --port 8000

# Parts of the tests, one process each, JOBS of them in parallel: in a single pool, each process would collect every
# test. Parts that mostly wait start first, so that none runs alone at the end.
PARTS := payments_api others running engine analysis judging statistics
QUICK_PARTS := any_analysis any_loadproof any_others
ignored = $(patsubst %,--ignore=%,$(1))
IN_any_analysis := tests/analysis
IN_any_loadproof := tests/loadproof tests/test_architecture.py
IN_any_others := tests $(call ignored,$(IN_any_analysis) $(IN_any_loadproof))
IN_payments_api := tests/payments_api
IN_judging := tests/analysis/judge tests/analysis/audit tests/analysis/estimates tests/analysis/frames
IN_analysis := $(IN_any_analysis) $(call ignored,$(IN_judging))
IN_running := tests/loadproof/run tests/loadproof/cli
IN_engine := $(IN_any_loadproof) $(call ignored,$(IN_running))
IN_statistics := tests/statistics $(if $(ALL_SIMULATIONS),-n 2)
# Long tests make real runs, which mostly wait.
IN_others = $(IN_any_others) $(call ignored,tests/payments_api tests/statistics) $(if $(IS_LONG),-n 3 --dist loadgroup)
# Quiet tests must run alone, whatever the caller's --jobs; a failure hides no other.
IN_TURN = $(MAKE) --no-print-directory --jobs=1 --keep-going
SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=$(JOBS) --keep-going
# No coverage of simulations: they would take three times as long.
TRACED = $(if $(COVERAGE),$(if $(filter statistics,$*),,--cov --cov-report= --cov-fail-under=0))
COVERED := $(CURDIR)/.coverage-parts
SLOWEST := $(CURDIR)/.slowest-tests

part-%: $(VENV)/developed
	@mkdir -p $(SLOWEST)
	@bash -o pipefail -c 'COVERAGE_FILE=$(COVERED)/$* $(PYTEST) -q $(IN_$*) -m "$(MARKS)" $(TRACED) \
		| awk -v part=$* -v slowest=$(SLOWEST)/$* -f tests/part.awk'

# The parts side by side, then the slowest tests of all: marks, and variables of the parts.
define run-parts
	@rm -rf $(SLOWEST)
	@$(SIDE_BY_SIDE) $(1:%=part-%) MARKS="$(2)" $(3); code=$$?; \
		echo "the ten slowest:"; cat $(SLOWEST)/* 2>/dev/null | sort -rn | head -10; exit $$code
endef

test: $(VENV)/developed ## Run the tests except the long and the quiet ones, with a quarter of the simulations.
	$(call run-parts,$(PARTS),not quiet and not long)

test-quiet: $(VENV)/developed ## Run the tests that need the machine to themselves, except the long ones; half a minute.
	@COVERAGE_FILE=$(COVERED)/quiet $(PYTEST) tests/end_to_end -m "quiet and not long" $(TRACED)

test-long: $(VENV)/developed ## Run the long tests: real runs with several processes, or of half a minute.
	@$(IN_TURN) long-side-by-side long-quiet

long-side-by-side:
	$(call run-parts,$(PARTS),long and not quiet,IS_LONG=1)

long-quiet:
	@$(PYTEST) tests/end_to_end -m "long and quiet"

test-fast: $(VENV)/developed ## Run the quick tests, which start no program, simulate nothing and open no browser; about a minute.
	$(call run-parts,$(QUICK_PARTS),not slow and not long and not process and not statistics and not browser)

lint: $(VENV)/developed ## Check style and types.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

check: lint ## Lint, types, `make test` and `make test-quiet` with coverage.
	@rm -rf $(COVERED) && mkdir $(COVERED)
	@$(IN_TURN) test test-quiet COVERAGE=1
	@$(BIN)/coverage combine --quiet $(COVERED)/* && $(BIN)/coverage report

check-all: lint ## Lint, types, all tests with all simulations, without coverage, and mutation.
	@LOADPROOF_SIMULATIONS=all $(IN_TURN) test test-quiet test-long
	@$(MAKE) --no-print-directory mutation

mutation: $(VENV)/developed ## Plant faults in the code that judges and counts, MUTATION_S seconds per part (default: 120): do the tests notice?
	@$(BIN)/python -m bench.mutation --seconds $(MUTATION_S); code=$$?; $(BIN)/python -m bench.tables; exit $$code

bench-throughput: $(VENV)/developed ## Compare the speed of loadproof, Locust's clients, k6, hey and wrk (needs them and nginx).
	@$(BIN)/python -m bench.throughput
	@$(BIN)/python -m bench.tables
	@sed -n '/<!-- throughput/,/<!-- end/p' docs/performance.md

bench-truth: $(VENV)/developed ## Compare what loadproof, k6, Locust, hey and wrk report with the server's own log.
	@$(BIN)/python -m bench.truth
	@$(BIN)/python -m bench.tables

bench-rate: $(VENV)/developed ## Compare lateness and cost of 1000 requests per second with k6.
	@$(BIN)/python -m bench.rate
	@$(BIN)/python -m bench.tables

bench-starvation: $(VENV)/developed ## Starve the generator or slow the target, 20 times each: does the verdict tell them apart?
	@$(BIN)/python -m bench.starvation
	@$(BIN)/python -m bench.tables

bench-coverage: $(VENV)/developed ## How often intervals cover the truth, for several correlations between seconds.
	@$(BIN)/python -m bench.coverage
	@$(BIN)/python -m bench.tables

bench-compare-errors: $(VENV)/developed ## How often comparisons of releases are wrong, and what they find, simulated; about 3 minutes.
	@$(BIN)/python -m bench.compare_errors
	@$(BIN)/python -m bench.tables

bench-verdict: $(VENV)/developed ## The cases of the self-test through loadproof, k6, Locust and wrk: whose verdict is right? (needs k6 and wrk)
	@$(BIN)/python -m bench.verdict
	@$(BIN)/python -m bench.tables

bench-history: $(VENV)/developed ## How often a history raises a false alarm, and how soon it finds a slowdown, on simulated runs.
	@$(BIN)/python -m bench.history
	@$(BIN)/python -m bench.tables

bench-analysis: $(VENV)/developed ## Time and memory of reports on runs of 1, 3 and 10 times the size.
	@$(BIN)/python -m bench.analysis
	@$(BIN)/python -m bench.tables

bench-adversary: $(VENV)/developed ## Hostile and honest targets, workers and files: is the verdict right? ROUNDS of the honest ones (default: 20).
	@$(BIN)/python -m bench.adversary --honest-rounds $(ROUNDS); code=$$?; $(BIN)/python -m bench.tables; exit $$code

properties: $(VENV)/developed ## Try each promise on the reference API and on each of its mutants; hours.
	@$(BIN)/python -m bench.properties; code=$$?; $(BIN)/python -m bench.tables; exit $$code

properties-quick: $(VENV)/developed ## The same with short runs, and each mutant on the promise that it breaks; minutes.
	@$(BIN)/python -m bench.properties --quick --together 4; code=$$?; $(BIN)/python -m bench.tables; exit $$code

bench-capacity: $(VENV)/developed ## How often the interval of a capacity covers the truth: simulated, and SEARCHES real ones of eight minutes (default: 10).
	@$(BIN)/python -m bench.capacity simulated
	@$(BIN)/python -m bench.capacity real $(SEARCHES)
	@$(BIN)/python -m bench.tables

bench-looks: $(VENV)/developed ## Simulate thousands of duels: how often are they wrong, how soon do they end? Five minutes.
	@$(BIN)/python -m bench.looks
	@$(BIN)/python -m bench.tables

bench-compare: $(VENV)/developed ## Run up to DUELS real duels of equals and of slower releases each (default: 40; hours, resumable).
	@$(BIN)/python -m bench.duels $(DUELS); code=$$?; $(BIN)/python -m bench.tables; exit $$code

bench-revisions: $(VENV)/developed ## Compare the code's cost with an earlier revision: BEFORE=<revision> (needs nginx).
	@$(BIN)/python -m bench.revisions $(BEFORE)

bench: bench-throughput bench-truth bench-rate bench-starvation bench-coverage bench-history bench-analysis ## Run the benchmarks of speed and truth, and update their tables in the documentation; the other bench-* are run one by one.
	@$(BIN)/python -m bench.clients
	@$(BIN)/python -m bench.parts
	@$(BIN)/python -m bench.journal
	@$(BIN)/python -m bench.request_profile
	@$(BIN)/python -m bench.target_capacity
	@$(BIN)/python -m bench.protection
	@$(BIN)/python -m bench.tables

flood-drill: $(VENV)/developed ## Flood with 1000 requests per second from one address for a minute, while others keep to their limits: is the API's memory flat, too?
	@$(BIN)/python -m drills.flood

flood-5000: $(VENV)/developed ## Flood with 5000 requests per second from one address for 15 seconds, WAY=direct, proxy or anew: how does it affect other clients' p(95)?
	@$(BIN)/python -m drills.flood --rps 5000 --seconds 15 --way $(WAY)

redis-drill: $(VENV)/developed ## Kill, restart, hang and resume Redis under load: what do clients and limits notice?
	@$(BIN)/python -m drills.redis

alerts-drill: $(VENV)/developed ## Break the ledger: what do Telegram and Sentry receive? Half a minute.
	@$(BIN)/python -m drills.alerts

backup-drill: $(VENV)/installed ## Back up the API under load, restore, and check that every acknowledged payment is there.
	@$(BIN)/python -m drills.backup

fuzz: $(VENV)/developed ## Fuzz the HTTP response parser for FUZZ_S seconds (default: 600).
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	@mkdir -p .fuzz && $(BIN)/python -m tests.loadproof.http.fuzz_answers .fuzz -artifact_prefix=.fuzz/ -max_total_time=$(FUZZ_S)

format: $(VENV)/developed ## Format the code.
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

schema: $(VENV)/installed ## Generate the JSON schemas of scenarios and target files for editors, and of verdicts and comparisons.
	@$(BIN)/loadproof schema > scenarios/scenario.schema.json
	@$(BIN)/loadproof schema target > scenarios/target.schema.json
	@$(BIN)/loadproof schema verdict > reports/verdict.schema.json
	@$(BIN)/loadproof schema gate > reports/gate.schema.json
	@$(BIN)/loadproof schema capacity > reports/capacity.schema.json
	@$(BIN)/loadproof schema compare > reports/compare.schema.json
	@$(BIN)/loadproof schema history > reports/history.schema.json

sample: $(VENV)/developed ## Regenerate the run in reports/sample and its picture (needs chromium).
	@$(BIN)/python docs/make_sample.py

picture: $(VENV)/developed ## Re-judge the run in reports/sample, and retake its picture (needs chromium).
	@$(BIN)/python docs/make_sample.py --kept

golden: $(VENV)/developed ## Regenerate the expected outputs in tests/golden.
	@$(BIN)/python -m pytest -q tests/analysis/test_golden.py --refresh-golden

lock: ## Regenerate requirements.lock (needs uv).
	uv pip compile --universal --python-version 3.11 --extra dev --no-emit-index-url --no-header --no-annotate \
		pyproject.toml -o requirements.lock

clean: ## Remove the virtual environment and all caches, but no run directories.
	rm -rf $(VENV) build dist *.egg-info .coverage* .slowest-tests .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml requirements.lock
	@$(call create-venv)
	@echo "installing into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint requirements.lock --editable '.[all]'
	@touch $@

$(VENV)/developed: $(VENV)/installed tests/quietkeys.py
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint requirements.lock --editable '.[dev]'
	@# Coverage imports its plugin in each process that it traces, wherever that was started.
	@cp tests/quietkeys.py "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@touch $@

# A command that starts the reference API with this delay in ms.
api = LIMITER=off FAULTS="{\"balance\": {\"delay_ms\": $(1)}, \"transactions\": {\"delay_ms\": $(1)}}" \
	exec $(BIN)/python -m payments_api --port $$PORT

# One line for each missing requirement, instead of a traceback.
define create-venv
	command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON); install Python 3.11 or newer" >&2; exit 2; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$($(PYTHON) --version) is too old; install Python 3.11 or newer, or give PYTHON=..." >&2; exit 2; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 2; }; \
	test -d loadproof/analysis || \
		{ echo "make: loadproof/analysis is not a link; clone again with git's core.symlinks=true" >&2; exit 2; }; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
endef
