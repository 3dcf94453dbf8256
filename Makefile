PY ?= python3
V := .venv
B := .venv-bench
PIP_ARGS ?=
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
# Without byte code every import of torch compiles it again: seconds, each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench torture clean

PIP := $(V)/bin/python -m pip --disable-pip-version-check
# uv installs in seconds what takes pip a minute, but reads none of pip's settings: without the folder of
# wheels that pip knows it would take another build of torch. So it is told, and pip does it where uv cannot.
define install
	links="$${PIP_FIND_LINKS:-$$($(PIP) config get global.find-links 2>/dev/null)}"; \
	{ $(PIP) install -q $(PIP_ARGS) uv \
	  && UV_FIND_LINKS="$$links" $(V)/bin/uv pip install -q --python $(V)/bin/python -c constraints.txt \
	       --index-strategy unsafe-best-match $(PIP_ARGS) -e '$(1)'; } 2>$(V)/uv.log \
	|| $(PIP) install -q $(PIP_ARGS) -e '$(1)'
endef

$(V)/bin/python:
	$(PY) -m venv $(V)

$(V)/.core: $(V)/bin/python pyproject.toml constraints.txt
	@$(call install,.)
	touch $@

$(V)/.dev: $(V)/bin/python pyproject.toml constraints.txt
	@$(call install,.[dev])
	touch $@ $(V)/.core

$(B)/.peers: pyproject.toml constraints.txt benchmarks/peers.txt
	$(PY) -m venv $(B)
	$(B)/bin/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -r benchmarks/peers.txt -e '.[dev]'
	touch $@

demo: $(V)/.core
	$(V)/bin/netwright demo

test: $(V)/.dev
	$(V)/bin/python -m pytest -q -n 2 --dist worksteal

check: $(V)/.dev
	$(V)/bin/ruff format --check .
	$(V)/bin/ruff check .
	$(V)/bin/mypy
	$(V)/bin/python -m pytest -q -n 2 --dist worksteal

bench: $(B)/.peers
	$(B)/bin/python benchmarks/speed.py
	$(B)/bin/python benchmarks/throughput.py
	$(B)/bin/python benchmarks/peak.py
	$(B)/bin/python benchmarks/folds.py
	$(B)/bin/python benchmarks/tables.py
	test -z "$$NETWRIGHT_DATA" || for each in tuning mnist language horizons minutes; do \
	  $(B)/bin/python benchmarks/$$each.py || exit 1; done

torture: $(V)/.dev
	$(V)/bin/python -m pytest -q -m slow tests/torture

clean:
	rm -rf $(V) $(B)
