//! Hosts games: each in a sandbox with a display and a sound server of its own.

pub mod catalogue;
pub mod confine;
pub mod display;
pub mod saves;
pub mod sound;
