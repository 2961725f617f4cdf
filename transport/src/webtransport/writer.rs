//! Sends frames: each on a stream of its own, in slices at the session's pace, with a deadline.
//!
//! QUIC keeps what it was given until it is acknowledged. So a frame that is late is reset, which frees
//! its place on the path for newer ones, and reported as lost, from which the encoder recovers (`fate.rs`).
//!
//! A frame that comes in parts keeps its stream open between them. It is given up where the next part takes as
//! long as a frame may take to arrive, and where another frame of its track begins.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media::webtransport::FrameHeader;
use media::{AccessUnit, FrameId, Mark, TrackId, UnitKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wtransport::{Connection, SendStream, VarInt};

use super::config::ConnectionConfig;
use super::connection::Shared;
use super::fate::Newest;

/// What is handed over for sending.
pub(super) type Queued = AccessUnit;

/// Length of a slice at the pace: what a link gets in one go, and twice what a timer can tell apart.
const SLICE: Duration = Duration::from_millis(2);
/// A slice has no fewer bytes: one batch of datagrams for the kernel.
const LEAST_SLICE: u64 = 6_000;
/// Frames that are not acknowledged: two seconds of 60 fps.
const UNACKED: usize = 128;
/// Keyframes go before all others, whatever their number.
const KEY_PRIORITY: i32 = 1 << 30;
/// Code of a stream that was given up: 1, in the space of WebTransport (draft-ietf-webtrans-http3 §4.3).
const GIVEN_UP: u64 = 0x52e4_a40f_a8db + 1;

/// See the module.
pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    config: ConnectionConfig,
    units: mpsc::Receiver<Queued>,
    /// When the next slice may leave.
    next_at: Instant,
    /// Frames so far.
    count: u64,
    newest: Newest,
    /// Frames of which parts are still to come, one of a track.
    begun: Vec<Begun>,
    /// Frames that are on their way.
    fates: JoinSet<()>,
}

/// A frame of which some was sent.
struct Begun {
    track: TrackId,
    frame: FrameId,
    timestamp: u32,
    /// Frames that were begun before it on this connection, with it.
    number: u64,
    stream: FrameStream,
    /// How long it may take.
    time: Duration,
    /// When it is given up.
    latest: Instant,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        config: ConnectionConfig,
        units: mpsc::Receiver<Queued>,
    ) -> Self {
        Self {
            connection,
            shared,
            config,
            units,
            next_at: Instant::now(),
            count: 0,
            newest: Newest::default(),
            begun: Vec::new(),
            fates: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let overdue = self.begun.iter().map(|begun| begun.latest).min();
            let next = match overdue {
                Some(latest) => tokio::time::timeout_at(latest, self.units.recv()).await,
                None => Ok(self.units.recv().await),
            };
            match next {
                Ok(Some(unit)) => self.take(unit).await,
                Ok(None) => return,
                Err(_) => self.give_up(|begun| Some(begun.latest) == overdue),
            }
        }
    }

    async fn take(&mut self, unit: Queued) {
        if unit.part.first {
            // No more of it comes.
            self.give_up(|begun| begun.track == unit.track);
            while self.fates.try_join_next().is_some() {}
            if self.fates.len() >= UNACKED {
                self.fates.join_next().await;
            }
            self.begin(unit).await;
            return;
        }
        let is_its = |begun: &Begun| (begun.track, begun.frame) == (unit.track, unit.frame);
        // Else it was given up.
        if let Some(at) = self.begun.iter().position(is_its) {
            let mut begun = self.begun.swap_remove(at);
            let bytes = unit.data.len() as u64;
            begun.latest = self.latest(bytes, begun.time);
            let last = unit.part.last;
            self.shared.ledger().go_on(begun.timestamp, &unit.stages, bytes, last);
            self.go_on(begun, Bytes::new(), unit).await;
        }
    }

    /// Sends a unit, or its first part.
    async fn begin(&mut self, unit: Queued) {
        let mut stages = unit.stages;
        stages.mark(Mark::Dequeued, self.shared.clock.now());
        let (track, frame) = (unit.track, unit.frame);
        let timestamp = self.shared.tracks.timestamp(&unit);
        let Some(header) = FrameHeader::of(&unit, timestamp, self.config.depth) else {
            self.shared.tracks.release(track);
            self.shared.lost(track, frame, timestamp);
            return;
        };
        let time = self.config.deadlines.of(unit.kind) + self.connection.rtt();
        let bytes = (FrameHeader::LEN + unit.data.len()) as u64;
        let open = !unit.part.last;
        self.shared.ledger().begin(track, frame, timestamp, stages, (bytes, open));
        let latest = self.latest(bytes, time);
        let opened = tokio::time::timeout_at(latest, self.open(unit.kind)).await;
        // A client that grants no room.
        let Ok(Some(stream)) = opened else {
            self.shared.lost(track, frame, timestamp);
            return;
        };
        self.shared.ledger().mark(timestamp, Mark::Packetised, self.shared.clock.now());
        let number = self.count;
        let begun = Begun { track, frame, timestamp, number, stream, time, latest };
        self.go_on(begun, Bytes::copy_from_slice(&header.encode()), unit).await;
    }

    /// When so many bytes must be handed over that may take so long.
    fn latest(&self, bytes: u64, time: Duration) -> Instant {
        let pace = self.shared.pacing();
        let held_back = pace.map_or(Duration::ZERO, |pace| pace.time_for(bytes));
        self.next_at.max(Instant::now()) + held_back + time
    }

    /// Sends a unit or a part of one, with what stands before it.
    async fn go_on(&mut self, mut begun: Begun, head: Bytes, unit: Queued) {
        let latest = begun.latest;
        let write = self.write(&mut begun, head, unit.data);
        let written = tokio::time::timeout_at(latest, write).await;
        // A path that takes nothing.
        let Ok(Some(())) = written else {
            self.shared.lost(begun.track, begun.frame, begun.timestamp);
            return;
        };
        if !unit.part.last {
            self.begun.push(begun);
            return;
        }
        let Begun { track, frame, timestamp, number, mut stream, time, .. } = begun;
        if stream.inner.quic_stream_mut().finish().is_err() {
            self.shared.lost(track, frame, timestamp);
            return;
        }
        let (shared, newest) = (self.shared.clone(), self.newest.clone());
        let connection = self.connection.clone();
        self.fates.spawn(async move {
            // Acknowledged to its end; that a connection is lost is reported by itself.
            let stopped = stream.inner.quic_stream().stopped();
            let acknowledged = async { matches!(stopped.await, Ok(None) | Err(_)) };
            if newest.came_whole(number, acknowledged, time, || connection.rtt()).await {
                shared.arrived(track, timestamp);
                stream.came_whole();
            } else {
                shared.lost(track, frame, timestamp);
            }
        });
    }

    /// Gives up frames of which parts are missing.
    fn give_up(&mut self, which: impl Fn(&Begun) -> bool) {
        let shared = &self.shared;
        for begun in self.begun.extract_if(.., |begun| which(begun)) {
            shared.lost(begun.track, begun.frame, begun.timestamp);
        }
    }

    /// Opens the stream of a frame; none when the connection or the client does not take it.
    async fn open(&mut self, kind: UnitKind) -> Option<FrameStream> {
        let opening = self.connection.open_uni().await.ok()?;
        let stream = FrameStream { inner: opening.await.ok()?, whole: false };
        self.count += 1;
        // An older frame goes first: those after it are coded from it.
        let key = if kind == UnitKind::Key { KEY_PRIORITY } else { 0 };
        let order = i32::try_from(self.count % KEY_PRIORITY as u64).unwrap_or(0);
        stream.inner.set_priority(key - order);
        Some(stream)
    }

    /// Hands bytes of a frame to QUIC; none when the connection or the client does not take them.
    async fn write(&mut self, begun: &mut Begun, head: Bytes, mut rest: Bytes) -> Option<()> {
        let pace = self.shared.pacing();
        let slice = pace.map_or(u64::MAX, |pace| pace.bytes_in(SLICE).max(LEAST_SLICE));
        let slice = usize::try_from(slice).unwrap_or(usize::MAX);
        let mut pieces = [head, Bytes::new()];
        let mut first = true;
        while first || !rest.is_empty() {
            tokio::time::sleep_until(self.next_at).await;
            pieces[1] = rest.split_to(slice.min(rest.len()));
            let bytes = (pieces[0].len() + pieces[1].len()) as u64;
            if let Some(pace) = pace {
                self.next_at = self.next_at.max(Instant::now()) + pace.time_for(bytes);
            }
            if std::mem::take(&mut first) {
                let now = self.shared.clock.now();
                self.shared.ledger().mark(begun.timestamp, Mark::Paced, now);
            }
            let stream = begun.stream.inner.quic_stream_mut();
            stream.write_all_chunks(&mut pieces).await.ok()?;
        }
        Some(())
    }
}

/// A frame's stream. Unless it came whole it is reset when it is dropped: QUIC would finish it, and the
/// client take a part for a frame.
struct FrameStream {
    inner: SendStream,
    whole: bool,
}

impl FrameStream {
    fn came_whole(&mut self) {
        self.whole = true;
    }
}

impl Drop for FrameStream {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        let code = VarInt::try_from_u64(GIVEN_UP).unwrap_or(VarInt::from_u32(0));
        // One that is closed already needs no reset.
        let _ = self.inner.reset(code);
    }
}
