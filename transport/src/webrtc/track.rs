//! What is known of one video track's frames between hand-over and acknowledgement: marks of
//! frames in flight, and which packets each sent frame had.
//!
//! Written by the driver's task (packetiser, pacer, socket) and the encoder's thread (sink), under
//! one short lock each. It must never do I/O.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use media::{
    AccessUnit, Codec, ColorDescription, FrameId, Mark, MediaTime, StageTimes, TrackId,
    TransportEvent, UnitKind,
};

use crate::timestamp::Timestamps;

/// Units between the encoder and the wire: one that is being sent and one that waits.
pub(super) const UNITS: usize = 2;
/// Frames whose last packet the socket has not taken. With [`UNITS`] in front of the pacer only a
/// failing socket lets more pile up; then the oldest is forgotten.
const IN_FLIGHT: usize = 8;
/// Packets that can be resent; a power of two. At 8 Mbit/s about nine seconds.
pub(super) const RESENDABLE: u16 = 8_192;
/// Frames whose packet numbers are remembered: 17 s of 60 fps.
const HISTORY: usize = 1_024;

/// Fixed facts of a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackParams {
    pub(super) id: TrackId,
    pub(super) codec: Codec,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
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
    in_flight: VecDeque<Flight>,
    history: VecDeque<Sent>,
}

struct Flight {
    frame: FrameId,
    timestamp: u32,
    /// Packets that the socket has not taken.
    unsent: usize,
    packetised: bool,
    bytes: u64,
    stages: StageTimes,
    /// Of a keyframe, where they are not what a client expects.
    color: Option<ColorDescription>,
}

#[derive(Clone, Copy)]
struct Sent {
    frame: FrameId,
    first_packet: u64,
}

/// What a negative acknowledgement means for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NackVerdict {
    /// The packet can be resent, or was never sent.
    Recoverable,
    /// The packet is gone, and with it this frame.
    Lost(FrameId),
    /// The packet is gone and so is the memory of its frame.
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
                in_flight: VecDeque::with_capacity(IN_FLIGHT),
                history: VecDeque::with_capacity(HISTORY),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Notes a unit that is about to be handed over; returns its RTP timestamp.
    pub(super) fn begin(&self, unit: &AccessUnit) -> u32 {
        let mut state = self.lock();
        let timestamp = state.timestamps.next(unit.captured_at);
        if state.in_flight.len() == IN_FLIGHT {
            state.in_flight.pop_front();
        }
        state.in_flight.push_back(Flight {
            frame: unit.frame,
            timestamp,
            unsent: 0,
            packetised: false,
            bytes: 0,
            stages: unit.stages,
            color: Some(unit.color)
                .filter(|color| *color != ColorDescription::BT709_LIMITED)
                .filter(|_| unit.kind == UnitKind::Key),
        });
        timestamp
    }

    /// Forgets a unit that does not leave after all; yields its frame where it is known.
    pub(super) fn cancel(&self, timestamp: u32) -> Option<FrameId> {
        let in_flight = &mut self.lock().in_flight;
        let at = in_flight.iter().position(|flight| flight.timestamp == timestamp)?;
        in_flight.remove(at).map(|flight| flight.frame)
    }

    /// The packetiser took the unit: reserves `packets` numbers, returns the first.
    pub(super) fn number(&self, timestamp: u32, packets: usize) -> u16 {
        let mut state = self.lock();
        let first = state.next_packet;
        state.next_packet += packets as u64;
        if let Some(flight) = state.find(timestamp) {
            flight.unsent = packets;
            flight.packetised = true;
            let sent = Sent { frame: flight.frame, first_packet: first };
            if state.history.len() == HISTORY {
                state.history.pop_front();
            }
            state.history.push_back(sent);
        }
        (first & 0xffff) as u16
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

    /// Judges a packet that the client asks for again.
    pub(super) fn nacked(&self, sequence: u16) -> NackVerdict {
        let state = self.lock();
        // Without wrapping: the newest packet with this number that was sent.
        let newest = state.next_packet.wrapping_sub(1);
        let age = (newest & 0xffff) as u16;
        let age = u64::from(age.wrapping_sub(sequence));
        if age >= 1 << 15 || age < u64::from(RESENDABLE) {
            return NackVerdict::Recoverable;
        }
        let Some(packet) = newest.checked_sub(age) else { return NackVerdict::Recoverable };
        if packet < u64::from(self.params.first_sequence) {
            return NackVerdict::Recoverable;
        }
        let after = state.history.partition_point(|sent| sent.first_packet <= packet);
        match after.checked_sub(1).and_then(|index| state.history.get(index)) {
            Some(sent) => NackVerdict::Lost(sent.frame),
            None => NackVerdict::Forgotten,
        }
    }
}

impl State {
    fn find(&mut self, timestamp: u32) -> Option<&mut Flight> {
        self.in_flight.iter_mut().find(|flight| flight.timestamp == timestamp)
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
        assert_eq!(track.number(timestamp, 2), 65_530);
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
    fn a_nack_beyond_the_resend_buffer_names_its_frame() {
        let track = track();
        // 1,000 frames of 10 packets; numbers wrap at 65,536.
        for n in 0..1_000 {
            let timestamp = track.begin(&unit(n, MediaTime::from_millis(n * 16), 10));
            track.number(timestamp, 10);
        }
        let number = |packet: u64| ((65_530 + packet) & 0xffff) as u16;
        assert_eq!(track.nacked(number(9_999)), NackVerdict::Recoverable);
        assert_eq!(track.nacked(number(10_000)), NackVerdict::Recoverable, "not sent yet");
        assert_eq!(track.nacked(number(10_000 - 8_192)), NackVerdict::Recoverable);
        assert_eq!(track.nacked(number(10_000 - 8_193)), NackVerdict::Lost(FrameId(180)));
        assert_eq!(track.nacked(number(0)), NackVerdict::Lost(FrameId(0)));
        for n in 1_000..2_000 {
            let timestamp = track.begin(&unit(n, MediaTime::from_millis(n * 16), 10));
            track.number(timestamp, 10);
        }
        assert_eq!(track.nacked(number(5)), NackVerdict::Forgotten);
    }
}
