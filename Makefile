# Every target runs in an environment that is built once, and again when pyproject.toml changes.
# CONSTRAINT=lowest.txt builds it with these versions, which pip reads as constraints; give it a VENV of its own.
#   make demo     the whole way on a synthetic section, into demo_output
#   make test     all tests; those on real tissue need STSR_DATA_DIR
#   make lint     style, types and import contracts
#   make docs     the documentation, into docs/_build/html
#   make bench    all methods on real tissue (STSR_DATA_DIR), into bench_output, and docs/benchmarks.md from it; hours
#   make lowest.txt   the lowest versions that are allowed, for CONSTRAINT; needs uv
#   make clean    remove what the targets made, all but the environment

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
CONSTRAINT ?=
PYTEST ?=

.PHONY: venv demo test lint docs bench clean

demo: $(STAMP)
	$(BIN)/stsr demo --out demo_output --overwrite

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

# Takes up where it was stopped. BENCH="--seeds 0,1,2" and the like are added to the command.
bench: $(STAMP)
	$(BIN)/stsr bench kidney $(BENCH) --out bench_output/kidney
	$(BIN)/stsr bench her2st $(BENCH) --out bench_output/her2st
	$(BIN)/python benchmarks/publish.py bench_output/kidney bench_output/her2st

lowest.txt: pyproject.toml
	uv pip compile --quiet --resolution lowest-direct --group dev --group test --group doc --output-file $@ pyproject.toml

clean:
	rm -rf lowest.txt build dist demo_output docs/_build docs/generated .coverage .hypothesis
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

venv: $(STAMP)

# One call to pip, so that torch, torchvision and the rest are resolved together. The stamp comes last: an installation
# that was broken off is taken up again. pip is upgraded first because older ones do not know dependency groups.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --editable . --group dev --group test --group doc \
		$(if $(CONSTRAINT),--constraint $(CONSTRAINT))
	touch $@
