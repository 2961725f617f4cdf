//! Apps that are started ahead of their players: how many, when, and what becomes of those that fail.
//!
//! ```text
//!            next, begin              ready                 taken
//!  Lacking ──────────────▶ Starting ─────────▶ one more ─────────────▶ Lacking, at once
//!     ▲ ▲                    │    │             is ready ── died ──────▶ Lacking, after a pause that doubles
//!     │ └── failed: a pause ─┘    │                      └─ given up ─▶ Lacking, when there is room again
//!     └──── given up ─────────────┘
//! ```
//! One is started at a time: it takes cores from those who play.

use std::time::Duration;

use media::MediaTime;

/// The pause after the first failure; each one after it in a row doubles it, up to the longest.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);
/// One that stood ready for so long and died then says nothing of the next one.
const LASTED: Duration = Duration::from_secs(600);
/// When it is looked for room again, if nobody says before that there is some.
const ROOM: Duration = Duration::from_secs(5);

/// How many of each app are ready, and which is started next. Apps are numbered from 0.
#[derive(Debug)]
pub struct Ahead {
    apps: Vec<App>,
    /// Of all apps, those that start included.
    most: usize,
}

#[derive(Debug)]
struct App {
    wanted: usize,
    ready: usize,
    next: Next,
    /// In a row.
    failures: u32,
}

/// When the next one may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Now,
    /// One failed.
    After(MediaTime),
    /// There was no room.
    WithRoom(MediaTime),
    /// One is starting.
    Starting,
}

impl Ahead {
    /// None is ready of any; `wanted` is how many of each shall be, and `most` of all together.
    pub fn new(wanted: impl IntoIterator<Item = usize>, most: usize) -> Self {
        let app = |wanted| App { wanted, ready: 0, next: Next::Now, failures: 0 };
        Self { apps: wanted.into_iter().map(app).collect(), most }
    }

    /// The app of which one is to be started now: that which lacks most of what it shall have.
    pub fn next(&self, now: MediaTime) -> Option<usize> {
        if self.is_busy() || self.ready() >= self.most {
            return None;
        }
        let may = |app: &&(usize, &App)| app.1.lacks() && app.1.due().is_some_and(|due| due <= now);
        let apps = self.apps.iter().enumerate();
        // Of those that are alike the first.
        apps.filter(|app| may(&app))
            .min_by_key(|(_, app)| app.ready * 1_000 / app.wanted)
            .map(|it| it.0)
    }

    /// When there may be a next one, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<MediaTime> {
        if self.is_busy() || self.ready() >= self.most {
            return None;
        }
        self.apps.iter().filter(|app| app.lacks()).filter_map(App::due).min()
    }

    /// One of this app is starting, and no other is.
    pub fn begin(&mut self, app: usize) {
        self.change(app, |app| app.next = Next::Starting);
    }

    /// The one that was starting is ready.
    pub fn ready_now(&mut self, app: usize) {
        self.change(app, |app| {
            if app.next == Next::Starting {
                app.ready += 1;
                app.next = Next::Now;
            }
        });
    }

    /// The one that was starting failed.
    pub fn failed(&mut self, now: MediaTime, app: usize) {
        self.change(app, |app| app.pause(now));
    }

    /// There is no room for another one, or the one that was starting had to make room.
    pub fn no_room(&mut self, now: MediaTime, app: usize) {
        self.change(app, |app| app.next = Next::WithRoom(now + ROOM));
    }

    /// There may be room: somebody left.
    pub fn room(&mut self) {
        for app in &mut self.apps {
            if matches!(app.next, Next::WithRoom(_)) {
                app.next = Next::Now;
            }
        }
    }

    /// One that was ready is somebody's: it was good.
    pub fn taken(&mut self, app: usize) {
        self.change(app, |app| (app.ready, app.failures) = (app.ready.saturating_sub(1), 0));
    }

    /// One that was taken is not wanted after all.
    pub fn put_back(&mut self, app: usize) {
        self.change(app, |app| app.ready += 1);
    }

    /// One that was ready for so long died.
    pub fn died(&mut self, now: MediaTime, app: usize, lasted: Duration) {
        self.change(app, |app| {
            app.ready = app.ready.saturating_sub(1);
            if lasted >= LASTED {
                app.failures = 0;
            }
            // Another one may be starting by now.
            if app.next != Next::Starting {
                app.pause(now);
            }
        });
    }

    /// One that was ready had to make room.
    pub fn given_up(&mut self, now: MediaTime, app: usize) {
        self.change(app, |app| {
            app.ready = app.ready.saturating_sub(1);
            if app.next == Next::Now {
                app.next = Next::WithRoom(now + ROOM);
            }
        });
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.apps.iter().map(|app| app.ready).sum()
    }

    fn is_busy(&self) -> bool {
        self.apps.iter().any(|app| app.next == Next::Starting)
    }

    fn change(&mut self, app: usize, change: impl FnOnce(&mut App)) {
        debug_assert!(app < self.apps.len(), "no such app");
        if let Some(app) = self.apps.get_mut(app) {
            change(app);
        }
    }
}

impl App {
    fn lacks(&self) -> bool {
        self.ready < self.wanted
    }

    fn due(&self) -> Option<MediaTime> {
        match self.next {
            Next::Now => Some(MediaTime::ZERO),
            Next::After(at) | Next::WithRoom(at) => Some(at),
            Next::Starting => None,
        }
    }

    fn pause(&mut self, now: MediaTime) {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.next = Next::After(now + pause);
    }
}

/// Whether what was started ahead may be halted: it has drawn, and then ran for a while.
#[derive(Clone, Copy, Debug)]
pub struct Settling {
    /// When it has taken too long to draw anything.
    limit: MediaTime,
    /// What it runs for after that.
    settle: Duration,
    drew: Option<MediaTime>,
}

impl Settling {
    /// It was launched now, and shall have drawn within a time.
    pub fn new(now: MediaTime, within: Duration, settle: Duration) -> Self {
        Self { limit: now + within, settle, drew: None }
    }

    /// It has drawn; only the first time counts.
    pub fn drew(&mut self, now: MediaTime) {
        self.drew.get_or_insert(now);
    }

    /// Whether it has drawn.
    pub fn has_drawn(&self) -> bool {
        self.drew.is_some()
    }

    /// Whether it has settled.
    ///
    /// # Errors
    /// It has drawn nothing in time.
    pub fn look(&self, now: MediaTime) -> Result<bool, TooLate> {
        match self.drew {
            Some(drew) => Ok(now >= drew + self.settle),
            None if now >= self.limit => Err(TooLate),
            None => Ok(false),
        }
    }
}

/// It has drawn nothing in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLate;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: fn(u64) -> MediaTime = |seconds| MediaTime::from_millis(seconds * 1_000);

    /// Starts the one that is next.
    fn start(ahead: &mut Ahead, now: MediaTime) -> Option<usize> {
        let app = ahead.next(now)?;
        ahead.begin(app);
        Some(app)
    }

    #[test]
    fn each_app_has_what_it_shall_have_one_after_the_other() {
        let mut ahead = Ahead::new([1, 0, 2], 3);
        let mut order = Vec::new();
        while let Some(app) = start(&mut ahead, S(0)) {
            assert_eq!((ahead.next(S(9)), ahead.poll_timeout()), (None, None), "one at a time");
            ahead.ready_now(app);
            order.push(app);
        }
        assert_eq!((order, ahead.ready(), ahead.poll_timeout()), (vec![0, 2, 2], 3, None));
        // Whoever takes one makes room for the next.
        ahead.taken(2);
        assert_eq!(start(&mut ahead, S(1)), Some(2));
    }

    #[test]
    fn no_more_than_the_node_keeps() {
        let mut ahead = Ahead::new([2, 2], 3);
        while let Some(app) = start(&mut ahead, S(0)) {
            ahead.ready_now(app);
        }
        assert_eq!(ahead.ready(), 3);
        assert_eq!(Ahead::new([2, 2], 0).next(S(0)), None);
    }

    #[test]
    fn one_that_fails_again_and_again_is_tried_ever_more_seldom() {
        let mut ahead = Ahead::new([1], 1);
        let mut now = S(0);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(start(&mut ahead, now), Some(0));
            ahead.failed(now, 0);
            assert_eq!(ahead.next(now), None);
            let due = ahead.poll_timeout().unwrap();
            pauses.push(due.since(now).as_secs());
            now = due;
        }
        assert_eq!(pauses[..4], [2, 4, 8, 16]);
        assert_eq!(pauses[11], 300);
        // One that dies as soon as it is ready is no better.
        assert_eq!(start(&mut ahead, now), Some(0));
        ahead.ready_now(0);
        ahead.died(now, 0, Duration::from_secs(1));
        assert_eq!(ahead.poll_timeout().unwrap().since(now), LONGEST);
        // But one that somebody plays is, and one that lasted.
        now = ahead.poll_timeout().unwrap();
        for last in [true, false] {
            assert_eq!(start(&mut ahead, now), Some(0));
            ahead.ready_now(0);
            if last {
                ahead.died(now, 0, LASTED);
                assert_eq!(ahead.poll_timeout().unwrap().since(now), PAUSE);
                now = ahead.poll_timeout().unwrap();
            } else {
                ahead.taken(0);
                assert_eq!(ahead.next(now), Some(0));
            }
        }
    }

    #[test]
    fn what_had_to_make_room_comes_back_with_it() {
        let mut ahead = Ahead::new([1, 1], 2);
        assert_eq!(start(&mut ahead, S(0)), Some(0));
        ahead.ready_now(0);
        assert_eq!(start(&mut ahead, S(0)), Some(1));
        // A player needs all there is.
        ahead.no_room(S(0), 1);
        ahead.given_up(S(0), 0);
        assert_eq!((ahead.ready(), ahead.next(S(4))), (0, None));
        assert_eq!(ahead.next(S(5)), Some(0), "nobody said that there is room");
        ahead.room();
        assert_eq!(ahead.next(S(1)), Some(0));
        // A failure is none of room.
        ahead.begin(0);
        ahead.failed(S(1), 0);
        ahead.room();
        assert_eq!(ahead.next(S(1)), Some(1));
    }

    #[test]
    fn it_settles_after_it_has_drawn() {
        let (within, settle) = (Duration::from_secs(30), Duration::from_secs(3));
        let mut settling = Settling::new(S(10), within, settle);
        assert_eq!(settling.look(S(39)), Ok(false));
        assert_eq!(settling.look(S(40)), Err(TooLate));
        settling.drew(S(20));
        settling.drew(S(22));
        assert_eq!((settling.look(S(22)), settling.look(S(23))), (Ok(false), Ok(true)));
        assert_eq!(settling.look(S(99)), Ok(true));
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_happens(
            wanted in proptest::collection::vec(0_usize..3, 1..4),
            most in 0_usize..5,
            steps in proptest::collection::vec((0_u8..8, 0_usize..4, 0_u64..400), 0..200),
        ) {
            let mut ahead = Ahead::new(wanted.clone(), most);
            let (mut ready, mut starting) = (vec![0_usize; wanted.len()], None::<usize>);
            let mut now = S(0);
            for (what, which, later) in steps {
                now = now + Duration::from_secs(later);
                let of_ready = ready.get(which).is_some_and(|ready| *ready > 0).then_some(which);
                match (what, starting, of_ready) {
                    (0 | 1, ..) => {
                        if let Some(app) = ahead.next(now) {
                            prop_assert!(starting.is_none() && ready[app] < wanted[app]);
                            ahead.begin(app);
                            starting = Some(app);
                        }
                    }
                    (2, Some(app), _) => {
                        ahead.ready_now(app);
                        ready[app] += 1;
                        starting = None;
                    }
                    (3, Some(app), _) => {
                        ahead.failed(now, app);
                        starting = None;
                    }
                    (4, Some(app), _) => {
                        ahead.no_room(now, app);
                        starting = None;
                    }
                    (5, _, Some(app)) => {
                        ahead.taken(app);
                        ready[app] -= 1;
                    }
                    (6, _, Some(app)) => {
                        ahead.died(now, app, Duration::ZERO);
                        ready[app] -= 1;
                    }
                    (7, _, Some(app)) => {
                        ahead.given_up(now, app);
                        ready[app] -= 1;
                    }
                    _ => ahead.room(),
                }
                let sum: usize = ready.iter().sum();
                prop_assert_eq!(ahead.ready(), sum);
                prop_assert!(sum + usize::from(starting.is_some()) <= most);
                // Nothing is forgotten: while one lacks, the time when it is next is known.
                let lacks = ready.iter().zip(&wanted).any(|(ready, wanted)| ready < wanted);
                let idle = starting.is_none() && sum < most;
                prop_assert_eq!(ahead.poll_timeout().is_some(), lacks && idle);
                if let Some(due) = ahead.poll_timeout() {
                    prop_assert!(ahead.next(due.max(now)).is_some());
                }
            }
        }
    }
}
