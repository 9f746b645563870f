# Two commands do everything: `make demo` and `make test`. Each sets up .venv first, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
# CPU=1 takes the CPU build of torch from PyTorch's own wheel index: no CUDA packages, several GB less.
ifdef CPU
TORCH_INDEX := --extra-index-url https://download.pytorch.org/whl/cpu
endif

.PHONY: demo test check lint types imports format install verify-peers screenshots clean

demo: $(STAMP)  ## a DLRM measured on this machine, its quality beside the best possible
	$(BIN)/bench run dlrm --profile demo

test: $(STAMP)  ## the whole test suite
	$(BIN)/pytest -n auto $(PYTEST_ARGS)

check: lint types imports test  ## what CI runs

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

verify-peers: $(STAMP)  ## checks that need other people's programs; installs them into .venv-peers
	$(PYTHON) benchmarks/verify_peers.py

screenshots: $(STAMP)  ## the pictures of the dashboard in docs/screens
	$(BIN)/python docs/screenshots.py

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "recbench needs Python 3.11 or newer")'
	@echo "Installing into $(VENV). On Linux, torch brings several GB of CUDA packages unless you use: CPU=1 make $(MAKECMDGOALS)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH_INDEX) -e '.[torch,cache,dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
