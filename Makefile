# `make run` shows what corsproxy does, `make test` tests it. Everything lands in .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
SOAK_MINUTES ?= 10
SOAK_WORKERS ?= 1

.PHONY: run test browser audit sbom packages image-test check lint types fuzz differential bench-liveness sync lock clean help soak bench profile

help:
	@echo 'make run    try it: a sample API, the proxy in front of it, and a page that calls both'
	@echo 'make test   install what the tests need, and run all of them'
	@echo 'make browser LANE=aiohttp  the browser tests alone, on the other lane'
	@echo 'make check  lint, formatting, types, and known vulnerabilities where a service can be asked'
	@echo 'make packages  wheel and sdist; make sbom  what is in them (CycloneDX)'
	@echo 'make image-test  build the container image without a Docker engine, and prove that it serves (root, Debian)'
	@echo 'make fuzz   the property tests, with many more examples'
	@echo 'make differential   the two lanes compared on N=100000 made-up exchanges, from SEED'
	@echo 'make soak   ten minutes of mixed load, reloads and faults: memory, descriptors and tasks must end where they began'
	@echo 'make bench  what a request costs this and other proxies, side by side; make profile  where the time goes'
	@echo 'make bench-liveness   how it lives with slow, vanishing and many peers, measured'
	@echo 'make sync   write anew what is made from the tables of keys and problems'
	@echo 'make lock   pin the dependencies anew'

run: .venv/.run
	@$(BIN)/corsproxy demo

test: .venv/.dev
	@tools/ensure-chromium
	@tools/ensure-deploy-tools
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

# The browser tests alone, on a lane: make browser LANE=aiohttp
browser: .venv/.dev
	@tools/ensure-chromium
	BROWSER_LANE=$(or $(LANE),express) $(BIN)/python -m pytest -n $(JOBS) tests/browser $(PYTEST_ARGS)

check: lint types audit

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

fuzz: .venv/.dev
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -n $(JOBS) --timeout 3600 tests/properties $(PYTEST_ARGS)

differential: .venv/.dev
	$(BIN)/python -m tests.properties.differential $(or $(N),100000) $(SEED)
soak: .venv/.run
	SOAK_MINUTES=$(SOAK_MINUTES) SOAK_WORKERS=$(SOAK_WORKERS) $(BIN)/python bench/liveness.py soak
bench: .venv/.run
	@tools/ensure-bench
	$(BIN)/python -m bench.side_by_side $(BENCH_ARGS)

# A flame graph of a lane under load: make profile LANE=aiohttp
profile: .venv/.dev
	tools/profile $(or $(LANE),express)

bench-liveness: .venv/.run
	$(BIN)/python bench/liveness.py $(ROWS)

sync: .venv/.dev
	tools/sync

lock: .venv/.dev
	tools/lock

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'corsproxy needs Python 3.11 or newer; name one: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo 'python cannot make a virtual environment; on Debian: apt-get install python3-venv' >&2; rm -rf .venv; exit 1; }

.venv/.run: .venv/bin/python requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

audit: .venv/.release
	tools/audit

# What an installation brings, with licences and dependencies: CycloneDX.
sbom: .venv/.release
	rm -rf build/sbom && $(PYTHON) -m venv --without-pip build/sbom && mkdir -p dist
	$(BIN)/python -m pip --python build/sbom/bin/python install -q --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip --python build/sbom/bin/python install -q --no-deps .
	$(BIN)/cyclonedx-py environment build/sbom/bin/python --pyproject pyproject.toml --mc-type application --output-reproducible -o dist/corsproxy.cdx.json

# Wheel and sdist.
packages: .venv/.dev
	$(BIN)/python -m hatchling build

# Builds the image without a Docker engine and runs it (root, Debian).
image-test:
	tools/image-test

.venv/.release: .venv/.run requirements/release.txt
	$(BIN)/python -m pip install -q --require-hashes -r requirements/release.txt
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
