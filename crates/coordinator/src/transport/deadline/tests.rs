//! Deadlines as callers write them.
