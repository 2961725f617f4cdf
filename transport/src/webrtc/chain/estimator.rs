//! Turns acknowledgements into [`PathReport`]s. It estimates nothing: the session's rate controller
//! does, from these reports, the same for every transport.
//!
//! The stack's own estimator is never used: it grows without bound on an idle path and answers
//! congestion seconds late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{MediaTime, PathReport, TransportEvent};

use super::history::Outcome;
use crate::webrtc::shared::Shared;

/// See the module.
pub(super) struct Tap {
    pub(super) shared: Arc<Shared>,
    /// Zero of the one-way delays.
    origin: Option<Instant>,
    last_delay: i64,
    /// When the newest packet that arrived was sent, and its delay.
    newest: (MediaTime, i64),
}

/// How late the latest came of those that later ones overtook.
fn late(packets: &[Outcome]) -> Duration {
    let (mut first_later, mut latest) = (Duration::MAX, Duration::ZERO);
    for arrival in packets.iter().rev().filter_map(|packet| packet.arrival) {
        latest = latest.max(arrival.saturating_sub(first_later));
        first_later = first_later.min(arrival);
    }
    latest
}

impl Tap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, origin: None, last_delay: 0, newest: (MediaTime::ZERO, 0) }
    }

    fn report(&mut self, now: Instant, packets: &[Outcome]) -> Option<PathReport> {
        let first = packets.iter().map(|packet| packet.departure).min()?;
        let last = packets.iter().map(|packet| packet.departure).max()?;
        let origin = *self.origin.get_or_insert(first);
        let arrived = || packets.iter().filter(|packet| packet.arrived);
        let bytes = |size: usize| size as u64;
        let acked_bytes: u64 = arrived().map(|packet| bytes(packet.size)).sum();
        let sent_bytes: u64 = packets.iter().map(|packet| bytes(packet.size)).sum();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let delay = |packet: &Outcome| {
            let arrival = i64::try_from(packet.arrival?.as_micros()).ok()?;
            let departure = packet.departure.saturating_duration_since(origin).as_micros();
            Some(arrival - i64::try_from(departure).ok()?)
        };
        self.last_delay = arrived().filter_map(delay).min().unwrap_or(self.last_delay);
        let at = self.shared.clock.now();
        let newest = arrived().max_by_key(|packet| packet.departure);
        if let Some((packet, delay)) = newest.and_then(|packet| Some((packet, delay(packet)?))) {
            let sent = at - now.saturating_duration_since(packet.departure);
            self.newest = (sent.max(self.newest.0), delay);
        }
        self.shared.note_reordering(late(packets));
        let lost = packets.iter().filter(|packet| packet.told && !packet.arrived).count();
        self.shared.note_loss(count(lost), count(packets.len()));
        Some(PathReport {
            at,
            span: last.saturating_duration_since(first),
            acked_bytes,
            acked_packets: count(arrived().count()),
            lost_packets: count(lost),
            sent_bytes: sent_bytes + self.shared.take_repair(),
            one_way_delay_micros: self.last_delay,
            newest_sent: self.newest.0,
            newest_delay_micros: self.newest.1,
            round_trip: self.shared.round_trip(),
            // Transport-wide feedback cannot carry marks, and the stack sets none.
            ecn_ce: 0,
            unread_frames: None,
        })
    }

    /// What would have been reported of packets if the feedback on them had not been lost: they came as those after
    /// them did, as far as is known.
    fn untold(
        packets: &[Outcome],
        told: &[Outcome],
        next: &PathReport,
        now: Instant,
    ) -> Option<PathReport> {
        let first = packets.first()?.departure;
        let last = packets.last()?.departure;
        let size = |packets: &[Outcome]| packets.iter().map(|packet| packet.size as u64).sum();
        let (bytes, told): (u64, u64) = (size(packets), size(told));
        let came = next.acked_bytes.saturating_mul(bytes) / told.max(1);
        let newest_sent = next.at - now.saturating_duration_since(last);
        Some(PathReport {
            span: last.saturating_duration_since(first),
            acked_bytes: came,
            acked_packets: 0,
            lost_packets: 0,
            sent_bytes: bytes,
            newest_sent: newest_sent.min(next.newest_sent),
            newest_delay_micros: next.one_way_delay_micros,
            ..*next
        })
    }

    /// The client has told what became of these packets, in the order of their sending, but for those at the front
    /// of which the feedback was lost.
    pub(super) fn on_outcomes(&mut self, now: Instant, packets: &[Outcome]) {
        let untold = packets.iter().position(|packet| packet.told).unwrap_or(packets.len());
        let (untold, told) = packets.split_at(untold);
        let Some(report) = self.report(now, told) else { return };
        if let Some(untold) = Self::untold(untold, told, &report, now) {
            self.shared.events.report(TransportEvent::Path(untold));
        }
        self.shared.events.report(TransportEvent::Path(report));
    }
}
