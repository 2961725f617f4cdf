//! Sounds that the node makes itself.

pub mod beeps;
pub mod bells;
