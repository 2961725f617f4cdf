//! One client's connection: the session's end of it, and what decides when it is over.
//!
//! ```text
//! accepted ─► Live ⇄ Interrupted ──(silence)──────────────────────┐
//!               └─(goodbye, protocol broken, our close, dropped)─► Closed(reason)
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use media::{
    AudioSink, Bitrate, Clock, CloseReason, Codec, DataChannel, MediaTime, SendRefused, TrackId,
    Transport, TransportEvent, UnitSink,
};
use tokio::sync::{Notify, mpsc};
use tracing::Instrument as _;

use super::ledger::Ledger;
use super::reader::{End, discard, read};
use super::sound::{SoundSink, WAITING};
use super::writer::{Queues, Writer};
use super::{Code, ConnectionConfig, LAST_WORD, Socket, say_goodbye};
use crate::events::Events;
use crate::flood::Limits;
use crate::probe::Probe;
use crate::sound::Sound;
use crate::tracks::{TRACKS, Tracks};

/// Messages to the client that wait. Those of a session are a few a second; when this is full the client
/// does not read, and the sender is told.
const OUTGOING: usize = 64;
/// How often it is looked at whether the client is heard.
const LOOK: Duration = Duration::from_millis(50);

/// What the parts of one connection share. It must never own the connection or a task: it outlives both.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) tracks: Arc<Tracks>,
    pub(super) ledger: Ledger,
    pub(super) limits: Limits,
    pub(super) sound: Sound,
    pub(super) probe: Probe,
    /// Bits per second; 0 does not hold frames back.
    pacing: AtomicU64,
    /// When the client was heard last, in nanoseconds.
    heard: AtomicU64,
}

impl Shared {
    pub(super) fn pacing(&self) -> Option<Bitrate> {
        let bps = self.pacing.load(Ordering::Relaxed);
        (bps > 0).then(|| Bitrate::from_bps(bps))
    }

    pub(super) fn heard(&self) {
        self.heard.store(self.clock.now().as_nanos(), Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let heard = MediaTime::from_nanos(self.heard.load(Ordering::Relaxed));
        self.clock.now().since(heard)
    }
}

/// A connection to one client. Dropping it closes it.
///
/// [`TransportEvent::Connected`] comes again after [`TransportEvent::Interrupted`] when the path comes
/// back.
pub struct WebSocket {
    shared: Arc<Shared>,
    units: mpsc::Sender<media::AccessUnit>,
    /// None once nothing more is said.
    messages: Option<mpsc::Sender<Bytes>>,
    packets: mpsc::Sender<Bytes>,
    close: Arc<Notify>,
    codec: Codec,
}

impl WebSocket {
    pub(super) fn start(
        socket: Pin<Box<dyn Socket>>,
        config: ConnectionConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CloseReason> {
        let offset = getrandom::u32();
        let offset = offset
            .map_err(|_| CloseReason::Failed("the system gives no random bytes".to_owned()))?;
        let shared = Arc::new(Shared {
            events: Events::new(TRACKS),
            tracks: Arc::new(Tracks::new(offset)),
            ledger: Ledger::default(),
            limits: Limits::default(),
            sound: Sound::default(),
            probe: Probe::default(),
            pacing: AtomicU64::new(config.pacing.map_or(0, Bitrate::bps)),
            heard: AtomicU64::new(clock.now().as_nanos()),
            clock,
        });
        shared.events.connected(config.codec);
        // Channels need no opening.
        for channel in DataChannel::ALL {
            shared.events.channel_open(channel);
        }
        let (units, queued) = Tracks::queue();
        let (messages, said) = mpsc::channel(OUTGOING);
        let (packets, sound) = mpsc::channel(WAITING);
        let close = Arc::new(Notify::new());
        let queues = Queues { units: queued, messages: said, sound };
        let supervisor = Supervisor { shared: shared.clone(), close: close.clone(), config };
        tokio::spawn(supervisor.run(socket, queues).in_current_span());
        let messages = Some(messages);
        Ok(Self { shared, units, messages, packets, close, codec: config.codec })
    }
}

impl Transport for WebSocket {
    fn video_sink(&mut self, track: TrackId) -> Box<dyn UnitSink> {
        self.shared.tracks.sink(track, self.codec, self.units.clone())
    }

    fn audio_sink(&mut self) -> Option<Box<dyn AudioSink>> {
        Some(Box::new(SoundSink::new(self.shared.clone(), self.packets.clone())))
    }

    fn send_data(&mut self, channel: DataChannel, message: Bytes) -> Result<(), SendRefused> {
        if channel != DataChannel::Control || !self.shared.tracks.is_live() {
            return Err(SendRefused::NotConnected);
        }
        let messages = self.messages.as_ref().ok_or(SendRefused::NotConnected)?;
        messages.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendRefused::Full,
            mpsc::error::TrySendError::Closed(_) => SendRefused::NotConnected,
        })
    }

    fn set_pacing(&mut self, rate: Bitrate) {
        self.shared.pacing.store(rate.bps(), Ordering::Relaxed);
    }

    fn probe(&mut self, rate: Bitrate, length: Duration) {
        self.shared.probe.ask(rate, length);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.shared.events.poll(cx)
    }

    fn dropped_events(&self) -> u64 {
        self.shared.events.dropped()
    }

    fn close(&mut self) {
        self.shared.tracks.end();
        self.messages = None;
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.shared.tracks.end();
        self.close.notify_one();
    }
}

/// Says that a connection is over when its supervisor does not, since it panicked.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        // After an orderly end none of this changes anything.
        self.0.tracks.end();
        self.0.events.closed(CloseReason::Failed("its supervisor panicked".to_owned()));
    }
}

/// Owns a connection until it is over.
struct Supervisor {
    shared: Arc<Shared>,
    close: Arc<Notify>,
    config: ConnectionConfig,
}

impl Supervisor {
    async fn run(self, socket: Pin<Box<dyn Socket>>, queues: Queues) {
        let _ending = Ending(self.shared.clone());
        let (mut sink, mut stream) = socket.split();
        let mut writer = Writer::new(self.shared.clone(), self.config, queues);
        let end = tokio::select! {
            () = self.close.notified() => None,
            end = read(&mut stream, &self.shared) => Some(end),
            said = writer.run(&mut sink) => said.err().map(End::from),
            () = self.look() => Some(End::Silent),
        };
        let reason = end.as_ref().map_or(CloseReason::Local, End::reason);
        let (code, words) = match end {
            Some(End::Broken(broken)) => (Code::Broken, broken.to_string()),
            _ => (Code::Goodbye, reason.to_string()),
        };
        tracing::debug!(%reason, "WebSocket connection ends");
        self.shared.tracks.end();
        say_goodbye(&mut sink, code, &words).await;
        if reason == CloseReason::Local {
            // With bytes of the client unread the kernel would reset the connection, and what it has not read might be lost.
            let _ = tokio::time::timeout(LAST_WORD, discard(&mut stream)).await;
        }
        self.shared.events.closed(reason);
    }

    /// Looks whether the client is heard until it has been silent for too long.
    async fn look(&self) {
        let mut interrupted = false;
        loop {
            tokio::time::sleep(LOOK).await;
            let silent = self.shared.silent_for();
            let is_now = silent >= self.config.interrupted_after;
            match (interrupted, is_now) {
                (false, true) => self.shared.events.interrupted(),
                (true, false) => self.shared.events.connected(self.config.codec),
                _ => {}
            }
            interrupted = is_now;
            if silent >= self.config.unreachable_after {
                return;
            }
        }
    }
}
