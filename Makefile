# Needs only Python 3.12 or newer. Paths may contain spaces.
PYTHON = .venv/bin/python
PORT ?= 8000
WORKERS ?= logical
STEPS ?= 200000
SEED ?= random
# Of make rehearse: rows in each hot table, seconds before and after.
ROWS ?= 200000
DURATION ?= 10
PYTEST = $(PYTHON) -m pytest -n $(WORKERS) --dist worksteal
# Hostile values, roles, money, rows that cannot be written, poolers.
ATTACK = tests/test_unstorable.py tests/test_lost_zones.py tests/test_bad_rows.py tests/test_pooler.py \
	tests/db/test_immutable.py tests/db/test_zones.py tests/db/test_time_columns.py tests/db/test_texts.py \
	tests/db/test_new_rows.py tests/db/test_roles.py tests/db/test_exposures.py tests/audit/test_bypass_attempts.py \
	tests/audit/test_leases.py tests/audit/test_locks.py tests/privacy/test_erasure_elsewhere.py \
	tests/booking/test_paid_sessions.py tests/booking/test_refunds.py tests/booking/test_dead_deliveries.py \
	tests/booking/test_offered_times.py tests/booking/test_withdrawn_slots.py tests/booking/test_decisions_under_locks.py \
	tests/admin/test_addresses.py tests/admin/test_export_requests.py tests/admin/test_headers.py

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-oldest test-all attack soak rehearse lint format types migrations migrate shell messages lock clean

help:  ## print this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' Makefile | awk -F'#' '{printf "%-18s %s\n", $$1, $$2}'

setup:  ## make .venv with the locked packages (instant if it is up to date)
	@sh tools/setup.sh

run: setup  ## start the database, migrate, load seeds and demo data, serve admin on http://localhost:8000 (PORT=8001)
	@exec $(PYTHON) manage.py run --port "$(PORT)"

test: lint migrations types  ## the checks before a commit: lint, types, migrations, tests that are not slow
	@echo "== tests"
	@exec $(PYTEST) -m "not slow" $(ARGS)

test-slow: setup  ## the tests marked slow: races, kills, the random machine, started programs
	@echo "== slow tests"
	@exec $(PYTEST) -m slow $(ARGS)

test-oldest: setup  ## the tests of the rules on the system's PostgreSQL 15, if it has one
	@echo "== PostgreSQL 15"
	@exec $(PYTHON) tools/test_oldest.py -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

test-all: test test-slow test-oldest  ## all tests: make test, the slow tests, PostgreSQL 15

attack: setup  ## hostile values, roles and poolers (pgbouncer from apt; without it those tests are skipped by name)
	@echo "== attack"
	@exec $(PYTEST) $(ATTACK) $(ARGS)

soak: setup  ## random sequences of booking services, 200,000 steps (STEPS=…; SEED=… repeats a failure; Ctrl-C stops)
	@exec env MACHINE_STEPS="$(STEPS)" MACHINE_SEED="$(SEED)" $(PYTHON) -m pytest tests/booking/test_machine.py $(ARGS)

rehearse: setup  ## migrate a filled copy of the last release while its programs run (ROWS=… DURATION=…; Ctrl-C stops)
	@exec $(PYTHON) tools/rehearse.py --rows "$(ROWS)" --duration "$(DURATION)" $(ARGS)

lint: setup  ## ruff (rules, format) the structure (direction of imports, circles, long modules), the language
	@echo "== ruff check"
	@$(PYTHON) -m ruff check .
	@echo "== ruff format"
	@$(PYTHON) -m ruff format --check .
	@echo "== structure"
	@$(PYTHON) tools/structure.py
	@echo "== language"
	@$(PYTHON) tools/prose.py

types: migrations  ## mypy on the whole application
	@echo "== mypy"
	@$(PYTHON) -m mypy

migrations: lint  ## check for missing migrations; squawk reads the SQL of those that no release has
	@echo "== missing migrations"
	@$(PYTHON) -W error::RuntimeWarning manage.py makemigrations --check --dry-run
	@echo "== squawk"
	@$(PYTHON) tools/squawk.py

format: setup  ## format the code with ruff
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

migrate: setup  ## apply migrations
	@exec $(PYTHON) manage.py migrate

shell: setup  ## Django's shell
	@exec $(PYTHON) manage.py shell

messages: setup  ## update and compile the Russian catalogue in locale/
	@$(PYTHON) tools/messages.py $(ARGS)

lock: setup  ## update the lock files from requirements*.in
	@for name in requirements requirements-dev; do \
		echo "== $$name.lock"; \
		env -u PIP_FIND_LINKS $(PYTHON) -m piptools compile --quiet --upgrade --generate-hashes --strip-extras \
			--allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
			--output-file "$$name.lock" "$$name.in" || exit 1; \
	done

clean:  ## remove .venv, caches and the bundled database
	rm -rf .venv .venv.lock .data .mypy_cache .pytest_cache .ruff_cache .hypothesis
