//! One client's connection: the session's end of it, and what decides when it is over.
//!
//! ```text
//! accepted ─► Live ⇄ Interrupted ──(silence)──────────────────────┐
//!               └─(goodbye, protocol broken, our close, dropped)─► Closed(reason)
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use media::{
    Acks, AudioSink, Bitrate, Clock, CloseReason, DataChannel, FrameId, MediaTime, SendRefused,
    TrackId, Transport, TransportEvent, UnitSink,
};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tracing::Instrument as _;
use wtransport::{Connection, VarInt, quinn};

use super::admission::Admission;
use super::config::{ConnectionConfig, EndpointConfig};
use super::ledger::Ledger;
use super::places::Place;
use super::probe;
use super::readers::{Broken, End, Readers};
use super::socket::Listeners;
use super::sound::SoundSink;
use super::window::Window;
use super::writer::{Queued, Writer};
use crate::events::Events;
use crate::flood::{Flood, Limits};
use crate::probe::Probe;
use crate::reports::{GATHER, Totals, Trip};
use crate::sound::Sound;
use crate::tracks::{TRACKS, Tracks};

/// Messages to the client that wait. Those of a session are a few a second; when this is full the client
/// does not read, and the sender is told.
const OUTGOING: usize = 64;
/// How long a client may take to read what was said last once QUIC has brought it: a browser throws away what lies unread when
/// the connection closes. A page closes it by itself when it has.
const READING: Duration = Duration::from_millis(300);
/// How often the path is looked at, and how often one that is interrupted: its return is waited for.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_INTERRUPTED: Duration = Duration::from_millis(20);
/// Codes that the client sees with the end of a connection.
const GOODBYE: u32 = 0;
const BROKEN: u32 = 1;

/// What the parts of one connection share. It must never own the connection or a task: it outlives both.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) tracks: Arc<Tracks>,
    ledger: Ledger,
    /// The control stream is there.
    control: AtomicBool,
    /// The client's QUIC has all that is said on it.
    pub(super) all_said: Notify,
    /// Bits per second; 0 does not hold frames back.
    pacing: AtomicU64,
    /// Datagrams of an unknown kind.
    ignored: AtomicU64,
    probe: Probe,
    window: Window,
    sound: Sound,
    /// Bytes of datagrams that were handed over and that the socket has not taken.
    beside: AtomicU64,
    /// Bytes that were sent twice, which QUIC does not know of.
    copies: AtomicU64,
    limits: Limits,
    /// A frame was given up.
    gave_up: Notify,
}

impl Shared {
    fn new(clock: Arc<dyn Clock>, pacing: Option<Bitrate>, offset: u32, window: Window) -> Self {
        Self {
            clock,
            events: Events::new(TRACKS),
            tracks: Arc::new(Tracks::new(offset)),
            ledger: Ledger::default(),
            control: AtomicBool::new(false),
            all_said: Notify::new(),
            pacing: AtomicU64::new(pacing.map_or(0, Bitrate::bps)),
            ignored: AtomicU64::new(0),
            probe: Probe::default(),
            window,
            sound: Sound::default(),
            beside: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            limits: Limits::default(),
            gave_up: Notify::new(),
        }
    }

    pub(super) fn pacing(&self) -> Option<Bitrate> {
        let bps = self.pacing.load(Ordering::Relaxed);
        (bps > 0).then(|| Bitrate::from_bps(bps))
    }

    pub(super) fn sound(&self) -> &Sound {
        &self.sound
    }

    /// A datagram that is no part of a frame was handed to QUIC.
    pub(super) fn sent_beside(&self, bytes: usize) {
        self.beside.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn control_is_open(&self) {
        self.control.store(true, Ordering::Release);
        self.events.channel_open(DataChannel::Control);
    }

    /// A datagram of an unknown kind.
    ///
    /// # Errors
    /// When the client sends far too many.
    pub(super) fn ignored(&self) -> Result<(), Flood> {
        self.ignored.fetch_add(1, Ordering::Relaxed);
        self.limits.stray(self.clock.now())
    }

    /// The kernel took datagrams of this connection.
    pub(super) fn socket_took(&self, bytes: usize, datagrams: usize, at: MediaTime) {
        // QUIC sends datagrams before streams.
        let most = bytes as u64;
        let less = |beside: u64| Some(beside.saturating_sub(most));
        let beside = self.beside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let beside = beside.unwrap_or_else(|beside| beside).min(most);
        let bytes = bytes - usize::try_from(beside).unwrap_or(bytes);
        self.ledger.socket_took(bytes, datagrams, at, |event| {
            if let TransportEvent::FrameSent { track, .. } = event {
                self.tracks.release(track);
            }
            self.events.report(event);
        });
    }

    /// Of so many bytes that the kernel took, in datagrams of one size, how many are to be sent once more.
    pub(super) fn again(&self, bytes: usize, segment: Option<usize>) -> usize {
        let again = usize::try_from(self.window.again(bytes as u64)).unwrap_or(bytes);
        let segment = segment.unwrap_or(bytes).max(1);
        let whole = again.div_ceil(segment).saturating_mul(segment).min(bytes);
        self.copies.fetch_add(whole as u64, Ordering::Relaxed);
        whole
    }

    /// A frame will not arrive whole.
    pub(super) fn lost(&self, track: TrackId, frame: FrameId, timestamp: u32) {
        if self.ledger.lost(timestamp) {
            self.tracks.release(track);
        }
        self.events.frame_lost(track, frame);
        self.gave_up.notify_one();
    }

    /// A frame is whole at the client's end of QUIC. Usually its place is free by then; where the socket's count missed
    /// some of it, since the client's address changed meanwhile, it is freed here.
    pub(super) fn arrived(&self, track: TrackId, timestamp: u32) {
        self.ledger.came_whole(timestamp, self.clock.now());
        if self.ledger.cancel(timestamp) {
            self.tracks.release(track);
        }
    }

    /// What was counted since the connection began.
    fn totals(&self, quic: &quinn::Connection) -> Totals {
        let stats = quic.stats();
        let (acked_bytes, acked_packets) = self.window.acked();
        let copies = self.copies.load(Ordering::Relaxed);
        let (sent_bytes, lost_packets) = (stats.udp_tx.bytes + copies, stats.path.lost_packets);
        Totals { sent_bytes, acked_bytes, acked_packets, lost_packets }
    }

    /// Whether one more message of this channel may be read; one that may not is counted.
    ///
    /// # Errors
    /// When the client sends far too many.
    pub(super) fn passes(&self, channel: DataChannel) -> Result<bool, Flood> {
        let passes = self.limits.passes(channel, self.clock.now())?;
        if !passes {
            self.events.refused_message();
        }
        Ok(passes)
    }

    /// Whether one more packet of the client's voice may be read; one that may not is counted.
    ///
    /// # Errors
    /// When the client sends far too many.
    pub(super) fn passes_voice(&self) -> Result<bool, Flood> {
        let now = self.clock.now();
        let passes = self.limits.passes_voice(now);
        if !passes {
            self.events.refused_message();
            self.limits.stray(now)?;
        }
        Ok(passes)
    }

    /// What became of frames; what that says of the path goes to the events, and so does the message.
    pub(super) fn acked(&self, message: Bytes, quic: &quinn::Connection) {
        let now = self.clock.now();
        // Whoever reads the message counts one that is malformed.
        if let Ok(acks) = Acks::decode(&message) {
            let report = self.ledger.acked(&acks, now, self.totals(quic), quic.rtt());
            if let Some(report) = report {
                self.events.report(TransportEvent::Path(report));
            }
        }
        self.events.lossy_message(DataChannel::Acks, message);
    }

    /// What QUIC says of the path while the client says nothing of frames, since they were given up.
    fn tell_silent(&self, quic: &quinn::Connection) {
        let Some(newest) = self.window.newest() else { return };
        let now = self.clock.now();
        let sent =
            MediaTime::from_nanos(now.as_nanos().saturating_sub(nanos(newest.sent.elapsed())));
        let trip = Trip { sent, took: newest.at.saturating_duration_since(newest.sent) };
        if let Some(report) = self.ledger.silent(now, self.totals(quic), quic.rtt(), trip) {
            self.events.report(TransportEvent::Path(report));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A connection to one client. Dropping it closes it.
///
/// [`TransportEvent::Connected`] comes again after [`TransportEvent::Interrupted`] when the path comes
/// back.
pub struct WebTransport {
    shared: Arc<Shared>,
    units: mpsc::Sender<Queued>,
    /// None once nothing more is said.
    outgoing: Option<mpsc::Sender<Bytes>>,
    close: Arc<Close>,
    config: ConnectionConfig,
    connection: Connection,
}

/// What this side wants of a connection's end.
#[derive(Default)]
struct Close {
    /// Nothing more is said.
    in_order: Notify,
    at_once: Notify,
}

impl WebTransport {
    pub(super) fn start(
        connection: Connection,
        config: ConnectionConfig,
        endpoint: EndpointConfig,
        clock: Arc<dyn Clock>,
        listeners: Arc<Listeners>,
        admission: Admission,
    ) -> Result<Self, CloseReason> {
        let quic = connection.quic_connection();
        let failed = |why: &str| CloseReason::Failed(why.to_owned());
        let (window, place) = admission.accept().ok_or_else(|| failed("it was accepted before"))?;
        let offset = getrandom::u32().map_err(|_| failed("the system gives no random bytes"))?;
        if let Some(pace) = config.pacing {
            window.set(pace, quic.rtt());
        }
        let shared = Arc::new(Shared::new(clock, config.pacing, offset, window));
        shared.ledger.start(shared.totals(quic));
        shared.events.connected(config.codec);
        // Datagrams need no opening.
        for channel in DataChannel::ALL.into_iter().filter(|channel| channel.heals()) {
            shared.events.channel_open(channel);
        }
        let (units, queued) = Tracks::queue();
        let (outgoing, messages) = mpsc::channel(OUTGOING);
        let close = Arc::<Close>::default();
        let writer = Writer::new(connection.clone(), shared.clone(), config, queued);
        let readers = Readers::new(connection.clone(), shared.clone(), messages);
        let supervisor = Supervisor {
            shared: shared.clone(),
            connection: connection.clone(),
            close: close.clone(),
            codec: config.codec,
            interrupted_after: endpoint.interrupted_after,
            listeners,
            place,
        };
        tokio::spawn(supervisor.run(writer, readers).in_current_span());
        Ok(Self { shared, units, outgoing: Some(outgoing), close, config, connection })
    }

    /// Where the client is.
    pub fn remote_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Datagrams of an unknown kind that came in.
    pub fn ignored_datagrams(&self) -> u64 {
        self.shared.ignored.load(Ordering::Relaxed)
    }
}

impl Transport for WebTransport {
    fn video_sink(&mut self, track: TrackId) -> Box<dyn UnitSink> {
        self.shared.tracks.sink(track, self.config.codec, self.units.clone())
    }

    fn audio_sink(&mut self) -> Option<Box<dyn AudioSink>> {
        // A client that takes no datagrams has no sound.
        self.connection.max_datagram_size()?;
        Some(Box::new(SoundSink::new(self.connection.clone(), self.shared.clone())))
    }

    fn send_data(&mut self, channel: DataChannel, message: Bytes) -> Result<(), SendRefused> {
        let open = self.shared.tracks.is_live() && self.shared.control.load(Ordering::Acquire);
        if channel != DataChannel::Control || !open {
            return Err(SendRefused::NotConnected);
        }
        let outgoing = self.outgoing.as_ref().ok_or(SendRefused::NotConnected)?;
        outgoing.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendRefused::Full,
            mpsc::error::TrySendError::Closed(_) => SendRefused::NotConnected,
        })
    }

    fn set_pacing(&mut self, rate: Bitrate) {
        self.shared.pacing.store(rate.bps(), Ordering::Relaxed);
        self.shared.window.set(rate, self.connection.rtt());
    }

    fn probe(&mut self, rate: Bitrate, length: Duration) {
        self.shared.probe.ask(rate, length);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.shared.events.poll(cx)
    }

    fn dropped_events(&self) -> u64 {
        self.shared.events.dropped().saturating_add(self.ignored_datagrams())
    }

    fn close(&mut self) {
        self.shared.tracks.end();
        // Before the end of what is said, which the client answers with its close.
        self.close.in_order.notify_one();
        self.outgoing = None;
    }
}

impl Drop for WebTransport {
    fn drop(&mut self) {
        self.shared.tracks.end();
        self.close.at_once.notify_one();
    }
}

/// Says that a connection is over when its supervisor does not, since it panicked.
struct Ending {
    shared: Arc<Shared>,
    quic: quinn::Connection,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // After an orderly end none of this changes anything.
        self.shared.tracks.end();
        self.quic.close(quinn::VarInt::from_u32(BROKEN), b"the server failed");
        self.shared.ledger.cancel_all();
        self.shared.events.closed(CloseReason::Failed("its supervisor panicked".to_owned()));
    }
}

/// Owns a connection until it is over.
struct Supervisor {
    shared: Arc<Shared>,
    connection: Connection,
    close: Arc<Close>,
    codec: media::Codec,
    interrupted_after: Duration,
    listeners: Arc<Listeners>,
    place: Place,
}

impl Supervisor {
    async fn run(self, writer: Writer, readers: Readers) {
        let quic = self.connection.quic_connection().clone();
        let _ending = Ending { shared: self.shared.clone(), quic };
        let mut address = self.connection.remote_address();
        self.listeners.listen(address, &self.shared);
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run().in_current_span());
        let reason = {
            let reading = readers.run();
            tokio::pin!(reading);
            tokio::select! {
                // Ours first: a client that goes since it was told why has not left by itself.
                biased;
                () = self.close.at_once.notified() => self.goodbye(),
                () = self.close.in_order.notified() => {
                    self.last_words(&mut reading).await;
                    self.goodbye()
                }
                end = &mut reading => self.ended(&end),
                // It ends by itself only after all that could hand it units.
                Some(Err(error)) = tasks.join_next() => {
                    tracing::error!(%error, "the writer of a WebTransport connection failed");
                    self.ended(&End::Broken(Broken::Writer))
                }
                () = self.look(&mut address) => CloseReason::Local,
                () = self.tell_silent() => CloseReason::Local,
                () = probe::run(&self.shared.probe, &self.connection) => CloseReason::Local,
            }
        };
        tracing::debug!(%reason, "WebTransport connection ends");
        self.shared.tracks.end();
        tasks.shutdown().await;
        self.listeners.leave(address, &self.shared);
        self.shared.ledger.cancel_all();
        // Whoever sees the end finds the place free.
        drop(self.place);
        self.shared.events.closed(reason);
    }

    /// Until the client has gone, as a page does once it has read to the end of what is said, or had its time for that.
    async fn last_words(&self, reading: impl Future<Output = End>) {
        // Who has no control stream was told nothing.
        if !self.shared.control.load(Ordering::Acquire) {
            return;
        }
        let read = async {
            self.shared.all_said.notified().await;
            tokio::time::sleep(READING).await;
        };
        tokio::select! {
            _ = reading => {}
            () = read => {}
            () = self.close.at_once.notified() => {}
        }
    }

    fn goodbye(&self) -> CloseReason {
        self.connection.close(VarInt::from_u32(GOODBYE), b"closed by the server");
        CloseReason::Local
    }

    /// Looks at the path for ever: whether anything comes, from where, and how long it takes.
    async fn look(&self, address: &mut SocketAddr) {
        let quic = self.connection.quic_connection();
        let mut heard = quic.stats().udp_rx.datagrams;
        let (mut silent, mut interrupted) = (Duration::ZERO, false);
        loop {
            let wait = if interrupted { LOOK_INTERRUPTED } else { LOOK };
            tokio::time::sleep(wait).await;
            let stats = quic.stats();
            if stats.udp_rx.datagrams != heard {
                (heard, silent) = (stats.udp_rx.datagrams, Duration::ZERO);
                if std::mem::take(&mut interrupted) {
                    self.shared.events.connected(self.codec);
                }
            } else {
                silent += wait;
            }
            if silent >= self.interrupted_after && !interrupted {
                interrupted = true;
                self.shared.events.interrupted();
            }
            let now = quic.remote_address();
            if now != *address {
                self.listeners.leave(*address, &self.shared);
                *address = now;
                self.listeners.listen(now, &self.shared);
            }
            if let Some(pace) = self.shared.pacing() {
                self.shared.window.set(pace, stats.path.rtt);
            }
        }
    }

    /// Reports by what QUIC knows, from when frames are given up until the client acknowledges others, for ever.
    async fn tell_silent(&self) {
        let quic = self.connection.quic_connection();
        loop {
            self.shared.gave_up.notified().await;
            while self.shared.ledger.is_silent() {
                tokio::time::sleep(GATHER).await;
                self.shared.tell_silent(quic);
            }
        }
    }

    fn ended(&self, end: &End) -> CloseReason {
        use wtransport::error::ConnectionError;
        match end {
            End::Connection(ConnectionError::TimedOut) => CloseReason::Unreachable,
            End::Connection(
                ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_),
            ) => CloseReason::Remote,
            End::Connection(ConnectionError::LocallyClosed) => CloseReason::Local,
            End::Connection(error) => CloseReason::Failed(error.to_string()),
            End::Broken(broken) => {
                let reason = broken.to_string();
                self.connection.close(VarInt::from_u32(BROKEN), reason.as_bytes());
                match broken {
                    Broken::Flood(_) => CloseReason::Flood(reason),
                    _ => CloseReason::Failed(reason),
                }
            }
        }
    }
}
