//! Sends frames: each on a stream of its own, in slices at the session's pace, with a deadline.
//!
//! QUIC keeps what it was given until it is acknowledged. So a frame that is late is reset, which frees
//! its place on the path for newer ones, and reported as lost, from which the encoder recovers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media::webtransport::FrameHeader;
use media::{AccessUnit, Bitrate, Mark, UnitKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wtransport::{Connection, SendStream, VarInt};

use super::config::ConnectionConfig;
use super::connection::Shared;

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
    count: i32,
    /// Frames that are on their way.
    fates: JoinSet<()>,
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
            fates: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(unit) = self.units.recv().await {
            while self.fates.try_join_next().is_some() {}
            if self.fates.len() >= UNACKED {
                self.fates.join_next().await;
            }
            self.send(unit).await;
        }
    }

    async fn send(&mut self, unit: Queued) {
        let mut stages = unit.stages;
        stages.mark(Mark::Dequeued, self.shared.clock.now());
        let (track, frame) = (unit.track, unit.frame);
        let timestamp = self.shared.timestamp(&unit);
        let Some(header) = FrameHeader::of(&unit, timestamp, self.config.depth) else {
            self.shared.release(track);
            self.shared.lost(track, frame, timestamp);
            return;
        };
        let time = self.config.deadlines.of(unit.kind) + self.connection.rtt();
        let pace = self.shared.pacing();
        let bytes = FrameHeader::LEN as u64 + u64::from(header.bytes);
        let held_back = pace.map_or(Duration::ZERO, |pace| pace.time_for(bytes));
        let latest = self.next_at.max(Instant::now()) + held_back + time;
        self.shared.ledger().begin(track, frame, timestamp, stages, bytes);
        let written = tokio::time::timeout_at(latest, self.write(&header, unit, pace)).await;
        // A client that grants no room, or a path that takes nothing.
        let Ok(Some(mut stream)) = written else {
            self.shared.lost(track, frame, timestamp);
            return;
        };
        let shared = self.shared.clone();
        self.fates.spawn(async move {
            match tokio::time::timeout(time, stream.inner.quic_stream().stopped()).await {
                // Acknowledged to its end; that a connection is lost is reported by itself.
                Ok(Ok(None) | Err(_)) => {
                    shared.arrived(track, timestamp);
                    stream.came_whole();
                }
                Ok(Ok(Some(_))) | Err(_) => shared.lost(track, frame, timestamp),
            }
        });
    }

    /// Hands a frame to QUIC; none when the connection or the client does not take it.
    async fn write(
        &mut self,
        header: &FrameHeader,
        unit: Queued,
        pace: Option<Bitrate>,
    ) -> Option<FrameStream> {
        let opening = self.connection.open_uni().await.ok()?;
        let mut stream = FrameStream { inner: opening.await.ok()?, whole: false };
        self.count = self.count.wrapping_add(1) & (KEY_PRIORITY - 1);
        // An older frame goes first: those after it are coded from it.
        let key = if unit.kind == UnitKind::Key { KEY_PRIORITY } else { 0 };
        stream.inner.set_priority(key - self.count);
        let (shared, timestamp) = (self.shared.clone(), header.wire_timestamp);
        let mark = |mark| shared.ledger().mark(timestamp, mark, shared.clock.now());
        mark(Mark::Packetised);
        let slice = pace.map_or(u64::MAX, |pace| pace.bytes_in(SLICE).max(LEAST_SLICE));
        let slice = usize::try_from(slice).unwrap_or(usize::MAX);
        let mut pieces = [Bytes::copy_from_slice(&header.encode()), Bytes::new()];
        let mut rest = unit.data;
        let mut first = true;
        while first || !rest.is_empty() {
            tokio::time::sleep_until(self.next_at).await;
            pieces[1] = rest.split_to(slice.min(rest.len()));
            let bytes = (pieces[0].len() + pieces[1].len()) as u64;
            if let Some(pace) = pace {
                self.next_at = self.next_at.max(Instant::now()) + pace.time_for(bytes);
            }
            if std::mem::take(&mut first) {
                mark(Mark::Paced);
            }
            stream.inner.quic_stream_mut().write_all_chunks(&mut pieces).await.ok()?;
        }
        stream.inner.quic_stream_mut().finish().ok()?;
        Some(stream)
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
