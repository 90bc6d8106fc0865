# Two targets do everything: `make demo` and `make test`. Both make .venv first, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_INDEX := build/demo.index

.DEFAULT_GOAL := help
.PHONY: help demo test lint typecheck check clean encoder

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# The stamp is newer than pyproject.toml exactly when what it lists is installed.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 11) and "Coverdex needs Python 3.11 or newer, this is %d.%d; try: make PYTHON=python3.11 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: $(VENV)/installed ## index the demo catalogue, query it, evaluate it
	@rm -rf $(DEMO_INDEX) && mkdir -p $(dir $(DEMO_INDEX))
	$(BIN)/coverdex index build demo --out $(DEMO_INDEX)
	$(BIN)/coverdex query $(DEMO_INDEX) --performance $(DEMO_QUERY) --top 10
	$(BIN)/coverdex evaluate $(DEMO_INDEX)
	@echo
	@echo 'Next: activate the environment and ask about another performance, serve the index, or index your own catalogue:'
	@echo
	@echo '  . $(BIN)/activate'
	@echo '  coverdex index info $(DEMO_INDEX)'
	@echo '  coverdex query $(DEMO_INDEX) --performance $(DEMO_OTHER)'
	@echo '  coverdex serve $(DEMO_INDEX)                              # then see docs/service.md'
	@echo '  coverdex index build PATH_TO_DA_TACOS --out my.index'

# One tune that the demo asks about, and another to try next.
DEMO_QUERY := P_100101
DEMO_OTHER := P_103402

test: $(VENV)/installed ## run the whole test suite
	$(BIN)/python -m pytest

lint: $(VENV)/installed ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The folder of a checkout can have any name, the package has one: a link gives it that name.
typecheck: $(VENV)/installed ## check types
	@mkdir -p build/typecheck && ln -sfn ../.. build/typecheck/coverdex
	MYPYPATH=build/typecheck $(BIN)/mypy -p coverdex

# Where the symbolic music and the soundfonts lie: make encoder SEEDS=... SOUNDFONTS="... ..."
SEEDS := ../shared/data/seeds
SOUNDFONTS := /usr/share/sounds/sf2/FluidR3_GM.sf2 /usr/share/sounds/sf2/TimGM6mb.sf2
MORE_SOUNDFONTS := /usr/share/sounds/sf3/MuseScore_General_Lite.sf3
WORKERS := 2
# bfloat16 on a processor that computes in it (AVX-512 BF16, AMX) halves the hours; on a GPU it is what auto means.
PRECISION := auto
NETWORK := encoder/training/configs/coverdex-64-network.toml
TRAIN = $(BIN)/coverdex encoder train $(NETWORK) --prepared runs/prepared \
    --set run.precision=$(PRECISION)

# Four networks from nothing with four seeds; `make -j 2 encoder` trains two at a time.
train-first: SEED = 41
train-second: SEED = 42
train-third: SEED = 43
train-fourth: SEED = 44
TRAINED := train-first train-second train-third train-fourth
.PHONY: prepared $(TRAINED)

prepared: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo-render]"
	$(BIN)/python -m coverdex.encoder.training.rendered_charts --works training --most 512 --seconds 60 \
	    --charts $(SEEDS)/jazz_charts.parquet --config $(NETWORK) \
	    --soundfont $(SOUNDFONTS) --out runs/rendered-charts
	$(BIN)/python -m coverdex.encoder.training.rendered_seeds --config $(NETWORK) \
	    --works pop909=900 jazz_charts=900 cocopops=300 asap=100 tunes=500 --takes 4 --workers $(WORKERS) \
	    --soundfont $(SOUNDFONTS) $(MORE_SOUNDFONTS) --out runs/rendered-seeds
	$(BIN)/coverdex encoder prepare $(NETWORK) --out runs/prepared --overwrite

$(TRAINED): train-%: prepared
	$(TRAIN) --set name=coverdex-64-$* --set seed=$(SEED) --out runs/coverdex-64-$*

encoder: $(TRAINED) ## train coverdex-64 again, 12 to 23 hours on two cores without a GPU (see docs/training.md)
	$(BIN)/coverdex encoder join encoder/training/configs/coverdex-64.toml --prepared runs/prepared \
	    --out runs/coverdex-64/checkpoint --overwrite

check: lint typecheck test ## all that CI runs

clean: ## remove what the targets above made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
