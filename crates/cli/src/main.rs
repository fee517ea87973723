//! The `leasehold` command. Everything it does is in the library, where tests reach it.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// A worker that `bench` runs here has its work read on one thread and done on another: see decision 19.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    leasehold_cli::main()
}
