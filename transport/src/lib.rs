//! Transports: encoded frames out to one client, its input and feedback back in.
//!
//! [`webrtc`] implements [`media::Transport`] on WebRTC with WHEP-shaped signalling (the client
//! offers, [`webrtc::WebRtc::answer`] answers with all candidates). WebTransport comes beside it,
//! behind the same trait.
//!
//! This crate must never know an encoder, a session's state, HTTP or a configuration file; no type
//! of the `rtc` and `webrtc` crates stands in its public interface, so that either can be swapped.
//! Used wrongly (a clock other than the one that stamps frames, a sink called after its track was
//! replaced, the runtime stopped before the transports) stage times stop adding up, units are
//! refused, or sockets stay open; none of it is unsound.

pub mod webrtc;

pub use webrtc::{
    Answer, Certificate, OfferError, RemoteCandidates, TrickleError, WebRtc, WebRtcConfig,
    WebRtcTransport, decodes,
};
