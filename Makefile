# dlrepair: what a newcomer, a developer and the build machine run.
#
#   make demo     the main job on a real TensorFlow, in a virtualenv of its own (.venv)
#   make test     everything: lint, types, layers, tests on every CPython found, labs, TensorFlow labs
#   make bench    the benchmarks, as a Markdown table
#
# All environments live under .envs/ and are made from tests/requirements/ on first use.

PYTHON ?= python3
ENVS := $(PYTHON) tools/envs.py
MAIN := .envs/main/bin/python
LINT := .envs/lint/bin
PYTEST := $(MAIN) -B -m pytest -q -p no:cacheprovider
# two workers: no test relies on another, and most of them wait for a compiler or an interpreter
BOTH := -n 2 --dist worksteal

.PHONY: help need envs test lint types layers unit pythons labs starts tensorflow demo bench clean

help:
	@sed -n 's/^#  *\(make .*\)/  \1/p' Makefile

need:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "$(PYTHON) was not found in PATH" >&2; \
	  echo "help: apt-get install python3-dev python3-venv" >&2; exit 1; }
	@$(ENVS) need git make gcc g++

envs: need
	@$(ENVS) make

test: envs
	@$(MAKE) --no-print-directory lint types layers
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory pythons
	@$(MAKE) --no-print-directory labs
	@$(MAKE) --no-print-directory starts
	@$(MAKE) --no-print-directory tensorflow
	@echo "make test: all passed"

$(LINT)/ruff: need
	@$(ENVS) make lint

$(MAIN): need
	@$(ENVS) make main

lint: $(LINT)/ruff
	$(LINT)/ruff check .

types: $(LINT)/ruff
	$(LINT)/mypy --strict dlrepair

layers: $(LINT)/ruff
	$(LINT)/lint-imports

unit: $(MAIN)
	$(PYTEST) $(BOTH) tests/unit tests/hook tests/startup tests/loader tests/recipes tests/install tests/tools

pythons: need
	$(PYTHON) tools/each_python.py tests/unit tests/hook

labs: $(MAIN)
	$(PYTEST) $(BOTH) tests/labs

starts: $(MAIN)
	@$(ENVS) need mpirun
	@$(ENVS) make ways joblib
	$(PYTEST) $(BOTH) tests/starts

tensorflow: $(MAIN)
	@$(ENVS) make tf
	$(PYTEST) $(BOTH) tests/tensorflow

demo: need
	@$(PYTHON) examples/demo.py

bench: $(MAIN)
	$(MAIN) benchmarks/run.py --output docs/reference/benchmarks.md

clean:
	rm -rf .envs .venv .cache .demo .mypy_cache .ruff_cache .import_linter_cache build dist

-include tools/extra.mk
