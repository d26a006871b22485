# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow check format clean

demo: $(VENV)/.installed
	$(BIN)/audit demo --store audit-store --output report.html

test: $(VENV)/.developed
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-slow: $(VENV)/.slowly
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow --timeout 1800

check: $(VENV)/.developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(PIP) --editable '.[dev,postgres,shared]'
	touch $@

$(VENV)/.slowly: $(VENV)/.developed
	$(PIP) --editable '.[dev,postgres,shared,ray,browser,login]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
