//! The session's end of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use media::{
    AudioPacket, Bitrate, DataChannel, SendRefused, TrackId, Transport, TransportEvent, UnitSink,
};
use tokio::sync::{Notify, mpsc};
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit};

use super::offer::{IceCredentials, MAX_CANDIDATES};
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
    pub(super) outgoing: mpsc::Sender<(DataChannel, Bytes)>,
    pub(super) open: Arc<OpenChannels>,
    pub(super) close: Arc<Notify>,
    pub(super) candidates: RemoteCandidates,
}

impl WebRtcTransport {
    /// Takes candidates that the client finds later, from any task.
    pub fn remote_candidates(&self) -> RemoteCandidates {
        self.candidates.clone()
    }

    /// Reports and motion messages that were dropped because nobody read the events in time.
    pub fn dropped_events(&self) -> u64 {
        self.shared.events.dropped()
    }
}

impl Transport for WebRtcTransport {
    fn video_sink(&mut self, track: TrackId) -> Box<dyn UnitSink> {
        match self.outlets.get(usize::from(track.0)) {
            Some(outlet) => Box::new(TrackSink::new(outlet.clone())),
            None => Box::new(NoTrack),
        }
    }

    fn send_audio(&mut self, _packet: AudioPacket) -> Result<(), SendRefused> {
        // Audio sections are answered as inactive.
        Err(SendRefused::NotConnected)
    }

    fn send_data(&mut self, channel: DataChannel, message: Bytes) -> Result<(), SendRefused> {
        if !self.shared.is_live() || !self.open.is_open(channel) {
            return Err(SendRefused::NotConnected);
        }
        self.outgoing.try_send((channel, message)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendRefused::Full,
            mpsc::error::TrySendError::Closed(_) => SendRefused::NotConnected,
        })
    }

    fn set_pacing(&mut self, rate: Bitrate) {
        self.shared.set_pacing(rate);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.shared.events.poll(cx)
    }

    fn close(&mut self) {
        self.shared.set_live(false);
        self.close.notify_one();
    }
}

impl Drop for WebRtcTransport {
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes trickled candidates (WHEP `PATCH`). It does not keep the connection open.
#[derive(Clone)]
pub struct RemoteCandidates {
    pub(super) peer: std::sync::Weak<dyn PeerConnection>,
    pub(super) credentials: Arc<IceCredentials>,
    pub(super) shared: Arc<Shared>,
    /// Candidates that the connection was given so far, those of the offer included.
    pub(super) taken: Arc<AtomicUsize>,
}

impl RemoteCandidates {
    /// Adds the candidates of a fragment (RFC 8840); returns how many were usable. A connection takes
    /// 32 in all, with those of its offer; more are left out.
    ///
    /// # Errors
    /// See [`TrickleError`]; nothing was added.
    pub async fn add(&self, fragment: &str) -> Result<usize, TrickleError> {
        let fragment = trickle::read(fragment, &self.credentials)?;
        let peer = self.peer.upgrade().ok_or(TrickleError::Closed)?;
        if self.shared.events.is_closed() {
            return Err(TrickleError::Closed);
        }
        let mut added = 0;
        for candidate in fragment.candidates {
            if !self.take_place() {
                break;
            }
            let init = RTCIceCandidateInit { candidate, ..Default::default() };
            if peer.add_ice_candidate(init).await.is_ok() {
                added += 1;
            }
        }
        Ok(added)
    }

    /// Whether the connection takes one more candidate, which then counts.
    fn take_place(&self) -> bool {
        let next = |taken| (taken < MAX_CANDIDATES).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}
