//! Transports: encoded frames out to one client, its input and feedback back in.
//!
//! [`webrtc`] implements [`media::Transport`] on WebRTC with WHEP-shaped signalling (the client
//! offers, [`webrtc::WebRtc::answer`] answers with all candidates), [`webtransport`] on HTTP/3, where
//! clients come to a port and are accepted one by one, [`websocket`] on sockets that whoever speaks HTTP hands over.
//!
//! This crate must never know an encoder, a session's state, HTTP or a configuration file; no type
//! of the `rtc`, `webrtc`, `wtransport` and `quinn` crates stands in its public interface, so that each
//! can be swapped.
//! Used wrongly (a clock other than the one that stamps frames, a sink called after its track was
//! replaced, the runtime stopped before the transports) stage times stop adding up, units are
//! refused, or sockets stay open; none of it is unsound.

pub mod crowd;
mod events;
mod flood;
mod probe;
mod reports;
mod sound;
mod timestamp;
mod tracks;
pub mod webrtc;
pub mod websocket;
pub mod webtransport;

pub use webrtc::{
    Answer, Certificate, Decodes, MediaPort, OfferError, PortConfig, PortCounts, PortError,
    RemoteCandidates, TrickleError, TurnError, WebRtc, WebRtcConfig, WebRtcTransport, decodes,
    turn_password,
};
