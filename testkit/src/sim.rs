//! A network path in virtual time: a bottleneck with a queue, and the reports that come back.
//!
//! Nothing here sleeps or reads a clock: the caller says what time it is, and minutes of traffic are
//! over in milliseconds, the same on every machine.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};

use crate::Rng;

/// A link's properties.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// What passes the bottleneck. Zero is an outage.
    pub rate: Bitrate,
    /// Time from the bottleneck to the far side.
    pub delay: Duration,
    /// Up to this much is added to `delay`, uniformly, without reordering.
    pub jitter: Duration,
    /// Bytes that wait before the bottleneck at most; a packet that does not fit is dropped (tail drop).
    pub queue_bytes: u64,
    /// Part of the packets that is lost at random, 0.0 to 1.0.
    pub loss: f64,
    /// Where chance starts.
    pub seed: u64,
}

impl LinkConfig {
    /// A clean link of `rate` with 10 ms of delay and room for 200 ms at that rate.
    pub fn of(rate: Bitrate) -> Self {
        Self {
            rate,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            queue_bytes: rate.bytes_in(Duration::from_millis(200)),
            loss: 0.0,
            seed: 1,
        }
    }
}

/// What became of a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Queued,
    /// The queue was full.
    Overflow,
    /// Chance took it.
    Lost,
}

/// A packet at the far side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival<T> {
    /// When it arrived.
    pub at: MediaTime,
    /// When it was sent.
    pub sent: MediaTime,
    /// Its size.
    pub bytes: u64,
    /// What was sent.
    pub item: T,
}

#[derive(Debug)]
struct Waiting<T> {
    sent: MediaTime,
    bytes: u64,
    item: T,
}

/// Bits times nanoseconds per second: exact at every rate.
const UNITS_PER_BYTE: u128 = 8 * 1_000_000_000;

/// One direction of a path. First in, first out.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    rng: Rng,
    queue: VecDeque<Waiting<T>>,
    queued_bytes: u64,
    /// What is left of the packet at the head, in bits times nanoseconds per second.
    head_left: u128,
    /// Up to when the bottleneck has worked.
    worked_until: MediaTime,
    flying: VecDeque<Arrival<T>>,
}

impl<T> Link<T> {
    /// An idle link.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config,
            rng: Rng::new(config.seed),
            queue: VecDeque::new(),
            queued_bytes: 0,
            head_left: 0,
            worked_until: MediaTime::ZERO,
            flying: VecDeque::new(),
        }
    }

    /// The properties as they are.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes properties from `now` on; what passed before is not touched.
    pub fn change(&mut self, now: MediaTime, change: impl FnOnce(&mut LinkConfig)) {
        self.work(now);
        change(&mut self.config);
    }

    /// Sends a packet. Times never go back.
    pub fn send(&mut self, now: MediaTime, bytes: u64, item: T) -> Fate {
        self.work(now);
        if self.rng.unit() < self.config.loss {
            return Fate::Lost;
        }
        if self.queued_bytes + bytes > self.config.queue_bytes.max(bytes) {
            return Fate::Overflow;
        }
        if self.queue.is_empty() {
            self.head_left = u128::from(bytes) * UNITS_PER_BYTE;
        }
        self.queued_bytes += bytes;
        self.queue.push_back(Waiting { sent: now, bytes, item });
        Fate::Queued
    }

    /// The next packet that arrived by `now`.
    pub fn receive(&mut self, now: MediaTime) -> Option<Arrival<T>> {
        self.work(now);
        if self.flying.front()?.at > now {
            return None;
        }
        self.flying.pop_front()
    }

    /// How long a packet sent at `now` would wait before the bottleneck; `Duration::MAX` in an outage
    /// with packets waiting.
    pub fn queue_delay(&mut self, now: MediaTime) -> Duration {
        self.work(now);
        let Some(head) = self.queue.front() else { return Duration::ZERO };
        let behind = u128::from(self.queued_bytes - head.bytes) * UNITS_PER_BYTE;
        match u128::from(self.config.rate.bps()) {
            0 => Duration::MAX,
            rate => Duration::from_nanos(((behind + self.head_left) / rate) as u64),
        }
    }

    /// Lets the bottleneck work until `now`.
    fn work(&mut self, now: MediaTime) {
        let rate = u128::from(self.config.rate.bps());
        while let Some(head) = self.queue.front() {
            let room = rate * now.since(self.worked_until).as_nanos();
            if room < self.head_left || rate == 0 {
                self.head_left -= room;
                break;
            }
            // Rounded up: a packet never leaves before its last bit.
            let takes = Duration::from_nanos(self.head_left.div_ceil(rate) as u64);
            self.worked_until = self.worked_until + takes;
            let (sent, bytes) = (head.sent, head.bytes);
            self.queued_bytes -= bytes;
            let jitter = self.rng.below(self.config.jitter.as_nanos() as u64 + 1);
            let lands = self.worked_until + self.config.delay + Duration::from_nanos(jitter);
            let after = self.flying.back().map_or(lands, |last| lands.max(last.at));
            if let Some(Waiting { item, .. }) = self.queue.pop_front() {
                self.flying.push_back(Arrival { at: after, sent, bytes, item });
            }
            self.head_left =
                self.queue.front().map_or(0, |next| u128::from(next.bytes) * UNITS_PER_BYTE);
        }
        self.worked_until = self.worked_until.max(now);
    }
}

/// How far apart the two ends' clocks are, in microseconds: a one-way delay means nothing by itself.
const CLOCKS_APART: i64 = 7_000_000;

/// A path as a rate controller sees it: packets go out over a [`Link`], and a report on them comes
/// back at fixed intervals after the way back.
#[derive(Debug)]
pub struct PathSim {
    link: Link<u64>,
    every: Duration,
    way_back: Duration,
    next_report: MediaTime,
    /// Number of the next packet, and the number after the highest that was reported on.
    next_packet: u64,
    reported: u64,
    sent_bytes: u64,
    reports: VecDeque<(MediaTime, PathReport)>,
}

impl PathSim {
    /// Reports every `every` over a way back that takes `way_back`.
    pub fn new(config: LinkConfig, every: Duration, way_back: Duration) -> Self {
        Self {
            link: Link::new(config),
            every,
            way_back,
            next_report: MediaTime::ZERO + every,
            next_packet: 0,
            reported: 0,
            sent_bytes: 0,
            reports: VecDeque::new(),
        }
    }

    /// The forward link, to change it or to look into its queue.
    pub fn link(&mut self) -> &mut Link<u64> {
        &mut self.link
    }

    /// Sends a packet.
    pub fn send(&mut self, now: MediaTime, bytes: u64) -> Fate {
        let number = self.next_packet;
        self.next_packet += 1;
        self.sent_bytes += bytes;
        self.link.send(now, bytes, number)
    }

    /// The next report that has come back by `now`. Call it at least once an interval.
    pub fn poll_report(&mut self, now: MediaTime) -> Option<PathReport> {
        while self.next_report <= now {
            let at = self.next_report;
            self.next_report = at + self.every;
            if let Some(report) = self.report(at) {
                self.reports.push_back((report.at, report));
            }
        }
        if self.reports.front()?.0 > now {
            return None;
        }
        self.reports.pop_front().map(|(_, report)| report)
    }

    /// What the far side knows at `at`: nothing to say when nothing arrived.
    fn report(&mut self, at: MediaTime) -> Option<PathReport> {
        let (mut bytes, mut packets, mut least, mut newest) = (0, 0, i64::MAX, 0);
        let (mut first, mut last, mut highest) = (None, MediaTime::ZERO, self.reported);
        while let Some(arrival) = self.link.receive(at) {
            bytes += arrival.bytes;
            packets += 1;
            let delay = arrival.at.since(arrival.sent).as_micros();
            newest = i64::try_from(delay).unwrap_or(i64::MAX);
            least = least.min(newest);
            first.get_or_insert(arrival.sent);
            last = arrival.sent;
            highest = arrival.item + 1;
        }
        let first = first?;
        // In order of sending: whatever was skipped is lost.
        let lost = (highest - self.reported).saturating_sub(packets);
        self.reported = highest;
        Some(PathReport {
            at: at + self.way_back,
            span: last.since(first),
            acked_bytes: bytes,
            acked_packets: u32::try_from(packets).unwrap_or(u32::MAX),
            lost_packets: u32::try_from(lost).unwrap_or(u32::MAX),
            sent_bytes: std::mem::take(&mut self.sent_bytes),
            one_way_delay_micros: least - CLOCKS_APART,
            newest_sent: last,
            newest_delay_micros: newest - CLOCKS_APART,
            round_trip: Some(Duration::from_micros(least.unsigned_abs()) + self.way_back),
            ecn_ce: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn packets_leave_at_the_rate_and_land_after_the_delay() {
        let mut link = Link::new(LinkConfig::of(Bitrate::from_mbps(8)));
        for item in 0..3 {
            assert_eq!(link.send(ms(0), 1_000, item), Fate::Queued);
        }
        assert_eq!(link.queue_delay(ms(0)), Duration::from_millis(3));
        let landed: Vec<_> = std::iter::from_fn(|| link.receive(ms(100))).map(|a| a.at).collect();
        assert_eq!(landed, [ms(11), ms(12), ms(13)]);
    }

    #[test]
    fn a_rate_step_applies_to_what_is_left_of_a_packet() {
        let mut link = Link::new(LinkConfig::of(Bitrate::from_mbps(8)));
        link.send(ms(0), 1_000, ());
        let halfway = MediaTime::from_micros(500);
        link.change(halfway, |config| config.rate = Bitrate::from_mbps(1));
        // 500 bytes at 1 Mbit/s take 4 ms.
        assert_eq!(link.queue_delay(halfway), Duration::from_millis(4));
        assert_eq!(link.receive(ms(100)).map(|a| a.at), Some(MediaTime::from_micros(14_500)));
    }

    #[test]
    fn an_outage_holds_packets_back() {
        let mut link = Link::new(LinkConfig::of(Bitrate::from_mbps(8)));
        link.change(ms(0), |config| config.rate = Bitrate::from_bps(0));
        link.send(ms(0), 1_000, ());
        assert_eq!(link.receive(ms(1_000)), None);
        assert_eq!(link.queue_delay(ms(1_000)), Duration::MAX);
        link.change(ms(1_000), |config| config.rate = Bitrate::from_mbps(8));
        assert_eq!(link.receive(ms(2_000)).map(|a| a.at), Some(ms(1_011)));
    }

    #[test]
    fn a_report_counts_what_was_lost() {
        let config = LinkConfig { loss: 0.25, ..LinkConfig::of(Bitrate::from_mbps(8)) };
        let every = Duration::from_millis(50);
        let mut path = PathSim::new(config, every, Duration::from_millis(10));
        let (mut acked, mut lost) = (0, 0);
        for step in 0..2_000 {
            path.send(ms(step * 2), 500);
            while let Some(report) = path.poll_report(ms(step * 2)) {
                acked += report.acked_packets;
                lost += report.lost_packets;
                assert!(report.round_trip.unwrap() >= Duration::from_millis(20));
            }
        }
        let part = f64::from(lost) / f64::from(acked + lost);
        assert!((0.22..0.28).contains(&part), "{part}");
    }

    proptest! {
        #[test]
        fn a_link_neither_makes_nor_forgets_packets(
            sends in proptest::collection::vec((0_u64..20_000, 1_u64..3_000), 1..200),
            rate in 100_000_u64..50_000_000,
            jitter in 0_u64..20,
        ) {
            let config = LinkConfig {
                jitter: Duration::from_millis(jitter),
                queue_bytes: 20_000,
                ..LinkConfig::of(Bitrate::from_bps(rate))
            };
            let mut link = Link::new(config);
            let (mut now, mut expected) = (MediaTime::ZERO, Vec::new());
            for (number, (gap, bytes)) in sends.into_iter().enumerate() {
                now = now + Duration::from_micros(gap);
                if link.send(now, bytes, number) == Fate::Queued {
                    expected.push(number);
                }
                prop_assert!(link.queue_delay(now) <= Bitrate::from_bps(rate).time_for(20_000 + 1));
            }
            let far = now + Duration::from_secs(60);
            let landed: Vec<_> = std::iter::from_fn(|| link.receive(far)).collect();
            prop_assert!(landed.is_sorted_by_key(|arrival| arrival.at));
            for arrival in &landed {
                let least = Bitrate::from_bps(rate).time_for(arrival.bytes) + config.delay;
                prop_assert!(arrival.at.since(arrival.sent) >= least);
            }
            let numbers: Vec<_> = landed.into_iter().map(|arrival| arrival.item).collect();
            prop_assert_eq!(numbers, expected);
        }
    }
}
