//! What a path takes: from reports to a rate.

use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};

use super::backlog::{Backlog, Stretch};
use super::contended::{Beside, Contended};
use super::delivery::{Came, Delivery};
use super::foreign::{Foreign, Suspicion};
use super::link::Link;
use super::loss::Loss;
use super::{PathState, RateConfig};
use crate::window::WindowedMin;

/// Queueing delay of all packets of a report above which the rate goes down, in microseconds.
const DELAY_HIGH: i64 = 30_000;
/// The newest packet waited so long: it goes down without waiting for the others.
const DELAY_SEVERE: i64 = 70_000;
/// A client without time to receive makes delays too: up to so many times as much.
const BUSY_CLIENT: i64 = 3;
/// The queue that the rate is held at, in microseconds, beside that which a frame makes by itself: it is sent in a
/// quarter of its interval, so that three quarters of it wait where it takes all of the link.
const DELAY_AIM: f64 = 2_000.0;
const OWN_FRAME: f64 = 0.75;
/// Beyond it the rate falls by the more, the more of this, in microseconds, there is...
const DELAY_BAND: f64 = 12_000.0;
/// ...and by at most this part in a second.
const GIVE_WAY: f64 = 0.8;
/// Less than this is no queue, in microseconds.
const NO_QUEUE: i64 = 4_000;
/// The queue that is felt is averaged over so many seconds.
const FELT_IN: f64 = 0.15;
/// Part of what the link carries that is sent after it was full.
const DOWN: f64 = 0.95;
/// Part of the rate that is kept when somebody else fills the queue of a source that sends little.
const DOWN_IDLE: f64 = 0.9;
/// Time between two steps down of a source that sends little.
const DOWN_EVERY: Duration = Duration::from_millis(200);
/// A queue of so long, in microseconds, would be drained by sending nothing...
const DRAIN: f64 = 200_000.0;
/// ...but so much is sent in any case.
const LEAST_DRAINING: f64 = 0.4;
/// Rate at most this many times what arrives.
const HEADROOM: f64 = 1.5;
/// A report's time counts as at most this long.
const LONGEST_STEP: Duration = Duration::from_millis(100);
/// How far back the least delay counts.
const BASE_WINDOW: Duration = Duration::from_secs(10);
/// What arrives is averaged over this long: several frames, well below a second.
const RATE_WINDOW: Duration = Duration::from_millis(250);
/// While the queue grows fast, what arrived before it began says nothing.
const SEVERE_WINDOW: Duration = Duration::from_millis(50);
/// After the link stood still, its queue is no sign for so long...
const CALM: Duration = Duration::from_millis(300);
/// ...unless, over so long, clearly less arrives than is sent.
const CALM_WINDOW: Duration = Duration::from_millis(80);
const CALM_PART: f64 = 0.8;
/// A path that answers within so many seconds sees each step before the next.
const PROMPT: f64 = 0.2;
/// A source that sends less than this part of its rate has no more to show.
const LITTLE: f64 = 0.5;
/// A source that sends less than this part of the rate could send more: pictures differ by less.
const LESS: f64 = 0.75;
/// Beside traffic that fills the queue it begins with this part of what it had.
const CONTENDED: f64 = 0.6;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Path {
    config: RateConfig,
    /// What the path is thought to take.
    aim: Bitrate,
    base: WindowedMin,
    /// Least one-way delay of the last report, and how much of it is queue; that of its newest packet; and the
    /// average of the latter, which also holds the queue of the session's own frames, so that of two sessions the
    /// larger one feels more. All in microseconds.
    delay: i64,
    standing: i64,
    newest: i64,
    felt: f64,
    delivery: Delivery,
    loss: Loss,
    backlog: Backlog,
    link: Link,
    suspicion: Suspicion,
    contended: Option<Contended>,
    calm_until: MediaTime,
    draining: bool,
    last_report: MediaTime,
    last_idle_down: Option<MediaTime>,
    client_is_busy: bool,
    state: PathState,
}

impl Path {
    pub(super) fn new(now: MediaTime, config: RateConfig) -> Self {
        Self {
            config,
            aim: config.start.clamp(config.floor, config.ceiling),
            base: WindowedMin::new(BASE_WINDOW),
            delay: 0,
            standing: 0,
            newest: 0,
            felt: 0.0,
            delivery: Delivery::new(),
            loss: Loss::new(now),
            backlog: Backlog::new(),
            link: Link::default(),
            suspicion: Suspicion::default(),
            contended: None,
            calm_until: now,
            draining: false,
            last_report: now,
            last_idle_down: None,
            client_is_busy: false,
            state: PathState::Clear,
        }
    }

    pub(super) fn on_sent(&mut self, at: MediaTime, bytes: u64) {
        self.backlog.on_sent(at, bytes);
    }

    /// The client has no time to receive: delays are not the path's alone.
    pub(super) fn set_client_busy(&mut self, busy: bool) {
        self.client_is_busy = busy;
    }

    /// Takes a report; what was sent between it and the one before.
    pub(super) fn on_report(&mut self, report: &PathReport) -> Stretch {
        let now = self.last_report.max(report.at);
        let passed = now.since(self.last_report).min(LONGEST_STEP);
        self.last_report = now;
        let came = self.delivery.add(report);
        let stretch = self.backlog.on_report(now, report);
        if came == Came::AfterStall {
            self.calm_until = now + CALM;
            self.loss.forget();
        } else {
            self.loss.add(now, report);
        }
        self.feel(now, report, passed);
        let lost = self.loss.is_congestion(now);
        if self.contended.is_some() {
            self.contend(now, lost, passed);
        } else {
            self.follow(now, lost, passed);
        }
        if lost {
            self.loss.forget();
        }
        stretch
    }

    fn feel(&mut self, now: MediaTime, report: &PathReport, passed: Duration) {
        self.delay = report.one_way_delay_micros;
        let base = self.base.add(now, self.delay);
        self.standing = self.delay.saturating_sub(base);
        self.newest = report.newest_delay_micros.saturating_sub(base).max(self.standing);
        let part = 1.0 - (-passed.as_secs_f64() / FELT_IN).exp();
        self.felt += (self.newest as f64 - self.felt) * part;
        if self.draining && self.standing < NO_QUEUE {
            self.draining = false;
            self.felt = self.newest as f64;
        }
    }

    fn follow(&mut self, now: MediaTime, lost: bool, passed: Duration) {
        let tolerated = if self.client_is_busy { BUSY_CLIENT } else { 1 };
        let overused =
            self.standing > DELAY_HIGH * tolerated || self.newest > DELAY_SEVERE * tolerated;
        let beyond = self.felt - self.aimed_queue();
        let clear = !overused && beyond < 0.0;
        if clear || self.standing < NO_QUEUE {
            self.suspicion.clear();
        } else if self.is_foreign(now) {
            // What was found out of the delay shows in the next report.
            return;
        }
        if overused || lost {
            self.state = PathState::Overused;
            self.go_down(now);
        } else if clear {
            self.state = PathState::Clear;
            self.loss.learn(now);
            self.go_up(now, passed);
        } else {
            self.state = PathState::Filling;
            // What is being drained has been answered.
            if !self.client_is_busy && !self.draining {
                self.give_way(now, beyond, passed);
            }
        }
    }

    fn contend(&mut self, now: MediaTime, lost: bool, passed: Duration) {
        let Some(contended) = &mut self.contended else { return };
        self.state = PathState::Contended;
        let sent = (self.aim, self.delivery.rate(RATE_WINDOW));
        match contended.look(now, self.delay, lost, sent, passed) {
            Beside::Send(rate) => self.set_aim(rate),
            Beside::Gone(base) => {
                self.contended = None;
                self.base.clear();
                self.base.add(now, base);
            }
        }
    }

    /// Whether the queue that stands is not ours.
    fn is_foreign(&mut self, now: MediaTime) -> bool {
        match self.suspicion.look(now, self.standing, self.aim, self.acked_rate()) {
            None => return false,
            Some(Foreign::Route) => {
                self.base.clear();
                self.base.add(now, self.delay);
                self.felt = 0.0;
            }
            Some(Foreign::Traffic(before)) => {
                let base = self.base_delay();
                let queue = self.standing;
                self.contended = Some(Contended::new(now, base, queue, DELAY_HIGH, before));
                // What was given way since was given in vain.
                self.set_aim(self.aim.max(before.scaled(CONTENDED)));
            }
        }
        self.draining = false;
        true
    }

    fn go_down(&mut self, now: MediaTime) {
        let severe = self.newest > DELAY_SEVERE;
        let arrived = self.delivery.rate(if severe { SEVERE_WINDOW } else { RATE_WINDOW });
        let is_calm = self.delivery.length() < CALM_WINDOW || arrived >= self.aim.scaled(CALM_PART);
        if now < self.calm_until && is_calm {
            return;
        }
        // A source that sends far below its rate does not fill the queue by itself. Someone else may; its rate falls
        // too, but from where it is. With a severe queue nothing is presumed.
        if self.sends_little(now) && !severe && !self.draining {
            if self.last_idle_down.is_none_or(|last| now.since(last) >= DOWN_EVERY) {
                self.last_idle_down = Some(now);
                self.set_aim(self.aim.scaled(DOWN_IDLE));
            }
            return;
        }
        self.link.filled(now, arrived);
        self.set_aim(self.aim.min(arrived.scaled(DOWN)));
        self.draining = true;
    }

    /// A queue has begun to stand: of two sessions the larger one gives way more.
    fn give_way(&mut self, now: MediaTime, beyond: f64, passed: Duration) {
        self.link.filled(now, self.acked_rate());
        let part = GIVE_WAY * (beyond / DELAY_BAND).min(1.0);
        self.set_aim(self.aim.scaled(1.0 - part * passed.as_secs_f64()));
    }

    fn go_up(&mut self, now: MediaTime, passed: Duration) {
        let arrived = self.acked_rate();
        self.link.carries(now, arrived);
        let room = 1.0 - (self.felt.max(0.0) / self.aimed_queue()).powi(2);
        // Growth shows after a round trip: on a long path it must be slower.
        let answered = self.backlog.answered_in().as_secs_f64();
        let passed = passed.mul_f64(room * (PROMPT / answered.max(PROMPT)));
        let proven = arrived.scaled(HEADROOM).max(self.aim);
        self.set_aim(self.link.grown(self.aim, passed).min(proven));
    }

    /// A probe found that the path takes `rate`; `filled` when it takes no more.
    pub(super) fn probed(&mut self, now: MediaTime, rate: Bitrate, filled: bool) {
        if filled {
            self.link.filled(now, rate);
        }
        self.set_aim(self.aim.max(rate));
    }

    /// It never aims above this from now on.
    pub(super) fn set_ceiling(&mut self, ceiling: Bitrate) {
        self.config.ceiling = ceiling;
        self.set_aim(self.aim);
    }

    fn set_aim(&mut self, aim: Bitrate) {
        self.aim = aim.clamp(self.config.floor, self.config.ceiling);
    }

    fn aimed_queue(&self) -> f64 {
        DELAY_AIM + self.config.frame.as_micros() as f64 * OWN_FRAME
    }

    /// The one-way delay without a queue.
    fn base_delay(&self) -> i64 {
        self.delay.saturating_sub(self.standing)
    }

    /// How long a frame that is sent now would wait at the bottleneck for what was sent before it.
    pub(super) fn wait(&self, now: MediaTime) -> Duration {
        let gap = self.delivery.usual_gap();
        let carried = match self.link.carried() {
            Some(link) => link.max(self.aim),
            // How fast it is is not known: a large frame may be through at once.
            None if self.newest < NO_QUEUE && !self.backlog.is_overdue(now, gap) => {
                return Duration::ZERO;
            }
            None => self.aim,
        };
        let wait = self.backlog.wait(now, self.queue(), carried, gap);
        // What others keep up, skipping frames would not drain.
        let others = self
            .contended
            .as_ref()
            .map_or(0, |contended| contended.others().saturating_sub(self.base_delay()));
        wait.saturating_sub(micros(others))
    }

    /// What the path is thought to take.
    pub(super) fn aim(&self) -> Bitrate {
        self.aim
    }

    /// What to send for now: less than [`aim`](Self::aim) while a queue is drained.
    pub(super) fn target(&self) -> Bitrate {
        let beyond = self.standing.saturating_sub(NO_QUEUE) as f64;
        let kept = match self.contended {
            Some(_) => 1.0,
            None => (1.0 - beyond / DRAIN).clamp(LEAST_DRAINING, 1.0),
        };
        self.aim.scaled(kept).max(self.config.floor)
    }

    pub(super) fn state(&self) -> PathState {
        self.state
    }

    /// How long the newest packet that is known of waited at the bottleneck.
    pub(super) fn queue(&self) -> Duration {
        micros(self.newest)
    }

    /// What arrives, over the last quarter of a second.
    pub(super) fn acked_rate(&self) -> Bitrate {
        self.delivery.rate(RATE_WINDOW)
    }

    /// Whether packets are lost lately.
    pub(super) fn loses(&self, now: MediaTime) -> bool {
        self.loss.is_any(now)
    }

    /// Whether the source sends much less than it may.
    pub(super) fn sends_little(&self, now: MediaTime) -> bool {
        self.backlog.sent_rate(now) < self.aim.scaled(LITTLE)
    }

    /// Whether the source leaves some of what it may send.
    pub(super) fn sends_less(&self, now: MediaTime) -> bool {
        self.backlog.sent_rate(now) < self.aim.scaled(LESS)
    }

    /// From sending to the report, at the least of late.
    pub(super) fn answered_in(&self) -> Duration {
        self.backlog.answered_in()
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(micros.max(0).unsigned_abs())
}
