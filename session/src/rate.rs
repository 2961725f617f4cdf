//! How fast to send: one policy, fed by what acknowledgements tell.
//!
//! Queueing delay (one-way delay above its least of ten seconds) is the signal: a link that is asked
//! for more than it carries grows a queue long before it loses anything. Measured against a userspace
//! bottleneck of 10 ms each way, this rule kept the 95th percentile of latency at 64 to 69 ms through
//! drops of half and more, where two stock estimators let seconds of backlog stand.
//!
//! - queue > 25 ms, or loss > 5 %: down at once to 0.85 of the rate that arrives (0.6 above 100 ms);
//! - queue < 12 ms: up by 5 % at most every 100 ms, by 1 % near the rate where it last went down;
//! - never above 1.5 times what arrives, so that a source that sends little proves nothing.
//!
//! Two things look like a queue and are not. A longer route raises the least delay for good: when the
//! delay stays although clearly less is sent, the new delay becomes the base. And an application that
//! sends far below its target is not what fills a queue: its target falls step by step instead of to
//! the little that arrives.
//!
//! Rates are reckoned over the time between reports ([`PathReport::at`]), not over
//! [`PathReport::span`]: while a queue grows, packets arrive slower than they were sent.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};

use crate::window::WindowedMin;

/// Queueing delay above which the rate goes down, in microseconds.
const DELAY_HIGH: i64 = 25_000;
/// Queueing delay above which it goes down steeply.
const DELAY_SEVERE: i64 = 100_000;
/// Queueing delay below which it may go up.
const DELAY_LOW: i64 = 12_000;
/// Part of the packets lost above which the rate goes down.
const LOSS_HIGH: f64 = 0.05;
/// Fewer packets than this prove no loss rate.
const LOSS_PACKETS: u64 = 40;
const DOWN: f64 = 0.85;
const DOWN_STEEP: f64 = 0.6;
const UP: f64 = 1.05;
const UP_CAREFUL: f64 = 1.01;
/// Between these parts of the rate where it last went down it rises carefully. The upper one is the
/// encoder's share undone (the link is met at 1.11) and some: small steps there keep the queue small.
const NEAR_BELOW: f64 = 0.9;
const NEAR_ABOVE: f64 = 1.2;
/// Target at most this many times what arrives.
const HEADROOM: f64 = 1.5;
/// Time between two steps up.
const UP_EVERY: Duration = Duration::from_millis(100);
/// Time between two steps down, unless the queue still grows: what the first one did shows only after
/// a round trip, and until then the same queue would be answered twice.
const DOWN_EVERY: Duration = Duration::from_millis(200);
/// Growth of the queue that does not wait, in microseconds.
const DOWN_GROWTH: i64 = 5_000;
/// How far back the least delay counts.
const BASE_WINDOW: Duration = Duration::from_secs(10);
/// What arrives is averaged over this long: several frames, well below a second.
const RATE_WINDOW: Duration = Duration::from_millis(250);
/// A pause in reports counts as at most this long: an idle source is not a slow link.
const LONGEST_GAP: Duration = Duration::from_millis(250);
/// How long less is sent in vain before a standing delay is taken as that of a longer route.
const REROUTE_AFTER: Duration = Duration::from_millis(600);
/// A queue that drains falls at least this much in that time, in microseconds.
const REROUTE_FALL: i64 = 10_000;
/// The target is passed on when it rose by this part; every fall is passed on.
const HYSTERESIS: f64 = 0.03;
/// Part of the target for the encoder; the rest is headers, repair and the error of its rate control.
const ENCODER_SHARE: f64 = 0.9;

/// Settings of a [`RateController`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// Where it starts.
    pub start: Bitrate,
    /// It never goes below this.
    pub floor: Bitrate,
    /// It never goes above this.
    pub ceiling: Bitrate,
    /// Of which so much is for sound.
    pub audio: Bitrate,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self {
            start: Bitrate::from_mbps(5),
            floor: Bitrate::from_kbps(500),
            ceiling: Bitrate::from_mbps(20),
            audio: Bitrate::from_bps(0),
        }
    }
}

/// What the controller thinks of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// There is room: the target rises, or stands at its ceiling or at what the source needs.
    Clear,
    /// A queue has begun to stand: the target is held.
    Filling,
    /// More is sent than passes: the target falls.
    Overused,
}

/// What arrived between two reports.
#[derive(Clone, Copy, Debug)]
struct Interval {
    length: Duration,
    acked: u64,
    packets: u64,
    lost: u64,
}

/// A stretch of time in which the delay was high without a break.
#[derive(Clone, Copy, Debug)]
struct Overuse {
    /// When the rate that arrives had clearly fallen; the delay should have followed.
    eased: Option<(MediaTime, i64)>,
    /// The rate that arrived when it began.
    acked: Bitrate,
}

/// Turns path reports into a target. One per path.
#[derive(Clone, Debug)]
pub struct RateController {
    config: RateConfig,
    /// Where it would go.
    aim: Bitrate,
    /// What was passed on last.
    target: Bitrate,
    base: WindowedMin,
    intervals: VecDeque<Interval>,
    last_report: Option<MediaTime>,
    last_up: MediaTime,
    /// When the target last went down, and the queueing delay that it was for, in microseconds.
    last_down: Option<(MediaTime, i64)>,
    /// What arrived when the target last went down: about what the link carries.
    link: Option<Bitrate>,
    overuse: Option<Overuse>,
    state: PathState,
}

impl RateController {
    /// Starts at `now` with the start rate, brought within floor and ceiling.
    pub fn new(now: MediaTime, config: RateConfig) -> Self {
        let config = RateConfig { ceiling: config.ceiling.max(config.floor), ..config };
        let target = config.start.clamp(config.floor, config.ceiling);
        Self {
            config,
            aim: target,
            target,
            base: WindowedMin::new(BASE_WINDOW),
            intervals: VecDeque::new(),
            last_report: None,
            last_up: now,
            last_down: None,
            link: None,
            overuse: None,
            state: PathState::Clear,
        }
    }

    /// Takes a report; returns the new target when it is to be acted on.
    pub fn on_report(&mut self, report: &PathReport) -> Option<Bitrate> {
        let now = self.last_report.map_or(report.at, |last| last.max(report.at));
        self.remember(now, report);
        let least = self.base.add(now, report.one_way_delay_micros);
        let mut queue = report.one_way_delay_micros.saturating_sub(least);
        let acked = self.acked_rate();
        if self.is_longer_route(now, queue, acked, report.one_way_delay_micros) {
            queue = 0;
        }
        self.state = if queue > DELAY_HIGH || self.loss() > LOSS_HIGH {
            self.go_down(now, queue, acked);
            PathState::Overused
        } else if queue < DELAY_LOW {
            self.go_up(now, acked);
            PathState::Clear
        } else {
            PathState::Filling
        };
        self.pass_on()
    }

    /// What may be sent in all: video, sound, repair.
    pub fn target(&self) -> Bitrate {
        self.target
    }

    /// What the encoder should produce: nine tenths of the target less sound, at least half the floor.
    pub fn encoder_target(&self) -> Bitrate {
        let share = self.target.scaled(ENCODER_SHARE).bps();
        let video = share.saturating_sub(self.config.audio.bps());
        Bitrate::from_bps(video.max(self.config.floor.bps() / 2))
    }

    /// What the controller thinks of the path.
    pub fn state(&self) -> PathState {
        self.state
    }

    /// What arrives, over the last quarter of a second.
    pub fn acked_rate(&self) -> Bitrate {
        let length: Duration = self.intervals.iter().map(|interval| interval.length).sum();
        let acked = self.intervals.iter().fold(0_u64, |sum, i| sum.saturating_add(i.acked));
        Bitrate::of(acked, length)
    }

    fn remember(&mut self, now: MediaTime, report: &PathReport) {
        let length = match self.last_report {
            Some(last) => now.since(last).min(LONGEST_GAP.max(report.span)),
            None => report.span,
        };
        self.last_report = Some(now);
        self.intervals.push_back(Interval {
            length,
            acked: report.acked_bytes,
            packets: u64::from(report.acked_packets),
            lost: u64::from(report.lost_packets),
        });
        let mut kept: Duration = self.intervals.iter().map(|interval| interval.length).sum();
        while self.intervals.len() > 1
            && let Some(oldest) = self.intervals.front()
            && (kept - oldest.length >= RATE_WINDOW || self.intervals.len() > 256)
        {
            kept -= oldest.length;
            self.intervals.pop_front();
        }
    }

    /// Part of the packets lost in the window; zero while too few were sent to tell.
    fn loss(&self) -> f64 {
        let (packets, lost) = self
            .intervals
            .iter()
            .fold((0, 0), |(packets, lost), i| (packets + i.packets, lost + i.lost));
        if packets + lost < LOSS_PACKETS {
            return 0.0;
        }
        lost as f64 / (packets + lost) as f64
    }

    fn go_down(&mut self, now: MediaTime, queue: i64, acked: Bitrate) {
        let answered = |(at, then): (MediaTime, i64)| {
            now.since(at) < DOWN_EVERY && queue <= then.saturating_add(DOWN_GROWTH)
        };
        if self.last_down.is_some_and(answered) {
            return;
        }
        let factor = if queue > DELAY_SEVERE { DOWN_STEEP } else { DOWN };
        // A source that sends far below its target does not fill the queue by itself. Someone else
        // may; its target falls too, but from where it is. With a severe queue nothing is presumed.
        let little = acked < self.aim.scaled(0.5) && queue <= DELAY_SEVERE;
        let reached = if little { self.aim } else { acked };
        let target = reached.scaled(factor).min(self.aim);
        self.last_down = Some((now, queue));
        if !little {
            self.link = Some(acked);
        }
        self.aim = target.max(self.config.floor);
    }

    fn go_up(&mut self, now: MediaTime, acked: Bitrate) {
        if now.since(self.last_up) < UP_EVERY {
            return;
        }
        self.last_up = now;
        let factor = match self.link {
            Some(link) if self.aim > link.scaled(NEAR_ABOVE) => {
                // Well past where it last went down: the link has become faster.
                self.link = None;
                UP
            }
            Some(link) if self.aim > link.scaled(NEAR_BELOW) => UP_CAREFUL,
            _ => UP,
        };
        let proven = acked.scaled(HEADROOM).max(self.aim);
        self.aim = self.aim.scaled(factor).min(proven).min(self.config.ceiling);
    }

    /// Whether the delay stands for a longer route: it did not fall although clearly less was sent,
    /// and all of it arrived. If so, it is the base from now on.
    fn is_longer_route(&mut self, now: MediaTime, queue: i64, acked: Bitrate, delay: i64) -> bool {
        if queue <= DELAY_HIGH || self.loss() > LOSS_HIGH {
            self.overuse = None;
            return false;
        }
        let overuse = self.overuse.get_or_insert(Overuse { eased: None, acked });
        let Some((since, at_first)) = overuse.eased else {
            if acked < overuse.acked.scaled(0.75) {
                overuse.eased = Some((now, delay));
            }
            return false;
        };
        if delay < at_first - REROUTE_FALL {
            // It drains: a queue after all. Watch on from here.
            overuse.eased = Some((now, delay));
            return false;
        }
        if now.since(since) < REROUTE_AFTER {
            return false;
        }
        self.overuse = None;
        self.base.clear();
        self.base.add(now, delay);
        true
    }

    fn pass_on(&mut self) -> Option<Bitrate> {
        let rose = self.aim.bps() as f64 >= self.target.bps() as f64 * (1.0 + HYSTERESIS);
        let at_ceiling = self.aim == self.config.ceiling && self.target != self.config.ceiling;
        if self.aim < self.target || rose || at_ceiling {
            self.target = self.aim;
            return Some(self.aim);
        }
        None
    }
}

#[cfg(test)]
mod tests;
