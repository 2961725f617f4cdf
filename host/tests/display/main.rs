//! The display against a real X server (Xvfb, and Xorg with devices of its own) and a real X client.
//!
//! Skipped with a line that says so where the server is missing, unless `NEARLIGHT_HOST=1` asks for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test; clippy lets only functions that carry the attribute do so"
)]

mod capture;
mod client;
mod clipboard;
#[path = "../common/mod.rs"]
mod common;
mod connection;
mod converted;
mod fingers;
mod input;
mod order;
mod pulled;
mod screen;
mod server;
mod shared;
mod smaller;
mod typing;
