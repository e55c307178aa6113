# The front desk. Every verb prepares what it needs in .venv; the machine needs Python 3.11 or newer, and make.
#
#   make test                      with python3
#   make test PYTHON=python3.12    with another Python (an environment made with a third one is made anew)
#   make test ARGS="-k restart"    ARGS go to the command behind the verb
#   make soak SOAK=3600            an hour instead of ten minutes

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
SOAK ?= 600
FUZZ ?= 60

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
READY := $(VENV)/.ready-$(VERSION)
READY_TO_BENCH := $(VENV)/.ready-to-bench-$(VERSION)
READY_TO_FUZZ := $(VENV)/.ready-to-fuzz-$(VERSION)
# One of the contenders needs 3.12: if PYTHON is older, a newer one gets an environment for it, or it is left out.
NEWER := $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python
BESIDE_PYTHON ?= $(shell for python in python3.12 python3.13 python3.14 $(wildcard $(NEWER)); do \
	$$python -c "import sys; sys.exit(sys.version_info < (3, 12))" 2>/dev/null && echo $$python && break; done)
TYPED := $(wildcard src tools tests/typing benchmarks examples verification)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-gate bench-report faults crash soak fuzz verify mutate targets proof-report clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile

demo: $(READY) ## see the runtime at work: the real app server, a scripted model, no network, no account
	@$(BIN)/codex-runtime demo $(ARGS)

test: $(READY) ## run the tests, on all cores (ARGS="-n 0" for one at a time)
	@$(BIN)/python -m pytest --quiet --numprocesses=auto --dist=worksteal $(ARGS)

check: $(READY) ## format, lint, types, layers, generated code, README snippets
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary $(TYPED)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tools.codegen --check
	@$(BIN)/python -m tools.snippets README.md

bench: $(READY_TO_BENCH) ## measure, against the other Python clients where they can be installed
	@$(BIN)/python -m benchmarks $(ARGS)

bench-gate: $(READY) ## count instructions and fail if there are too many; needs valgrind
	@$(BIN)/python -m benchmarks.gates

bench-report: $(READY) ## write the last results of bench into docs/performance.md
	@$(BIN)/python -m benchmarks.report

faults: $(READY_TO_BENCH) ## take us, and the official SDK, through all that may go wrong
	@$(BIN)/python -m verification.faults --client ours --client sdk --client sdk-async --real $(ARGS)

crash: $(READY) ## kill writers, 1000 times, and look at what is left of their stores
	@$(BIN)/python -m verification.crash --rounds 1000 $(ARGS)

soak: $(READY) ## run turns under faults, for SOAK seconds, and watch what grows
	@$(BIN)/python -m verification.soak --seconds $(SOAK) $(ARGS)

fuzz: $(READY_TO_FUZZ) ## fuzz what reads bytes, each target for FUZZ seconds
	@$(BIN)/python -m verification.fuzz --seconds $(FUZZ) $(ARGS)

verify: $(READY) ## check the models; needs spin and a C compiler
	@$(BIN)/python -m verification.models $(ARGS)

mutate: $(READY) ## break the core in every small way, and see the tests notice
	@$(BIN)/python -m verification.mutation $(ARGS)

targets: $(READY) ## measure how soon trouble is over
	@$(BIN)/python -m verification.targets $(ARGS)

proof-report: $(READY) ## write the last results of these into docs/reliability.md
	@$(BIN)/python -m verification.report

clean: ## remove the environment and everything that tools left behind
	rm -rf $(VENV) build dist htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "preparing $(VENV) with Python $(VERSION)"
	@test -x $(BIN)/python$(VERSION) || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --editable ".[codex,cli,ws,dev]"
	@touch $@

$(READY_TO_FUZZ): $(READY)
	@$(PIP) --editable ".[fuzz]"
	@touch $@

$(READY_TO_BENCH): $(READY)
	@$(PIP) --editable ".[bench]"
	@$(BIN)/python -c "import codex_app_server_sdk" 2>/dev/null || test -z "$(BESIDE_PYTHON)" || { \
		echo "preparing $(VENV)/beside with $(BESIDE_PYTHON)"; \
		$(BESIDE_PYTHON) -m venv --clear $(VENV)/beside && \
		$(subst $(BIN),$(VENV)/beside/bin,$(PIP)) codex-app-server-sdk; } || \
		echo "codex-app-server-sdk cannot be installed and is left out"
	@touch $@
