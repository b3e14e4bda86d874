# `make demo` and `make test` are all that a newcomer needs; each sets up what it needs on a bare machine.

.PHONY: demo demo-cluster demo-down test bench build dist install lint fmt machine-up machine-down

demo:            ## Run the example and print its address; `make demo-down` ends it
	@tests/demo.sh up

demo-cluster:    ## The shop on a Kubernetes, changed and taken back under load; CONTEXT=NAME uses a cluster of yours
	@tests/demo-cluster.sh $(CONTEXT)

demo-down:       ## End the example and delete its data
	@tests/demo.sh down

test:            ## Every check and test, on real engines and a real Kubernetes
	@tests/run.sh

bench:           ## Our figures beside their floors, and the steps of reading; ROW=start picks a row, ROW=steps those
	@cargo build --quiet --release --workspace
	@[ "$(ROW)" = steps ] || cargo run --quiet --release --package clustergraph-tests --bin bench -- $(ROW)
	@[ -n "$(filter-out steps,$(ROW))" ] || cargo bench --quiet --package clustergraph-tests --bench steps

build:           ## The programs, optimised
	cargo build --release --workspace

dist:            ## Static programs as one archive with its checksum, in dist/
	@packaging/dist.sh

# Where root installs, everybody can run them.
PREFIX ?= $(if $(filter 0,$(shell id -u)),/usr/local,$(HOME)/.local)

install:         ## ssi and komandan into PREFIX/bin (for root /usr/local, else ~/.local)
	@archive=$$(packaging/dist.sh) && \
	  install -d "$(PREFIX)/bin" && \
	  install -m 755 "$${archive%.tar.gz}/ssi" "$${archive%.tar.gz}/komandan" "$(PREFIX)/bin/" && \
	  echo "ssi and komandan are in $(PREFIX)/bin"

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
