//! Snapshots as the contract shows them.
