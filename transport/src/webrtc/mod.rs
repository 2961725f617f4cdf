//! WebRTC: one peer connection per client, WHEP-shaped.
//!
//! ```text
//! encoder thread ── TrackSink ─[two units]─► driver task: packetise → pace → number → seal → port
//! session task  ◄── Events ◄── driver task (feedback, path, sent frames), channel tasks, supervisor
//! ```
//!
//! A connection has the stack's driver task, a supervisor that decides when it is over, one task per
//! data channel and one that sends data. The supervisor owns the connection; dropping the
//! [`WebRtcTransport`] tells it to close, which frees sockets and tasks.
//!
//! Sound goes the same way without being cut or paced ([`media::AudioSink`]).
//!
//! Nothing here may wait on the session, and no callback of the stack may block: they run on its
//! driver.

mod association;
mod audio;
mod candidate;
mod chain;
mod config;
mod connect;
mod flight;
mod formats;
mod gate;
mod mux;
mod offer;
mod peer;
mod red;
mod shared;
mod sink;
mod socket;
mod supervise;
#[cfg(test)]
mod testing;
mod track;
mod trickle;
mod turn;
mod unheard;

pub use config::{Certificate, CertificateError, WebRtcConfig};
pub use connect::{Answer, WebRtc};
pub use mux::{MediaPort, PortConfig, PortCounts, PortError};
pub use offer::{Decodes, MAX_SDP, OfferError, decodes};
pub use peer::{RemoteCandidates, WebRtcTransport};
pub use trickle::TrickleError;
pub use turn::{TurnError, turn_password};

/// Bounds of the delay before display, in the header of every packet.
const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Numbers of packets across streams, for acknowledgements.
const TRANSPORT_WIDE: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Colours of the picture, in the last packet of a keyframe.
const COLOR_SPACE: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";
/// What each frame needs, in the header of every packet.
const DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// Header extensions that are taken from an offer.
const EXTENSIONS: [&str; 4] = [PLAYOUT_DELAY, TRANSPORT_WIDE, COLOR_SPACE, DESCRIPTOR];
