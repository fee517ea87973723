//! The services through a real client, a real server, a real engine and a real journal.

mod operators;
mod reads;
mod served;
mod submits;
