# One line a target; everything else is cargo. DIR= names the demo's folder.
.PHONY: build test mutants lint demo bench peers release
BINS = -p leasehold-coordinator -p leasehold-worker -p leasehold-cli -p leasehold-demo

build:   ; cargo build --locked $(BINS)
test:    ; cargo build --locked $(BINS) && cargo test --locked --workspace --exclude leasehold-net-sim && cargo test --locked -p leasehold-net-sim
mutants: ; cargo run --locked -p leasehold-sim --features mutants -- mutants --hunts 1
lint:    ; cargo fmt --all --check && cargo clippy --locked --workspace --all-targets -- -D warnings
demo:    ; cargo build --locked $(BINS) && target/debug/leasehold-demo run $(if $(DIR),--dir $(DIR))
release: ; cargo build --locked --release $(BINS)
bench:   release ; target/release/leasehold bench flow --spawn && target/release/leasehold bench latency --spawn
peers:   release ; cargo run --locked --release -p leasehold-peers -- flow && target/release/leasehold-peers latency
