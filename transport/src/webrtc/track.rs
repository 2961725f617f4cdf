//! What is known of one video track's frames between hand-over and acknowledgement: marks of
//! frames in flight, which packets each sent frame had, and whether anything refers to it.
//!
//! ```text
//!            resending it comes too late                a frame that refers to one before it is sent
//!  Needed ──────────────────────────────▶ given up ──────────────────────────────────────────────▶ Void
//!    └──────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A frame that comes in parts is numbered with its first one, and is one frame here. It begins there, ends with
//! the last packet of its last part, and is lost where another one begins before.
//!
//! What the client decoded, and all that this was coded from, came whatever it asked for meanwhile: such a
//! frame is neither sent again nor given up.
//!
//! Written by the driver's task (packetiser, pacer, socket) and the encoder's thread (sink), under
//! one short lock each. It must never do I/O.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use media::{
    AccessUnit, Codec, ColorDescription, FrameId, Mark, MediaTime, Part, StageTimes, TrackId,
    TransportEvent, UnitKind,
};

use super::chain::descriptor::Needs;
use crate::timestamp::{Timestamps, timestamp_of};

/// Units between the encoder and the wire: one that is being sent and one that waits.
pub(super) const UNITS: usize = 2;
/// Frames whose last packet the socket has not taken. With [`UNITS`] in front of the pacer only a
/// failing socket lets more pile up; then the oldest is forgotten.
const IN_FLIGHT: usize = 8;
/// Frames whose packet numbers are remembered: 17 s of 60 fps.
const HISTORY: usize = 1_024;
/// Packets that feedback told as lost and that nobody has looked at: a frame of 40 Mbit/s. More wait for the client to ask.
const MISSED: usize = 256;

/// Fixed facts of a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackParams {
    pub(super) id: TrackId,
    pub(super) codec: Codec,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    pub(super) fec_ssrc: u32,
    /// Random start of the RTP clock (RFC 3550 §5.1).
    pub(super) timestamp_offset: u32,
    /// Random first sequence number.
    pub(super) first_sequence: u16,
}

/// See the module.
pub(super) struct Track {
    pub(super) params: TrackParams,
    /// Units accepted and not yet released by the pacer.
    pending: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    timestamps: Timestamps,
    /// Number of the next packet, counted without wrapping.
    next_packet: u64,
    /// Number of the next frame that is cut into packets.
    next_unit: u64,
    /// This frame will not come whole, and nothing that does without it was sent yet.
    given_up: Option<FrameId>,
    /// The newest frame that the client decoded.
    decoded: Option<FrameId>,
    in_flight: VecDeque<Flight>,
    /// The newest of them has parts that were not handed over.
    is_open: bool,
    history: VecDeque<Sent>,
    /// Numbers of packets that did not come.
    missed: Vec<u16>,
}

struct Flight {
    frame: FrameId,
    timestamp: u32,
    /// Packets that the socket has not taken.
    unsent: usize,
    /// Of its first part, once that was cut into packets.
    numbered: Option<(u64, Needs)>,
    /// So was its last part.
    packetised: bool,
    bytes: u64,
    stages: StageTimes,
    key: bool,
    refers_to: Option<FrameId>,
    /// Of a keyframe, where they are not what a client expects.
    color: Option<ColorDescription>,
}

#[derive(Clone, Copy)]
struct Sent {
    frame: FrameId,
    timestamp: u32,
    unit: u64,
    first_packet: u64,
    /// First packet of the newest frame that does without this one, as all after it do.
    void_by: Option<u64>,
}

/// How the packets of a frame are numbered and described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Number of the first packet.
    pub(super) first: u16,
    /// Number of the frame.
    pub(super) frame: u16,
    pub(super) needs: Needs,
}

/// What a packet that was sent is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its frame is needed.
    Needed(FrameId),
    /// Its frame, or one that it needs, was given up.
    GivenUp,
    /// Nothing to come needs its frame.
    Void {
        /// Number of the first packet of what does without it.
        next: u16,
    },
    /// The memory of its frame is gone.
    Forgotten,
}

impl Track {
    pub(super) fn new(params: TrackParams) -> Self {
        Self {
            params,
            pending: AtomicUsize::new(0),
            state: Mutex::new(State {
                timestamps: Timestamps::new(params.timestamp_offset),
                next_packet: u64::from(params.first_sequence),
                next_unit: 0,
                given_up: None,
                decoded: None,
                in_flight: VecDeque::with_capacity(IN_FLIGHT),
                is_open: false,
                history: VecDeque::with_capacity(HISTORY),
                missed: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The timestamp that stands for `at`.
    pub(super) fn timestamp(&self, at: MediaTime) -> u32 {
        timestamp_of(at, self.params.timestamp_offset)
    }

    /// Whether a unit would be taken now.
    pub(super) fn has_room(&self) -> bool {
        self.pending.load(Ordering::Acquire) < UNITS
    }

    /// Reserves a place for a unit.
    pub(super) fn reserve(&self) -> bool {
        self.pending
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < UNITS).then_some(n + 1))
            .is_ok()
    }

    /// Gives a place back: the unit was not taken after all, or its last packet left the pacer.
    pub(super) fn release(&self) {
        let _ =
            self.pending.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
    }

    /// Notes a unit that is about to be handed over, or the first part of one; returns its RTP timestamp.
    pub(super) fn begin(&self, unit: &AccessUnit) -> u32 {
        let mut state = self.lock();
        state.is_open = !unit.part.last;
        let timestamp = state.timestamps.next(unit.captured_at);
        if state.in_flight.len() == IN_FLIGHT {
            state.in_flight.pop_front();
        }
        state.in_flight.push_back(Flight {
            frame: unit.frame,
            timestamp,
            unsent: 0,
            numbered: None,
            packetised: false,
            bytes: 0,
            stages: unit.stages,
            key: unit.kind == UnitKind::Key,
            refers_to: unit.refers_to,
            color: Some(unit.color)
                .filter(|color| *color != ColorDescription::BT709_LIMITED)
                .filter(|_| unit.kind == UnitKind::Key),
        });
        timestamp
    }

    /// Notes another part of the unit that was begun last; returns its RTP timestamp. None where that was given
    /// up.
    pub(super) fn go_on(&self, unit: &AccessUnit) -> Option<u32> {
        let mut state = self.lock();
        if !state.is_open {
            return None;
        }
        state.is_open = !unit.part.last;
        let flight = state.in_flight.back_mut().filter(|flight| flight.frame == unit.frame)?;
        flight.stages.merge(&unit.stages);
        Some(flight.timestamp)
    }

    /// Gives up the unit that was begun last where its last part was not handed over; yields its frame.
    pub(super) fn break_off(&self) -> Option<FrameId> {
        let mut state = self.lock();
        if !std::mem::take(&mut state.is_open) {
            return None;
        }
        state.in_flight.pop_back().map(|flight| flight.frame)
    }

    /// Forgets a unit that does not leave after all, or not all of it; yields its frame where it is known.
    pub(super) fn cancel(&self, timestamp: u32) -> Option<FrameId> {
        let mut state = self.lock();
        let at = state.in_flight.iter().position(|flight| flight.timestamp == timestamp)?;
        if at + 1 == state.in_flight.len() {
            state.is_open = false;
        }
        state.in_flight.remove(at).map(|flight| flight.frame)
    }

    /// Whether a unit of this timestamp is on its way.
    pub(super) fn is_in_flight(&self, timestamp: u32) -> bool {
        self.lock().find(timestamp).is_some()
    }

    /// The packetiser took a unit, or a part of one: reserves `packets` numbers. None for a part of one that was
    /// given up.
    pub(super) fn number(&self, timestamp: u32, packets: usize, part: Part) -> Option<Numbers> {
        let mut state = self.lock();
        let first = state.next_packet;
        if !part.first {
            let flight = state.find(timestamp)?;
            let (unit, needs) = flight.numbered?;
            flight.unsent += packets;
            flight.packetised = part.last;
            state.next_packet += packets as u64;
            return Some(Numbers { first: low(first), frame: low(unit), needs });
        }
        if !part.last && state.find(timestamp).is_none() {
            return None;
        }
        let unit = state.next_unit;
        state.next_packet += packets as u64;
        state.next_unit += 1;
        let mut needs = Needs::Old;
        if let Some(flight) = state.find(timestamp) {
            flight.unsent = packets;
            flight.packetised = part.last;
            let (frame, key, base) = (flight.frame, flight.key, flight.refers_to);
            needs = state.supersede(unit, first, key, base);
            if state.history.len() == HISTORY {
                state.history.pop_front();
            }
            let sent = Sent { frame, timestamp, unit, first_packet: first, void_by: None };
            state.history.push_back(sent);
        }
        if let Some(flight) = state.find(timestamp) {
            flight.numbered = Some((unit, needs));
        }
        Some(Numbers { first: low(first), frame: low(unit), needs })
    }

    /// The colours to be told with a unit.
    pub(super) fn color(&self, timestamp: u32) -> Option<ColorDescription> {
        self.lock().find(timestamp)?.color
    }

    /// Sets a mark of a frame in flight.
    pub(super) fn mark(&self, timestamp: u32, mark: Mark, at: MediaTime) {
        if let Some(flight) = self.lock().find(timestamp) {
            flight.stages.mark(mark, at);
        }
    }

    /// The kernel took a datagram of `bytes`; the frame's report when it was the last.
    pub(super) fn sent(
        &self,
        timestamp: u32,
        bytes: usize,
        at: MediaTime,
    ) -> Option<TransportEvent> {
        let mut state = self.lock();
        let flight = state.find(timestamp)?;
        flight.bytes += bytes as u64;
        flight.stages.mark(Mark::FirstSent, at);
        flight.unsent = flight.unsent.saturating_sub(1);
        if flight.unsent > 0 || !flight.packetised {
            return None;
        }
        flight.stages.mark(Mark::LastSent, at);
        let event = TransportEvent::FrameSent {
            track: self.params.id,
            frame: flight.frame,
            wire_timestamp: timestamp,
            bytes: flight.bytes,
            stages: flight.stages,
        };
        state.in_flight.retain(|flight| flight.timestamp != timestamp);
        Some(event)
    }

    /// What a packet is worth now; none of a number that was not sent, or of a frame that came.
    pub(super) fn fate(&self, sequence: u16) -> Option<Fate> {
        let state = self.lock();
        let packet = state.packet(sequence, self.params.first_sequence)?;
        let after = state.history.partition_point(|sent| sent.first_packet <= packet);
        let sent = after.checked_sub(1).and_then(|index| state.history.get(index));
        Some(match sent {
            None => Fate::Forgotten,
            Some(Sent { void_by: Some(next), .. }) => Fate::Void { next: low(*next) },
            Some(sent) if state.decoded.is_some_and(|newest| sent.frame <= newest) => return None,
            Some(sent) if state.given_up.is_some_and(|first| sent.frame >= first) => Fate::GivenUp,
            Some(sent) => Fate::Needed(sent.frame),
        })
    }

    /// Whether the client needs the frame of this packet next: it has decoded those before it, or does without them.
    pub(super) fn is_next(&self, sequence: u16) -> bool {
        let state = self.lock();
        let Some(packet) = state.packet(sequence, self.params.first_sequence) else { return false };
        let at = state.history.partition_point(|sent| sent.first_packet <= packet);
        let before = at.checked_sub(2).and_then(|index| state.history.get(index));
        before.is_none_or(|before| {
            before.void_by.is_some() || state.decoded.is_some_and(|newest| before.frame <= newest)
        })
    }

    /// Whether the client says which frames it decoded.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.lock().decoded.is_some()
    }

    /// Feedback says that this packet did not come.
    pub(super) fn missed(&self, sequence: u16) {
        let missed = &mut self.lock().missed;
        if missed.len() < MISSED {
            missed.push(sequence);
        }
    }

    /// The packets that were told as missed since this was last asked.
    pub(super) fn take_missed(&self) -> Vec<u16> {
        std::mem::take(&mut self.lock().missed)
    }

    /// A frame will not come whole. Those after it need it until one is sent that does without.
    pub(super) fn give_up(&self, frame: FrameId) {
        let given_up = &mut self.lock().given_up;
        *given_up = Some(given_up.map_or(frame, |first| first.min(frame)));
    }

    /// The client decoded a frame of this timestamp: what was given up of it and before it came after all.
    pub(super) fn decoded(&self, timestamp: u32) {
        let state = &mut *self.lock();
        let known = state.history.iter().rev().find(|sent| sent.timestamp == timestamp);
        let Some(frame) = known.map(|sent| sent.frame) else { return };
        state.decoded = state.decoded.max(Some(frame));
        state.given_up = state.given_up.filter(|first| *first > frame);
    }
}

/// As a header has it.
fn low(number: u64) -> u16 {
    (number & 0xffff) as u16
}

impl State {
    fn find(&mut self, timestamp: u32) -> Option<&mut Flight> {
        self.in_flight.iter_mut().find(|flight| flight.timestamp == timestamp)
    }

    /// Without wrapping: the newest packet with this number that was sent.
    fn packet(&self, sequence: u16, first: u16) -> Option<u64> {
        let newest = self.next_packet.wrapping_sub(1);
        let age = low(newest).wrapping_sub(sequence);
        let packet = newest.checked_sub(age.into()).filter(|_| age < 1 << 15)?;
        (packet >= u64::from(first)).then_some(packet)
    }

    /// A frame is about to be sent whose first packet is `first`: what is between it and what it needs is
    /// needed no more.
    fn supersede(&mut self, unit: u64, first: u64, key: bool, base: Option<FrameId>) -> Needs {
        if !key && base.is_none() {
            return Needs::Old;
        }
        let is_after = |frame: FrameId| base.is_none_or(|base| frame > base);
        for sent in self.history.iter_mut().rev().take_while(|sent| is_after(sent.frame)) {
            sent.void_by = Some(first);
        }
        self.given_up = self.given_up.filter(|frame| !is_after(*frame));
        let Some(base) = base.filter(|_| !key) else { return Needs::Nothing };
        let found = self.history.binary_search_by_key(&base, |sent| sent.frame).ok();
        let found = found.and_then(|index| self.history.get(index));
        found.map_or(Needs::Old, |sent| Needs::before(unit - sent.unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::testing::unit;

    fn track() -> Track {
        Track::new(TrackParams {
            id: TrackId(0),
            codec: Codec::H264,
            ssrc: 1,
            rtx_ssrc: 2,
            fec_ssrc: 3,
            timestamp_offset: u32::MAX - 100,
            first_sequence: 65_530,
        })
    }

    #[test]
    fn timestamps_follow_capture_and_never_stand_still() {
        let track = track();
        let at = |millis| track.begin(&unit(1, MediaTime::from_millis(millis), 10));
        let first = at(0);
        assert_eq!(first, u32::MAX - 100);
        assert_eq!(at(50).wrapping_sub(first), 4_500, "across the wrap");
        assert_eq!(at(50).wrapping_sub(first), 4_501, "the same instant again");
        assert_eq!(at(10).wrapping_sub(first), 4_502, "never back");
        assert_eq!(at(1_000).wrapping_sub(first), 90_000, "no drift after that");
    }

    #[test]
    fn two_units_fit_and_no_more() {
        let track = track();
        assert!(track.reserve() && track.reserve());
        assert!(!track.reserve() && !track.has_room());
        track.release();
        assert!(track.has_room());
        track.release();
        track.release();
        assert!(track.reserve() && track.reserve() && !track.reserve());
    }

    #[test]
    fn a_frame_is_reported_with_its_last_packet() {
        let track = track();
        let timestamp = track.begin(&unit(9, MediaTime::from_millis(5), 10));
        assert_eq!(track.number(timestamp, 2, Part::WHOLE).unwrap().first, 65_530);
        assert!(track.sent(timestamp, 1_000, MediaTime::from_millis(6)).is_none());
        let event = track.sent(timestamp, 500, MediaTime::from_millis(7));
        let Some(TransportEvent::FrameSent { frame, bytes, stages, .. }) = event else {
            panic!("{event:?}")
        };
        assert_eq!((frame, bytes), (FrameId(9), 1_500));
        assert_eq!(stages.get(Mark::FirstSent), Some(MediaTime::from_millis(6)));
        assert_eq!(stages.get(Mark::LastSent), Some(MediaTime::from_millis(7)));
        assert!(track.sent(timestamp, 500, MediaTime::from_millis(8)).is_none(), "a resend");
    }

    #[test]
    fn what_is_missed_is_told_once_and_bounded() {
        let track = track();
        (0..1_000).for_each(|sequence| track.missed(sequence));
        assert_eq!(track.take_missed().len(), MISSED);
        assert!(track.take_missed().is_empty());
    }

    const FIRST: Part = Part { first: true, last: false };
    const LAST: Part = Part { first: false, last: true };

    fn part(frame: u64, part: Part) -> AccessUnit {
        AccessUnit { part, ..unit(frame, MediaTime::from_millis(frame * 16), 10) }
    }

    #[test]
    fn parts_are_one_frame_which_is_reported_with_its_last_packet() {
        let track = track();
        let timestamp = track.begin(&part(3, FIRST));
        let first = track.number(timestamp, 4, FIRST).unwrap();
        // All that there is of it left before more came.
        for n in 0..4 {
            assert!(track.sent(timestamp, 100, MediaTime::from_millis(6 + n)).is_none());
        }
        let mut rest = part(3, LAST);
        rest.stages.mark(Mark::Encoded, MediaTime::from_millis(12));
        assert_eq!(track.go_on(&rest), Some(timestamp));
        let more = track.number(timestamp, 2, LAST).unwrap();
        let first_of_more = first.first.wrapping_add(4);
        assert_eq!(more, Numbers { first: first_of_more, ..first });
        assert!(track.sent(timestamp, 100, MediaTime::from_millis(13)).is_none());
        let event = track.sent(timestamp, 100, MediaTime::from_millis(14));
        let Some(TransportEvent::FrameSent { frame, bytes, stages, .. }) = event else {
            panic!("{event:?}")
        };
        assert_eq!((frame, bytes), (FrameId(3), 600));
        assert_eq!(stages.get(Mark::FirstSent), Some(MediaTime::from_millis(6)));
        assert_eq!(stages.get(Mark::Encoded), Some(MediaTime::from_millis(12)));
        assert_eq!(stages.get(Mark::LastSent), Some(MediaTime::from_millis(14)));
        assert_eq!(track.go_on(&part(3, LAST)), None, "it is over");
        let next = track.begin(&part(4, Part::WHOLE));
        let next = track.number(next, 1, Part::WHOLE).unwrap();
        assert_eq!((next.first, next.frame), (first.first.wrapping_add(6), first.frame + 1));
    }

    #[test]
    fn a_frame_whose_last_part_never_comes_is_given_up() {
        let track = track();
        assert_eq!(track.break_off(), None);
        let timestamp = track.begin(&part(3, FIRST));
        assert!(track.number(timestamp, 4, FIRST).is_some());
        assert_eq!(track.go_on(&part(4, LAST)), None, "a part of another one");
        let timestamp = track.begin(&part(5, FIRST));
        assert!(track.number(timestamp, 4, FIRST).is_some());
        assert_eq!(track.break_off(), Some(FrameId(5)));
        assert_eq!(track.break_off(), None);
        assert_eq!(track.go_on(&part(5, LAST)), None);
        assert_eq!(track.number(timestamp, 1, FIRST), None, "it was on its way");
        assert_eq!(track.number(timestamp, 1, LAST), None, "so was the rest");
        assert!(!track.is_in_flight(timestamp));
        let timestamp = track.begin(&part(6, FIRST));
        assert_eq!(track.cancel(timestamp), Some(FrameId(6)), "it could not be cut");
        assert_eq!(track.go_on(&part(6, LAST)), None);
        assert_eq!(track.break_off(), None);
    }

    /// Sends a frame in ten packets.
    fn send(track: &Track, frame: u64, base: Option<u64>) -> Numbers {
        let mut unit = unit(frame, MediaTime::from_millis(frame * 16), 10);
        unit.refers_to = base.map(FrameId);
        unit.kind = if base.is_none() { UnitKind::Key } else { UnitKind::Delta };
        let timestamp = track.begin(&unit);
        track.number(timestamp, 10, Part::WHOLE).unwrap()
    }

    /// Number of a packet, counted from the first one.
    fn number(packet: u64) -> u16 {
        low(65_530 + packet)
    }

    #[test]
    fn packets_are_known_by_their_frame_across_the_wrap() {
        let track = track();
        assert_eq!(track.fate(number(0)), None, "not sent yet");
        for n in 0..1_000 {
            let needs = if n == 0 { Needs::Nothing } else { Needs::before(1) };
            let numbers = send(&track, n, n.checked_sub(1));
            assert_eq!(numbers, Numbers { first: number(n * 10), frame: n as u16, needs });
        }
        assert_eq!(track.fate(number(9_999)), Some(Fate::Needed(FrameId(999))));
        assert_eq!(track.fate(number(10_000)), None, "not sent yet");
        assert_eq!(track.fate(number(5)), Some(Fate::Needed(FrameId(0))));
        assert_eq!(track.fate(65_529), None, "before the first one");
        (1_000..2_000).for_each(|n| _ = send(&track, n, Some(n - 1)));
        assert_eq!(track.fate(number(5)), Some(Fate::Forgotten));
    }

    #[test]
    fn a_frame_that_goes_back_makes_void_what_it_passes() {
        let track = track();
        (0..6).for_each(|n| _ = send(&track, n, n.checked_sub(1)));
        track.give_up(FrameId(4));
        track.give_up(FrameId(3));
        let fates = |track: &Track| [2, 3, 5].map(|frame| track.fate(number(10 * frame)));
        let needed = Some(Fate::Needed(FrameId(2)));
        assert_eq!(fates(&track), [needed, Some(Fate::GivenUp), Some(Fate::GivenUp)]);
        // Not coded for it yet.
        send(&track, 6, Some(5));
        assert_eq!(track.fate(number(60)), Some(Fate::GivenUp));
        assert_eq!(send(&track, 9, Some(2)).needs, Needs::before(5));
        let void = Some(Fate::Void { next: number(70) });
        assert_eq!(fates(&track), [needed, void, void]);
        assert_eq!(track.fate(number(70)), Some(Fate::Needed(FrameId(9))));
        // The next one is lost as well, and this one is passed by too.
        assert_eq!(send(&track, 10, Some(2)).needs, Needs::before(6));
        let void = Some(Fate::Void { next: number(80) });
        assert_eq!(fates(&track), [needed, void, void]);
        assert_eq!(track.fate(number(70)), void);
        assert_eq!(send(&track, 11, None).needs, Needs::Nothing);
        assert_eq!(track.fate(number(0)), Some(Fate::Void { next: number(90) }));
    }

    #[test]
    fn what_was_decoded_came_although_it_was_given_up() {
        let track = track();
        let timestamps: Vec<_> = (0..6)
            .map(|n| {
                send(&track, n, n.checked_sub(1));
                track.lock().history.back().unwrap().timestamp
            })
            .collect();
        track.give_up(FrameId(2));
        track.decoded(timestamps[4].wrapping_add(1));
        assert_eq!(track.fate(number(50)), Some(Fate::GivenUp), "no frame has this timestamp");
        track.decoded(timestamps[4]);
        assert_eq!([20, 40].map(|packet| track.fate(number(packet))), [None; 2]);
        assert_eq!(track.fate(number(50)), Some(Fate::Needed(FrameId(5))));
        track.decoded(timestamps[1]);
        assert_eq!(track.fate(number(40)), None, "an older acknowledgement takes nothing back");
        // What is passed by is void all the same.
        send(&track, 6, Some(1));
        assert_eq!(track.fate(number(40)), Some(Fate::Void { next: number(60) }));
    }

    #[test]
    fn a_frame_from_before_memory_is_old() {
        let track = track();
        (0..2_000).for_each(|n| _ = send(&track, n, n.checked_sub(1)));
        assert_eq!(send(&track, 2_000, Some(3)).needs, Needs::Old);
        assert_eq!(track.fate(number(19_990)), Some(Fate::Void { next: number(20_000) }));
        // One that was never sent.
        assert_eq!(send(&track, 2_005, Some(2_003)).needs, Needs::Old);
    }
}
