# What a developer of newleaf types. Needs Python 3.11 or newer, git and make; the rest comes by itself.

VENV := .venv
PYTHON_IN := $(VENV)/bin/python
UV := $(VENV)/bin/uv
SYNCED := $(VENV)/.synced

# Another environment may be active in the shell; it is never the one meant here.
unexport VIRTUAL_ENV
export UV_PROJECT_ENVIRONMENT := $(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Trust what the machine trusts, where it has a store of its own: behind a company's proxy, uv's
# built-in certificates are not enough.
ifneq ($(wildcard /etc/ssl/certs/*.crt /etc/pki/tls/certs/*.crt /etc/ssl/cert.pem),)
UV_SYSTEM_CERTS ?= 1
export UV_SYSTEM_CERTS
endif

# A third of what a test does is waiting for a process: three run on two cores.
TEST_PROCESSES := $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)

# Where tests and mutations write, if the machine has memory for that.
IN_MEMORY := $(addprefix TMPDIR=,$(shell sh scripts/find_memory.sh))

.DEFAULT_GOAL := help
# `check` fails on the cheapest reason first, and ends with the tests.
.NOTPARALLEL:
.PHONY: help setup demo session-daemon chat-bridge mission-factory test check lint types layers docs docs-check mutations format bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: $(SYNCED) ## .venv with newleaf, what it needs, and a uv of its own
	@:

# uv is bootstrapped by pip at the locked version, then keeps itself there.
$(SYNCED): pyproject.toml uv.lock
	@{ $(PYTHON_IN) --version && $(UV) --version; } >/dev/null 2>&1 || { \
		python=$$(sh scripts/find_python.sh) && \
		"$$python" -m venv --clear $(VENV) && \
		$(PYTHON_IN) -m pip install --quiet \
			"uv==$$(sed -n '/^name = "uv"$$/ { n; s/version = "\(.*\)"/\1/p; }' uv.lock)"; }
	@$(UV) sync --frozen --quiet --python $(PYTHON_IN)
	@touch $@

demo: setup ## the whole loop, live, on a repository it makes
	@$(VENV)/bin/newleaf demo

session-daemon: setup ## an example: a daemon whose sessions survive its updates; REDIS_URL is optional
	@$(PYTHON_IN) -m examples.session_daemon.show

chat-bridge: setup ## an example: a bot that updates its hosts between two jobs
	@$(PYTHON_IN) -m examples.chat_bridge.show $(ARGUMENTS)

mission-factory: setup ## an example: factories that orders update, between two of their missions; REDIS_URL is optional
	@$(PYTHON_IN) -m examples.mission_factory.show $(ARGUMENTS)

test: setup ## every test
	@$(IN_MEMORY) $(PYTHON_IN) -m pytest -n $(TEST_PROCESSES) --dist worksteal

check: setup lint types layers docs-check test ## what must hold before a commit

lint: setup
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check

types: setup
	@$(VENV)/bin/mypy

layers: setup
	@$(PYTHON_IN) -m pytest -q tests/test_layers.py

docs: setup ## write the generated pages anew
	@$(PYTHON_IN) scripts/generate_docs.py

docs-check: setup
	@$(PYTHON_IN) scripts/generate_docs.py --check

mutations: setup ## each protection taken out in turn: a test must notice
	@$(IN_MEMORY) $(PYTHON_IN) scripts/mutations.py $(ARGUMENTS)

format: setup ## let ruff mend what it can
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/ruff format

bench: setup ## newleaf measured beside what people use today
	@$(PYTHON_IN) bench/run.py
