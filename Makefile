# The two commands that matter: `make tour` and `make test`. Both prepare everything they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# System packages: Node.js runs Node functions, curl and chromium are real clients in the tests.
PACKAGES := nodejs curl chromium

.PHONY: setup system lock lint test tour bench clean

setup: $(VENV)/.ready system

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Installs what is missing where apt may; elsewhere it says what to install and goes on.
system:
	@missing=""; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing:$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else echo "not installed (install them for the full test run):$$missing"; fi; fi

lock:
	uv pip compile pyproject.toml --extra tour --extra node --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-emit-index-url --no-header -q -o requirements.lock

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint
	$(BIN)/pytest -n 2 --dist loadfile

tour: setup
	$(BIN)/littoral tour

bench: setup
	@for b in bench/bench_*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis tour-report
