//! Writes what a session sends: frames in pieces at the session's pace, and between them what is short.
//!
//! What a unit waits for the socket is measured: the time that the socket takes for messages while units are there.
//! No unit waits longer than it is there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{Sink, SinkExt as _};
use media::websocket::{Piece, first_byte};
use media::webtransport::{FrameHeader, PADDING};
use media::{AccessUnit, Bitrate, DataChannel, Mark, MediaTime, TransportEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Shared;
use super::ledger::Left;
use super::reader::Broken;
use super::{ConnectionConfig, Message, SocketError};

/// Length of a piece at the pace: what a link gets in one go, and twice what a timer can tell apart.
const SLICE: Duration = Duration::from_millis(2);
/// A piece has so many bytes of a unit, whatever the pace; more would hold up what is short.
const PIECE: (usize, usize) = (6_000, 16_000);
/// How often the client is asked for an answer, unless one is due.
const PING_EVERY: Duration = Duration::from_millis(50);
/// How often padding is filled up, and how much goes in one message.
const PADDING_EVERY: Duration = Duration::from_millis(2);
const PADDING_BYTES: usize = 1_100;

/// What waits to be written.
pub(super) struct Queues {
    pub(super) units: mpsc::Receiver<AccessUnit>,
    pub(super) messages: mpsc::Receiver<Bytes>,
    pub(super) sound: mpsc::Receiver<Bytes>,
}

/// See the module.
pub(super) struct Writer {
    shared: Arc<Shared>,
    config: ConnectionConfig,
    queues: Queues,
    /// Frames of which the end is not written, one of a track.
    begun: VecDeque<Begun>,
    /// The unit, or part of one, that is being cut.
    current: Option<Current>,
    /// When the next piece may leave.
    next_at: Instant,
    /// What the unit of now, or the next one, has waited for the socket at the most.
    waited: Duration,
    ping_at: Instant,
    padding: Option<Padding>,
    out: BytesMut,
}

/// A frame of which some was written, or is about to be.
struct Begun {
    /// Its first part, without its bytes.
    unit: AccessUnit,
    timestamp: u32,
    /// Until it is written.
    header: Option<FrameHeader>,
    first: Option<Left>,
    bytes: u64,
}

struct Current {
    rest: Bytes,
    /// It ends its frame, the last one that was begun.
    last: bool,
}

/// Fills up to a rate for some time.
struct Padding {
    rate: Bitrate,
    began: Instant,
    length: Duration,
    before: u64,
    next_at: Instant,
}

/// What to do next.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, for a moment; a box would be an allocation for each unit"
)]
enum Next {
    Say(Bytes),
    Sound(Bytes),
    Ping,
    Piece,
    Unit(AccessUnit),
    Pad,
    Probe(Bitrate, Duration),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, config: ConnectionConfig, queues: Queues) -> Self {
        let now = Instant::now();
        Self {
            shared,
            config,
            queues,
            begun: VecDeque::new(),
            current: None,
            next_at: now,
            waited: Duration::ZERO,
            ping_at: now,
            padding: None,
            out: BytesMut::new(),
        }
    }

    /// Writes until all is written that is ever said.
    ///
    /// # Errors
    /// What is wrong with the client or the socket.
    pub(super) async fn run(
        &mut self,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    ) -> Result<(), Broken> {
        while let Some(next) = self.next().await {
            self.carry_out(next, sink).await?;
        }
        Ok(())
    }

    /// None once nothing more is said.
    async fn next(&mut self) -> Option<Next> {
        let Queues { units, messages, sound } = &mut self.queues;
        let cuts = self.current.is_some();
        let pads_at = self.padding.as_ref().map(|padding| padding.next_at);
        let next = tokio::select! {
            biased;
            message = messages.recv() => Next::Say(message?),
            Some(packet) = sound.recv() => Next::Sound(packet),
            () = sleep_until(self.ping_at) => Next::Ping,
            () = sleep_until(self.next_at), if cuts => Next::Piece,
            Some(unit) = units.recv(), if !cuts => Next::Unit(unit),
            () = sleep_until(pads_at.unwrap_or(self.ping_at)), if pads_at.is_some() => Next::Pad,
            (rate, length) = self.shared.probe.asked() => Next::Probe(rate, length),
        };
        Some(next)
    }

    async fn carry_out(
        &mut self,
        next: Next,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    ) -> Result<(), Broken> {
        match next {
            Next::Say(message) => {
                self.out.put_u8(first_byte(DataChannel::Control));
                self.out.put_slice(&message);
                self.write(sink).await
            }
            Next::Sound(packet) => {
                self.out.put_slice(&packet);
                self.write(sink).await
            }
            Next::Ping => {
                self.ping_at = Instant::now() + PING_EVERY;
                match self.shared.ledger.ping(self.shared.clock.now()) {
                    Some(ping) => self.send(Message::Ping(ping), sink).await,
                    None => Ok(()),
                }
            }
            Next::Piece => self.piece(sink).await,
            Next::Unit(unit) => {
                self.take(unit);
                Ok(())
            }
            Next::Pad => self.pad(sink).await,
            Next::Probe(rate, length) => {
                let now = Instant::now();
                let before = self.shared.ledger.written();
                let padding = Padding { rate, began: now, length, before, next_at: now };
                self.padding = Some(padding).filter(|_| !length.is_zero());
                Ok(())
            }
        }
    }

    /// Begins with a unit, or goes on with one of which this is another part.
    fn take(&mut self, mut unit: AccessUnit) {
        let shared = self.shared.clone();
        let Shared { clock, tracks, .. } = &*shared;
        let now = clock.now();
        let here_since = unit.stages.get(Mark::Encoded).unwrap_or(now);
        self.waited = self.waited.min(now.since(here_since));
        let last = unit.part.last;
        if unit.part.first {
            // No more of the one before it comes.
            self.give_up(&unit);
            unit.stages.mark(Mark::Dequeued, now);
            let timestamp = tracks.timestamp(&unit);
            let Some(header) = FrameHeader::of(&unit, timestamp, self.config.depth) else {
                tracks.release(unit.track);
                self.shared.events.frame_lost(unit.track, unit.frame);
                return;
            };
            let rest = std::mem::take(&mut unit.data);
            unit.stages.mark(Mark::Packetised, clock.now());
            let header = Some(header);
            self.begun.push_back(Begun { unit, timestamp, header, first: None, bytes: 0 });
            self.current = Some(Current { rest, last });
        } else {
            let is_its =
                |begun: &Begun| (begun.unit.track, begun.unit.frame) == (unit.track, unit.frame);
            // Else it was given up.
            let Some(begun) = self.begun.iter().position(is_its) else { return };
            let Some(mut begun) = self.begun.remove(begun) else { return };
            begun.unit.stages.merge(&unit.stages);
            self.begun.push_back(begun);
            self.current = Some(Current { rest: unit.data, last });
        }
    }

    /// Gives up the frame that a track's next one comes after.
    fn give_up(&mut self, next: &AccessUnit) {
        let Shared { events, tracks, .. } = &*self.shared;
        self.begun.retain(|begun| {
            let goes_on = begun.unit.track != next.track;
            if !goes_on {
                tracks.release(begun.unit.track);
                events.frame_lost(begun.unit.track, begun.unit.frame);
            }
            goes_on
        });
    }

    async fn piece(
        &mut self,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    ) -> Result<(), Broken> {
        let (Some(mut current), Some(mut begun)) = (self.current.take(), self.begun.pop_back())
        else {
            return Ok(());
        };
        let pace = self.shared.pacing();
        let slice = pace.map_or(u64::MAX, |pace| pace.bytes_in(SLICE));
        let slice = usize::try_from(slice).unwrap_or(usize::MAX).clamp(PIECE.0, PIECE.1);
        let data = current.rest.split_to(slice.min(current.rest.len()));
        let last = current.rest.is_empty() && current.last;
        let mut head = Vec::with_capacity(Piece::MOST);
        Piece { header: begun.header.take(), last, track: begun.unit.track.0 }.encode(&mut head);
        self.out.put_slice(&head);
        self.out.put_slice(&data);
        begun.bytes += framed(self.out.len());
        if let Some(pace) = pace {
            let now = self.next_at.max(Instant::now());
            self.next_at = now + pace.time_for(self.out.len() as u64);
        }
        let now = self.shared.clock.now();
        begun.unit.stages.mark(Mark::Paced, now);
        begun.unit.stages.mark(Mark::FirstSent, now);
        let first = *begun.first.get_or_insert(Left { at: now, waited: self.waited });
        self.write(sink).await?;
        if last {
            self.sent(begun, first);
        } else {
            self.begun.push_back(begun);
            self.current = Some(current).filter(|current| !current.rest.is_empty());
        }
        Ok(())
    }

    /// The socket took all of a frame.
    fn sent(&mut self, begun: Begun, first: Left) {
        let Shared { clock, tracks, ledger, events, .. } = &*self.shared;
        let Begun { unit, timestamp, bytes, .. } = begun;
        let (mut stages, at) = (unit.stages, clock.now());
        stages.mark(Mark::LastSent, at);
        ledger.sent(timestamp, first, Left { at, waited: self.waited });
        tracks.release(unit.track);
        let (track, frame) = (unit.track, unit.frame);
        let wire_timestamp = timestamp;
        events.report(TransportEvent::FrameSent { track, frame, wire_timestamp, bytes, stages });
    }

    /// Fills up what is missing of the probe's rate.
    async fn pad(
        &mut self,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    ) -> Result<(), Broken> {
        let Some(padding) = &mut self.padding else { return Ok(()) };
        let now = Instant::now();
        let passed = now.saturating_duration_since(padding.began);
        if passed >= padding.length {
            self.padding = None;
            return Ok(());
        }
        let wanted = padding.rate.bytes_in(passed);
        let written = self.shared.ledger.written() - padding.before;
        if written >= wanted {
            padding.next_at = now + PADDING_EVERY;
            return Ok(());
        }
        self.out.put_u8(PADDING);
        self.out.put_bytes(0, PADDING_BYTES);
        self.write(sink).await
    }

    /// Writes what is laid out.
    async fn write(
        &mut self,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    ) -> Result<(), Broken> {
        let message = Message::Binary(self.out.split().freeze());
        self.send(message, sink).await
    }

    async fn send(
        &mut self,
        message: Message,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    ) -> Result<(), Broken> {
        let (Message::Binary(body) | Message::Ping(body)) = &message else { return Ok(()) };
        let bytes = framed(body.len());
        let clock = &self.shared.clock;
        let began: MediaTime = clock.now();
        let sent = timeout(self.config.unreachable_after, sink.send(message)).await;
        sent.map_err(|_| Broken::TakesNothing)??;
        self.waited += clock.now().since(began);
        self.shared.ledger.wrote(bytes);
        Ok(())
    }
}

/// Bytes of a message with what stands before it (RFC 6455 §5.2).
fn framed(bytes: usize) -> u64 {
    let head = match bytes {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    (bytes + head) as u64
}
