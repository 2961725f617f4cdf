//! A rented node on a chain in memory: from renting to the end of an order, and everybody who is not let in.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

mod common;
mod player;
mod renting;
mod tenant;

use session::rental::Planck;

const PLENTY: Planck = Planck::dbc(1_000);
