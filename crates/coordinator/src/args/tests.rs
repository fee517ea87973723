//! Flags over a file over defaults.
