# Every target sets up what it needs in .venv, with the packages that setup.cfg names.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With CI's two cores, one thread per process is fastest: the matrices are small.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: cartpole test coverage nightly neuro lint pictures docs notebooks page clean

cartpole: $(BIN)/.installed  ## train CartPole, evaluate it and draw its figures in runs/cartpole
	$(BIN)/rwta-sim train cartpole --run runs/cartpole
	$(BIN)/rwta-sim evaluate runs/cartpole

test: $(BIN)/.installed-dev lint  ## lint, type-check and test
	$(BIN)/python -m pytest -n auto --dist worksteal --durations 20

coverage: $(BIN)/.installed-dev  ## the tests once more, slower, with what they cover: at least 90 %
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/typecheck.py

neuro: $(BIN)/.installed-dev  ## what other tools make of our files: Pynapple, nwbinspector, and Chromium of our pages (apt-get install chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,neuro]' pynapple nwbinspector playwright
	$(BIN)/python -m pytest -n 0 -rs -m 'nightly or not nightly' tests/test_export.py tests/test_report.py tests/test_page.py tests/test_live_page.py

nightly: neuro coverage  ## what takes hours: coverage, random networks, kills, full disks, shared and damaged runs
	$(BIN)/python -m pytest -n auto -m nightly
	RWTA_SIM_NETWORKS=500 $(BIN)/python -m pytest -n auto tests/test_differential.py
	$(BIN)/python benchmarks/kill_resume.py --operations --kills 1000
	$(BIN)/python scripts/run_together.py --times 20
	$(BIN)/python scripts/fuzz_runs.py --mutations 10000

pictures: $(BIN)/.installed  ## remake the pictures of the README
	$(BIN)/python scripts/make_pictures.py

docs: $(BIN)/.installed-docs  ## the documentation site, build/html/index.html, with its notebooks run
	$(BIN)/python scripts/make_docs.py

notebooks: $(BIN)/.installed-docs  ## run the notebooks and their solutions, with the time of each
	$(BIN)/python scripts/run_notebooks.py

page: $(BIN)/.installed  ## docs/demo/rwta.html, the network in a browser (needs emcc: apt-get install emscripten)
	$(BIN)/python scripts/make_page.py

$(BIN)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(BIN)/.installed-docs: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs,neuro]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache
