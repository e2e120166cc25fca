# `make` alone says what it can do.
PYTHON ?= python3
BIN := .venv/bin
LAB_ARGS ?=
# TORCH=cpu is the small install: PyTorch's CPU build; what only tests need waits for `make test`.
TORCH ?=
ifneq ($(filter-out cpu,$(TORCH)),)
$(error TORCH = $(TORCH): must be cpu, or not be given)
endif
index := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/cpu )
small := $(if $(TORCH),.venv/.lab,$(wildcard .venv/.lab))
as_root := $(if $(filter 0,$(shell id -u)),--allow-root)

# The book's models are small: one thread trains most of them faster than two.
export OMP_NUM_THREADS = 1

SLOW := sandbox or browser or kernel or training or slow
WORKERS ?= -n auto
SAMPLE ?= 300
MUTATE ?=

.PHONY: help lab style types layers quick test sandboxed browsed mutate book release site epub pdf sweep gpu
.DELETE_ON_ERROR:

help:  ## say what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

lab: $(or $(small),.venv/.installed)  ## open the book in JupyterLab (TORCH=cpu LAB_ARGS="--no-browser --port 8899")
	-@$(BIN)/zoology-teach trust
	JUPYTER_CONFIG_PATH="$(CURDIR)/jupyter" PATH="$(CURDIR)/$(BIN):$$PATH" \
	    $(BIN)/jupyter-lab $(as_root) --ServerApp.root_dir=. $(LAB_ARGS) book/index.ipynb

style: .venv/.installed  ## one format, no slips, a docstring at every public name
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed  ## what is promised is what is passed
	$(BIN)/mypy

layers: .venv/.installed  ## data flows one way: the contracts in pyproject.toml
	$(BIN)/lint-imports --no-cache --no-logo

quick: style types layers  ## style, types, layers and the fast tests, in under 90 seconds
	$(BIN)/python -m pytest $(WORKERS) -m "not ($(SLOW))" tests

test: style types layers  ## run every test: style, library, chapters
	$(BIN)/python -m pytest $(WORKERS) -m "not sandbox and not browser" tests
	$(MAKE) --no-print-directory $(if $(WORKERS),--jobs=2) sandboxed browsed
	$(BIN)/python -m pytest $(if $(WORKERS),$(WORKERS) --dist loadfile) -p tests.nearly \
	    --nbval-lax --nbval-cell-timeout=120 -o xfail_strict=true book/*.ipynb

# These hold time limits: each kind in one process.
sandboxed:
	$(BIN)/python -m pytest -m "sandbox and not browser" tests

browsed:
	$(BIN)/python -m pytest -m browser tests

mutate: .venv/.installed  ## how many small faults the tests see (MUTATE="mixers tasks/mqar.py --seed 7")
	$(BIN)/python -m tests.mutation --sample $(SAMPLE) $(MUTATE)

book: .venv/.installed  ## run the chapters whose text has changed
	$(BIN)/zoology-teach build

release: .venv/.installed  ## write exercises/ from solutions/
	$(BIN)/zoology-teach release

site: .venv/.installed  ## the book as pages that open anywhere: build/site (SOLUTIONS=1: with solutions)
	$(BIN)/python site/build.py html $(if $(SOLUTIONS),--solutions)

epub: .venv/.installed  ## the same for an e-reader: build/zoology_teach.epub
	$(BIN)/python site/build.py epub $(if $(SOLUTIONS),--solutions)

pdf: .venv/.installed  ## the chapters to print, by Chromium: build/zoology_teach.pdf
	$(BIN)/python site/build.py pdf

sweep: .venv/.installed  ## measure the tables of chapters 05 and 06 (continues where it stopped)
	$(BIN)/zoology-teach sweep figure2 --preset identity
	$(BIN)/zoology-teach sweep figure2 --preset laptop
	$(BIN)/zoology-teach sweep budget --preset laptop
	$(BIN)/zoology-teach sweep pairs_and_length --preset laptop
	$(BIN)/zoology-teach sweep curriculum --preset laptop
	$(BIN)/zoology-teach sweep vocabulary --preset laptop
	$(BIN)/zoology-teach sweep confounders --preset laptop

gpu:  ## measure what only a GPU can, in pieces (MINUTES=9 OUT=folder PIECES="tests text")
	PYTHONPATH="$(CURDIR)" $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) \
	    benchmarks/gpu.py $(PIECES) --minutes $(or $(MINUTES),9) $(if $(OUT),--out "$(OUT)")

.venv/.lab: extra := lab
.venv/.installed: extra := test
.venv/.lab .venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "The book needs Python >= 3.11; %s is %s. Try: make PYTHON=python3.11 ..." \
	    % (sys.executable, sys.version.split()[0]))'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(index)-c constraints.txt -e ".[$(extra)]"
	@touch $@
