//! Tests of a rented node, by subject.

mod away;
mod cli;
mod disk;
mod lease;
mod proofs;
mod receipts;
mod tickets;
