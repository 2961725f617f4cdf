//! The session's end of a connection.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{
    AudioSink, Bitrate, DataChannel, SendRefused, TrackId, Transport, TransportEvent, UnitSink,
};
use tokio::sync::{Notify, mpsc};

use super::audio::{SoundOutlet, SoundSink};
use super::offer::IceCredentials;
use super::shared::Shared;
use super::sink::{NoTrack, Outlet, TrackSink};
use super::supervise::OpenChannels;
use super::trickle::{self, TrickleError};

/// Outgoing messages that wait for the stack. The page's control messages are a few a second; when
/// this is full the connection is stuck, and the sender is told.
pub(super) const OUTGOING: usize = 64;

/// A connection to one client. Dropping it closes it.
///
/// [`TransportEvent::Connected`] comes again after [`TransportEvent::Interrupted`] when the path
/// comes back.
pub struct WebRtcTransport {
    pub(super) shared: Arc<Shared>,
    pub(super) outlets: Vec<Arc<Outlet>>,
    pub(super) sound: Option<Arc<SoundOutlet>>,
    /// None once nothing more is said.
    pub(super) outgoing: Option<mpsc::Sender<(DataChannel, Bytes)>>,
    pub(super) open: Arc<OpenChannels>,
    pub(super) close: Arc<Notify>,
    pub(super) candidates: RemoteCandidates,
}

impl WebRtcTransport {
    /// Takes candidates that the client finds later, from any task.
    pub fn remote_candidates(&self) -> RemoteCandidates {
        self.candidates.clone()
    }
}

impl Transport for WebRtcTransport {
    fn video_sink(&mut self, track: TrackId) -> Box<dyn UnitSink> {
        match self.outlets.get(usize::from(track.0)) {
            Some(outlet) => Box::new(TrackSink::new(outlet.clone())),
            None => Box::new(NoTrack),
        }
    }

    fn audio_sink(&mut self) -> Option<Box<dyn AudioSink>> {
        let outlet = self.sound.clone()?;
        Some(Box::new(SoundSink::new(outlet)))
    }

    fn send_data(&mut self, channel: DataChannel, message: Bytes) -> Result<(), SendRefused> {
        let open = self.shared.is_live() && self.open.is_open(channel);
        let outgoing = self.outgoing.as_ref().filter(|_| open).ok_or(SendRefused::NotConnected)?;
        outgoing.try_send((channel, message)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendRefused::Full,
            mpsc::error::TrySendError::Closed(_) => SendRefused::NotConnected,
        })
    }

    fn set_pacing(&mut self, rate: Bitrate) {
        self.shared.set_pacing(rate);
    }

    fn probe(&mut self, rate: Bitrate, length: Duration) {
        self.shared.set_probe(rate, Instant::now(), length);
        // The driver's task sleeps while nothing is sent.
        if let Some(outlet) = self.outlets.first() {
            outlet.wake();
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.shared.events.poll(cx)
    }

    fn dropped_events(&self) -> u64 {
        self.shared.events.dropped()
    }

    fn close(&mut self) {
        self.shared.end();
        self.outgoing = None;
    }
}

impl Drop for WebRtcTransport {
    fn drop(&mut self) {
        self.shared.end();
        self.close.notify_one();
    }
}

/// Takes trickled candidates (WHEP `PATCH`). It does not keep the connection open.
#[derive(Clone)]
pub struct RemoteCandidates {
    pub(super) credentials: Arc<IceCredentials>,
    pub(super) shared: Arc<Shared>,
}

impl RemoteCandidates {
    /// Reads a fragment (RFC 8840); returns how many usable candidates it has, of at most 32. They are
    /// not needed: this side is lite (RFC 8445 §2.7) and learns where a client is from its checks.
    ///
    /// # Errors
    /// See [`TrickleError`].
    pub fn add(&self, fragment: &str) -> Result<usize, TrickleError> {
        let fragment = trickle::read(fragment, &self.credentials)?;
        if self.shared.events.is_closed() {
            return Err(TrickleError::Closed);
        }
        Ok(fragment.candidates)
    }
}
