//! What is known of a connection's frames between the encoder and the client's acknowledgement: which the
//! socket has not taken yet, when those that it has were sent, and what that says of the path.
//!
//! QUIC does not tell which datagram carries which frame, so datagrams are counted: frames are handed to
//! it in order, and each datagram is taken to carry the oldest one that is not whole yet. A datagram carries
//! at least [`OVERHEAD`] less than its length, so a frame never counts as unsent when it was; resent
//! packets let one count as sent a little early.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media::{Acks, FrameId, Mark, MediaTime, PathReport, StageTimes, TrackId, TransportEvent};

use super::unread::Unread;
use crate::reports::{Reports, Totals, Trip};

/// Least part of a datagram that is no data of a stream, in bytes: the short header with a packet number
/// of one byte and no connection id, the tag (RFC 9001 §5.3), a STREAM frame's type and stream id.
const OVERHEAD: usize = 1 + 1 + 16 + 1 + 1;

/// See the module.
#[derive(Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    flights: VecDeque<Flight>,
    reports: Reports,
    unread: Unread,
}

/// A frame that QUIC has and the socket has not, or not all of it.
struct Flight {
    track: TrackId,
    frame: FrameId,
    timestamp: u32,
    stages: StageTimes,
    /// Bytes of its stream that were not sent.
    left: u64,
    /// More bytes come, of parts that are still being coded.
    open: bool,
    /// Bytes on the wire so far.
    bytes: u64,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection begins with these totals: what shook hands is no part of a report.
    pub(super) fn start(&self, totals: Totals) {
        self.lock().reports.start(totals);
    }

    /// A frame of `bytes` in all, or with more to come, is about to be handed to QUIC.
    pub(super) fn begin(
        &self,
        track: TrackId,
        frame: FrameId,
        timestamp: u32,
        stages: StageTimes,
        (bytes, open): (u64, bool),
    ) {
        let flight = Flight { track, frame, timestamp, stages, left: bytes, open, bytes: 0 };
        self.lock().flights.push_back(flight);
    }

    /// So are more bytes of a frame, the last ones or not.
    pub(super) fn go_on(&self, timestamp: u32, stages: &StageTimes, bytes: u64, last: bool) {
        let flights = &mut self.lock().flights;
        if let Some(flight) = flights.iter_mut().find(|flight| flight.timestamp == timestamp) {
            flight.left += bytes;
            flight.open = !last;
            flight.stages.merge(stages);
        }
    }

    /// Sets a mark of a frame that the socket has not taken.
    pub(super) fn mark(&self, timestamp: u32, mark: Mark, at: MediaTime) {
        let flights = &mut self.lock().flights;
        if let Some(flight) = flights.iter_mut().find(|flight| flight.timestamp == timestamp) {
            flight.stages.mark(mark, at);
        }
    }

    /// Nothing more of a frame is sent; whether the socket had not taken all of it.
    pub(super) fn cancel(&self, timestamp: u32) -> bool {
        let flights = &mut self.lock().flights;
        let before = flights.len();
        flights.retain(|flight| flight.timestamp != timestamp);
        flights.len() < before
    }

    /// A frame was given up and will not be whole at the client; whether the socket had not taken all of it.
    pub(super) fn lost(&self, timestamp: u32) -> bool {
        self.lock().reports.gave_up();
        self.cancel(timestamp)
    }

    /// Forgets every frame that the socket has not taken; how many those were.
    pub(super) fn cancel_all(&self) -> usize {
        self.lock().flights.drain(..).count()
    }

    /// The socket took `datagrams` of `bytes` in all; calls `done` for each frame that is whole now.
    pub(super) fn socket_took(
        &self,
        bytes: usize,
        datagrams: usize,
        at: MediaTime,
        mut done: impl FnMut(TransportEvent),
    ) {
        let mut data = bytes.saturating_sub(datagrams * OVERHEAD) as u64;
        let state = &mut *self.lock();
        let mut wire = bytes as u64;
        loop {
            // What is left of one that is being coded is not there yet.
            let waits = |flight: &Flight| flight.left > 0 || !flight.open;
            let Some(index) = state.flights.iter().position(waits) else { return };
            let more = state.flights.len() > index + 1;
            let Some(flight) = state.flights.get_mut(index) else { return };
            if flight.stages.get(Mark::Paced).is_none_or(|paced| at < paced) {
                // Nothing of it had been handed over: that was an acknowledgement of ours, or the like.
                return;
            }
            flight.stages.mark(Mark::FirstSent, at);
            let part = data.min(flight.left);
            flight.left -= part;
            data -= part;
            if flight.left > 0 {
                flight.bytes += wire;
                return;
            }
            // What is left of the datagrams is the next frame's.
            let own = if data > 0 && more { part } else { wire };
            flight.bytes += own;
            wire -= own;
            if flight.open {
                continue;
            }
            flight.stages.mark(Mark::LastSent, at);
            let Some(flight) = state.flights.remove(index) else { return };
            let first = flight.stages.get(Mark::FirstSent).unwrap_or(at);
            state.reports.sent(flight.timestamp, first, at);
            done(TransportEvent::FrameSent {
                track: flight.track,
                frame: flight.frame,
                wire_timestamp: flight.timestamp,
                bytes: flight.bytes,
                stages: flight.stages,
            });
            if data == 0 {
                return;
            }
        }
    }

    /// QUIC acknowledged a frame to its end. Its client may have read and acknowledged it before.
    pub(super) fn came_whole(&self, timestamp: u32, at: MediaTime) {
        let state = &mut *self.lock();
        if state.reports.awaits(timestamp) {
            state.unread.came(timestamp, at);
        }
    }

    /// See [`Reports::acked`].
    pub(super) fn acked(
        &self,
        acks: &Acks,
        at: MediaTime,
        totals: Totals,
        round_trip: Duration,
    ) -> Option<PathReport> {
        let state = &mut *self.lock();
        for ack in &acks.frames {
            state.unread.read(ack.wire_timestamp, at);
        }
        let mut report = state.reports.acked(acks, at, totals, round_trip)?;
        report.unread_frames = state.unread.average(at);
        Some(report)
    }

    /// See [`Reports::is_silent`].
    pub(super) fn is_silent(&self) -> bool {
        self.lock().reports.is_silent()
    }

    /// See [`Reports::silent`].
    pub(super) fn silent(
        &self,
        at: MediaTime,
        totals: Totals,
        round_trip: Duration,
        trip: Trip,
    ) -> Option<PathReport> {
        self.lock().reports.silent(at, totals, round_trip, trip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{FrameAck, FrameState};

    use crate::reports::UNACKED;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    fn begin(ledger: &Ledger, n: u64, bytes: u64) {
        let stages = StageTimes::captured(ms(n));
        ledger.begin(TrackId(0), FrameId(n), n as u32, stages, (bytes, false));
        ledger.mark(n as u32, Mark::Paced, ms(n));
    }

    /// Frames that are whole after the socket took these datagrams, with their bytes.
    fn took(ledger: &Ledger, bytes: usize, datagrams: usize, at: MediaTime) -> Vec<(u64, u64)> {
        let mut done = Vec::new();
        ledger.socket_took(bytes, datagrams, at, |event| match event {
            TransportEvent::FrameSent { frame, bytes, stages, .. } => {
                assert!(stages.get(Mark::FirstSent) <= stages.get(Mark::LastSent));
                assert_eq!(stages.get(Mark::LastSent), Some(at));
                done.push((frame.0, bytes));
            }
            other => panic!("{other:?}"),
        });
        done
    }

    fn ack(timestamp: u32, state: FrameState, first_us: u64, last_us: u64) -> Acks {
        let frame = FrameAck { wire_timestamp: timestamp, state, first_us, last_us };
        Acks { decode_queue: None, frames: vec![frame] }
    }

    fn acked(ledger: &Ledger, acks: &Acks, totals: Totals) -> Option<PathReport> {
        ledger.acked(acks, ms(50), totals, Duration::from_millis(8))
    }

    #[test]
    fn a_frame_is_sent_with_the_datagram_that_holds_its_end() {
        let ledger = Ledger::default();
        begin(&ledger, 1, 2_000);
        begin(&ledger, 2, 10);
        assert_eq!(took(&ledger, 1_200, 1, ms(3)), []);
        assert_eq!(took(&ledger, 800, 1, ms(4)), [], "40 bytes of it were no data");
        assert_eq!(took(&ledger, 100, 1, ms(5)), [(1, 2_040), (2, 60)]);
        assert_eq!(took(&ledger, 1_200, 1, ms(6)), [], "an acknowledgement of ours");
    }

    #[test]
    fn a_frame_of_which_nothing_was_handed_over_is_not_sent() {
        let ledger = Ledger::default();
        ledger.begin(TrackId(0), FrameId(1), 1, StageTimes::captured(ms(1)), (10, false));
        assert_eq!(took(&ledger, 1_200, 1, ms(2)), []);
        ledger.mark(1, Mark::Paced, ms(3));
        assert_eq!(took(&ledger, 60, 1, ms(4)), [(1, 60)]);
    }

    /// The kernel took something else, and a frame was handed over before that is told here.
    #[test]
    fn no_frame_is_sent_before_it_was_handed_over() {
        let ledger = Ledger::default();
        begin(&ledger, 4, 10);
        begin(&ledger, 5, 10);
        assert_eq!(took(&ledger, 100, 1, ms(3)), []);
        assert_eq!(took(&ledger, 100, 1, ms(4)).len(), 1, "and what is left is not the next one's");
        assert_eq!(took(&ledger, 60, 1, ms(5)), [(5, 60)]);
    }

    #[test]
    fn a_frame_in_parts_is_sent_with_the_end_of_the_last_one() {
        let ledger = Ledger::default();
        let stages = StageTimes::captured(ms(1));
        ledger.begin(TrackId(0), FrameId(1), 1, stages, (1_000, true));
        ledger.mark(1, Mark::Paced, ms(1));
        assert_eq!(took(&ledger, 1_200, 1, ms(2)), [], "more of it is to come");
        begin(&ledger, 2, 100);
        assert_eq!(took(&ledger, 120, 1, ms(3)), [(2, 120)], "another track's goes its way");
        ledger.go_on(1, &stages, 500, false);
        assert_eq!(took(&ledger, 520, 1, ms(4)), []);
        ledger.go_on(1, &stages, 500, true);
        assert_eq!(took(&ledger, 520, 1, ms(5)), [(1, 1_200 + 520 + 520)]);
        ledger.go_on(1, &stages, 500, true);
        assert_eq!(ledger.cancel_all(), 0, "it is over");
    }

    #[test]
    fn many_small_frames_leave_in_one_datagram() {
        let ledger = Ledger::default();
        (1..=4).for_each(|n| begin(&ledger, n, 100));
        let done = took(&ledger, 420, 1, ms(9));
        assert_eq!(done.iter().map(|(_, bytes)| bytes).sum::<u64>(), 420);
        assert_eq!(done.iter().map(|(frame, _)| *frame).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_frame_that_was_given_up_is_no_longer_waited_for() {
        let ledger = Ledger::default();
        begin(&ledger, 1, 5_000);
        begin(&ledger, 2, 500);
        assert!(ledger.cancel(1));
        assert!(!ledger.cancel(1));
        assert_eq!(took(&ledger, 600, 1, ms(3)), [(2, 600)]);
        assert!(!ledger.cancel(2), "it is sent");
        begin(&ledger, 3, 5);
        assert_eq!(ledger.cancel_all(), 1);
    }

    #[test]
    fn a_report_is_made_of_each_frame_once_and_of_none_that_was_not_sent() {
        let ledger = Ledger::default();
        begin(&ledger, 1, 2_360);
        took(&ledger, 1_200, 1, ms(10));
        took(&ledger, 1_200, 1, ms(12));
        let totals =
            Totals { sent_bytes: 3_600, acked_bytes: 2_400, acked_packets: 2, lost_packets: 1 };
        let nothing = [ack(9, FrameState::Decoded, 1, 2), ack(1, FrameState::Dropped, 1, 2)];
        for acks in &nothing {
            assert_eq!(acked(&ledger, acks, totals), None);
        }
        let report = acked(&ledger, &ack(1, FrameState::Received, 1_015_000, 1_016_000), totals);
        let report = report.unwrap();
        assert_eq!((report.acked_bytes, report.acked_packets, report.lost_packets), (2_400, 2, 1));
        assert_eq!((report.sent_bytes, report.span), (3_600, Duration::from_millis(2)));
        assert_eq!(
            report.one_way_delay_micros, 1_004_000,
            "the end came in less time than the start"
        );
        assert_eq!((report.newest_sent, report.newest_delay_micros), (ms(12), 1_004_000));
        assert_eq!(acked(&ledger, &ack(1, FrameState::Decoded, 5, 6), totals), None, "told before");
    }

    #[test]
    fn a_report_is_of_several_frames_and_a_second_try_is_no_queue() {
        let ledger = Ledger::default();
        for n in 1..=6 {
            begin(&ledger, n, 1_000);
            took(&ledger, 1_200, 1, ms(n * 16));
        }
        // Each is 20 ms under way, and as much longer as it is late.
        let acked = |n: u64, at: u64, late: u64, own: u64, lost_packets: u64| {
            let came = (n * 16 + 20 + late) * 1_000;
            let acks = ack(n as u32, FrameState::Received, came, came + own * 1_000);
            let totals = Totals { lost_packets, ..Totals::default() };
            let report = ledger.acked(&acks, ms(at), totals, Duration::from_millis(40 + late))?;
            let delays = (report.one_way_delay_micros, report.newest_delay_micros);
            Some((delays, report.newest_sent, report.lost_packets))
        };
        assert_eq!(acked(1, 45, 9, 0, 0), Some(((29_000, 29_000), ms(16), 0)));
        assert_eq!(acked(2, 60, 9, 0, 0), None);
        assert_eq!(acked(3, 82, 0, 0, 0), None);
        assert_eq!(acked(5, 100, 9, 0, 0), Some(((20_000, 29_000), ms(80), 0)));
        // It was sent before the one above, and comes with the second try.
        assert_eq!(acked(4, 140, 60, 0, 0), None);
        assert_eq!(acked(6, 150, 60, 0, 1), Some(((80_000, 80_000), ms(96), 1)));
        begin(&ledger, 7, 1_000);
        begin(&ledger, 8, 1_000);
        took(&ledger, 2_400, 2, ms(112));
        assert_eq!(acked(7, 160, 0, 6, 1), None);
        assert_eq!(acked(8, 210, 60, 6, 2), Some(((20_000, 26_000), ms(112), 1)));
    }

    /// One that stands on the path makes QUIC's round trip longer; one that waits for the page to read does not.
    #[test]
    fn a_page_without_time_to_read_is_no_queue_on_the_path() {
        let delays = |round_trip: fn(u64) -> u64| {
            let ledger = Ledger::default();
            let told = (1..=200_u64).map(|n| {
                let late = if n > 100 { 150 } else { 0 };
                let left = n * 60;
                begin(&ledger, n, 1_000);
                took(&ledger, 1_200, 1, ms(left));
                let came = (left + 20 + late) * 1_000;
                let acks = ack(n as u32, FrameState::Received, came, came);
                let round_trip = Duration::from_millis(round_trip(late));
                let totals = Totals::default();
                let report = ledger.acked(&acks, ms(left + 59), totals, round_trip).unwrap();
                assert!(report.newest_delay_micros == report.one_way_delay_micros);
                report.one_way_delay_micros / 1_000
            });
            let told: Vec<_> = told.collect();
            (told[99], told[100], told[150])
        };
        assert_eq!(delays(|_| 40), (20, 30, 30));
        assert_eq!(delays(|late| 40 + late), (20, 170, 170));
    }

    #[test]
    fn what_quic_brought_and_the_page_has_not_read_is_told() {
        let ledger = Ledger::default();
        let mut unread = (1..=4_u64).map(|n| {
            begin(&ledger, n, 100);
            took(&ledger, 120, 1, ms(n * 100));
            // QUIC says so 10 ms later, and the page 50 ms after that; of the third it speaks before QUIC does.
            let came = |at| ledger.came_whole(n as u32, ms(n * 100 + at));
            if n != 3 {
                came(10);
            }
            let acks = ack(n as u32, FrameState::Received, 1, 2);
            let at = ms(n * 100 + 60);
            let report = ledger.acked(&acks, at, Totals::default(), Duration::from_millis(8));
            if n == 3 {
                came(61);
            }
            report.unwrap().unread_frames
        });
        assert_eq!(unread.next(), Some(None));
        assert_eq!(unread.by_ref().collect::<Vec<_>>(), [Some(0.5), Some(0.0), Some(0.5)]);
    }

    /// The client acknowledges whole frames alone. A queue that took others with it drains meanwhile.
    #[test]
    fn while_frames_are_given_up_quic_says_when_the_queue_has_drained() {
        let ledger = Ledger::default();
        let round_trip = Duration::from_millis(40);
        for n in 1..=4 {
            begin(&ledger, n, 1_000);
            took(&ledger, 1_200, 1, ms(n * 16));
        }
        let whole = |n: u64| {
            ack(n as u32, FrameState::Received, (n * 16 + 20) * 1_000, (n * 16 + 20) * 1_000)
        };
        let first = ledger.acked(&whole(1), ms(60), Totals::default(), round_trip).unwrap();
        assert_eq!((first.newest_sent, first.newest_delay_micros), (ms(16), 20_000));
        let silent = |at, sent, took, acked_bytes, lost_packets| {
            let totals = Totals { acked_bytes, lost_packets, ..Totals::default() };
            let trip = Trip { sent: ms(sent), took: Duration::from_millis(took) };
            let report = ledger.silent(ms(at), totals, round_trip, trip)?;
            assert_eq!(report.one_way_delay_micros, report.newest_delay_micros);
            let path = (report.newest_sent, report.newest_delay_micros);
            Some((path, report.acked_bytes, report.lost_packets))
        };
        assert_eq!(silent(300, 32, 240, 1_200, 0), None, "the client may still say something");
        assert!(!ledger.is_silent());
        ledger.lost(2);
        ledger.lost(3);
        assert!(ledger.is_silent());
        assert_eq!(silent(300, 32, 240, 1_200, 0), Some(((ms(32), 220_000), 1_200, 0)));
        assert_eq!(silent(340, 40, 250, 2_400, 0), None, "soon enough");
        assert_eq!(silent(360, 32, 240, 1_200, 0), None, "nothing came");
        assert_eq!(silent(400, 48, 60, 3_600, 2), Some(((ms(48), 40_000), 2_400, 2)));
        let later = ledger.acked(&whole(4), ms(460), Totals::default(), round_trip).unwrap();
        assert_eq!((later.newest_sent, later.newest_delay_micros), (ms(64), 20_000));
        assert!(!ledger.is_silent());
        assert_eq!(silent(600, 80, 40, 5_000, 2), None, "the client speaks again");
    }

    #[test]
    fn what_nobody_acknowledges_is_forgotten() {
        let ledger = Ledger::default();
        for n in 0..2 * UNACKED as u64 {
            begin(&ledger, n, 100);
            took(&ledger, 120, 1, ms(n));
        }
        assert_eq!(ledger.lock().reports.waiting(), UNACKED);
        assert!(acked(&ledger, &ack(0, FrameState::Decoded, 1, 2), Totals::default()).is_none());
    }
}
