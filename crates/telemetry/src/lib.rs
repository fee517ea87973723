//! Logs, traces and metrics of Leasehold that share one trace id
