//! What acknowledgements of whole frames say of the path: the reports that the session's rate controller is fed with.
//!
//! A transport says when each frame left, and what its own layer below has counted; when a frame came, the client says.
//! Of frames that were given up the client says nothing: while there are no others, the layer below is asked.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Acks, FrameState, MediaTime, PathReport};

/// Frames that wait for their acknowledgement; older ones are forgotten. Four seconds of 60 fps.
pub(crate) const UNACKED: usize = 256;
/// Acknowledgements of so long make a report, as with WebRTC's feedback. That of one frame also shows how long the
/// client took to run; the least of several shows the path.
pub(crate) const GATHER: Duration = Duration::from_millis(50);

/// A client that has time reads what came within so many microseconds.
const READ: i64 = 10_000;
/// QUIC's round trip is smoothed, and others' is some time old: while a queue grows it shows a part of it.
const SMOOTHED: i64 = 2;
/// The least of so long, or of twice as long, is that without a queue.
const LEAST_OF: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Default)]
pub(crate) struct Reports {
    sent: VecDeque<Sent>,
    /// Of the connection when the last report was made.
    told: Totals,
    told_at: Option<MediaTime>,
    gathered: Option<Gathered>,
    newest: Newest,
    witness: Witness,
    /// A frame was given up since the client acknowledged one.
    gave_up: bool,
}

/// The newest packet that the layer below knows to have arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    pub(crate) sent: MediaTime,
    /// From sending until its acknowledgement came.
    pub(crate) took: Duration,
}

/// What the layer below says of how long frames were under way. When their bytes came is told by a page, which may have
/// had no time to read them; acknowledgements of QUIC, and answers to pings, are made by another process of the browser,
/// which rarely lacks it. What they do not show was no queue on the path.
#[derive(Default)]
struct Witness {
    delay: Least,
    round_trip: Least,
}

impl Witness {
    /// The longest one-way delay that the path can have made, where `delay` was told.
    fn longest(&mut self, at: MediaTime, delay: i64, round_trip: Duration) -> i64 {
        let round_trip = micros(round_trip);
        let longer = round_trip - self.round_trip.add(at, round_trip);
        let least = self.delay.add(at, delay);
        least.saturating_add(longer.saturating_mul(SMOOTHED)).saturating_add(READ)
    }

    /// The one-way delay of a packet that `took` so long until it was acknowledged.
    fn of(&self, took: Duration) -> Option<i64> {
        let longer = micros(took).saturating_sub(self.round_trip.least()?);
        Some(self.delay.least()?.saturating_add(longer.max(0)))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The least of late.
struct Least {
    began: MediaTime,
    now: i64,
    before: i64,
}

impl Default for Least {
    fn default() -> Self {
        Self { began: MediaTime::ZERO, now: i64::MAX, before: i64::MAX }
    }
}

impl Least {
    fn add(&mut self, at: MediaTime, value: i64) -> i64 {
        if at.since(self.began) >= LEAST_OF {
            (self.began, self.before, self.now) = (at, self.now, i64::MAX);
        }
        self.now = self.now.min(value);
        self.now.min(self.before)
    }

    fn least(&self) -> Option<i64> {
        Some(self.now.min(self.before)).filter(|least| *least != i64::MAX)
    }
}

/// The newest frame that was acknowledged.
#[derive(Default)]
struct Newest {
    sent: MediaTime,
    /// One-way delay of its end.
    delay: i64,
    /// Packets were lost while it was under way: its end may have come with the second try, which is no queue.
    repaired: bool,
}

/// What is not in a report yet.
#[derive(Clone, Copy)]
struct Gathered {
    first: MediaTime,
    last: MediaTime,
    /// Least one-way delay.
    delay: i64,
    /// How much longer the end of a frame takes than its beginning, at the least.
    own: i64,
}

struct Sent {
    timestamp: u32,
    first: MediaTime,
    last: MediaTime,
    /// Packets that were known to be lost by then, as of the last report.
    lost_packets: u64,
}

/// What the connection has counted since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent_bytes: u64,
    pub(crate) acked_bytes: u64,
    pub(crate) acked_packets: u64,
    pub(crate) lost_packets: u64,
}

impl Reports {
    /// The connection begins with these totals: what shook hands is no part of a report.
    pub(crate) fn start(&mut self, totals: Totals) {
        self.told = totals;
    }

    /// All of a frame left between these two times.
    pub(crate) fn sent(&mut self, timestamp: u32, first: MediaTime, last: MediaTime) {
        if self.sent.len() == UNACKED {
            self.sent.pop_front();
        }
        let lost_packets = self.told.lost_packets;
        self.sent.push_back(Sent { timestamp, first, last, lost_packets });
    }

    /// Whether this frame waits for its acknowledgement.
    pub(crate) fn awaits(&self, timestamp: u32) -> bool {
        self.sent.iter().any(|sent| sent.timestamp == timestamp)
    }

    /// Frames that wait for their acknowledgement.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.sent.len()
    }

    /// What acknowledgements say of the path, where those of [`GATHER`] name frames that were not acknowledged
    /// before: their times give the delay, and what the layer below counted, padding included, the rate.
    /// Frames that were never sent, or are not whole at the client, say nothing.
    pub(crate) fn acked(
        &mut self,
        acks: &Acks,
        at: MediaTime,
        totals: Totals,
        round_trip: Duration,
    ) -> Option<PathReport> {
        for ack in acks.frames.iter().filter(|ack| ack.state != FrameState::Dropped) {
            let known = self.sent.iter().position(|sent| sent.timestamp == ack.wire_timestamp);
            let Some(sent) = known.and_then(|at| self.sent.remove(at)) else { continue };
            self.gave_up = false;
            // Both ends of a frame are a sample: a resent packet delays one of them, not always both.
            let way = |came: u64, left: MediaTime| came as i64 - left.as_micros() as i64;
            let end = way(ack.last_us, sent.last);
            let start = way(ack.first_us, sent.first);
            let (least, own) = (start.min(end), (end - start).max(0));
            if sent.last >= self.newest.sent {
                let repaired = totals.lost_packets > sent.lost_packets;
                self.newest = Newest { sent: sent.last, delay: end, repaired };
            }
            let so_far = self.gathered.unwrap_or(Gathered {
                first: sent.first,
                last: sent.last,
                delay: least,
                own,
            });
            self.gathered = Some(Gathered {
                first: so_far.first.min(sent.first),
                last: so_far.last.max(sent.last),
                delay: so_far.delay.min(least),
                own: so_far.own.min(own),
            });
        }
        let due = self.told_at.is_none_or(|told| at.since(told) >= GATHER);
        let Gathered { first, last, delay, own } = self.gathered.take_if(|_| due)?;
        if std::mem::take(&mut self.newest.repaired) {
            self.newest.delay = delay + own;
        }
        let longest = self.witness.longest(at, delay, round_trip);
        let delays = (delay.min(longest), self.newest.delay.min(longest));
        Some(self.tell(at, totals, round_trip, last.since(first), delays))
    }

    /// A frame will not be whole at the client, who says nothing of it.
    pub(crate) fn gave_up(&mut self) {
        self.gave_up = true;
    }

    /// Whether the client has said nothing since a frame was given up.
    pub(crate) fn is_silent(&self) -> bool {
        self.gave_up
    }

    /// What the layer below alone says of the path while the client is silent because frames were given up: without it
    /// a queue would count as there until long after it has drained.
    pub(crate) fn silent(
        &mut self,
        at: MediaTime,
        totals: Totals,
        round_trip: Duration,
        trip: Trip,
    ) -> Option<PathReport> {
        let due = self.told_at.is_some_and(|told| at.since(told) >= GATHER);
        if !due || !self.gave_up || trip.sent <= self.newest.sent {
            return None;
        }
        let delay = self.witness.of(trip.took)?;
        let span = trip.sent.since(self.newest.sent);
        self.newest = Newest { sent: trip.sent, delay, repaired: false };
        self.gathered = None;
        Some(self.tell(at, totals, round_trip, span, (delay, delay)))
    }

    fn tell(
        &mut self,
        at: MediaTime,
        totals: Totals,
        round_trip: Duration,
        span: Duration,
        (delay, newest_delay): (i64, i64),
    ) -> PathReport {
        self.told_at = Some(at);
        let told = std::mem::replace(&mut self.told, totals);
        let count = |packets: u64| u32::try_from(packets).unwrap_or(u32::MAX);
        PathReport {
            at,
            span,
            acked_bytes: totals.acked_bytes.saturating_sub(told.acked_bytes),
            acked_packets: count(totals.acked_packets.saturating_sub(told.acked_packets)),
            lost_packets: count(totals.lost_packets.saturating_sub(told.lost_packets)),
            sent_bytes: totals.sent_bytes.saturating_sub(told.sent_bytes),
            one_way_delay_micros: delay,
            newest_sent: self.newest.sent,
            newest_delay_micros: newest_delay,
            round_trip: Some(round_trip),
            // Both layers below keep marks to themselves.
            ecn_ce: 0,
            unread_frames: None,
        }
    }
}
