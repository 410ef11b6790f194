# The same verbs here and in continuous integration. Each sets `.venv` up when it is
# missing or older than what it was made from.
PYTHON ?= python3
NAME   ?= 星河
AUTHOR ?= 北斗实验室

# as they were typed: neither make nor the shell reads quotes or dollars in them
export DEMO_NAME   := $(value NAME)
export DEMO_AUTHOR := $(value AUTHOR)

BIN   := .venv/bin
STAMP := .venv/.installed
# several test processes, each with its share of the processors, and with tests that stand together:
# what these share is made once
TEST_PROCESSES ?= 2

.PHONY: demo test check format bench docs matrix

demo: $(STAMP)
	@$(BIN)/tuneglm demo --name "$$DEMO_NAME" --author "$$DEMO_AUTHOR"

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_platforms.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# some 20 minutes, more with peers installed; ARGS=--quick within 3. What else is measured stands in benchmarks/README.md
bench: $(STAMP)
	$(BIN)/python benchmarks/training_speed.py $(ARGS)

# every method, family, width, kind of batch and number of processes; a quarter of an hour
matrix: $(STAMP)
	$(BIN)/python -m tests.matrix

# the reference, drawn from the code; the tables of speed, from the figures that are published;
# all pages as a site: build/site/index.html
docs: $(STAMP)
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/speed.py
	$(BIN)/python -m pip install --quiet -c constraints.txt ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# torch first, by its own command: give that another --index-url to choose its build (CPU, CUDA)
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $(STAMP)
