# Everything works from a clean clone with Python >= 3.11 and make; paths are relative, so a folder with spaces is fine.
.POSIX:
.SUFFIXES:
.PHONY: install demo test test-unit test-tools docs format hooks bench soak lock migration dashboards clean
.PHONY: check check-style check-types check-imports check-spelling check-files check-docs check-js

PYTHON = python3
PY = .venv/bin/python
PIP = $(PY) -m pip --disable-pip-version-check --quiet
REQUIREMENTS = deploy/requirements
TEST_ARGS =
WORKERS = logical
SPREAD = -n $(WORKERS) --dist worksteal

install: .venv/server.stamp

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "calwatch needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv .venv

# Every package is pinned with its hash; the project itself is installed last, editable, and brings nothing.
.venv/server.stamp: .venv/bin/python pyproject.toml $(REQUIREMENTS)/server.txt
	$(call packages,server,The server)
	@echo "Installing calwatch itself."
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@echo "Ready: .venv/bin/calwatch --help"
	@touch $@

.venv/demo.stamp: .venv/server.stamp $(REQUIREMENTS)/demo.txt
	$(call packages,demo,The demo)
	@touch $@

.venv/dev.stamp: .venv/server.stamp $(REQUIREMENTS)/dev.txt
	$(call packages,dev,Checks and tests)
	@touch $@

# $(call packages,LIST,WHO): install what a list pins, after saying how much that is.
define packages
	@echo "$(2): installing what is missing of $$(grep -c == $(REQUIREMENTS)/$(1).txt) packages, each checked by its hash."
	@$(PIP) install --require-hashes -r $(REQUIREMENTS)/$(1).txt
endef

demo: .venv/demo.stamp
	@$(PY) -m monitor.demo $(if $(filter 1,$(DEMO_EXIT)),--exit)

# Browser and Prometheus tests need Debian's programs. They are installed where that is allowed, else named.
test-tools:
	@sh tests/tools.sh

# Tests go to all processors; one that has none left takes from the others. For one at a time: make test WORKERS=0.
test: .venv/dev.stamp test-tools
	$(PY) -m pytest $(SPREAD) $(TEST_ARGS)

test-unit: .venv/dev.stamp
	$(PY) -m pytest $(SPREAD) tests/unit $(TEST_ARGS)

# The slowest first, as many at once as there are processors; what one says is not mixed with what another says.
check: .venv/dev.stamp
	@$(MAKE) --no-print-directory --keep-going --jobs=$(shell $(PY) -c 'import os; print(os.cpu_count())') $(UNMIXED) \
		check-types docs check-docs check-js check-style check-imports check-spelling check-files
	@echo "All checks passed."

UNMIXED = $(shell $(MAKE) --help | grep -o -e --output-sync | head -n 1)

check-style: .venv/dev.stamp
	$(PY) -m ruff check --quiet .
	$(PY) -m ruff format --check --quiet .

check-types: .venv/dev.stamp
	$(PY) -m mypy

check-imports: .venv/dev.stamp
	.venv/bin/lint-imports --no-logo

check-spelling: .venv/dev.stamp
	.venv/bin/codespell

check-files: .venv/dev.stamp
	$(PY) .ci/files.py

check-docs: .venv/dev.stamp
	$(PY) -m pytest -q tests/unit/project

check-js: .venv/dev.stamp
	sh tests/js/check.sh

# The reference is generated from the code, and every warning is an error: a broken link, an unknown name.
docs: .venv/dev.stamp
	$(PY) -m sphinx -q -n -W --keep-going -j auto docs docs/_build/html

# Before each commit, the quick ones of these checks.
hooks: .venv/dev.stamp
	.venv/bin/pre-commit install

format: .venv/dev.stamp
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .
	@sh tests/js/check.sh format

bench: .venv/dev.stamp
	$(PY) -m tests.benchmarks

soak: .venv/dev.stamp test-tools
	$(PY) -m pytest $(SPREAD) tests/faults tests/acceptance/test_simulations.py --kills 500 --deaths 20 --outage 600 --lives 20 --days 200 --timeout 21600

# For maintainers: pin anew, write a migration for changed tables, draw the dashboards.
lock: .venv/bin/python
	$(PIP) install uv
	sh deploy/requirements/lock.sh

migration: .venv/dev.stamp
	$(PY) -c 'import sys; from monitor.store.engine import Database; from monitor.store.migrate import upgrade, write_revision; \
		d = Database("sqlite:///.venv/migration.db"); upgrade(d); write_revision(d, sys.argv[1])' "$(MESSAGE)"

dashboards: .venv/dev.stamp
	$(PY) grafana/dashboard.py

clean:
	rm -rf .venv tests/js/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
