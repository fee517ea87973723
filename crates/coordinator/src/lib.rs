//! The coordinator of Leasehold
