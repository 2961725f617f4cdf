//! A path as a rate controller sees it: packets go out, and reports on them come back.

use std::collections::BTreeSet;
use std::time::Duration;

use media::{MediaTime, PathReport};

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

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
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
}
