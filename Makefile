# Centripetal's tasks. `make run` and `make test` need nothing but Python 3.11 or newer, make and a package index.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The first interpreter on the machine that is new enough; `make PYTHON=python3.12 run` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.environment
INSTALLED := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.development
COMPILED := build/compiled/.built
EXAMPLES := build/examples/.installed
NODE_MODULES := tests/clients/node/node_modules/.package-lock.json
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Some tests start servers of several processes and give them time, so there are not as many at once as a large machine could have.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist worksteal

PORT ?= 8000
SERVER ?= centripetal
FUZZ_SECONDS ?= 60

.PHONY: help run test lint types layers unit docs conformance conformance-workers clients clients-python clients-node \
	clients-browser examples example-cursors example-online example-scoreboard autobahn acme fuzz churn compile compiled bench lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 27

run: $(INSTALLED) ## Start a server for development on port 8000, without any configuration
	@$(BIN)/centripetal serve --dev --port $(PORT)

test: lint types layers unit ## Check style, types and layers, then run the tests

lint: $(DEVELOPMENT) ## Check the style
	$(BIN)/ruff check

types: $(DEVELOPMENT) ## Check the types
	$(BIN)/mypy

layers: $(DEVELOPMENT) ## Check that rooms import downward only
	$(BIN)/lint-imports --no-logo

unit: $(DEVELOPMENT) ## Run the tests that need nothing but Python
	$(BIN)/pytest $(SIDE_BY_SIDE) --ignore tests/clients --ignore tests/autobahn $(ARGS)

docs: $(DEVELOPMENT) ## Generate docs/configuration.md and check the links of all pages
	$(BIN)/centripetal configdoc --markdown > docs/configuration.md
	$(BIN)/python docs/check_links.py

conformance: $(DEVELOPMENT) ## Compare with the transcripts recorded from the reference
	$(BIN)/python tests/run_conformance.py $(ARGS)

conformance-workers: $(DEVELOPMENT) ## The same with two workers, where it could make a difference
	CENTRIFUGO_WORKERS=2 $(BIN)/python tests/run_conformance.py api_ tr_ map/ jwks/ shared_poll/ streams/ hist_ \
	  ops_reload $(ARGS)

clients: clients-python clients-node clients-browser ## Drive the official client libraries against the server

clients-python: $(DEVELOPMENT)
	PATH="$(CURDIR)/$(BIN):$$PATH" CENTRIPETAL_SERVER="$(SERVER)" $(BIN)/pytest tests/clients $(ARGS)

clients-node: $(INSTALLED) $(NODE_MODULES)
	cd tests/clients/node && PATH="$(CURDIR)/$(BIN):$$PATH" CENTRIPETAL_SERVER="$(SERVER)" npm test --silent

clients-browser: $(DEVELOPMENT) $(NODE_MODULES)
	tests/clients/node/browser/provide
	cd tests/clients/node && PATH="$(CURDIR)/$(BIN):$$PATH" CENTRIPETAL_SERVER="$(SERVER)" npm run test:browser --silent

examples: $(INSTALLED) $(EXAMPLES) ## Test the example backends (FastAPI, Django) and run them with server and client
	cd examples && PATH="$(CURDIR)/$(BIN):$$PATH" CENTRIPETAL_SERVER="$(SERVER)" \
	  ../build/examples/bin/python -m pytest -p no:cacheprovider $(ARGS)

example-cursors: ## Run the example of a board with everybody's mouse cursor, on port 8000
example-online: ## Run the example of a list of who is online, on port 8000

example-cursors example-online: example-%: $(INSTALLED) examples/%/page/centrifuge.js
	@$(BIN)/centripetal serve --dev --config examples/$*/config.json --dir examples/$*/page --port $(PORT)

example-scoreboard: $(INSTALLED) examples/scoreboard/page/centrifuge.js ## Run the example of a live scoreboard, on port 9000
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/scoreboard/scoreboard.py

autobahn: $(DEVELOPMENT) ## Run the WebSocket protocol suite (ARGS=--quick leaves out the long cases)
	tests/autobahn/run $(ARGS)

acme: $(DEVELOPMENT) ## Obtain certificates from a local ACME server (needs Go, which builds it)
	$(BIN)/python tests/run_acme.py $(ARGS)

fuzz: $(DEVELOPMENT) ## Feed the parsers with hostile input for FUZZ_SECONDS seconds
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python tests/run_fuzz.py

churn: $(DEVELOPMENT) ## Connect and disconnect clients and look for what is left behind
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/run_churn.py

compile: $(COMPILED) ## Build the compiled wheel into build/compiled

compiled: $(DEVELOPMENT) $(COMPILED) ## Build the compiled wheel, then run tests of what it compiles against it
	PYTHONPATH="$(CURDIR)/build/compiled/lib" $(BIN)/python tests/check_compiled.py
	PYTHONPATH="$(CURDIR)/build/compiled/lib" $(BIN)/pytest $(SIDE_BY_SIDE) -q tests/protocol \
	  $(addprefix tests/unit/,api connection engines/memory fanout node transports) $(ARGS)
	PYTHONPATH="$(CURDIR)/build/compiled/lib" $(BIN)/python tests/run_conformance.py websocket/ streams/ transports/
	PYTHONPATH="$(CURDIR)/build/compiled/lib" PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/run_churn.py

bench: $(DEVELOPMENT) ## Measure the server beside a baseline written in C
	cd benchmarks && ./bench.py --server 'centripetal=$(CURDIR)/$(BIN)/centripetal -c {config}' --baseline --quick $(ARGS)

lock: ## Resolve all dependencies anew and write requirements/ci.lock
	rm -rf build/lock && "$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip --quiet install --upgrade pip
	build/lock/bin/python -m pip --quiet install . --group dev
	{ sed -n '/^#/p' requirements/ci.lock; build/lock/bin/python -m pip freeze --exclude centripetal; } > build/ci.lock
	mv build/ci.lock requirements/ci.lock && rm -rf build/lock

clean: ## Remove the environment and everything generated
	rm -rf $(VENV) build dist tests/clients/node/node_modules benchmarks/build examples/*/page/centrifuge.js
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# -- the environment

$(ENVIRONMENT):
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; none was found on PATH." >&2; exit 1; }
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	@touch $@

$(INSTALLED): pyproject.toml $(ENVIRONMENT)
	@[ -e $(DEVELOPMENT) ] || { echo "Installing Centripetal into $(VENV)"; $(PIP) install --editable .; }
	@touch $@

# The lock file has every dependency, so pip need not resolve anything. Conformance has servers write no bytecode, as the kit must
# stay as it is: without any, each of hundreds would compile the source.
$(DEVELOPMENT): pyproject.toml requirements/ci.lock $(ENVIRONMENT)
	@echo "Installing the development environment into $(VENV)"
	@$(PIP) install --requirement requirements/ci.lock
	@$(PIP) install --no-deps --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@ $(INSTALLED)

# Unpacked beside the environment, where PYTHONPATH finds it before the source.
$(COMPILED): pyproject.toml hatch_build.py $(shell find src -name '*.py') $(DEVELOPMENT)
	@echo "Compiling into build/compiled"
	@rm -rf build/compiled && mkdir -p build/compiled
	@CENTRIPETAL_COMPILE=1 $(PIP) wheel --no-deps --wheel-dir build/compiled .
	@$(PIP) install --no-deps --target build/compiled/lib build/compiled/*.whl
	@touch $@

$(NODE_MODULES): tests/clients/node/package.json tests/clients/node/package-lock.json
	cd tests/clients/node && npm ci --no-audit --no-fund --silent
	@touch $@

examples/%/page/centrifuge.js: $(NODE_MODULES)
	@cp tests/clients/node/node_modules/centrifuge/dist/centrifuge.js $@

# The frameworks of the examples stay out of the server's environment.
$(EXAMPLES): examples/requirements.txt
	@echo "Installing the environment of the examples into build/examples"
	@"$(PYTHON)" -m venv build/examples
	@build/examples/bin/python -m pip --disable-pip-version-check --quiet install --requirement examples/requirements.txt
	@touch $@
