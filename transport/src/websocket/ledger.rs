//! What is known of the path: which bytes arrived, how long frames took, and a ping's round trip.
//!
//! TCP keeps the order, so whatever was written before a frame that came, or before a ping that was answered, has
//! arrived too. Retransmissions are TCP's own and show as time, never as loss.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use media::{Acks, FrameState, MediaTime, PathReport};

use crate::reports::{Reports, Totals, UNACKED};

/// A wait for the socket that is shorter is none: so long a turn on the processor takes.
const NO_WAIT: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    /// Of all messages so far.
    written: Position,
    arrived: Position,
    /// Where frames ended, by timestamp.
    ends: VecDeque<(u32, Position)>,
    ping: Option<Ping>,
    pings: u64,
    round_trip: Option<Duration>,
    reports: Reports,
}

/// A place in the stream to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    bytes: u64,
    messages: u64,
}

/// One that is not answered.
struct Ping {
    number: u64,
    at: MediaTime,
    before: Position,
}

/// When a frame left, and how long it had waited for the socket by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) at: MediaTime,
    pub(super) waited: Duration,
}

impl Left {
    /// When it had left if the socket had taken all at once.
    fn unhindered(self) -> MediaTime {
        if self.waited < NO_WAIT { self.at } else { self.at - self.waited }
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket took a message of so many bytes.
    pub(super) fn wrote(&self, bytes: u64) {
        let written = &mut self.lock().written;
        written.bytes += bytes;
        written.messages += 1;
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.lock().written.bytes
    }

    /// All of a frame was written.
    pub(super) fn sent(&self, timestamp: u32, first: Left, last: Left) {
        let state = &mut *self.lock();
        if state.ends.len() == UNACKED {
            state.ends.pop_front();
        }
        state.ends.push_back((timestamp, state.written));
        state.reports.sent(timestamp, first.unhindered(), last.unhindered());
    }

    /// What to ask the client with, unless the last ping is not answered yet.
    pub(super) fn ping(&self, now: MediaTime) -> Option<Bytes> {
        let state = &mut *self.lock();
        if state.ping.is_some() {
            return None;
        }
        state.pings += 1;
        let number = state.pings;
        state.ping = Some(Ping { number, at: now, before: state.written });
        Some(Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    /// The client answered a ping. What was never asked says nothing.
    pub(super) fn pong(&self, answer: &[u8], now: MediaTime) {
        let state = &mut *self.lock();
        let answers = |ping: &mut Ping| answer == ping.number.to_be_bytes();
        if let Some(ping) = state.ping.take_if(answers) {
            state.round_trip = Some(now.since(ping.at));
            state.arrived = state.arrived.max(ping.before);
        }
    }

    /// What acknowledgements say of the path.
    pub(super) fn acked(&self, acks: &Acks, now: MediaTime) -> Option<PathReport> {
        let state = &mut *self.lock();
        for ack in acks.frames.iter().filter(|ack| ack.state != FrameState::Dropped) {
            let known = state.ends.iter().position(|(of, _)| *of == ack.wire_timestamp);
            // Older ones came too, and may be acknowledged later.
            if let Some((_, end)) = known.and_then(|at| state.ends.remove(at)) {
                state.arrived = state.arrived.max(end);
            }
        }
        // One that is not answered takes so long at least.
        let waits = state.ping.as_ref().map_or(Duration::ZERO, |ping| now.since(ping.at));
        let round_trip = state.round_trip.map(|last| last.max(waits));
        let totals = Totals {
            sent_bytes: state.written.bytes,
            acked_bytes: state.arrived.bytes,
            acked_packets: state.arrived.messages,
            lost_packets: 0,
        };
        let report = state.reports.acked(acks, now, totals, round_trip.unwrap_or(waits))?;
        Some(PathReport { round_trip, ..report })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::FrameAck;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    fn left(at: u64, waited: u64) -> Left {
        Left { at: ms(at), waited: Duration::from_millis(waited) }
    }

    fn ack(timestamp: u32, state: FrameState, came: u64) -> Acks {
        let came = came * 1_000;
        let frame = FrameAck { wire_timestamp: timestamp, state, first_us: came, last_us: came };
        Acks { decode_queue: None, frames: vec![frame] }
    }

    #[test]
    fn what_was_written_before_a_frame_that_came_has_arrived_too() {
        let ledger = Ledger::default();
        ledger.wrote(300);
        ledger.sent(1, left(10, 0), left(10, 0));
        ledger.wrote(5_000);
        ledger.wrote(700);
        ledger.sent(2, left(20, 0), left(22, 0));
        ledger.wrote(90);
        assert_eq!(ledger.acked(&ack(7, FrameState::Decoded, 30), ms(40)), None, "never sent");
        assert_eq!(ledger.acked(&ack(1, FrameState::Dropped, 30), ms(40)), None);
        let report = ledger.acked(&ack(2, FrameState::Received, 50), ms(60)).unwrap();
        assert_eq!((report.acked_bytes, report.acked_packets), (6_000, 3));
        assert_eq!((report.sent_bytes, report.lost_packets), (6_090, 0));
        assert_eq!((report.newest_sent, report.newest_delay_micros), (ms(22), 28_000));
        let late = ledger.acked(&ack(1, FrameState::Decoded, 51), ms(120)).unwrap();
        assert_eq!((late.acked_bytes, late.acked_packets), (0, 0));
    }

    #[test]
    fn an_answered_ping_tells_the_round_trip_and_what_arrived_before_it() {
        let ledger = Ledger::default();
        ledger.wrote(1_000);
        let ping = ledger.ping(ms(5)).unwrap();
        assert_eq!(ledger.ping(ms(6)), None, "one at a time");
        ledger.wrote(10);
        ledger.pong(b"something", ms(7));
        ledger.pong(&ping, ms(25));
        ledger.pong(&ping, ms(95));
        ledger.sent(1, left(30, 0), left(30, 0));
        let report = ledger.acked(&ack(1, FrameState::Decoded, 50), ms(60)).unwrap();
        assert_eq!(
            (report.round_trip, report.acked_bytes),
            (Some(Duration::from_millis(20)), 1_010)
        );
        let ping = ledger.ping(ms(100)).unwrap();
        ledger.sent(2, left(110, 0), left(110, 0));
        let report = ledger.acked(&ack(2, FrameState::Decoded, 150), ms(180)).unwrap();
        assert_eq!(report.round_trip, Some(Duration::from_millis(80)), "so long at least");
        ledger.pong(&ping, ms(190));
    }

    /// The queue stands in front of the socket, and on the path is none.
    #[test]
    fn what_a_frame_waits_for_the_socket_is_time_on_the_path() {
        let ledger = Ledger::default();
        let mut delays = Vec::new();
        for n in 1..=20_u64 {
            let at = n * 60;
            // Also of pings.
            let ping = ledger.ping(ms(at - 5 * n)).unwrap();
            let waited = if n > 10 { 5 * n } else { 1 };
            ledger.sent(n as u32, left(at, waited), left(at, waited));
            ledger.pong(&ping, ms(at + 40));
            let came = ack(n as u32, FrameState::Received, at + 20);
            delays.push(ledger.acked(&came, ms(at + 55)).unwrap().newest_delay_micros / 1_000);
        }
        assert_eq!(delays[..10], [20; 10]);
        assert_eq!(delays[10..], (11..=20).map(|n| 20 + 5 * n).collect::<Vec<_>>());
    }

    #[test]
    fn what_nobody_acknowledges_is_forgotten() {
        let ledger = Ledger::default();
        for n in 0..2 * UNACKED as u32 {
            ledger.sent(n, left(1, 0), left(1, 0));
        }
        let state = ledger.lock();
        assert_eq!((state.ends.len(), state.reports.waiting()), (UNACKED, UNACKED));
    }
}
