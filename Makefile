# Two commands matter: `make demo` and `make test`. Each makes .venv, installs, and does its job.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests, a module at a time; auto: as cores and memory allow. 0: none.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

# Without compiled bytecode each start of PyTorch and Lightning takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all coverage mutation lint bench docs dist try-wheel lowest clean
.DELETE_ON_ERROR:

demo: .install-core.stamp
	$(BIN)/filterscope demo --out demo --overwrite

test: .install-dev.stamp
	$(PYTEST) -m "not full"

# With drawn examples that differ from run to run.
test-all: .install-dev.stamp
	$(PYTEST) --hypothesis-profile=anew

# The default tests once, and those of the compiled kernels once more without the compiler.
coverage: .install-dev.stamp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder -m "not full"
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -k equals tests/metrics/test_mutual_information.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o .coverage.json
	$(BIN)/python tools/coverage_floors.py .coverage.json --lines 95 --branches 90

mutation: .install-dev.stamp
	$(BIN)/python benchmarks/mutation.py --out .mutation

lint: .install-dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .install-dev.stamp
	$(BIN)/python benchmarks/mutual_information.py
	$(BIN)/python benchmarks/gated_step.py
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/localization.py
	$(BIN)/python benchmarks/grad_map.py
	$(BIN)/python benchmarks/linear.py
	$(BIN)/python benchmarks/pixel_votes.py resnet18 --sides "all rows" --repeats 3
	$(BIN)/python benchmarks/parts.py
	$(BIN)/python benchmarks/occlusion.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/attacks.py
	$(BIN)/python benchmarks/damaged_images.py
	$(BIN)/python benchmarks/faults.py --kills 20
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/imagenet_size.py
	$(BIN)/python benchmarks/steady_memory.py

docs: .install-dev.stamp
	$(BIN)/mkdocs build --strict

# The wheel is built from the sdist.
dist: .install-dev.stamp
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# The demo from the wheel alone, in an empty environment that is removed afterwards.
try-wheel: dist
	sh tools/try_wheel.sh "$(PYTHON)" dist/*.whl

# The tests in LOWEST with the lowest versions that pyproject.toml allows, in .venv-lowest.
LOWEST ?= tests
lowest:
	sh tools/lowest.sh "$(PYTHON)" .venv-lowest
	.venv-lowest/bin/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile \
		--no-loadscope-reorder -m "not full" $(LOWEST)

clean:
	rm -rf $(VENV) .venv-lowest .install-*.stamp .coverage* .mutation site demo dist

# The development install holds the core one, so either serves the demo.
.install-core.stamp: pyproject.toml
	@test -e .install-dev.stamp -a .install-dev.stamp -nt pyproject.toml || sh tools/install.sh "$(PYTHON)" "$(VENV)" "."
	@touch $@

.install-dev.stamp: pyproject.toml
	@sh tools/install.sh "$(PYTHON)" "$(VENV)" ".[dev]"
	@touch $@
