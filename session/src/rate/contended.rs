//! Beside traffic that fills the queue whatever the delay: losses say how much is too much, as they say to TCP.
//!
//! The delay is then not ours to lower: giving way to it would only give the link away.

use std::time::Duration;

use media::{Bitrate, MediaTime};

use super::link::Link;
use crate::window::WindowedMin;

/// Part of the rate that is kept when the queue overflows.
const CUT: f64 = 0.7;
/// Least time between two cuts; the queue is as long as that, and what a cut does shows after it.
const CUT_EVERY: Duration = Duration::from_millis(300);
/// The queue is gone for so long: the other traffic is, too.
const GONE_FOR: Duration = Duration::from_secs(1);
/// A queue that is gone is less than this part of what it was.
const GONE: f64 = 0.33;
/// The least delay of so long is that without a queue: others drain it now and then.
const BASE: Duration = Duration::from_secs(60);
/// The least delay of so long is what the others keep up.
const LOCAL: Duration = Duration::from_secs(1);

/// When the rate has grown by this much...
const GREW: f64 = 1.12;
/// ...and no more arrives than this much more, which is this part of the most that ever arrived, then nobody is left
/// to take it from: the queue is our own.
const GAINED: f64 = 1.03;
const ALL: f64 = 0.9;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Contended {
    /// Of the one-way delay: the least of long, and of what the others keep up.
    base: WindowedMin,
    local: WindowedMin,
    least: i64,
    last_cut: MediaTime,
    /// A shorter queue than this, in microseconds, is none.
    low: i64,
    gone: Option<MediaTime>,
    /// The most that arrived, or was thought to arrive before.
    most: Bitrate,
    /// The rate, and what arrived of it, some growth ago.
    mark: Option<(Bitrate, Bitrate)>,
}

/// What to do beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// Send so much.
    Send(Bitrate),
    /// They are gone. This is the one-way delay without a queue.
    Gone(i64),
}

impl Contended {
    /// A queue of `queue` microseconds above `base` stands, of which `low` would be none in any case; the session had
    /// the rate `before`.
    pub(super) fn new(now: MediaTime, base: i64, queue: i64, low: i64, before: Bitrate) -> Self {
        let mut window = WindowedMin::new(BASE);
        window.add(now, base);
        Self {
            base: window,
            local: WindowedMin::new(LOCAL),
            least: base,
            last_cut: now,
            low: low.min((queue as f64 * GONE) as i64),
            gone: None,
            most: before,
            mark: None,
        }
    }

    /// A report came: `delay` is its least one-way delay, `lost` whether losses say that the queue overflows; of
    /// `rate` so much `arrived`.
    pub(super) fn look(
        &mut self,
        now: MediaTime,
        delay: i64,
        lost: bool,
        (rate, arrived): (Bitrate, Bitrate),
        passed: Duration,
    ) -> Beside {
        let base = self.base.add(now, delay);
        self.least = self.local.add(now, delay);
        self.most = self.most.max(arrived);
        let is_short = delay.saturating_sub(base) < self.low;
        if is_short && now.since(*self.gone.get_or_insert(now)) >= GONE_FOR {
            return Beside::Gone(base);
        }
        if !is_short {
            self.gone = None;
        }
        if lost && now.since(self.last_cut) >= CUT_EVERY {
            self.last_cut = now;
            self.mark = None;
            return Beside::Send(rate.scaled(CUT));
        }
        // What was sent before the cut is still arriving.
        if now.since(self.last_cut) >= CUT_EVERY * 3 {
            let (then, arrived_then) = *self.mark.get_or_insert((rate, arrived));
            if rate >= then.scaled(GREW) {
                if arrived < arrived_then.scaled(GAINED) && arrived > self.most.scaled(ALL) {
                    return Beside::Gone(base);
                }
                self.mark = Some((rate, arrived));
            }
        }
        Beside::Send(Link::grown_beside(rate, passed))
    }

    /// The one-way delay that the others keep up.
    pub(super) fn others(&self) -> i64 {
        self.least
    }
}
