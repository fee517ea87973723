//! The worker that runs programs: `leasehold-worker`.

fn main() {
    leasehold_worker::guard::run_if_guard();
}
