//! Tests of a rented node, by subject.

mod accounts;
mod away;
mod branches;
mod cli;
mod disk;
mod fork;
mod hosted;
mod lease;
mod proofs;
mod receipts;
mod tickets;
