# Everything a newcomer needs: `make demo`, `make test`. Both make their own environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs# what running needs is installed
TESTS  := $(VENV)/.tests# what testing needs, too
LOCK   := $(BIN)/uv pip compile -q pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help setup demo test check unit browser kafka readers trainers deploytools study audit faults fuzz bench lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(TESTS) ## Make the environment for developing in .venv, from the lock

$(RUNS): requirements-run.lock pyproject.toml
	@scripts/tell "making $(VENV)" scripts/make-venv "$(PYTHON)" "$(VENV)"
	@scripts/tell "installing what running needs into $(VENV)" scripts/install "$(VENV)" requirements-run.lock
	@touch $@

$(TESTS): requirements.lock $(RUNS)
	@scripts/tell "installing what testing needs into $(VENV)" scripts/install "$(VENV)" requirements.lock
	@touch $@

demo: $(RUNS) ## Real events through the whole loop: a ranking beside the truth
	@$(BIN)/clapometer demo $(DEMO)

test: check browser unit ## All checks and tests

check: $(TESTS) ## Format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy services pipelines models
	$(BIN)/lint-imports

browser: ## Chromium and Firefox for the tests of pages and the player SDK, and ffmpeg, which makes their clips
	@scripts/need chromium chromium
	@scripts/need firefox-esr firefox-esr
	@scripts/need ffmpeg ffmpeg

kafka: ## Java and Apache Kafka (in .tools) for the tests with a real broker
	@scripts/need java openjdk-17-jre-headless
	@scripts/need mvn maven
	@scripts/tell "fetching Apache Kafka (.tools/kafka)" scripts/kafka-jars

readers: $(TESTS) ## DuckDB 1.4 and 1.5, CLI and JDBC (in .tools) for the tests of the published file
	@scripts/need javac openjdk-17-jdk-headless
	@scripts/need mvn maven
	@scripts/tell "fetching older DuckDBs (.tools/duckdb)" scripts/duckdb-readers $(BIN)/python

trainers: $(TESTS) ## TRL and Hugging Face datasets (in .tools) for the tests of exports
	@scripts/tell "fetching TRL and datasets (.tools/trainers)" scripts/trainer-libraries $(BIN)/python

deploytools: $(TESTS) ## helm, kubeconform, compose, hadolint (in .tools), Prometheus and systemd for the tests of deploy/
	@scripts/need promtool prometheus
	@scripts/need systemd-analyze systemd
	@scripts/tell "fetching what checks deploy/ (.tools/deploy)" scripts/deploy-tools $(BIN)/python

unit: $(TESTS) browser kafka readers trainers deploytools ## The tests alone
	@scripts/need faketime faketime
	@scripts/need redis-server redis-server
	$(BIN)/pytest -n 2 --dist loadfile

study: $(TESTS) ## Every estimator in simulated worlds, against the truth (hours; goes on where it stopped)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --out docs/explanation/evidence.json $(STUDY)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part looks --out docs/explanation/evidence-looks.json $(STUDY)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part prompts --worlds 30 --out docs/explanation/evidence-prompts.json
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part labels --worlds 60 --out docs/explanation/evidence-labels.json
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part screening --worlds 20 --out docs/explanation/evidence-screening.json
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part outside --out docs/explanation/evidence-outside.json $(STUDY)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part real --out docs/explanation/evidence-real.json
	$(BIN)/clapometer study --report --out docs/explanation/evidence.json
	$(BIN)/python scripts/label_agreement.py

faults: $(TESTS) kafka ## kill -9, stalls, cut networks, full disks and more: nothing acknowledged is lost (half an hour; root)
	@scripts/need gcc gcc libc6-dev
	@scripts/need ip iproute2
	@scripts/need faketime faketime
	@scripts/need mkfs.ext4 e2fsprogs
	PYTHONPATH=. $(BIN)/python -m tests.faults $(if $(KILLS),--kills $(KILLS)) $(FAULTS)

fuzz: $(TESTS) ## Bad input at scale: 100,000 requests and more against the real services (ten minutes)
	PYTHONPATH=. $(BIN)/python -m tests.fuzz $(FUZZ)

bench: $(TESTS) ## Speed and memory, as ratios (needs an idle machine; prints what docs/benchmarks.md quotes)
	@scripts/need wrk wrk
	PYTHONPATH=. $(BIN)/python bench/collector.py
	PYTHONPATH=. $(BIN)/python bench/kafka_collector.py
	PYTHONPATH=. $(BIN)/python bench/loader.py
	PYTHONPATH=. $(BIN)/python bench/memory.py
	PYTHONPATH=. $(BIN)/python bench/freshness.py
	PYTHONPATH=. $(BIN)/python bench/idle.py
	PYTHONPATH=. $(BIN)/python bench/hostile.py
	PYTHONPATH=. $(BIN)/python bench/analyst.py --outcomes 10_000_000 --peers --load

lock: $(TESTS) ## Resolve the dependencies again: of tests, of running, of the image
	$(LOCK) --group dev --all-extras -o requirements.lock
	$(LOCK) -c requirements.lock -o requirements-run.lock
	$(LOCK) -c requirements.lock --extra otel --extra s3 --extra confluent --extra redis -o deploy/docker/requirements.lock

clean: ## Remove what was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
