//! A bulk transfer over TCP, to compete with: what its window does, not its bytes.
//!
//! Selective acknowledgement of each packet, loss by three later ones (RFC 6675), one reduction a round
//! trip, a timeout (RFC 6298), and one of two windows: NewReno (RFC 5681) or CUBIC (RFC 9438). Slow start
//! runs until the first loss; there is no pacing. What is lost is not sent again: a transfer without end
//! has always something to send, and only its rate is of interest.

use std::collections::BTreeMap;
use std::time::Duration;

use media::MediaTime;

/// Packets at the start (RFC 6928).
const INITIAL_WINDOW: f64 = 10.0;
/// Later packets that prove a loss.
const DUPLICATES: u64 = 3;
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(8);
/// RFC 9438 §5: packets a second cubed.
const CUBIC_C: f64 = 0.4;
const CUBIC_BETA: f64 = 0.7;
const RENO_BETA: f64 = 0.5;

/// How the window moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpKind {
    /// NewReno.
    Reno,
    /// CUBIC.
    Cubic,
}

/// See the module. The caller sends what [`poll_send`](Self::poll_send) yields and tells of its arrival.
#[derive(Clone, Debug)]
pub struct TcpFlow {
    kind: TcpKind,
    /// In packets.
    window: f64,
    slow_start_until: f64,
    next: u64,
    /// Packets that are neither acknowledged nor lost, and when each was sent.
    flying: BTreeMap<u64, MediaTime>,
    /// Number after the highest that was acknowledged.
    acked_end: u64,
    /// Losses before this number belong to the reduction that was made.
    reduced_until: u64,
    round_trip: Option<(Duration, Duration)>,
    backoff: u32,
    last_heard: MediaTime,
    cubic: Cubic,
    delivered: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cubic {
    /// Window before the last reduction.
    most: f64,
    /// When growth began anew, and the time that it takes to reach `most`, in seconds.
    epoch: Option<(MediaTime, f64)>,
    /// What NewReno's window would be.
    reno: f64,
}

impl TcpFlow {
    /// Bytes of every packet, headers included.
    pub const PACKET: u64 = 1_500;

    /// A flow that has sent nothing.
    pub fn new(kind: TcpKind) -> Self {
        Self {
            kind,
            window: INITIAL_WINDOW,
            slow_start_until: f64::INFINITY,
            next: 0,
            flying: BTreeMap::new(),
            acked_end: 0,
            reduced_until: 0,
            round_trip: None,
            backoff: 0,
            last_heard: MediaTime::ZERO,
            cubic: Cubic::default(),
            delivered: 0,
        }
    }

    /// The number of a packet that is to be sent now; `None` while the window is full.
    pub fn poll_send(&mut self, now: MediaTime) -> Option<u64> {
        if self.flying.len() as f64 + 1.0 > self.window.max(1.0) {
            return None;
        }
        if self.flying.is_empty() {
            self.last_heard = now;
        }
        let number = self.next;
        self.next += 1;
        self.flying.insert(number, now);
        Some(number)
    }

    /// The acknowledgement of a packet came.
    pub fn on_ack(&mut self, now: MediaTime, number: u64) {
        let Some(sent) = self.flying.remove(&number) else { return };
        self.delivered += Self::PACKET;
        self.last_heard = now;
        self.backoff = 0;
        self.measure(now.since(sent));
        self.acked_end = self.acked_end.max(number + 1);
        let lost_before = self.acked_end.saturating_sub(DUPLICATES);
        let still = self.flying.split_off(&lost_before);
        let lost = std::mem::replace(&mut self.flying, still);
        if lost.last_key_value().is_some_and(|(last, _)| *last >= self.reduced_until) {
            self.reduce();
        } else if number >= self.reduced_until {
            self.grow(now);
        }
    }

    /// When [`on_timeout`](Self::on_timeout) is due unless something is heard.
    pub fn poll_timeout(&self) -> Option<MediaTime> {
        (!self.flying.is_empty()).then(|| self.last_heard + self.timeout())
    }

    /// Time passed: when nothing was heard for too long, everything on the way is given up.
    pub fn on_timeout(&mut self, now: MediaTime) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        self.slow_start_until = (self.window * self.beta()).max(2.0);
        self.cubic = Cubic { most: self.window, ..Cubic::default() };
        self.window = 1.0;
        self.flying.clear();
        self.reduced_until = self.next;
        self.backoff = (self.backoff + 1).min(5);
        self.last_heard = now;
    }

    /// Bytes that arrived and were acknowledged.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    fn beta(&self) -> f64 {
        match self.kind {
            TcpKind::Reno => RENO_BETA,
            TcpKind::Cubic => CUBIC_BETA,
        }
    }

    fn reduce(&mut self) {
        // RFC 9438 §4.7: a flow that lost before it was back where it lost last leaves room for others.
        let before = std::mem::replace(&mut self.cubic.most, self.window);
        if self.window < before {
            self.cubic.most = self.window * (1.0 + CUBIC_BETA) / 2.0;
        }
        self.window = (self.window * self.beta()).max(2.0);
        self.slow_start_until = self.window;
        self.cubic.epoch = None;
        self.reduced_until = self.next;
    }

    fn grow(&mut self, now: MediaTime) {
        if self.window < self.slow_start_until {
            self.window += 1.0;
            return;
        }
        match self.kind {
            TcpKind::Reno => self.window += 1.0 / self.window,
            TcpKind::Cubic => self.grow_cubic(now),
        }
    }

    /// RFC 9438 §4.2 to §4.5.
    fn grow_cubic(&mut self, now: MediaTime) {
        let window = self.window;
        let cubic = &mut self.cubic;
        if cubic.epoch.is_none() {
            cubic.most = cubic.most.max(window);
            cubic.reno = window;
            let back = ((cubic.most - window) / CUBIC_C).cbrt();
            cubic.epoch = Some((now, back));
        }
        let Some((since, back)) = cubic.epoch else { return };
        let round_trip = self.round_trip.map_or(Duration::ZERO, |(smooth, _)| smooth);
        let at = now.since(since) + round_trip;
        let aim = CUBIC_C * (at.as_secs_f64() - back).powi(3) + cubic.most;
        cubic.reno += 3.0 * (1.0 - CUBIC_BETA) / (1.0 + CUBIC_BETA) / window;
        let aim = aim.clamp(window, window * 1.5);
        self.window = (window + (aim - window) / window).max(cubic.reno);
    }

    /// RFC 6298 §2.
    fn measure(&mut self, sample: Duration) {
        self.round_trip = Some(match self.round_trip {
            None => (sample, sample / 2),
            Some((smooth, spread)) => {
                ((smooth * 7 + sample) / 8, (spread * 3 + smooth.abs_diff(sample)) / 4)
            }
        });
    }

    fn timeout(&self) -> Duration {
        let plain = self.round_trip.map_or(FIRST_TIMEOUT, |(smooth, spread)| smooth + spread * 4);
        (plain.max(LEAST_TIMEOUT) * 2_u32.pow(self.backoff)).min(LONGEST_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Link, LinkConfig, Script};
    use media::Bitrate;

    /// Runs flows over one link; yields the bytes that each delivered after the first `warm_up`.
    fn compete(kinds: &[TcpKind], script: &Script, warm_up: u64, seconds: u64) -> Vec<u64> {
        let mut flows: Vec<_> = kinds.iter().map(|kind| TcpFlow::new(*kind)).collect();
        let mut link = Link::scripted(script);
        let back = LinkConfig::of(Bitrate::from_mbps(1_000));
        let mut acks = Link::new(back);
        let mut before = vec![0; flows.len()];
        for milli in 0..(warm_up + seconds) * 1_000 {
            let now = MediaTime::from_millis(milli);
            while let Some(arrival) = link.receive(now) {
                acks.send(now, 60, arrival.item);
            }
            while let Some(arrival) = acks.receive(now) {
                let (flow, number): (usize, u64) = arrival.item;
                flows[flow].on_ack(now, number);
            }
            for (index, flow) in flows.iter_mut().enumerate() {
                flow.on_timeout(now);
                while let Some(number) = flow.poll_send(now) {
                    link.send(now, TcpFlow::PACKET, (index, number));
                }
                if milli == warm_up * 1_000 {
                    before[index] = flow.delivered();
                }
            }
        }
        flows.iter().zip(before).map(|(flow, before)| flow.delivered() - before).collect()
    }

    #[test]
    fn a_flow_alone_fills_the_link() {
        let script = Script::steady(LinkConfig::of(Bitrate::from_mbps(20)));
        for kind in [TcpKind::Reno, TcpKind::Cubic] {
            let bytes = compete(&[kind], &script, 5, 30)[0];
            let part = Bitrate::of(bytes, Duration::from_secs(30)).bps() as f64 / 20e6;
            assert!((0.93..=1.0).contains(&part), "{kind:?} takes {part} of the link");
        }
    }

    #[test]
    fn two_flows_of_a_kind_share_the_link() {
        let script = Script::steady(LinkConfig::of(Bitrate::from_mbps(20)));
        for kind in [TcpKind::Reno, TcpKind::Cubic] {
            let [a, b] = compete(&[kind; 2], &script, 20, 60)[..] else { panic!("two flows") };
            let part = a as f64 / (a + b) as f64;
            assert!((0.3..0.7).contains(&part), "{kind:?}: {part}");
        }
    }

    #[test]
    fn a_flow_comes_back_after_an_outage() {
        let script = Script::steady(LinkConfig::of(Bitrate::from_mbps(20))).during(
            Duration::from_secs(5),
            Duration::from_secs(2),
            |config| config.down = true,
        );
        let bytes = compete(&[TcpKind::Cubic], &script, 12, 10)[0];
        let part = Bitrate::of(bytes, Duration::from_secs(10)).bps() as f64 / 20e6;
        assert!(part > 0.8, "{part}");
    }
}
