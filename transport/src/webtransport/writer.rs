//! Sends frames: each on a stream of its own, in slices at the session's pace, with a deadline.
//!
//! QUIC keeps what it was given until it is acknowledged. So a frame that is late is reset, which frees
//! its place on the path for newer ones, and reported as lost, from which the encoder recovers (`fate.rs`).
//!
//! A frame that comes in parts keeps its stream open between them. It is given up where the next part takes as
//! long as a frame may take to arrive, and where another frame of its track begins.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use media::webtransport::FrameHeader;
use media::{AccessUnit, FrameId, Mark, TrackId, UnitKind};
use tokio::sync::mpsc;
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
    units: mpsc::Receiver<Queued>,
    sending: Sending,
    fates: Fates,
}

/// Hands frames to QUIC.
struct Sending {
    connection: Connection,
    shared: Arc<Shared>,
    config: ConnectionConfig,
    /// When the next slice may leave.
    next_at: Instant,
    /// Frames so far.
    count: u64,
    newest: Newest,
    /// Frames of which parts are still to come, one of a track.
    begun: Vec<Begun>,
}

/// What becomes of a frame that QUIC has to its end.
type Fate = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Frames that are on their way. They have no tasks of their own: each would wake another thread.
#[derive(Default)]
struct Fates(FuturesUnordered<Fate>);

impl Fates {
    /// Does some work, and what is to be done about frames meanwhile.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(()) = self.0.next(), if !self.0.is_empty() => {}
            }
        }
    }

    /// Waits until there is room for one more.
    async fn room(&mut self) {
        while self.0.len() >= UNACKED {
            self.0.next().await;
        }
    }
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
        let sending = Sending {
            connection,
            shared,
            config,
            next_at: Instant::now(),
            count: 0,
            newest: Newest::default(),
            begun: Vec::new(),
        };
        Self { units, sending, fates: Fates::default() }
    }

    pub(super) async fn run(self) {
        let Self { mut units, mut sending, mut fates } = self;
        loop {
            let overdue = sending.begun.iter().map(|begun| begun.latest).min();
            let next = fates.beside(async {
                match overdue {
                    Some(latest) => tokio::time::timeout_at(latest, units.recv()).await,
                    None => Ok(units.recv().await),
                }
            });
            match next.await {
                Ok(Some(unit)) => {
                    if unit.part.first {
                        fates.room().await;
                    }
                    if let Some(fate) = fates.beside(sending.take(unit)).await {
                        fates.0.push(fate);
                    }
                }
                Ok(None) => return,
                Err(_) => sending.give_up(|begun| Some(begun.latest) == overdue),
            }
        }
    }
}

impl Sending {
    /// Yields what is to be waited for once all of a frame is handed over.
    async fn take(&mut self, unit: Queued) -> Option<Fate> {
        if unit.part.first {
            // No more of it comes.
            self.give_up(|begun| begun.track == unit.track);
            return self.begin(unit).await;
        }
        let is_its = |begun: &Begun| (begun.track, begun.frame) == (unit.track, unit.frame);
        // Else it was given up.
        let at = self.begun.iter().position(is_its)?;
        let mut begun = self.begun.swap_remove(at);
        let bytes = unit.data.len() as u64;
        begun.latest = self.latest(bytes, begun.time);
        let last = unit.part.last;
        self.shared.ledger().go_on(begun.timestamp, &unit.stages, bytes, last);
        self.go_on(begun, Bytes::new(), unit).await
    }

    /// Sends a unit, or its first part.
    async fn begin(&mut self, unit: Queued) -> Option<Fate> {
        let mut stages = unit.stages;
        stages.mark(Mark::Dequeued, self.shared.clock.now());
        let (track, frame) = (unit.track, unit.frame);
        let timestamp = self.shared.tracks.timestamp(&unit);
        let Some(header) = FrameHeader::of(&unit, timestamp, self.config.depth) else {
            self.shared.tracks.release(track);
            self.shared.lost(track, frame, timestamp);
            return None;
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
            return None;
        };
        self.shared.ledger().mark(timestamp, Mark::Packetised, self.shared.clock.now());
        let number = self.count;
        let begun = Begun { track, frame, timestamp, number, stream, time, latest };
        self.go_on(begun, Bytes::copy_from_slice(&header.encode()), unit).await
    }

    /// When so many bytes must be handed over that may take so long.
    fn latest(&self, bytes: u64, time: Duration) -> Instant {
        let pace = self.shared.pacing();
        let held_back = pace.map_or(Duration::ZERO, |pace| pace.time_for(bytes));
        self.next_at.max(Instant::now()) + held_back + time
    }

    /// Sends a unit or a part of one, with what stands before it.
    async fn go_on(&mut self, mut begun: Begun, head: Bytes, unit: Queued) -> Option<Fate> {
        let latest = begun.latest;
        let write = self.write(&mut begun, head, unit.data);
        let written = tokio::time::timeout_at(latest, write).await;
        // A path that takes nothing.
        let Ok(Some(())) = written else {
            self.shared.lost(begun.track, begun.frame, begun.timestamp);
            return None;
        };
        if !unit.part.last {
            self.begun.push(begun);
            return None;
        }
        let Begun { track, frame, timestamp, number, mut stream, time, .. } = begun;
        if stream.inner.quic_stream_mut().finish().is_err() {
            self.shared.lost(track, frame, timestamp);
            return None;
        }
        let (shared, newest) = (self.shared.clone(), self.newest.clone());
        let connection = self.connection.clone();
        Some(Box::pin(async move {
            // Acknowledged to its end; that a connection is lost is reported by itself.
            let stopped = stream.inner.quic_stream().stopped();
            let acknowledged = async { matches!(stopped.await, Ok(None) | Err(_)) };
            if newest.came_whole(number, acknowledged, time, || connection.rtt()).await {
                shared.arrived(track, timestamp);
                stream.came_whole();
            } else {
                shared.lost(track, frame, timestamp);
            }
        }))
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
        let most = pace.map_or(u64::MAX, |pace| pace.bytes_in(SLICE).max(LEAST_SLICE));
        let slice = slice(rest.len(), usize::try_from(most).unwrap_or(usize::MAX));
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

/// The length of slices of so many bytes, of which one is to have about `wanted`: all of them are of one length, since a
/// small one at the end costs as much as any.
fn slice(bytes: usize, wanted: usize) -> usize {
    let count = bytes.saturating_add(wanted / 2) / wanted;
    bytes.div_ceil(count.max(1)).max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_of_one_length_and_nearly_as_long_as_wanted() {
        assert_eq!(slice(41_000, 20_000), 20_500);
        assert_eq!(slice(50_001, 20_000), 16_667);
        assert_eq!(slice(9_999, 20_000), 9_999);
        assert_eq!(slice(29_999, 20_000), 29_999);
        assert_eq!(slice(41_000, usize::MAX), 41_000);
        assert_eq!(slice(0, 6_000), 1);
    }
}
