# Every target sets up .venv first if needed. Nothing but setting up touches the network.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-language check test test-oldest test-newest soak lint docs pages notebooks bench bench-quick \
    gpu-check clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 28

setup: $(READY) ## Set up .venv with everything that tests and demo need.

$(READY): setup.cfg pyproject.toml
	@echo "setting up $(VENV) (a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## Search three small networks on real images and print what was found (about 3 minutes).
	$(BIN)/adasearch search --architecture resnet18 --architecture mobilenet_v3_small --architecture vit_b_16 \
	    --scheduler deba --space deba_short --dataset digits --epochs 16 --interval 0.5 --trials 12 \
	    --results results/demo

demo-language: $(READY) ## Search a small GPT on Python's own source code (about 10 minutes on two cores).
	$(BIN)/adasearch search --architecture gpt --dataset python_source --scheduler deba --space deba=deba_short \
	    --scheduler noise_scale --subset 2048 --budget 262144tokens --interval 16384tokens \
	    --evaluate-every 65536tokens --trials 6 --results results/demo-language

# Processes of one thread each, a file's tests in one. Those on Ray are all in one, which has one Ray and its warm
# workers, beside two others: much of their time is waiting for processes to start (1,432 s in all; 1,669 s apart).
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadgroup

check: $(READY) lint ## Run lint, types and every test that needs no Ray (about 10 minutes; before each commit).
	$(TESTS) -m "not ray and not soak" -n 2

test: $(READY) lint ## Run lint, types and every test (about 25 minutes on two cores).
	$(TESTS) -m "not soak" -n 3

test-oldest: ## Run tests, a small demo and a search with the oldest versions that setup.cfg admits, in .venv/oldest.
	PYTHON=$(PYTHON) .ci/versions oldest

test-newest: ## The same with the newest, in .venv/newest.
	PYTHON=$(PYTHON) .ci/versions newest

soak: $(READY) ## Run what "make test" leaves out: long searches, faults at random moments (up to an hour).
	$(BIN)/python -m pytest -m soak

lint: $(READY) ## Run ruff and mypy.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY) ## Build the documentation's site in docs/site, links checked (under a minute).
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/mkdocs.yml

pages: $(READY) ## Write anew what README and pages show of the code and of the stored study: tables and pictures.
	$(BIN)/python docs/hooks/site_made.py
	$(BIN)/python docs/hooks/site_pictures.py

notebooks: $(READY) ## Run the notebooks again on the stored results and keep their outputs.
	$(BIN)/jupyter-execute --inplace notebooks/*.ipynb

# Those that know --quick; benchmarks/README.md says what each is for, and names those that NAME alone runs.
BENCHES := measuring own_loop sampling_error data_path layout resize decisions store_throughput start_up \
    store_scale optimizer_step evaluation language_speed trial_cost slot_memory both_cores search_command \
    search_speed schedules noise_estimators

bench: $(READY) ## Measure side by side with what one would use instead (an hour, quiet machine); NAME=... one alone.
	set -e; for name in $(if $(filter command,$(origin NAME)),$(NAME),$(BENCHES)); do $(BIN)/python benchmarks/$$name.py; done

bench-quick: $(READY) ## Run each benchmark at a small size, to see that it works (about 11 minutes).
	set -e; for name in $(BENCHES); do \
	    $(BIN)/python benchmarks/$$name.py --quick --out results/bench/quick/$$name.parquet; \
	done

# On a machine that reaches no network there is no .venv: the tree and what its Python has must do.
gpu-check: ## Check and measure on a GPU, with PyTorch and the tree alone, what no CPU can show (10 minutes).
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) benchmarks/gpu.py

clean: ## Remove .venv and what tools left.
	rm -rf $(VENV) build docs/site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
