# Two commands for a fresh machine (Python 3.11+, make, git): `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
URL ?=
LOCK ?=

.PHONY: help demo test test-all coverage guarantees flakes lint types contracts smoke format bench bench-peers bench-snapshot bench-enqueue bench-parts pictures prove fuzz lock audit mutation clean

help:  ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.%: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) ($*) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(LOCK),--constraint $(LOCK)) --editable '.[$*]'
	@touch $@

demo: $(VENV)/.test  ## Do real work on SQLite, one worker killed half-way; URL=redis://… or postgresql://… does it there
	@$(BIN)/python examples/demo.py $(if $(URL),--url '$(URL)')

test: $(VENV)/.test  ## Run all tests, with servers of their own
	$(BIN)/python -m pytest -m 'not slow' $(ARGS)

test-all: $(VENV)/.test  ## The same, with the heavy runs, and the work of a million jobs
	$(BIN)/python -m pytest -o faulthandler_timeout=7200 $(ARGS)
	$(BIN)/python -m pytest -o faulthandler_timeout=7200 tests/drivers -k work_does_not_grow --conformance-law=12 --conformance-thorough=3600

# Left out are mutants, which run lines that no law may look at; type checkers, which run none; simulations, whose greenlets
# coverage takes for one thread's calls; and what has JobTimeout strike so often that it strikes within coverage's own lock.
# Tracing is slow, so a few tests of what happens in time fail here: `make test` judges them, and this what was reached.
# Each file has a process of its own, two at a time: in one for all, coverage's tracer broke its own memory in the end.
COUNTED := $(filter-out tests/core/test_simulation.py,$(wildcard tests/core/test_*.py tests/drivers/test_*.py \
	tests/faults/test_*.py examples/*/test_*.py))

coverage: $(VENV)/.test  ## See what the tests reach: 95 in 100 of the core's branches, every line of each driver
	$(BIN)/coverage erase
	-@printf '%s\n' $(COUNTED) | xargs -P 2 -I{} $(BIN)/coverage run -m pytest -q -m 'not slow' \
		-k 'not come_to_their_ends and not jobtimeout_reaches' {} $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	@$(BIN)/coverage json --quiet -o build/coverage.json
	$(BIN)/python tests/covered.py build/coverage.json

guarantees: $(VENV)/.test  ## Try each store by the suite and write docs/guarantees.md; URL=… tries one more
	$(BIN)/python tests/guarantees.py --fresh $(if $(URL),'$(URL)')

flakes: $(VENV)/.test  ## Try each store twenty times: the suite raises no false alarm
	$(BIN)/python tests/guarantees.py --fresh --runs 20

lint: $(VENV)/.dev  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev  ## Mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The installed package as one folder of links: static tools don't follow setuptools' package-dir mapping.
build/tree: src src/jobcore
	@rm -rf $@ && mkdir -p $@/jobcore
	@ln -s $(CURDIR)/src/jobcore/* $(CURDIR)/src/backends $@/jobcore/
	@ln -s $(CURDIR)/tests/conformance $@/jobcore/conformance

types: $(VENV)/.dev build/tree  ## Check types: ours, and what users see of them in two checkers
	$(BIN)/mypy -p jobcore
	$(BIN)/mypy tests/servers examples benchmarks
	$(BIN)/python -m pytest -m slow tests/typing

contracts: $(VENV)/.dev build/tree  ## Check who imports whom
	PYTHONPATH=build/tree $(BIN)/lint-imports

smoke: $(VENV)/.dev  ## Build the wheel and try it in a clean environment
	.ci/smoke $(BIN)/python

bench: $(VENV)/.test  ## Measure what has a goal (half an hour; less of it: ARGS='drain load --store redis --scale 0.1')
	$(BIN)/python benchmarks/run.py --json build/bench.json $(ARGS)

bench-parts: $(VENV)/.test  ## Measure single steps: the codec, a decision, each verb of each driver
	$(BIN)/python -m pytest benchmarks --benchmark-columns=median,iqr,ops,rounds $(ARGS)

bench-peers: $(VENV)/.test  ## Measure other job queues beside ours, each in an environment of its own (some of them: ARGS='taskiq pgqueuer')
	$(BIN)/python benchmarks/peers/compare.py --json build/peers.json $(ARGS)

pictures: $(VENV)/.bench  ## Draw docs/img from what bench and bench-peers measured last
	$(BIN)/python benchmarks/pictures.py $(wildcard build/bench.json build/peers.json) docs/img

prove: $(VENV)/.test  ## Kill workers, servers and connections for half an hour, on servers of its own; reports in build/prove
	$(BIN)/python benchmarks/prove.py $(ARGS)

bench-snapshot: $(VENV)/.test  ## Measure what an old snapshot costs a PostgreSQL queue
	$(BIN)/python benchmarks/snapshot.py $(ARGS)

bench-enqueue: $(VENV)/.test  ## Measure what it costs to enqueue jobs one at a time
	$(BIN)/python benchmarks/enqueue.py $(ARGS)

fuzz: $(VENV)/.test  ## Give ten million made-up inputs to all that reads bytes (fewer: ARGS='--inputs 100000')
	PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

mutation: $(VENV)/.test  ## Change memory, run and monitor in small ways: which does no test notice? (one: ARGS='--target run')
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'cosmic-ray>=8.7'
	PYTHONPATH=tests $(BIN)/python -m mutation $(ARGS)

build/tools:
	@$(PYTHON) -m venv $@
	@$@/bin/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.5' 'pip-audit>=2.10'

lock: build/tools  ## Pin what CI installs anew, in .ci/lock.txt
	@sed -n 1p .ci/lock.txt > build/lock.txt
	build/tools/bin/pip-compile --quiet --upgrade --extra dev --strip-extras --no-header --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --output-file build/resolved.txt pyproject.toml
	@sed '/^jobcore-queue @/,+1d' build/resolved.txt >> build/lock.txt && mv build/lock.txt .ci/lock.txt

audit: build/tools  ## Look what CI installs up among known vulnerabilities; fails too if that can't be told
	build/tools/bin/pip-audit --strict --no-deps --disable-pip --requirement .ci/lock.txt

clean:  ## Remove what these targets made
	rm -rf $(VENV) build dist
