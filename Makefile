# `make demo` and `make test` are all that a newcomer needs; each sets up what it needs on a bare machine.

.PHONY: demo demo-down test bench build install lint fmt machine-up machine-down

demo:            ## Run the example and print its address; `make demo-down` ends it
	@tests/demo.sh up

demo-down:       ## End the example and delete its data
	@tests/demo.sh down

test:            ## Every check and test, on real engines and a real Kubernetes
	@tests/run.sh

bench:           ## Our figures beside their floors; ROW=start picks a row
	@cargo build --quiet --release --workspace
	@cargo run --quiet --release --package clustergraph-tests --bin bench -- $(ROW)

build:           ## The programs, optimised
	cargo build --release --workspace

install:         ## ssi and komandan into cargo's folder of programs
	cargo install --locked --path cli
	cargo install --locked --path deployer

lint:            ## What `make test` checks before it tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo deny check bans licenses sources

fmt:             ## Format the sources
	cargo fmt --all

machine-up:      ## Engine, registry, images and Kubernetes for the tests; they stay up
	@tests/machine/up.sh

machine-down:    ## End what machine-up started
	@tests/machine/down.sh
