//! The double of NVENC keeps its word: what it codes is what it was given, and each rule trips when broken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]
#![expect(unsafe_code, reason = "functions of a C library are called")]

mod colours;
mod content;
mod driver;
mod maps;
mod rules;
mod session;
