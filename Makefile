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

# An extra is a requirements file beside the others: make install EXTRAS=spark,aws
.PHONY: extras
extras:
	@for extra in $(subst $(comma), ,$(EXTRAS)); do \
	  test -f requirements/$$extra.txt || { echo "there is no extra '$$extra'; there are:" \
	    $(patsubst requirements/%.txt,%,$(wildcard requirements/*.txt)) >&2; exit 2; }; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r requirements/$$extra.txt; \
	done

demo: install  ## market simulator, the whole pipeline and its page until Ctrl-C (SECONDS=20 stops by itself)
	@$(BIN)/tradelake demo $(if $(SECONDS),--seconds $(SECONDS))

test: install  ## every test this machine can run
	$(BIN)/python -m pytest -m 'not long'

test-all: install  ## and the long runs
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

clean:  ## removes what the build made (not .tradelake, which is your data)
	rm -rf $(VENV) build src/*.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache
