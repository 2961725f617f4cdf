//! What hosted games are measured to take of the cores while they run: the books of admission follow it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::{FrameRate, Size};
use session::Shares;

use crate::apps::VideoMode;
use crate::remembered::{Kept, Known};

/// Time between two samples: short against a session, long against what reading the books of the system takes.
const SAMPLE: Duration = Duration::from_secs(1);
/// Samples of a session that say what it took when it is over.
const TELLING: usize = 30;
/// Sessions that are over of which that is remembered, and sizes and rates of pictures.
const SESSIONS: usize = 8;
const MODES: usize = 32;
/// Sizes of a session's pictures of which that is told.
const SIZES: usize = 8;
/// What a game takes in the first of its time is for its start: it reads what it has, and draws nothing twice.
const START: Duration = Duration::from_secs(3);
/// Hundredths of the machine's time below which games may have waited for a core.
const SPARE: u64 = 5;

/// What sessions of one game took, by their pictures: a larger one may cost the game more.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    modes: Mutex<Vec<Mode>>,
    /// Where it outlives the node.
    kept: Option<Kept>,
}

/// What sessions with pictures of one size and rate took.
#[derive(Debug)]
struct Mode {
    size: Size,
    rate: FrameRate,
    /// Of all of them that ran lately.
    shares: Shares,
    /// What was enough for each of the last ones that are over.
    ended: Vec<Duration>,
}

impl Mode {
    /// Time of cores per second that is enough for the next one: somebody who rests in a menu makes nobody cheap who plays.
    fn enough(&self) -> Option<Duration> {
        self.ended.iter().copied().chain(self.shares.usual()).max()
    }

    /// Whether its pictures are at least as large and as many.
    fn covers(&self, video: VideoMode) -> bool {
        self.size.width >= video.size.width
            && self.size.height >= video.size.height
            && self.rate.as_f64() >= video.rate.as_f64()
    }
}

impl Measured {
    /// What was measured of this game before, and is kept for the next start of the node.
    pub(crate) fn kept(kept: Kept) -> Self {
        let known = kept.load().into_iter().map(|Known { size, rate, ended }| Mode {
            size,
            rate,
            shares: Shares::default(),
            ended,
        });
        Self { modes: Mutex::new(known.collect()), kept: Some(kept) }
    }

    /// Time of cores per second that is enough with such pictures, or with larger and more of them; `None` where neither
    /// is known.
    pub(crate) fn usual(&self, video: VideoMode) -> Option<Duration> {
        let modes = self.lock();
        let same = modes.iter().find(|mode| (mode.size, mode.rate) == (video.size, video.rate));
        same.and_then(Mode::enough).or_else(|| {
            modes.iter().filter(|mode| mode.covers(video)).filter_map(Mode::enough).min()
        })
    }

    /// The same where only smaller or fewer ones are known, as much more as these have more pixels a second: nothing grows by
    /// more than they do.
    pub(crate) fn grown(&self, video: VideoMode) -> Option<Duration> {
        let rate = |size: Size, rate: FrameRate| size.pixels() as f64 * rate.as_f64();
        let grown = |mode: &Mode| {
            let more = rate(video.size, video.rate) / rate(mode.size, mode.rate);
            let enough = mode.enough()?.as_secs_f64() * more.max(1.0);
            // What was kept of a damaged size says nothing.
            Duration::try_from_secs_f64(enough).ok()
        };
        self.lock().iter().filter_map(grown).min()
    }

    fn add(&self, video: VideoMode, share: Duration, strained: bool) {
        self.change(video, |mode| {
            if strained { mode.shares.add_strained(share) } else { mode.shares.add(share) }
        });
    }

    /// A session is over, for which this was enough.
    fn ended(&self, video: VideoMode, enough: Duration) {
        self.change(video, |mode| {
            mode.ended.push(enough);
            let old = mode.ended.len().saturating_sub(SESSIONS);
            mode.ended.drain(..old);
        });
        let known: Vec<_> = {
            let modes = self.lock();
            let known = modes.iter().filter(|mode| !mode.ended.is_empty());
            known
                .map(|mode| Known { size: mode.size, rate: mode.rate, ended: mode.ended.clone() })
                .collect()
        };
        if let Some(kept) = &self.kept {
            kept.store(known);
        }
    }

    /// Changes what is known of a mode, which is then the newest; the oldest beyond the most are forgotten.
    fn change(&self, video: VideoMode, change: impl FnOnce(&mut Mode)) {
        let mut modes = self.lock();
        let VideoMode { size, rate, .. } = video;
        let at = modes.iter().position(|mode| (mode.size, mode.rate) == (size, rate));
        let mut mode = match at {
            Some(at) => modes.remove(at),
            None => Mode { size, rate, shares: Shares::default(), ended: Vec::new() },
        };
        change(&mut mode);
        modes.push(mode);
        let old = modes.len().saturating_sub(MODES);
        modes.drain(..old);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mode>> {
        // What is taken out is put back unless something panics, and is then measured anew.
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples one session. Its time is that of its sandbox and of the thread that calls.
#[derive(Debug)]
pub(crate) struct Meter {
    measured: Arc<Measured>,
    /// Its pictures now.
    video: VideoMode,
    /// Of this session alone, by the size of its pictures, the present one last.
    own: Vec<(Size, Shares)>,
    /// When it was looked at first.
    began: Option<Instant>,
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
        let own = vec![(video.size, Shares::default())];
        Self { measured, video, own, began: None, last: None }
    }

    /// Its pictures have this size from now on.
    pub(crate) fn resized(&mut self, size: Size) {
        if size == self.video.size {
            return;
        }
        // What is looked at next would be partly of the one and partly of the other.
        self.pause();
        self.video.size = size;
        let had = self.own.iter().position(|(had, _)| *had == size);
        let own = had.map_or_else(|| (size, Shares::default()), |at| self.own.remove(at));
        self.own.push(own);
        self.own.drain(..self.own.len().saturating_sub(SIZES));
    }

    /// Takes a sample where one is due; `spent` reads what the session has taken so far, if that can be told.
    pub(crate) fn look(&mut self, now: Instant, spent: impl FnOnce() -> Option<Spent>) {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) < START {
            return;
        }
        let passed = self.last.map(|(at, _)| now.saturating_duration_since(at));
        if passed.is_some_and(|passed| passed < SAMPLE) {
            return;
        }
        let Some(spent) = spent() else { return };
        if let Some(((_, before), passed)) = self.last.zip(passed) {
            let used = spent.session.saturating_sub(before.session);
            let strained = spent.machine.is_strained_since(before.machine);
            let share = used.div_f64(passed.as_secs_f64());
            self.measured.add(self.video, share, strained);
            if let Some((_, own)) = self.own.last_mut() {
                if strained { own.add_strained(share) } else { own.add(share) }
            }
        }
        self.last = Some((now, spent));
    }

    /// What passes until the next look says nothing: the game is halted.
    pub(crate) fn pause(&mut self) {
        self.last = None;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        for (size, own) in &self.own {
            if let Some(enough) = own.usual().filter(|_| own.samples() >= TELLING) {
                self.measured.ended(VideoMode { size: *size, ..self.video }, enough);
            }
        }
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
        // All of them while it starts.
        for step in 0..=3 {
            let at = start - START + ms(999) * step;
            meter.look(at, || spent(ms(1_998) * step, step, 99));
        }
        assert_eq!(measured.usual(video), None);
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
        // Fewer and smaller ones take no more; of more, and of larger ones, nothing is known.
        let fewer = VideoMode { rate: FrameRate::fps(15), size: Size::new(32, 64), ..video };
        assert_eq!(measured.usual(fewer), Some(ms(500)));
        let more = VideoMode { rate: FrameRate::fps(60), ..video };
        let wider = VideoMode { size: Size::new(66, 64), ..video };
        assert_eq!((measured.usual(more), measured.usual(wider)), (None, None));
        // Whoever does nothing for long does not make those cheap who play, while some of them are remembered.
        let idle = |measured: &Arc<Measured>| {
            let mut meter = Meter::new(measured.clone(), video);
            for step in 0..=200 {
                meter.look(start + ms(1_000) * step, || spent(ms(10) * step, step, 50));
            }
        };
        drop(meter);
        (1..SESSIONS).for_each(|_| idle(&measured));
        assert_eq!(measured.usual(video), Some(ms(500)));
        idle(&measured);
        assert_eq!(measured.usual(video), Some(ms(10)));
    }

    #[test]
    fn samples_are_of_the_size_that_the_pictures_had() {
        let video = VideoMode { size: Size::new(64, 64), rate: FrameRate::fps(30), dpi: 96 };
        let large = VideoMode { size: Size::new(128, 64), ..video };
        let huge = VideoMode { size: Size::new(256, 64), ..video };
        let (measured, ms) = (Arc::new(Measured::default()), Duration::from_millis);
        let mut meter = Meter::new(measured.clone(), video);
        let (start, mut spent, mut passed) = (Instant::now(), Duration::ZERO, 0);
        let mut look = |meter: &mut Meter, share: u64| {
            (spent, passed) = (spent + ms(share), passed + 1);
            let machine = Machine { idle: 100 * passed, all: 200 * passed };
            meter.look(start + ms(1_000 * passed), || Some(Spent { session: spent, machine }));
        };
        // As a game that makes its pictures larger than they were asked for, and smaller again.
        for _ in 0..3 {
            meter.resized(video.size);
            (0..20).for_each(|_| look(&mut meter, 100));
            meter.resized(large.size);
            (0..20).for_each(|_| look(&mut meter, 700));
        }
        assert_eq!((measured.usual(video), measured.usual(large)), (Some(ms(100)), Some(ms(700))));
        // Of what nobody has seen yet, twice the pixels take twice as much, and not what few take times many.
        assert_eq!((measured.usual(huge), measured.grown(huge)), (None, Some(ms(400))));
        drop(meter);
        let told: Vec<_> = measured.lock().iter().map(|mode| mode.ended.clone()).collect();
        assert_eq!(told, [[ms(100)], [ms(700)]]);
    }

    #[test]
    fn a_short_session_says_nothing_when_it_is_over_and_few_modes_are_remembered() {
        let (measured, ms) = (Arc::new(Measured::default()), Duration::from_millis);
        let start = Instant::now();
        for width in 1..=2 * MODES as u32 {
            let size = Size::new(2 * width, 64);
            let video = VideoMode { size, rate: FrameRate::fps(30), dpi: 96 };
            let mut meter = Meter::new(measured.clone(), video);
            for step in 0..TELLING as u32 {
                let machine = Machine { idle: 100 * u64::from(step), all: 200 * u64::from(step) };
                let spent = Spent { session: ms(100) * step, machine };
                meter.look(start + ms(1_000) * step, || Some(spent));
            }
        }
        let modes = measured.lock();
        assert_eq!((modes.len(), modes[0].size.width), (MODES, 2 * MODES as u32 + 2));
        assert!(modes.iter().all(|mode| mode.ended.is_empty()));
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
