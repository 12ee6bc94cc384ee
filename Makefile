# Everything a newcomer needs: `make run` starts a mail sink, `make test` runs the tests. Both set themselves up.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEV    := $(VENV)/.dev

.PHONY: run demo test check format bench bench-check clean
.DEFAULT_GOAL := run

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fast]'
	@$(BIN)/python -m compileall -q mailsystem  # so that the first start is as quick as the next
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fast,dev]'
	@$(BIN)/python -m compileall -q mailsystem
	@touch $@ $(READY)

run: $(READY)  ## a mail sink: SMTP 1025, POP3 1110, IMAP 1143
	@exec $(BIN)/mailsystem sink $(ARGS)

demo: $(READY)  ## one message's life, push and pull, live in the terminal
	@exec $(BIN)/mailsystem demo $(ARGS)

test: $(DEV)  ## the whole suite, in parallel; ARGS="tests/imap -x" narrows it
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: $(DEV)  ## lint, format, types, import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV)  ## benchmarks: ratios to other servers, side by side in one run; ARGS="--quick" for a small look
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: $(DEV)  ## whether anything costs more CPU than the stored reference says; ARGS="--update" writes it
	$(BIN)/python -m benchmarks check $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
