# Every target is a line or two; `make` alone prints the list. No Make? README.md has the plain commands.
PYTHON ?= python3
LAB_OPTIONS ?=
DEMO_OPTIONS ?=
TEST_OPTIONS ?=
LOAD_OPTIONS ?=
BENCH_OPTIONS ?=
GRADE_OPTIONS ?=
ASSIGNMENTS ?=
SHAPE ?= course
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
DEV_READY := $(VENV)/.installed-dev
# Jupyter finds its own subcommands on the PATH, and stays quiet about newer pips.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Two processes; tests/conftest.py tells which test runs in which one, and which tests come first.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# In a container people often are root, which JupyterLab refuses unless told that it is meant.
ROOT_OPTION := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab demo doctor release collect grade marking feedback export bundle test test-fast test-long coverage bench load lint browser docs requirements clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

lab: $(READY) ## set up what is missing, then open JupyterLab on the first notebook
	$(BIN)/python -m course_utils fetch --default
	$(BIN)/python -m jupyterlab --ServerApp.root_dir=. notebooks/0_start_here.ipynb $(ROOT_OPTION) $(LAB_OPTIONS)

demo: $(READY) ## open the hall: demos for a projector and a class, without code
	$(BIN)/python -m course_utils fetch --default
	$(BIN)/python -m course_utils demo $(DEMO_OPTIONS)

doctor: $(READY) ## say what this machine has, one line a thing, each with its cure
	$(BIN)/python -m course_utils doctor

release: $(READY) ## make the students' assignments, and put them where they fetch them
	$(BIN)/python -m course_utils grade release $(ASSIGNMENTS)

collect: $(READY) ## fetch the newest submission of every student
	$(BIN)/python -m course_utils grade collect $(ASSIGNMENTS)

grade: $(READY) ## grade by machine what is new, then say where each submission stands
	@$(BIN)/python -m course_utils grade run $(GRADE_OPTIONS) $(ASSIGNMENTS); code=$$?; \
	$(BIN)/python -m course_utils grade status $(ASSIGNMENTS); exit $$code

marking: $(READY) ## open the page on which essays are marked, in JupyterLab
	$(BIN)/python -m jupyterlab --ServerApp.root_dir=. source/mark_essays.ipynb $(ROOT_OPTION) $(LAB_OPTIONS)

feedback: $(READY) ## write and release the pages of students whose marks are complete
	$(BIN)/python -m course_utils grade feedback $(ASSIGNMENTS)

export: $(READY) ## write marks as CSV, SHAPE=course, canvas or moodle
	$(BIN)/python -m course_utils grade export --shape $(SHAPE) $(ASSIGNMENTS)

bundle: $(READY) ## write the zip that students get
	$(BIN)/python -m course_utils grade bundle

test: $(DEV_READY) ## run every test
	$(BIN)/python -m course_utils fetch smollm2-135m texts
	$(PYTEST) $(TEST_OPTIONS)

test-fast: $(DEV_READY) ## run the tests that need no browser, no sandbox and no notebook's kernel
	$(PYTEST) -m "not browser and not slow" $(TEST_OPTIONS)

test-long: $(DEV_READY) ## run every test, with twenty times as many drawn inputs, other ones in each run
	$(BIN)/python -m course_utils fetch smollm2-135m texts
	COURSE_TEST_TIMES=20 $(PYTEST) $(TEST_OPTIONS)

coverage: $(DEV_READY) ## run every test, then print which lines of the package none of them ran
	$(BIN)/python -m course_utils fetch smollm2-135m texts
	$(PYTEST) --cov --cov-report=term $(TEST_OPTIONS)

bench: $(DEV_READY) ## speed and memory of generation beside other programs; cold start; reading; grading
	$(BIN)/python -m course_utils fetch smollm2-135m
	$(BIN)/python tests/bench/generation.py $(BENCH_OPTIONS)
	$(BIN)/python tests/bench/cold_start.py
	$(BIN)/python tests/bench/reading.py
	$(BIN)/python tests/bench_grading.py

load: $(DEV_READY) ## a class of thirty in the hall for five minutes, timed and weighed
	$(BIN)/python tests/load.py $(LOAD_OPTIONS)

lint: $(DEV_READY) ## check style, form, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	@if [ -x node_modules/.bin/eslint ]; then node_modules/.bin/eslint .; else echo "The browser code is not checked: that needs Node, and npm install."; fi

browser: ## bundle the panels' browser code anew, after a change of it; needs Node
	npm install --no-save --no-package-lock --no-audit --no-fund
	node tools/bundle.mjs

docs: $(DEV_READY) ## build the documentation site in build/docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs build/docs

requirements: $(DEV_READY) ## make the pinned lists of packages from pyproject.toml; UPGRADE=--upgrade takes the newest
	$(BIN)/python tools/pin_requirements.py $(UPGRADE)

clean: ## remove .venv and what tools left here; fetched models stay in your cache folder
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build docs/_generated *.egg-info
	find . -name __pycache__ -not -path './node_modules/*' -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps are younger than the lists they were made from: a second call installs nothing.
$(READY): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@

$(DEV_READY): requirements-dev.txt $(READY)
	$(BIN)/python -m pip install -r requirements-dev.txt
	@touch $@
