# Two commands need nothing but Python >= 3.11 with venv, and make:
#   make demo    the main job on the built-in example
#   make test    the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard src tests benchmarks deploy hatch_build.py)
KERNELS := $(wildcard $(addprefix src/gpupack/packing/kernels/,*.[ch] */*.[ch]))
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-alone
DIST := dist
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' src/gpupack/__init__.py)
ENGINE := docker

.PHONY: help demo test check format docs schema dist image clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

# The demo needs the library alone; pip says what it downloads, which takes a minute.
$(DEMO_STAMP): pyproject.toml hatch_build.py src/gpupack/__init__.py $(KERNELS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gpupack needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing gpupack and what it needs into $(VENV), about 200 MB on disk"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable .
	@touch $@

$(STAMP): $(DEMO_STAMP)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[clusters,explore,frames,ray,report]' --group dev --group docs --group notebooks --group release
	@touch $@

demo: $(DEMO_STAMP) ## Both case studies on the built-in example
	$(BIN)/gpupack demo

test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP) ## Format, lint, types, layers
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

format: $(STAMP) ## Format and fix what can be fixed
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(STAMP) ## Build the documentation into docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

schema: $(STAMP) ## Write the JSON Schemas to docs/schema
	$(BIN)/python -m gpupack.records.schema docs/schema

# A wheel is tagged for the machine that compiled it (linux_x86_64) until auditwheel has
# read from the library which glibc it needs; it refuses one without the kernels.
dist: $(STAMP) ## Build and check an sdist and a wheel, in dist/
	rm -rf $(DIST)
	$(BIN)/python -m build --outdir $(DIST)/built .
	PATH="$(BIN):$$PATH" $(BIN)/python -m auditwheel repair --plat auto --wheel-dir $(DIST) $(DIST)/built/*.whl
	mv $(DIST)/built/*.tar.gz $(DIST)
	rm -r $(DIST)/built
	$(BIN)/python -m twine check --strict $(DIST)/*

image: ## Build the container image; ENGINE=buildah or podman where no docker is
	$(ENGINE) build -f deploy/container/Dockerfile -t gpupack:$(VERSION) \
		--label org.opencontainers.image.version=$(VERSION) .

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
