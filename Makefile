# Everything that a fresh machine needs: git, make, a C++ compiler, Rust, Python 3 with pip; for the tests PostgreSQL, or apt-get
# to fetch it with. `make help` lists the goals.

CARGO ?= cargo
PHASEGRID = $(CARGO) run --quiet --release --bin phasegrid --
# libtorch for CUDA in place of the CPU's: make demo DEVICE=cuda. What was chosen stays until the other is named.
DEVICE ?=
# Seconds for each of the five targets: make fuzz FUZZ_SECONDS=600
FUZZ_SECONDS ?= 60

.PHONY: help demo test chaos fuzz paper known-answers bench-engine bench-coordinator bench-workers build check deny .libtorch

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: build ## The main job: run sweeps/demo.toml and leave table and pictures in phasegrid-out/demo
	$(PHASEGRID) run sweeps/demo.toml

test: build ## All tests, with real processes, and pandas reading what they leave
	$(CARGO) test --release --workspace

chaos: build ## Ten minutes on each store in which coordinators, workers and database are killed and links cut, at random
	PHASEGRID_CHAOS_SECONDS=600 $(CARGO) test --release -p phasegrid-tests --test chaos -- --nocapture

fuzz: ## Bytes without end for whatever reads them (a minute a target)
	tests/fuzz/run.sh $(FUZZ_SECONDS)

paper: build ## The paper's trajectory (minutes), held against independent values
	$(PHASEGRID) run sweeps/paper-trajectory.toml
	tests/paper_trajectory.py phasegrid-out/paper-trajectory

known-answers: build ## Estimates beside exact values, as sweeps, and whether they agree
	for sweep in sweeps/known-answers/*.toml; do $(PHASEGRID) run $$sweep || exit; done
	tests/known_answers.py phasegrid-out/known-answers-*

bench-engine: build ## Training and sampling beside PyTorch with devinterp (10 to 15 minutes; DEVICE=cuda on a card)
	peer=$$(worker/bench/environment.sh $(or $(DEVICE),cpu)) && \
	$(CARGO) run --release -p phasegrid-worker --example engine -- "$$peer" --device $(patsubst cuda,cuda:0,$(or $(DEVICE),cpu))

bench-coordinator: ## The coordinator under simulated workers, beside HyperQueue and dask (minutes; no libtorch)
	hyperqueue=$$(coordinator/bench/environment.sh hyperqueue) && dask=$$(coordinator/bench/environment.sh dask) && \
	$(CARGO) run --release -p phasegrid-coordinator --example coordinator -- --hyperqueue "$$hyperqueue" --dask "$$dask"

bench-workers: ## Ten thousand workers on one coordinator, half of which hold leases and half wait for work (3 minutes)
	$(CARGO) run --release -p phasegrid-coordinator --example coordinator -- --idle --workers 5000 --waiting 5000

build: .libtorch ## Both binaries, optimised
	$(CARGO) build --release --workspace --bins

check: .libtorch ## Format, lints, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

deny: ## Licences, sources and known vulnerabilities of all dependencies
	deploy/deny.sh

# Fetched once and cached outside the build folder; the file is a link into the cache. The script knows what is linked.
.libtorch:
	@deploy/libtorch.sh $(DEVICE)
