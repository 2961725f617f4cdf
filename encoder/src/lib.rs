//! Pictures in, access units out: encoders behind [`media::Encoder`], the table of them, what is known of
//! each on this machine, which one a session gets, and the thread that runs it. Beside them Opus for
//! sound ([`opus`]), with a thread of its own for what is heard ([`sound`]) and for what a player says ([`voice`]).
//!
//! This crate must never know sessions, sockets or an async runtime: time comes from a
//! [`media::Clock`], units leave through a [`media::UnitSink`], and what happens is told by a
//! callback. An encoder is opened, used and dropped on one thread; [`EncoderWorker`] is that thread.
//! Used wrongly (an encoder shared between sessions, a sink that blocks) one slow client stalls
//! another, and every frame is late.

mod anchors;
pub mod aom;
pub mod av1;
mod bits;
mod buffers;
pub mod candidates;
pub mod choice;
pub mod convert;
pub mod cuda;
pub mod gst;
mod guarded;
pub mod h264;
pub mod h265;
pub mod headers;
pub mod libx264;
mod long_term;
mod numbered;
mod nv12;
pub mod nvenc;
pub mod openh264;
pub mod opus;
mod planar;
pub mod probe;
mod references;
mod regions;
mod restarting;
pub mod selection;
mod settings;
mod slices;
pub mod sound;
mod unit_pool;
mod vbv_fill;
pub mod voice;
pub mod vpx;
mod wake;
mod waves;
pub mod worker;

pub use candidates::{Candidate, OpenError, candidates};
pub use choice::{Choice, Demand, Outcome, Preference, Verdict, choose};
pub use convert::Nv12Converter;
pub use probe::{Cache, ChildProber, InProcess, Prober};
pub use selection::{Encoders, SelectError, Selection, select};
pub use settings::{EncoderSettings, H264Profile, Resilience, Speed};
pub use sound::{Coded, Listener, SoundConfig, SoundStats, SoundWorker};
pub use voice::{VoiceStats, VoiceWorker};
pub use wake::{BlockingEncoder, Wake};
pub use worker::{
    Command, CommandRefused, ENCODE_PATIENCE, EncoderWorker, WorkerConfig, WorkerEvent, WorkerStats,
};

/// What a caught panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
