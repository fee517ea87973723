# One line a target; everything else is cargo. DIR= names the demo's folder, NPM= the one with npm's packages (docs/cli.md).
.PHONY: build test mutants lint demo bench peers release
BINS = -p leasehold-coordinator -p leasehold-worker -p leasehold-cli -p leasehold-demo
PEERS = target/release/leasehold-peers $(if $(NPM),--npm-prefix $(NPM))
CRATES = --workspace --exclude leasehold-net-sim
HUNTED = sim coordinator worker

build:   ; cargo build --locked $(BINS)
# The binaries that tests start are built with all else: what tests alone depend on has other features of what is shared, and
# with it left out everything would be built twice.
test:    ; cargo build --locked $(CRATES) --all-targets && cargo test --locked $(CRATES) && cargo test --locked -p leasehold-net-sim
# Hunts take longer than to optimize what they run.
mutants: ; cargo run --locked $(HUNTED:%=--config profile.dev.package.leasehold-%.opt-level=1) -p leasehold-sim --features mutants -- mutants --hunts 1
lint:    ; cargo fmt --all --check && cargo clippy --locked --workspace --all-targets -- -D warnings
demo:    ; cargo build --locked $(BINS) && target/debug/leasehold-demo run $(if $(DIR),--dir $(DIR))
release: ; cargo build --locked --release $(BINS)
bench:   release ; target/release/leasehold bench flow --spawn && target/release/leasehold bench latency --spawn
peers:   release ; cargo build --locked --release -p leasehold-peers && $(PEERS) flow && $(PEERS) latency
