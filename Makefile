# Every target sets up what it needs first; `make demo` and `make test` work on a fresh checkout.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
OUTPUT ?= demo-output
STREAMS ?= 1000
KILLS ?= 200
WORKERS ?= 3
BROKER_RESTARTS ?= 0
ZOMBIES ?= 0
MINUTES ?= 5
SECONDS ?= 60
INPUTS ?= 0
RESCALES ?= 0
LATE ?= 0
JOBS ?= 2
SHARE ?= 0.05
FILES ?=

.PHONY: help setup demo test check lint format types unit integration benchmarks kill-test fault-campaign soak mutation-test fuzz fuzz-guided drift-study acl-test tutorial-test extras-test label-studio-test audit clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{sub(/:.*/, "", $$1); printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Put everything into .venv (the first time a few minutes and 6 GB)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, $(PYTHON) is older; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev --editable '.[worker,evaluate,demo]'
	@touch $@

demo: setup ## See it learn: broker, worker, pictures, accuracy; writes $(OUTPUT)/
	@$(BIN)/stream-adapter demo --output $(OUTPUT)

test: check unit integration ## Lint, types, unit tests, and tests on a real Kafka

check: lint types ## Lint and types

lint: setup ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

unit: setup ## Tests that need no broker
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(JOBS) --dist worksteal --ignore tests/integration

integration: setup ## Tests on a real Apache Kafka (Java 17 and Maven, or KAFKA_BOOTSTRAP_SERVERS)
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal tests/integration

format: setup ## Let ruff format and fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: setup ## Print what the worker costs beside its floor and its peers (half an hour); $(OUTPUT)/benchmarks.json
	mkdir -p $(OUTPUT) && OMP_WAIT_POLICY=passive $(BIN)/python benchmarks/table.py --json $(OUTPUT)/benchmarks.json

kill-test: setup ## Kill WORKERS workers KILLS times in the middle of a stream; ends with one line of JSON
	@$(BIN)/python -m tests.campaigns --kills $(KILLS) --workers $(WORKERS) \
		--broker-restarts $(BROKER_RESTARTS) --zombies $(ZOMBIES) --rescales $(RESCALES) --late $(LATE)

fault-campaign: setup ## Faults of every kind at random into three workers for MINUTES; ends with one line of JSON
	@$(BIN)/python -m tests.faults --minutes $(MINUTES)

soak: setup ## The same with one worker that lives on, whose memory, descriptors and log must stay flat; MINUTES=120
	@$(BIN)/python -m tests.faults --soak --minutes $(if $(filter command line environment,$(origin MINUTES)),$(MINUTES),120)

mutation-test: setup ## Change the code in small ways and see whether a test notices: SHARE of the lines of FILES; hours for SHARE=1
	test -x build/mutation/bin/python || { $(PYTHON) -m venv build/mutation && build/mutation/bin/pip install --quiet 'cosmic-ray>=8.3,<9' 'coverage>=7.6,<8'; }
	@PYTHONPATH=$$(build/mutation/bin/python -c 'import site; print(site.getsitepackages()[0])') OMP_NUM_THREADS=1 \
		$(BIN)/python -m tests.mutation --share $(SHARE) $(if $(FILES),--files $(FILES))

fuzz: setup ## Mutated inputs for every parser: rounds of SECONDS until there were INPUTS (1000000 takes an hour or less)
	@$(BIN)/python -m tests.faults.fuzz --seconds $(SECONDS) --inputs $(INPUTS)

fuzz-guided: setup ## The same by coverage, with atheris, in a virtual environment of its own
	test -x build/atheris/bin/python || { $(PYTHON) -m venv --system-site-packages build/atheris && build/atheris/bin/pip install --quiet 'atheris>=3,<4'; }
	@PYTHONPATH=$$(build/atheris/bin/python -c 'import site; print(site.getsitepackages()[0])') $(BIN)/python -m tests.faults.fuzz --guided --seconds $(SECONDS)

drift-study: setup ## Simulate the drift detectors on STREAMS streams; ends with one line of JSON
	$(BIN)/python benchmarks/drift_study.py --streams $(STREAMS)

acl-test: setup ## Leave out every documented right of every command in turn, on a real Kafka with TLS and ACLs
	ACL_MATRIX=all $(BIN)/pytest tests/integration/test_least_rights.py

tutorial-test: setup ## Walk through docs/tutorial.md as a reader does
	TUTORIAL=all $(BIN)/pytest tests/integration/test_tutorial.py

extras-test: setup ## Install each extra alone in a fresh environment and run its commands; EXTRAS="base page" for some
	@$(BIN)/python -m tests.extras $(EXTRAS)

label-studio-test: setup ## Walk a real Label Studio, installed into build/, through its backend; ends with one line of JSON
	@$(BIN)/python -m tests.label_studio

audit: setup ## Ask PyPI for known vulnerabilities of everything that is installed; fails where it does not answer
	test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet 'pip-audit>=2.9,<3'; }
	$(BIN)/python -m pip list --format freeze --exclude-editable | sed 's/+.*//' > build/audit/installed.txt
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement build/audit/installed.txt

.PHONY: kubernetes-rules kubernetes-test

kubernetes-rules: setup ## Make the PrometheusRule from deploy/prometheus/rules
	$(BIN)/python deploy/kubernetes/prometheus_rule.py

kubernetes-test: setup ## Put the manifests into a real API server (Go; the first time builds it); ends with one line of JSON
	@$(BIN)/python -m tests.api_server

.PHONY: alert-test dashboard

alert-test: setup ## Get a real worker into trouble, with a real Kafka and Prometheus; ends with one line of JSON
	@$(BIN)/python -m tests.monitoring

dashboard: setup ## Write deploy/grafana/dashboards/stream-adapter.json anew
	$(BIN)/python deploy/grafana/dashboard.py

.PHONY: screenshots page-benchmark
screenshots: setup ## Take the README's pictures of the live page (Chromium; a minute)
	$(BIN)/python -m tests.page.screenshots
	$(BIN)/python -m tests.demo.one_label docs/images/one-label.png

page-benchmark: setup ## Measure what the live page costs the worker
	OMP_WAIT_POLICY=passive $(BIN)/python benchmarks/page.py

# Containers
IMAGE   ?= stream-adapter
VARIANT ?= cpu

.PHONY: image lock compose-test

image: ## Build the container image; VARIANT=cuda for NVIDIA GPUs
	docker build --tag $(IMAGE):latest --build-arg VARIANT=$(VARIANT) \
		--build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
		--build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) .

lock: setup ## Lock what the image installs; LOCK="--upgrade --cpu" for new versions
	$(BIN)/python -m pip install --quiet --group lock
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python deploy/requirements/lock.py $(LOCK)

compose-test: setup ## Try image and compose file on a real Docker; ends with one line of JSON
	@$(BIN)/python -m tests.campaigns.containers

clean: ## Remove what was built, but not .venv
	rm -rf build dist deploy/local-kafka/target tests/api_server/bin .mypy_cache .ruff_cache .pytest_cache .hypothesis $(OUTPUT)
