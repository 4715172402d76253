# `make up` and `make test` do everything on a machine with Python 3.11 to 3.14 and make.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
SUPERSET := .venv-superset
AUDIT := .venv-audit
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first interpreter that fits; PYTHON=... chooses another. Superset runs on 3.11 and 3.12 only, and may have one of
# its own: SUPERSET_PYTHON=...
fits = $(shell for p in $(1); do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $(2)))' \
	2>/dev/null && echo $$p && break; done)
PYTHON ?= $(call fits,python3.11 python3.12 python3.13 python3.14 python3,14)
SUPERSET_PYTHON ?= $(call fits,$(PYTHON) python3.11 python3.12 python3 $(shell uv python find '>=3.11,<3.13' 2>/dev/null),12)
NO_PYTHON := creditlens needs Python 3.11, 3.12, 3.13 or 3.14 with venv (Debian: python3-venv).
NO_SUPERSET := Superset needs Python 3.11 or 3.12 with venv beside $(PYTHON): install one \
	(your system's package, or uv python install 3.12), and run the same again.

# An environment to install into. One whose making or filling was cut short is made anew: pip takes a package that is
# half there for the whole of it.
define environment
	@test -n "$(2)" || { echo "$(3)" >&2; exit 2; }
	@test -e $(1)/installed -a ! -e $(1)/unfinished || $(2) -m venv --clear $(1)
	@touch $(1)/unfinished
endef

# Empty where the dashboards cannot be had: no Python fits Superset, and none is installed.
DASHBOARDS = $(SUPERSET_PYTHON)$(wildcard $(SUPERSET)/installed)

.PHONY: help up preflight down test faults lint types bench load containers secrets superset assets screenshots audit \
	requirements clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: preflight ## Set everything up, score tonight's applications, publish, leave the services running
	@$(MAKE) -s --no-print-directory $(VENV)/installed $(if $(DASHBOARDS),$(SUPERSET)/installed)
	@$(BIN)/creditlens up $(if $(DASHBOARDS),,--no-dashboards)
	@$(if $(DASHBOARDS),,echo "No dashboards: $(NO_SUPERSET)")

# Before twelve minutes of installing: folders, settings, ports, memory, disk. It needs nothing but Python.
preflight:
	@test -n "$(PYTHON)" || { echo "$(NO_PYTHON)" >&2; exit 2; }
	@PYTHONPATH=. $(PYTHON) -B -m flows.operations.preflight --installing

down: $(VENV)/installed ## Stop the services that `make up` left running
	@$(BIN)/creditlens down

# Two sessions side by side: the one of faults waits for much of its time. Its output comes at the end.
BESIDE := tests/faults tests/superset_assets
test: lint types browser $(SUPERSET)/installed $(AUDIT)/installed ## Run every check and test
	@log=$$(mktemp); $(BIN)/pytest -s $(BESIDE) >$$log 2>&1 & beside=$$!; \
	trap 'kill $$beside 2>/dev/null; rm -f $$log' INT TERM; failed=0; \
	$(BIN)/pytest $(BESIDE:%=--ignore=%) || failed=1; \
	echo "Waiting for $(BESIDE) ..."; wait $$beside || failed=1; cat $$log; rm -f $$log; exit $$failed

# Its tests fail, and say how to install one, where this cannot.
browser:
	@for b in $(CREDITLENS_CHROMIUM) chromium chromium-browser google-chrome-stable google-chrome; do \
		command -v $$b >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing chromium ..."; apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; fi || true

faults: $(VENV)/installed ## Run the whole of the fault tests: kills at every stage, broken files, a dying server
	CREDITLENS_FAULTS=all $(BIN)/pytest -s tests/faults

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir .mypy_cache/imports

# What runs inside Superset, against the packages that it runs with; mypy itself stays out of their environment.
types: lint $(SUPERSET)/installed
	$(BIN)/mypy --config-file superset_assets/mypy.ini --python-executable $(SUPERSET)/bin/python

bench: $(VENV)/installed ## Measure speed and memory at full size (about two hours; BENCH="explain similar night growth dashboards load" chooses parts)
	$(BIN)/python -m tests.benchmarks $(BENCH)

load: $(VENV)/installed $(SUPERSET)/installed ## Measure fifty advisors at full size, through the proxy (15 minutes; the first time 35)
	$(BIN)/python -m tests.benchmarks load

containers: $(VENV)/installed browser ## Build both images, run docker-compose.yml, break it, clean up (40 minutes; needs root, podman)
	$(BIN)/python -m tests.containers $(CONTAINERS)

secrets: ## Write the secrets of docker-compose.yml that are missing (SELF_SIGNED=127.0.0.1: a certificate for trying)
	@test -n "$(PYTHON)" || { echo "$(NO_PYTHON)" >&2; exit 2; }
	@PYTHONPATH=. $(PYTHON) -B -m flows.installation.team_secrets $(SELF_SIGNED:%=--self-signed %)

$(VENV)/installed: requirements.txt pyproject.toml
	$(call environment,$(VENV),$(PYTHON),$(NO_PYTHON))
	@echo "Installing packages into $(VENV), about a minute the first time ..."
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@ && rm -f $(@D)/unfinished

superset: $(SUPERSET)/installed ## Install Superset into its own environment; `make up` does it too

$(SUPERSET)/installed: superset_assets/requirements.txt
	$(call environment,$(SUPERSET),$(SUPERSET_PYTHON),$(NO_SUPERSET))
	@echo "Installing Superset into $(SUPERSET), about a minute the first time ..."
	$(SUPERSET)/bin/python -m pip install --quiet --require-hashes -r superset_assets/requirements.txt
	@touch $@ && rm -f $(@D)/unfinished

audit: $(AUDIT)/installed ## Look for known vulnerabilities in all pinned packages, and list them (.creditlens/sbom-*.json)
	@$(AUDIT)/bin/python .ci/audit.py

$(AUDIT)/installed: .ci/audit-requirements.txt
	$(call environment,$(AUDIT),$(PYTHON),$(NO_PYTHON))
	$(AUDIT)/bin/python -m pip install --quiet --require-hashes -r .ci/audit-requirements.txt
	@touch $@ && rm -f $(@D)/unfinished

assets: $(VENV)/installed ## Write the dashboards' files anew from superset_assets/generator/definitions
	$(BIN)/python -m superset_assets.generator

screenshots: $(VENV)/installed $(SUPERSET)/installed ## Take the pictures of the README again, from synthetic applications (10 minutes; needs Chromium)
	$(BIN)/python -m superset_assets.screenshots.take $(SCREENSHOTS)

requirements: ## Compile all pinned requirements anew from pyproject.toml (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra dev --no-annotate --no-header \
		--quiet pyproject.toml -o requirements.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --constraints requirements.txt --no-annotate \
		--no-header --quiet pyproject.toml -o flows/requirements.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --group superset --no-annotate --no-header \
		--quiet -o superset_assets/requirements.txt
	uv pip compile --universal --generate-hashes --python-version 3.11 --group audit --no-annotate --no-header \
		--quiet -o .ci/audit-requirements.txt

clean: ## Remove what was built; the state folder .creditlens is kept
	rm -rf $(VENV) $(SUPERSET) $(AUDIT) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
