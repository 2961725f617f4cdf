//! What hosted games are measured to take of the cores while they run: the books of admission follow it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::{FrameRate, Size};
use session::Shares;

use crate::apps::VideoMode;

/// Time between two samples: short against a session, long against what reading the books of the system takes.
const SAMPLE: Duration = Duration::from_secs(1);
/// Hundredths of the machine's time below which games may have waited for a core.
const SPARE: u64 = 5;

/// What sessions of one game took, by their pictures: a larger one may cost the game more. As long as the node runs.
#[derive(Debug, Default)]
pub(crate) struct Measured(Mutex<HashMap<(Size, FrameRate), Shares>>);

impl Measured {
    /// Time of cores per second that is usually enough; `None` before that is known.
    pub(crate) fn usual(&self, video: VideoMode) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(video.size, video.rate))?.usual()
    }

    fn add(&self, video: VideoMode, share: Duration, strained: bool) {
        // A sample is added whole or not at all.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shares = known.entry((video.size, video.rate)).or_default();
        if strained { shares.add_strained(share) } else { shares.add(share) }
    }
}

/// Samples one session. Its time is that of its sandbox and of the thread that calls.
#[derive(Debug)]
pub(crate) struct Meter {
    measured: Arc<Measured>,
    video: VideoMode,
    last: Option<(Instant, Spent)>,
}

/// What was spent up to a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// Processor time of the session.
    pub(crate) session: Duration,
    /// Of the machine.
    pub(crate) machine: Machine,
}

/// Time of all cores of the machine since it started, in the system's ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    idle: u64,
    all: u64,
}

impl Machine {
    /// Now; `None` where the system does not say.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line of `/proc/stat` (proc(5)): user, nice, system, idle, waiting for input or output, interrupts, stolen.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|text| text.parse().ok()).collect();
        // Guests' time is in the first two as well.
        Some(Self { idle: ticks.get(3..5)?.iter().sum(), all: ticks.iter().take(8).sum() })
    }

    /// Whether less was to spare since `before` than would show that nobody waited.
    fn is_strained_since(self, before: Self) -> bool {
        let (idle, all) =
            (self.idle - before.idle.min(self.idle), self.all - before.all.min(self.all));
        idle * 100 < all * SPARE
    }
}

impl Meter {
    pub(crate) fn new(measured: Arc<Measured>, video: VideoMode) -> Self {
        Self { measured, video, last: None }
    }

    /// Takes a sample where one is due; `spent` reads what the session has taken so far, if that can be told.
    pub(crate) fn look(&mut self, now: Instant, spent: impl FnOnce() -> Option<Spent>) {
        let passed = self.last.map(|(at, _)| now.saturating_duration_since(at));
        if passed.is_some_and(|passed| passed < SAMPLE) {
            return;
        }
        let Some(spent) = spent() else { return };
        if let Some(((_, before), passed)) = self.last.zip(passed) {
            let used = spent.session.saturating_sub(before.session);
            let strained = spent.machine.is_strained_since(before.machine);
            self.measured.add(self.video, used.div_f64(passed.as_secs_f64()), strained);
        }
        self.last = Some((now, spent));
    }

    /// What passes until the next look says nothing: the game is halted.
    pub(crate) fn pause(&mut self) {
        self.last = None;
    }
}

/// Processor time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_shares_of_the_time_that_passed_while_the_game_ran() {
        let video = VideoMode { size: Size::new(64, 64), rate: FrameRate::fps(30), dpi: 96 };
        let (measured, ms) = (Arc::new(Measured::default()), Duration::from_millis);
        let mut meter = Meter::new(measured.clone(), video);
        let start = Instant::now();
        // Of a machine of two cores that is busy for `busy` ticks in 100.
        let spent = |session: Duration, step: u32, busy: u64| {
            let all = 200 * u64::from(step);
            let machine = Machine { idle: all * (100 - busy) / 100, all };
            Some(Spent { session, machine })
        };
        // Half a core, looked at too often.
        for step in 0..=20 {
            meter.look(start + ms(500) * step, || spent(ms(250) * step, step, 50));
        }
        assert_eq!(measured.usual(video), Some(ms(500)));
        // A tenth, because nobody gets more.
        meter.pause();
        for step in 0..=200 {
            let at = start + ms(20_000) + ms(1_000) * step;
            meter.look(at, || spent(ms(100) * step, step, 100));
        }
        assert_eq!(measured.usual(video), Some(ms(500)));
        // Halted for a minute, and then as busy as before.
        meter.pause();
        for step in 0..=20 {
            let at = start + ms(300_000) + ms(1_000) * step;
            meter.look(at, || spent(ms(5_000) + ms(500) * step, step, 50));
        }
        assert_eq!(measured.usual(video), Some(ms(500)));
        meter.look(start + ms(400_000), || None);
        let other = VideoMode { rate: FrameRate::fps(60), ..video };
        assert_eq!(measured.usual(other), None);
    }

    #[test]
    fn the_machine_says_what_it_has_to_spare() {
        let parsed = Machine::parse("cpu  10 20 30 400 50 6 7 8 9 1\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!((parsed.idle, parsed.all), (450, 531));
        assert!(Machine::parse("intr 1 2 3 4 5\n").is_none() && Machine::parse("").is_none());
        let later = Machine { idle: 454, all: 631 };
        assert!(later.is_strained_since(parsed));
        assert!(!Machine { idle: 455, all: 631 }.is_strained_since(parsed));
        assert!(Machine::now().is_some_and(|now| now.all > 0));
    }

    #[test]
    fn a_thread_that_works_has_used_time() {
        let before = thread_time();
        let end = Instant::now() + Duration::from_secs(60);
        while thread_time() == before {
            assert!(Instant::now() < end);
        }
    }
}
