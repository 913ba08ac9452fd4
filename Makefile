# Two commands on a fresh machine: `make demo` and `make test`. Everything they need goes into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
DEMO := demo/seed$(SEED)
# Tests that start a Ray wait about as long as they compute: one more at a time than there are cores, on most machines.
TESTS_AT_ONCE ?= 2
# What tests start, hundreds of processes, reads compiled modules instead of compiling each again.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast docs wheel lint style imports types format clean

# The environment is made anew only when what it is made of changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "vsrd-ray needs Python 3.11 or 3.12, and $(PYTHON) is another: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: $(VENV)/.installed
	test -d $(DEMO)/street/data_2d_raw || $(BIN)/vsrd-ray synthesize $(DEMO)/street --frames 60 --cars 12 --seed $(SEED)
	$(BIN)/vsrd-ray label --root $(DEMO)/street --sequence 2013_05_28_drive_0000_sync --output $(DEMO)/labels
	$(BIN)/vsrd-ray evaluate $(DEMO)/labels --root $(DEMO)/street
	$(BIN)/vsrd-ray visualize labels $(DEMO)/labels --root $(DEMO)/street --sheet $(DEMO)/sheet.png
	$(BIN)/vsrd-ray report $(DEMO)/labels --root $(DEMO)/street
	@echo
	@echo "Labels: $(DEMO)/labels    Metrics: $(DEMO)/labels/evaluation.json    Picture: $(DEMO)/sheet.png"
	@echo "Report: $(DEMO)/labels/report.html, for a browser"

test: lint
	$(PYTEST)

# For the hours of work: what starts no Ray and no browser, and takes no test many seconds.
test-fast: lint
	$(PYTEST) -m "not ray and not slow" tests/unit tests/reference

# The site of docs/, in site/.
docs: $(VENV)/.installed
	$(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

# The package as one file, in dist/, tried in an environment of its own.
wheel: $(VENV)/.installed
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/vsrd_ray-*.whl
	cd dist && venv/bin/vsrd-ray --version && venv/bin/vsrd-ray labelers
	rm -rf dist/venv

lint: $(VENV)/.installed
	@$(MAKE) --no-print-directory --jobs --output-sync=target types imports style

style: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: $(VENV)/.installed
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.installed
	$(BIN)/pyright

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf demo outputs site dist
