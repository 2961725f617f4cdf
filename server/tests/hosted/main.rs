//! Hosted games as whole sessions, in real sandboxes, by real connections. Left out where this machine gives no sandboxes,
//! unless `NEARLIGHT_HOST` says that it must.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests fail as tests do; each test file uses its part"
)]

extern crate transport as nearlight_transport;

mod away;
mod bed;
#[path = "../common/mod.rs"]
mod common;
mod converted;
mod doctor;
mod ends;
mod hostile;
mod nonsense;
#[path = "../player/mod.rs"]
mod player;
mod reload;
mod side_by_side;
mod smaller;
mod soundless;
mod starts;
