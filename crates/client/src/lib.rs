//! Submit, await and watch Leasehold tasks from Rust
