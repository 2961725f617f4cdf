//! A path as a rate controller sees it: packets go out, and reports on them come back.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};

use super::{Fate, Link, LinkConfig, Queue, Scenario};

/// Bytes of a report on its way back.
const REPORT: u64 = 80;
/// How far apart the two ends' clocks are, in microseconds: a one-way delay means nothing by itself.
const CLOCKS_APART: i64 = 7_000_000;
/// Packets behind the newest whose arrival is remembered, to tell late ones from copies.
const REMEMBERED: u64 = 4_096;

/// What the far side notes of one flow's packets, and what it tells of them. As with transport-wide
/// feedback a packet counts as lost when a later one is reported on before it came; should it come after
/// all, it counts as arrived too.
#[derive(Debug, Default)]
pub struct Receiver {
    seen: BTreeSet<u64>,
    /// Number after the highest that was reported on.
    reported: u64,
    interval: Option<Interval>,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    bytes: u64,
    packets: u64,
    late: u64,
    least_delay: Duration,
    first_sent: MediaTime,
    last_sent: MediaTime,
    /// Of the packet that was sent last.
    newest_delay: Duration,
    /// Number after the highest.
    end: u64,
}

impl Receiver {
    /// Packet `number` of `bytes`, `sent` then, arrived `at`. A copy of one that came before is ignored.
    pub fn arrived(&mut self, number: u64, bytes: u64, sent: MediaTime, at: MediaTime) {
        if number + REMEMBERED < self.reported || !self.seen.insert(number) {
            return;
        }
        let delay = at.since(sent);
        let interval = self.interval.get_or_insert(Interval {
            bytes: 0,
            packets: 0,
            late: 0,
            least_delay: delay,
            first_sent: sent,
            last_sent: sent,
            newest_delay: delay,
            end: self.reported,
        });
        interval.bytes += bytes;
        interval.packets += 1;
        interval.late += u64::from(number < self.reported);
        interval.least_delay = interval.least_delay.min(delay);
        interval.first_sent = interval.first_sent.min(sent);
        if sent >= interval.last_sent {
            (interval.last_sent, interval.newest_delay) = (sent, delay);
        }
        interval.end = interval.end.max(number + 1);
    }

    /// The report on what arrived since the last one, and the number after the highest packet in it;
    /// `None` when nothing did. Its time, its round trip and the bytes sent are the sender's to fill in.
    pub fn report(&mut self) -> Option<(u64, PathReport)> {
        let interval = self.interval.take()?;
        let new = interval.packets - interval.late;
        let lost = (interval.end - self.reported).saturating_sub(new);
        self.reported = interval.end;
        self.seen = self.seen.split_off(&interval.end.saturating_sub(REMEMBERED));
        let micros = |delay: Duration| {
            let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
            micros.saturating_sub(CLOCKS_APART)
        };
        let report = PathReport {
            at: MediaTime::ZERO,
            span: interval.last_sent.since(interval.first_sent),
            acked_bytes: interval.bytes,
            acked_packets: u32::try_from(interval.packets).unwrap_or(u32::MAX),
            lost_packets: u32::try_from(lost).unwrap_or(u32::MAX),
            sent_bytes: 0,
            one_way_delay_micros: micros(interval.least_delay),
            newest_sent: interval.last_sent,
            newest_delay_micros: micros(interval.newest_delay),
            round_trip: Some(interval.least_delay),
            ecn_ce: 0,
            unread_frames: None,
        };
        Some((interval.end, report))
    }
}

/// One flow over a path of its own: packets over one [`Link`], and a report on them at fixed intervals over
/// another. For flows that share a link, use [`Link`] and one [`Receiver`] a flow.
#[derive(Debug)]
pub struct PathSim {
    link: Link<u64>,
    back: Link<(u64, PathReport)>,
    every: Duration,
    next_report: MediaTime,
    receiver: Receiver,
    next_packet: u64,
    /// Sizes of the packets that no report that came back was on; the first has the number `settled`.
    unsettled: VecDeque<u64>,
    settled: u64,
}

impl PathSim {
    /// Reports every `every` over a clean way back that takes `way_back`.
    pub fn new(config: LinkConfig, every: Duration, way_back: Duration) -> Self {
        let back = LinkConfig {
            delay: way_back,
            queue: Queue::Bytes(u64::MAX),
            // So fast that a report takes no time.
            ..LinkConfig::of(Bitrate::from_mbps(1_000_000))
        };
        Self::between(Link::new(config), Link::new(back), every)
    }

    /// Over a scenario's links, which begin at time zero, with reports every `every`.
    pub fn over(scenario: &Scenario, every: Duration) -> Self {
        Self::between(Link::scripted(&scenario.down), Link::scripted(&scenario.up), every)
    }

    fn between(link: Link<u64>, back: Link<(u64, PathReport)>, every: Duration) -> Self {
        Self {
            link,
            back,
            every,
            next_report: MediaTime::ZERO + every,
            receiver: Receiver::default(),
            next_packet: 0,
            unsettled: VecDeque::new(),
            settled: 0,
        }
    }

    /// The link that packets take, to change it or to look into its queue.
    pub fn link(&mut self) -> &mut Link<u64> {
        &mut self.link
    }

    /// Sends a packet.
    pub fn send(&mut self, now: MediaTime, bytes: u64) -> Fate {
        let number = self.next_packet;
        self.next_packet += 1;
        self.unsettled.push_back(bytes);
        self.link.send(now, bytes, number)
    }

    /// The next report that has come back by `now`. Call it at least once an interval.
    pub fn poll_report(&mut self, now: MediaTime) -> Option<PathReport> {
        while self.next_report <= now {
            let at = self.next_report;
            self.next_report = at + self.every;
            while let Some(arrival) = self.link.receive(at) {
                self.receiver.arrived(arrival.item, arrival.bytes, arrival.sent, arrival.at);
            }
            if let Some(report) = self.receiver.report() {
                self.back.send(at, REPORT, report);
            }
        }
        let arrival = self.back.receive(now)?;
        let (end, mut report) = arrival.item;
        // Reports that were overtaken or lost leave their packets to the next.
        let settles = end.saturating_sub(self.settled);
        self.settled += settles;
        report.sent_bytes = (0..settles).filter_map(|_| self.unsettled.pop_front()).sum();
        report.at = arrival.at;
        report.round_trip = report.round_trip.map(|delay| delay + arrival.at.since(arrival.sent));
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Loss;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn a_report_counts_what_was_lost() {
        let config =
            LinkConfig { loss: Loss::Random(0.25), ..LinkConfig::of(Bitrate::from_mbps(8)) };
        let every = Duration::from_millis(50);
        let mut path = PathSim::new(config, every, Duration::from_millis(10));
        let (mut acked, mut lost, mut sent) = (0, 0, 0);
        for step in 0..2_000 {
            path.send(ms(step * 2), 500);
            while let Some(report) = path.poll_report(ms(step * 2)) {
                acked += report.acked_packets;
                lost += report.lost_packets;
                sent += report.sent_bytes;
                assert!(report.round_trip.unwrap() >= Duration::from_millis(30));
                assert!(report.at >= ms(60));
            }
        }
        assert_eq!(sent, u64::from(acked + lost) * 500);
        let part = f64::from(lost) / f64::from(acked + lost);
        assert!((0.22..0.28).contains(&part), "{part}");
    }

    #[test]
    fn copies_count_once_and_late_packets_as_arrived() {
        let mut receiver = Receiver::default();
        for number in [0, 2, 2, 3] {
            receiver.arrived(number, 100, ms(number), ms(30 + number));
        }
        let (end, report) = receiver.report().unwrap();
        assert_eq!((end, report.acked_packets, report.lost_packets), (4, 3, 1));
        assert_eq!((report.acked_bytes, report.span), (300, Duration::from_millis(3)));
        assert_eq!(
            (report.newest_sent, report.newest_delay_micros),
            (ms(3), 30_000 - CLOCKS_APART)
        );
        for number in [1, 3, 4] {
            receiver.arrived(number, 100, ms(number), ms(60));
        }
        let (end, report) = receiver.report().unwrap();
        assert_eq!((end, report.acked_packets, report.lost_packets), (5, 2, 0));
        assert!(receiver.report().is_none());
    }

    #[test]
    fn a_report_that_is_lost_leaves_its_packets_out() {
        let scenario = Scenario::named("loss-5", Duration::from_secs(60)).unwrap();
        let mut path = PathSim::over(&scenario, Duration::from_millis(20));
        let (mut reports, mut sent) = (0, 0);
        for step in 0..5_000 {
            path.send(ms(step * 2), 500);
            while let Some(report) = path.poll_report(ms(step * 2)) {
                reports += 1;
                sent += report.sent_bytes;
            }
        }
        assert!((420..490).contains(&reports), "{reports} of 500");
        assert!(sent > 4_900 * 500, "what was sent is told all the same");
    }
}
