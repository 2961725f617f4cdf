//! Confines and runs games.

pub mod machine;
