# Two commands do everything on a fresh machine: `make sweep` and `make test`.
# They need Python 3.11 or newer, make, and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPACE ?= search_spaces/dango_gi.yaml
ARGS ?=
# What is installed beside gisearch itself: `make install EXTRAS=aws` for a machine that only runs sweeps.
EXTRAS ?= dev
# What breaks on purpose, and what waits for hosts of its own, begins in a process each (tests/conftest.py).
PARALLEL := -n 3 --no-loadscope-reorder

.PHONY: help install sweep test check format docs clean

help:
	@echo "make sweep   install, search on the generated demo cell, show the best configuration"
	@echo "             (SPACE=search_spaces/NAME.yaml and ARGS='key=value ...' change what is searched)"
	@echo "make install create the environment with the tested set (EXTRAS=aws, gcp, ... instead of dev)"
	@echo "make test    install, run all tests"
	@echo "make check   install, lint, check types and imports"
	@echo "make docs    install, build the documentation as a site in site/"
	@echo "make format  format the code"
	@echo "make clean   remove the environment and caches (never results)"

# The environment is complete when this file exists and is newer than what it was made from.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("gisearch needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

install: $(VENV)/.installed

sweep: $(VENV)/.installed
	$(BIN)/python -m gisearch.sweep $(SPACE) $(ARGS)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site's own tools are installed when it is first built.
$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	touch $@

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
