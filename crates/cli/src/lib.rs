//! The leasehold command
