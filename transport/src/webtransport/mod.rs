//! WebTransport: HTTP/3 sessions on one UDP port for all clients of a node, one connection a client.
//!
//! ```text
//! encoder thread ── FrameSink ─[two units]─► writer: stream a frame → slices at the pace → QUIC ─► socket
//! session task  ◄── Events ◄── writer (lost frames), readers (control, input, datagrams), socket (sent
//!                              frames), supervisor
//! ```
//!
//! What the streams hold is said in [`media::webtransport`]. The [`Endpoint`] owns the port: it shakes
//! hands within limits and yields a [`Request`] for each client that asks for a path, which its owner
//! refuses or accepts. An accepted connection has a supervisor that decides when it is over; dropping the
//! [`WebTransport`] tells it to close, which ends its tasks.
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | connections that are not accepted | `EndpointConfig::handshakes` | refused, counted; addresses are validated from half of it on |
//! | connections of an address | `EndpointConfig::per_address` | refused, counted |
//! | requests → owner | 16 | the handshake waits, within its time |
//! | encoder → writer | 2 units that the socket has not taken, in 4 parts each on average | refused; the encoder recovers |
//! | frames without acknowledgement | 128, each with a deadline | the oldest is waited for |
//! | messages to the client | 64 | refused |
//! | streams of the client | 16 at once, 64 in all | not granted; the connection ends |
//! | messages to the session, reports | see `events` | |
//!
//! QUIC's own congestion window only bounds what is in flight (`window`); how fast to send is the session's
//! to say ([`set_pacing`](media::Transport::set_pacing)), by the reports that are made of the client's
//! acknowledgements (`ledger`).

mod admission;
mod certificates;
mod config;
mod connection;
mod endpoint;
mod fate;
mod keys;
mod ledger;
mod places;
mod probe;
mod readers;
mod request;
mod runtime;
mod socket;
mod sound;
mod unread;
mod window;
mod writer;

pub use certificates::{CertificateFailed, Certificates, RENEW_EVERY};
pub use config::{ConnectionConfig, Deadlines, EndpointConfig};
pub use connection::WebTransport;
pub use endpoint::{Endpoint, EndpointCounts, EndpointFailed};
pub use request::{Refusal, Request};
