//! Owns a connection until it is over.
//!
//! ```text
//!            answer made
//!                 │
//!           Connecting ──(connect_timeout)──────────────┐
//!                 │ ICE and DTLS up                     │
//!               Live ⇄ Interrupted ──(silence)──────────┤
//!                 │                                     ▼
//!                 └─(client's close_notify, our close, driver gone)─► Closed(reason)
//! ```
//!
//! Our close waits until the client's SCTP has acknowledged what was said; meanwhile the rest goes on. A transport that is
//! dropped does not wait.
//!
//! The stack reports a client's orderly goodbye on data channels only: with ICE connected and DTLS
//! closed it still calls the connection "connected". So the state of DTLS is asked for whenever an
//! alert came in, and once a second.
//!
//! The stack's driver also ends by itself where its DTLS gives up: after the eighth repetition of what the
//! client does not answer, eight seconds into the handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use media::{CloseReason, Codec, DataChannel};
use rtc::peer_connection::transport::RTCDtlsTransportState;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;
use webrtc::data_channel::DataChannelEvent;
use webrtc::peer_connection::{PeerConnection, RTCPeerConnectionState};
use webrtc::rtp_transceiver::RtpSender;

use super::shared::Shared;
use crate::flood::Flood;

/// How often DTLS is asked for without a hint.
const DTLS_CHECK: Duration = Duration::from_secs(1);
/// How often it is looked at whether the client has all that was said before our close.
const ACKED_CHECK: Duration = Duration::from_millis(5);
/// After an alert came in, how often and how many times the stack is given time to read it.
const ALERT_CHECK: (Duration, u32) = (Duration::from_millis(5), 20);

/// Which data channels are open.
#[derive(Default)]
pub(super) struct OpenChannels(AtomicU8);

impl OpenChannels {
    pub(super) fn is_open(&self, channel: DataChannel) -> bool {
        self.0.load(Ordering::Acquire) >> channel as u8 & 1 == 1
    }

    fn are_all_open(&self) -> bool {
        DataChannel::ALL.into_iter().all(|channel| self.is_open(channel))
    }

    fn set(&self, channel: DataChannel, open: bool) {
        let bit = 1 << channel as u8;
        if open {
            self.0.fetch_or(bit, Ordering::AcqRel);
        } else {
            self.0.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

/// A data channel of the stack.
pub(super) type Channel = (DataChannel, Arc<dyn webrtc::data_channel::DataChannel>);

/// Says that a connection is over when its supervisor does not, since it panicked. The stack closes as its
/// handles are dropped.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        // After an orderly end this changes nothing.
        self.0.end();
        self.0.events.closed(CloseReason::Failed("its supervisor panicked".to_owned()));
    }
}

/// What the supervisor is given.
pub(super) struct Supervisor {
    pub(super) peer: Arc<dyn PeerConnection>,
    pub(super) shared: Arc<Shared>,
    pub(super) states: watch::Receiver<RTCPeerConnectionState>,
    pub(super) sender: Arc<dyn RtpSender>,
    pub(super) close: Arc<Notify>,
    pub(super) codec: Codec,
    pub(super) connect_timeout: Duration,
    pub(super) channels: Vec<Channel>,
    pub(super) open: Arc<OpenChannels>,
    pub(super) outgoing: mpsc::Receiver<(DataChannel, Bytes)>,
}

impl Supervisor {
    /// Runs until the connection is over and its sockets are closed.
    pub(super) async fn run(mut self) {
        let _ending = Ending(self.shared.clone());
        let mut tasks = JoinSet::new();
        for (name, channel) in &self.channels {
            let (shared, open) = (self.shared.clone(), self.open.clone());
            tasks.spawn(receive(*name, channel.clone(), shared, open).in_current_span());
        }
        let (_, never) = mpsc::channel(1);
        let outgoing = std::mem::replace(&mut self.outgoing, never);
        let all_said = Arc::new(Notify::new());
        let sending = send(std::mem::take(&mut self.channels), outgoing, all_said.clone());
        tasks.spawn(sending.in_current_span());

        let reason = self.watch(&mut tasks, &all_said).await;
        self.shared.end();
        tracing::debug!(%reason, "WebRTC connection ends");
        if let Err(error) = self.peer.close().await {
            tracing::warn!(%error, "the WebRTC stack did not close cleanly");
        }
        tasks.shutdown().await;
        // Last, so that who sees the end finds the sockets closed.
        drop((self.sender, self.peer));
        self.shared.events.closed(reason);
    }

    async fn watch(
        &mut self,
        tasks: &mut JoinSet<Result<(), Flood>>,
        all_said: &Notify,
    ) -> CloseReason {
        let deadline = tokio::time::sleep(self.connect_timeout);
        tokio::pin!(deadline);
        let mut check = tokio::time::interval(DTLS_CHECK);
        let mut was_live = false;
        loop {
            let shared = self.shared.clone();
            tokio::select! {
                () = self.close.notified() => return CloseReason::Local,
                () = all_said.notified() => return CloseReason::Local,
                excess = shared.passage.exceeded() => return CloseReason::Flood(excess.to_string()),
                () = shared.driver_stopped.notified() => return self.stopped(was_live).await,
                Some(ended) = tasks.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(flood)) => return CloseReason::Flood(flood.to_string()),
                    Err(_) => return CloseReason::Failed("a channel's task failed".to_owned()),
                },
                changed = self.states.changed() => {
                    if changed.is_err() {
                        return CloseReason::Failed("the connection was lost".to_owned());
                    }
                    let state = *self.states.borrow_and_update();
                    match state {
                        RTCPeerConnectionState::Connected => {
                            was_live = true;
                            self.shared.begin();
                            self.shared.events.connected(self.codec);
                        }
                        RTCPeerConnectionState::Disconnected => self.shared.events.interrupted(),
                        RTCPeerConnectionState::Failed => return self.failed(was_live).await,
                        RTCPeerConnectionState::Closed => return CloseReason::Remote,
                        _ => {}
                    }
                }
                () = &mut deadline, if !was_live => return CloseReason::Unreachable,
                () = shared.alert.notified() => {
                    for _ in 0..ALERT_CHECK.1 {
                        if let Some(reason) = self.dtls_over().await {
                            return reason;
                        }
                        tokio::time::sleep(ALERT_CHECK.0).await;
                    }
                }
                _ = check.tick() => {
                    if let Some(reason) = self.dtls_over().await {
                        return reason;
                    }
                }
            }
        }
    }

    /// Why the driver stopped.
    async fn stopped(&self, was_live: bool) -> CloseReason {
        if self.shared.driver_panicked.load(Ordering::Acquire) {
            return CloseReason::Failed("the WebRTC stack panicked".to_owned());
        }
        match self.dtls_over().await {
            Some(reason) => reason,
            None if was_live => CloseReason::Failed("the network driver stopped".to_owned()),
            None => CloseReason::Unreachable,
        }
    }

    async fn failed(&self, was_live: bool) -> CloseReason {
        match self.dtls_over().await {
            Some(reason) => reason,
            None if was_live => CloseReason::Unreachable,
            None => CloseReason::Failed("no network path to the client was found".to_owned()),
        }
    }

    async fn dtls_over(&self) -> Option<CloseReason> {
        let transport = self.sender.transport().await.ok()??;
        match transport.state().await.ok()? {
            RTCDtlsTransportState::Closed => Some(CloseReason::Remote),
            RTCDtlsTransportState::Failed => {
                Some(CloseReason::Failed("the DTLS handshake failed".to_owned()))
            }
            _ => None,
        }
    }
}

/// Moves a channel's messages to the events.
async fn receive(
    name: DataChannel,
    channel: Arc<dyn webrtc::data_channel::DataChannel>,
    shared: Arc<Shared>,
    open: Arc<OpenChannels>,
) -> Result<(), Flood> {
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnOpen => {
                open.set(name, true);
                if open.are_all_open() {
                    shared.set_gentle(false);
                }
                shared.events.channel_open(name);
            }
            DataChannelEvent::OnMessage(message) => {
                let body = message.data.freeze();
                if !shared.limits.passes(name, shared.clock.now())? {
                    shared.events.refused_message();
                    continue;
                }
                if name == DataChannel::Acks {
                    shared.acked(&body);
                }
                if name.heals() {
                    shared.events.lossy_message(name, body);
                } else {
                    shared.events.message(name, body).await;
                }
            }
            DataChannelEvent::OnClosing | DataChannelEvent::OnClose => open.set(name, false),
            _ => {}
        }
    }
    Ok(())
}

/// Sends queued messages in order. Once no more can come it waits until the client has them, and tells of it.
async fn send(
    channels: Vec<Channel>,
    mut outgoing: mpsc::Receiver<(DataChannel, Bytes)>,
    all_said: Arc<Notify>,
) -> Result<(), Flood> {
    while let Some((name, body)) = outgoing.recv().await {
        let Some((_, channel)) = channels.iter().find(|(other, _)| *other == name) else {
            continue;
        };
        // Control is JSON, which a page expects as text.
        let sent = match std::str::from_utf8(&body) {
            Ok(text) if name == DataChannel::Control => channel.send_text(text).await,
            _ => channel.send(BytesMut::from(&body[..])).await,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, channel = name.label(), "a message was not sent");
        }
    }
    for (_, channel) in &channels {
        // Of one that is closed nothing is on its way.
        while channel.outstanding_bytes().await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(ACKED_CHECK).await;
        }
    }
    all_said.notify_one();
    Ok(())
}
