# The same verbs here and in continuous integration. Each sets `.venv` up when it is
# missing or older than what it was made from.
PYTHON ?= python3
NAME   ?= 星河
AUTHOR ?= 北斗实验室

BIN   := .venv/bin
STAMP := .venv/.installed
# several test processes, each with its share of the processors
TEST_PROCESSES ?= 2

.PHONY: demo test check format bench docs

demo: $(STAMP)
	@$(BIN)/tuneglm demo --name "$(NAME)" --author "$(AUTHOR)"

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python benchmarks/tokenizer_speed.py

docs: $(STAMP)
	$(BIN)/python docs/reference.py

# torch first: a plain `pip install torch` may fetch gigabytes of another build
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $(STAMP)
