//! Nearlight's server: configuration, HTTP, session drivers and operation.
//!
//! This is the only crate in which the adapters (render, encoder, transport, host) meet. It decides little
//! itself: what can be decided without I/O is decided in `session`. A host program can bring apps of its
//! own through [`apps::App`] and run the rest unchanged. Used wrongly (two nodes with one clock, a
//! driver's task aborted from outside) capacity is never given back.

mod ahead;
pub mod apps;
pub mod booking;
pub mod caller;
mod capacity;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod drive;
pub mod encoders;
pub mod games;
pub mod http;
mod meter;
pub mod metrics;
pub mod node;
pub mod ops;
mod quic;
pub mod registry;
mod remembered;
pub mod rented;
pub mod saves;
pub mod scenes;
pub mod serve;
pub mod sharing;
pub mod sounds;
pub mod sync_test;
mod tcp;
pub mod tls;
mod turn;
pub mod wire;
