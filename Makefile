# Everything a newcomer needs: `make demo`, `make test`. Both make their own environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check unit browser kafka readers deploytools study audit faults fuzz bench lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the environment in .venv, from the lock

$(STAMP): requirements.lock pyproject.toml
	@scripts/make-venv "$(PYTHON)" "$(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(STAMP) ## Real events through the whole loop: a ranking beside the truth
	@$(BIN)/clapometer demo $(DEMO)

test: check browser unit ## All checks and tests

check: $(STAMP) ## Format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy services pipelines models
	$(BIN)/lint-imports

browser: ## Chromium for the page tests
	@scripts/need chromium chromium

kafka: ## Java and Apache Kafka (in .tools) for the tests with a real broker
	@scripts/need java openjdk-17-jre-headless
	@scripts/need mvn maven
	@scripts/kafka-jars

readers: $(STAMP) ## DuckDB 1.4 and 1.5, CLI and JDBC (in .tools) for the tests of the published file
	@scripts/need javac openjdk-17-jdk-headless
	@scripts/need mvn maven
	@scripts/duckdb-readers $(BIN)/python

deploytools: $(STAMP) ## helm, kubeconform, compose, hadolint (in .tools), Prometheus and systemd for the tests of deploy/
	@scripts/need promtool prometheus
	@scripts/need systemd-analyze systemd
	@scripts/deploy-tools $(BIN)/python

unit: $(STAMP) browser kafka readers deploytools ## The tests alone
	@scripts/need faketime faketime
	@scripts/need redis-server redis-server
	$(BIN)/pytest -n 2 --dist loadfile

study: $(STAMP) ## Every estimator in simulated worlds, against the truth (hours; goes on where it stopped)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --out docs/explanation/evidence.json $(STUDY)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part looks --out docs/explanation/evidence-looks.json $(STUDY)
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part prompts --worlds 30 --out docs/explanation/evidence-prompts.json
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part labels --worlds 60 --out docs/explanation/evidence-labels.json
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part screening --worlds 20 --out docs/explanation/evidence-screening.json
	OMP_NUM_THREADS=1 $(BIN)/clapometer study --part real --out docs/explanation/evidence-real.json
	$(BIN)/clapometer study --report --out docs/explanation/evidence.json
	$(BIN)/python scripts/label_agreement.py

faults: $(STAMP) kafka ## kill -9, stalls, cut networks, full disks and more: nothing acknowledged is lost (half an hour; root)
	@scripts/need gcc gcc libc6-dev
	@scripts/need ip iproute2
	@scripts/need faketime faketime
	@scripts/need mkfs.ext4 e2fsprogs
	PYTHONPATH=. $(BIN)/python -m tests.faults $(if $(KILLS),--kills $(KILLS)) $(FAULTS)

fuzz: $(STAMP) ## Bad input at scale: 100,000 requests and more against the real services (ten minutes)
	PYTHONPATH=. $(BIN)/python -m tests.fuzz $(FUZZ)

bench: $(STAMP) ## Speed and memory, as ratios (needs an idle machine; prints what docs/benchmarks.md quotes)
	@scripts/need wrk wrk
	PYTHONPATH=. $(BIN)/python bench/collector.py
	PYTHONPATH=. $(BIN)/python bench/kafka_collector.py
	PYTHONPATH=. $(BIN)/python bench/loader.py
	PYTHONPATH=. $(BIN)/python bench/memory.py
	PYTHONPATH=. $(BIN)/python bench/freshness.py
	PYTHONPATH=. $(BIN)/python bench/idle.py
	PYTHONPATH=. $(BIN)/python bench/analyst.py --outcomes 10_000_000 --peers --load

lock: ## Resolve the dependencies again
	uv pip compile -q pyproject.toml --group dev --all-extras --universal --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	uv pip compile -q pyproject.toml --extra otel --extra s3 --extra confluent --extra redis --universal --generate-hashes --no-emit-index-url --no-header -c requirements.lock -o deploy/docker/requirements.lock

clean: ## Remove what was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
