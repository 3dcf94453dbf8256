PY ?= python3
V := .venv
PIP_ARGS ?=
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
# Without byte code every import of torch compiles it again: seconds, each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench torture clean

$(V)/bin/python:
	$(PY) -m venv $(V)

$(V)/.core: $(V)/bin/python pyproject.toml constraints.txt
	$(V)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -e .
	touch $@

$(V)/.dev: $(V)/bin/python pyproject.toml constraints.txt
	$(V)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -e '.[dev]'
	touch $@ $(V)/.core

demo: $(V)/.core
	$(V)/bin/netwright demo

test: $(V)/.dev
	$(V)/bin/python -m pytest -q -n 2

check: $(V)/.dev
	$(V)/bin/ruff format --check .
	$(V)/bin/ruff check .
	$(V)/bin/mypy
	$(V)/bin/python -m pytest -q -n 2

bench: $(V)/.dev
	$(V)/bin/python benchmarks/speed.py
	$(V)/bin/python benchmarks/against_sklearn.py

torture: $(V)/.dev
	$(V)/bin/python -m pytest -q -m slow tests/torture

clean:
	rm -rf $(V)
