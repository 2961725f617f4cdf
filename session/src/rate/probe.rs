//! Finding out what a path takes while the application sends less: padding for a moment, and a look at the queue.
//!
//! Sent at `r` for a time `t` into a link that carries `c`, packets leave a queue of `t (r / c - 1)`: the delay of the
//! newest packet tells `c`, whatever else was sent, and long before the queue is long.

use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};

/// How long padding is sent.
const LENGTH: Duration = Duration::from_millis(70);
/// A rate is tried that is so many times that of now.
const STEP: f64 = 2.0;
/// The source has sent little for so long.
const LITTLE_FOR: Duration = Duration::from_secs(1);
/// From one that found room to the next.
const NEXT: Duration = Duration::from_millis(300);
/// From one that found none; twice as long after each further one.
const BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
/// What was sent so soon after the beginning tells nothing yet, and so long after the end nothing any more. Feedback
/// every 62 ms falls between them.
const EARLIEST: Duration = Duration::from_millis(15);
const LATEST: Duration = Duration::from_millis(77);
/// To the next, where no feedback did...
const AGAIN: Duration = Duration::from_secs(1);
/// ...and so much later among its feedback, which may come at the beat of the probes, every 250 ms at the most.
const SHIFT: Duration = Duration::from_millis(60);
const SHIFTS: u32 = 5;
/// What comes later than this after the end does not come.
const PATIENCE: Duration = Duration::from_millis(300);
/// Part of the padding that must have arrived: else the transport had none to send, or the path lost it.
const ARRIVED: f64 = 0.6;
/// A rate of which this part is carried has room.
const HAS_ROOM: f64 = 0.9;

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What the path carries.
    pub(super) rate: Bitrate,
    /// It carries no more.
    pub(super) filled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    rate: Bitrate,
    began: MediaTime,
    gives_up: MediaTime,
    acked: u64,
    /// The least that a delay told.
    carried: f64,
    /// Queue before it began, in microseconds.
    queue: i64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    running: Option<Running>,
    /// Since when the source sends little.
    little: Option<MediaTime>,
    next: MediaTime,
    back_off: Duration,
    shifts: u32,
}

impl Prober {
    pub(super) fn new(now: MediaTime) -> Self {
        Self { running: None, little: None, next: now, back_off: BACK_OFF, shifts: 0 }
    }

    /// A rate to send at for some time, where one is to be tried: `little` says that the source sends little over a
    /// path that is thought to take `aim` and may take up to `most`, with `queue` waiting.
    pub(super) fn poll(
        &mut self,
        now: MediaTime,
        little: bool,
        aim: Bitrate,
        most: Bitrate,
        queue: Duration,
        answered_in: Duration,
    ) -> Option<(Bitrate, Duration)> {
        if self.running.is_some_and(|running| now > running.gives_up) {
            self.running = None;
            self.fail(now);
        }
        if !little || aim >= most {
            self.little = None;
            return None;
        }
        let since = *self.little.get_or_insert(now);
        if self.running.is_some() || now < self.next || now.since(since) < LITTLE_FOR {
            return None;
        }
        let rate = aim.scaled(STEP).min(most);
        self.running = Some(Running {
            rate,
            began: now,
            gives_up: now + LENGTH + answered_in + PATIENCE,
            acked: 0,
            carried: f64::INFINITY,
            queue: i64::try_from(queue.as_micros()).unwrap_or(i64::MAX),
        });
        Some((rate, LENGTH))
    }

    /// When [`poll`](Self::poll) may have something although nothing was heard.
    pub(super) fn poll_timeout(&self) -> Option<MediaTime> {
        match (self.running, self.little) {
            (Some(running), _) => Some(running.gives_up + Duration::from_millis(1)),
            (None, Some(since)) => Some(self.next.max(since + LITTLE_FOR)),
            (None, None) => None,
        }
    }

    /// Whether padding is being sent.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// A report came, of which the newest packet waited `queue`.
    pub(super) fn on_report(
        &mut self,
        now: MediaTime,
        report: &PathReport,
        queue: Duration,
    ) -> Option<Found> {
        let running = self.running.as_mut()?;
        if report.newest_sent <= running.began {
            return None;
        }
        running.acked = running.acked.saturating_add(report.acked_bytes);
        let sent_for = report.newest_sent.since(running.began);
        if (EARLIEST..=LATEST).contains(&sent_for) {
            let queue = i64::try_from(queue.as_micros()).unwrap_or(i64::MAX);
            let grew = queue.saturating_sub(running.queue).max(0) as f64 / 1e6;
            let within = sent_for.min(LENGTH).as_secs_f64();
            running.carried = running.carried.min(within / (within + grew));
        }
        if sent_for + Duration::from_millis(10) < LENGTH {
            return None;
        }
        let Running { rate, acked, carried, .. } = *running;
        self.running = None;
        if !carried.is_finite() {
            self.shifts = (self.shifts + 1) % SHIFTS;
            self.next = now + AGAIN + SHIFT * self.shifts;
            return None;
        }
        if acked < rate.scaled(ARRIVED).bytes_in(LENGTH) {
            self.fail(now);
            return None;
        }
        let filled = carried < HAS_ROOM;
        if filled {
            self.fail(now);
        } else {
            self.next = now + NEXT + SHIFT * self.shifts;
            self.back_off = BACK_OFF;
        }
        Some(Found { rate: if filled { rate.scaled(carried) } else { rate }, filled })
    }

    fn fail(&mut self, now: MediaTime) {
        self.next = now + self.back_off;
        self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
    }
}
