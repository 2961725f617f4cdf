//! Which losses tell of a full queue, and which only of a bad radio link.
//!
//! Losses of chance come whatever is sent; a queue that overflows loses all that is sent too much. So what is
//! lost while no queue stands becomes the path's own loss, and only what goes beyond it is an answer to the rate.

use std::collections::VecDeque;
use std::time::Duration;

use media::{MediaTime, PathReport};

/// Losses of so long are looked at together.
const WINDOW: Duration = Duration::from_secs(1);
/// Part of the packets that may be lost beyond the path's own loss.
const EXCESS: f64 = 0.04;
/// Chance varies: by so many standard deviations it is not yet a sign.
const DEVIATIONS: f64 = 3.0;
/// Lost within [`SUDDEN_WINDOW`] so much is a sign at once.
const SUDDEN: f64 = 0.2;
const SUDDEN_WINDOW: Duration = Duration::from_millis(200);
/// Fewer packets than this prove nothing.
const LEAST_PACKETS: u64 = 40;
/// How quickly the path's own loss is learnt.
const LEARNT_IN: Duration = Duration::from_secs(5);
/// More than this is never a path's own: a shallow queue would teach that its losses are usual.
const MOST_OWN: f64 = 0.06;

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    arrived: u64,
    lost: u64,
}

impl Counted {
    fn all(self) -> u64 {
        self.arrived.saturating_add(self.lost)
    }
    fn part(self) -> f64 {
        self.lost as f64 / self.all().max(1) as f64
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    reports: VecDeque<(MediaTime, Counted)>,
    own: f64,
    learnt: MediaTime,
}

impl Loss {
    pub(super) fn new(now: MediaTime) -> Self {
        Self { reports: VecDeque::new(), own: 0.0, learnt: now }
    }

    pub(super) fn add(&mut self, now: MediaTime, report: &PathReport) {
        let counted = Counted {
            arrived: u64::from(report.acked_packets),
            lost: u64::from(report.lost_packets),
        };
        self.reports.push_back((now, counted));
        while self.reports.len() > 256
            || self.reports.front().is_some_and(|(at, _)| now.since(*at) > WINDOW)
        {
            self.reports.pop_front();
        }
    }

    /// Forgets what was lost lately: it was lost for a reason that has passed.
    pub(super) fn forget(&mut self) {
        self.reports.clear();
    }

    /// No queue stands: what is lost is the path's own loss.
    pub(super) fn learn(&mut self, now: MediaTime) {
        let counted = self.within(now, WINDOW);
        let passed = now.since(self.learnt);
        self.learnt = now;
        if counted.all() >= LEAST_PACKETS {
            let weight = (passed.as_secs_f64() / LEARNT_IN.as_secs_f64()).min(0.1);
            self.own += (counted.part().min(MOST_OWN) - self.own) * weight;
        }
    }

    /// Whether more is lost than the path loses by itself.
    pub(super) fn is_congestion(&self, now: MediaTime) -> bool {
        self.exceeds(now, SUDDEN_WINDOW, SUDDEN) || self.exceeds(now, WINDOW, EXCESS)
    }

    /// Whether anything was lost lately.
    pub(super) fn is_any(&self, now: MediaTime) -> bool {
        self.within(now, WINDOW).lost > 0
    }

    fn exceeds(&self, now: MediaTime, window: Duration, excess: f64) -> bool {
        let counted = self.within(now, window);
        if counted.all() < LEAST_PACKETS {
            return false;
        }
        let variance = (self.own + excess) * (1.0 - self.own) / counted.all() as f64;
        counted.part() > self.own + excess + DEVIATIONS * variance.sqrt()
    }

    fn within(&self, now: MediaTime, window: Duration) -> Counted {
        let mut sum = Counted::default();
        for (_, counted) in self.reports.iter().rev().take_while(|(at, _)| now.since(*at) <= window)
        {
            sum.arrived = sum.arrived.saturating_add(counted.arrived);
            sum.lost = sum.lost.saturating_add(counted.lost);
        }
        sum
    }
}
