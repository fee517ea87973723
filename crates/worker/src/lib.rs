//! Write workers for Leasehold in Rust, or run programs with leasehold-worker
