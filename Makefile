# Everything a person does with this checkout. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?=
comma := ,
SECONDS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check bench screenshot lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | column -t -s '|'

install: $(VENV)/.installed extras  ## .venv with tradelake, its dashboard and the development tools (EXTRAS=… adds an extra)

$(VENV)/.installed: requirements/dashboard.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tradelake needs Python 3.11 or later; name one with make PYTHON=…" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements/dashboard.txt -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# An extra is a requirements file beside the others, and the jars that it runs:
# make install EXTRAS=spark,aws
wanted := $(subst $(comma), ,$(EXTRAS))
unknown := $(filter-out $(patsubst requirements/%.txt,%,$(wildcard requirements/*.txt)),$(wanted))
$(if $(unknown),$(error there is no extra '$(unknown)'; there are: \
  $(patsubst requirements/%.txt,%,$(wildcard requirements/*.txt))))

.PHONY: extras
extras: $(addprefix $(VENV)/.extra-,$(wanted)) $(if $(filter spark,$(wanted)),.jars/.fetched)

$(VENV)/.extra-%: requirements/%.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.jars/.fetched: pom.xml
	@command -v mvn >/dev/null \
	  || { echo "the jars come through Maven, which is missing: apt install maven" >&2; exit 1; }
	mvn --quiet --batch-mode --strict-checksums generate-resources
	@touch $@

# What the tests run besides: Spark, where Maven is, without which its tests say so and are skipped.
.PHONY: tested
tested: install $(VENV)/.extra-spark $(if $(shell command -v mvn),.jars/.fetched)

demo: install  ## market simulator, the whole pipeline and its page until Ctrl-C (SECONDS=20 stops by itself)
	@$(BIN)/tradelake demo $(if $(SECONDS),--seconds $(SECONDS))

test: tested  ## every test this machine can run
	$(BIN)/python -m pytest -m 'not long'

test-all: tested  ## and the long runs
	$(BIN)/python -m pytest

check: install  ## format, lint, types, layers, docs
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_docs.py

bench:  ## the figures, measured here and now, with the peers' beside them
	@$(MAKE) --no-print-directory install EXTRAS=bench$(if $(EXTRAS),$(comma)$(EXTRAS))
	$(BIN)/python -m bench

screenshot: install  ## the page's picture in docs/, anew (needs Chromium)
	$(BIN)/python tests/screenshot.py docs/page.png

lock:  ## pins the requirements anew, with hashes
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --allow-unsafe --no-header -o requirements/base.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --allow-unsafe --no-header --extra dashboard -c requirements/base.txt -o requirements/dashboard.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --allow-unsafe --no-header --extra dev -c requirements/base.txt -c requirements/dashboard.txt -o requirements/dev.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --allow-unsafe --no-header --extra bench -c requirements/base.txt -o requirements/bench.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --allow-unsafe --no-header --extra spark -c requirements/base.txt -o requirements/spark.txt pyproject.toml

clean:  ## removes what the build made (not .tradelake, which is your data)
	rm -rf $(VENV) .jars build src/*.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache
