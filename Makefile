# Few targets; each installs what it needs (Debian packages as root, Rust by rustup is expected).
CARGO ?= cargo
# Where cargo puts what it builds.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help run kafka build test properties e2e sim model miri chaos mutants fuzz lint bench clean

help:
	@echo 'make run    build, and a demo: ships logs, kill -9 in between, proves that none is lost or doubled'
	@echo 'make kafka  a broker of Apache Kafka with a topic and a load, to try the agent with; until Ctrl-C'
	@echo 'make build  build the release programs (target/release/logferry, logferry-operator and logdisk)'
	@echo 'make test   all tests'
	@echo 'make e2e    tests on a real node and a real API server; builds Kubernetes before, once (some 15 minutes)'
	@echo 'make sim    simulated schedules: SIM_CASES of each kind, SIM_SEED=random for others each time'
	@echo 'make properties  the properties that tests try with the same examples each time, with others: PROPERTY_ROUNDS times'
	@echo 'make model  what threads share, in every order in which threads can meet (part of make test)'
	@echo 'make miri   crates/flow under Miri, MIRI_SEEDS orders of its threads'
	@echo 'make chaos  CHAOS_SCHEDULES random schedules of the real agent: rotation, removal, kills, full disks, power cuts'
	@echo 'make mutants  known bugs switched on, one after the other: the tests must catch each; PART=2/4: the second quarter'
	@echo 'make fuzz   fuzzers, FUZZ_SECONDS each (60), or only those of FUZZ_TARGETS'
	@echo 'make lint   format, clippy, dependencies and licences, the chart and manifests, tidiness'
	@echo 'make bench  measure, and write benches/RESULTS.md'
	@echo 'make clean  remove what was built and downloaded'

build:
	@scripts/need.sh build
	$(CARGO) build --release --locked --package logferry --package logferry-operator --package logferry-logdisk --package logferry-benches

run: build
	@scripts/demo.sh $(TARGET_DIR)/release

kafka: build
	@scripts/need.sh test
	@scripts/kafka.sh
	$(CARGO) build --release --locked --package logferry-kafka-kit --example broker
	@scripts/try_kafka.sh $(TARGET_DIR)/release $(TARGET_DIR)/release/examples/broker $(TARGET_DIR)/kafka

test:
	@scripts/need.sh build test node
	@scripts/kafka.sh
	@scripts/crdcheck.sh
	scripts/test.sh
	scripts/sim.sh

properties:
	@scripts/need.sh build test
	scripts/properties.sh

e2e:
	@scripts/need.sh build test node
	scripts/kubernetes.sh
	scripts/node.sh
	$(CARGO) test --locked --package logferry-node-kit --package logferry --package logferry-operator --test it -- real_node:: real_cluster::

sim:
	@scripts/need.sh build
	scripts/sim.sh

model:
	@scripts/need.sh build
	scripts/model.sh

miri:
	@scripts/need.sh build miri
	scripts/miri.sh

chaos:
	@scripts/need.sh build test
	@scripts/kafka.sh
	scripts/chaos.sh

mutants:
	@scripts/need.sh build test
	scripts/mutants.py $(if $(PART),--part $(PART))

fuzz:
	@scripts/need.sh build fuzz
	scripts/fuzz.sh

lint:
	@scripts/need.sh build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	scripts/deny.sh
	scripts/deploy.sh
	scripts/tidy.py

bench: build
	@scripts/need.sh test
	@scripts/kafka.sh
	scripts/bench.sh $(TARGET_DIR)/release

clean:
	$(CARGO) clean
	rm -rf .cache
