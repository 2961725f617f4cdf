//! Apps that are started ahead of their players, and stand still until somebody wants them.
//!
//! One thread, `ahead`, starts them one after the other and puts them away; which and when, [`session::ahead`] says.
//! Whoever makes a session takes one or is told why there is none for it. They give way to players: their room is free at
//! once, and they are killed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use media::MediaTime;
use session::admission::Reserve;
use session::ahead;
use tokio_util::sync::CancellationToken;

use crate::apps::{Ahead, App, Apps, Prepared, StartedAhead, VideoMode, is_same};
use crate::drive;
use crate::metrics::Metrics;
use crate::node::Node;

/// How often those that are ready are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether there is still a node, where there is nothing else to do.
const IDLE: Duration = Duration::from_secs(10);
/// Players in a row for whom one did not fit, after which it is replaced by one that would have fitted the last of them.
const UNFIT: u32 = 2;

/// See the module.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Once they are to be started.
    node: OnceLock<Weak<Node>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    wake: Condvar,
    metrics: Metrics,
}

struct State {
    core: ahead::Ahead,
    /// Of all apps at once.
    most: usize,
    apps: Vec<Entry>,
    /// How often the apps have become others: numbers of apps mean nothing after that.
    age: u64,
    ready: Vec<Ready>,
    starting: Option<Starting>,
    /// Those that were killed and are still to be waited for, and what those held that nobody has told the books of.
    dying: Vec<Box<dyn Prepared>>,
    loose: Vec<Reserve>,
    stop: bool,
}

/// An app that wants to be started ahead.
struct Entry {
    id: String,
    of: Arc<dyn App>,
    app: Arc<dyn Ahead>,
    /// What the last player asked for.
    video: Option<VideoMode>,
    /// Players in a row for whom it did not fit.
    unfit: u32,
}

impl Entry {
    fn of(started: StartedAhead) -> Self {
        let StartedAhead { id, app: of, ahead: app } = started;
        Self { id, of, app, video: None, unfit: 0 }
    }
}

struct Ready {
    app: usize,
    prepared: Box<dyn Prepared>,
    room: Reserve,
    since: MediaTime,
}

struct Starting {
    app: usize,
    room: Reserve,
    cancel: CancellationToken,
}

/// One that was taken.
pub(crate) struct Taken {
    untold: Untold,
    room: Reserve,
}

/// The same after its room was given back.
pub(crate) struct Untold {
    app: usize,
    age: u64,
    prepared: Box<dyn Prepared>,
    since: MediaTime,
}

impl Taken {
    /// What it held, and the rest.
    pub(crate) fn split(self) -> (Reserve, Untold) {
        (self.room, self.untold)
    }
}

impl Untold {
    /// For its session.
    pub(crate) fn prepared(self) -> Box<dyn Prepared> {
        self.prepared
    }
}

impl Pool {
    /// Of the apps that want it, `most` in all. Nothing is started before [`start`](Self::start).
    pub(crate) fn new(apps: &Apps, most: u32, metrics: Metrics) -> Self {
        let apps: Vec<_> = apps.ahead().into_iter().map(Entry::of).collect();
        let (wanted, most) = (apps.iter().map(|entry| entry.app.wanted()), most as usize);
        let state = State {
            core: ahead::Ahead::new(wanted, most),
            most,
            apps,
            age: 0,
            ready: Vec::new(),
            starting: None,
            dying: Vec::new(),
            loose: Vec::new(),
            stop: false,
        };
        let shared = Shared { state: Mutex::new(state), wake: Condvar::new(), metrics };
        Self { shared: Arc::new(shared), node: OnceLock::new(), thread: Mutex::default() }
    }

    /// From now on it is these apps. What stands ready of those that are the same stays, the rest is put away.
    pub(crate) fn replace(&self, apps: &Apps) {
        // What apps say of themselves may be on a disk.
        let apps = apps.ahead();
        self.shared.lock().replace(apps, &self.shared.metrics);
        self.shared.wake.notify_all();
        if let Some(node) = self.node.get()
            && let Err(error) = self.start(node.clone())
        {
            tracing::error!(%error, "no thread to start games ahead");
        }
    }

    /// From now on they are started; `node` says whether there is room.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(&self, node: Weak<Node>) -> std::io::Result<()> {
        // A node that is started once more is the same one.
        let node = self.node.get_or_init(|| node).clone();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = {
            let state = self.shared.lock();
            state.stop || state.apps.is_empty()
        };
        if thread.is_some() || idle {
            return Ok(());
        }
        let shared = self.shared.clone();
        let run = move || shared.run(&node);
        *thread = Some(std::thread::Builder::new().name("ahead".into()).spawn(run)?);
        Ok(())
    }

    /// One of this app for pictures like these. `None` of what is never started ahead; else why there is none.
    pub(crate) fn take(
        &self,
        now: MediaTime,
        app: &Arc<dyn App>,
        video: VideoMode,
    ) -> Option<Result<Taken, &'static str>> {
        let mut state = self.shared.lock();
        // What is another one by now is nothing to a session that was wished for before.
        let app = state.apps.iter().position(|entry| is_same(&entry.of, app))?;
        state.bury(now, &self.shared.metrics);
        let taken = state.take(app, video);
        if taken.is_err() {
            state.replace_unfit(now, app, &self.shared.metrics);
        }
        state.show(&self.shared.metrics);
        drop(state);
        self.shared.wake.notify_all();
        Some(taken)
    }

    /// Whether this app is started ahead at all.
    pub(crate) fn knows(&self, app: &Arc<dyn App>) -> bool {
        self.shared.lock().apps.iter().any(|entry| is_same(&entry.of, app))
    }

    /// Takes one back that nobody has seen: its player was not let in.
    pub(crate) fn put_back(&self, untold: Untold, room: Reserve) {
        let Untold { app, age, prepared, since } = untold;
        let mut state = self.shared.lock();
        let ready = Ready { app, prepared, room, since };
        if age == state.age {
            state.core.put_back(app);
            state.ready.push(ready);
        } else {
            let room = state.kill(ready);
            state.loose.push(room);
        }
        state.show(&self.shared.metrics);
    }

    /// Gives up as many of them as `how_many` says of what they hold: the one that starts, then the oldest. Yields what
    /// those held. The books are locked meanwhile, never the other way round.
    ///
    /// # Errors
    /// As `how_many`; none is given up then.
    pub(crate) fn give_way<E>(
        &self,
        now: MediaTime,
        how_many: impl FnOnce(&[&Reserve]) -> Result<usize, E>,
    ) -> Result<Vec<Reserve>, E> {
        let mut state = self.shared.lock();
        let starting = state.starting.iter().map(|starting| &starting.room);
        let rooms: Vec<_> = starting.chain(state.ready.iter().map(|ready| &ready.room)).collect();
        let many = how_many(&rooms)?;
        let mut rooms = Vec::new();
        if many > 0
            && let Some(Starting { app, room, cancel }) = state.starting.take()
        {
            cancel.cancel();
            state.core.no_room(now, app);
            rooms.push(room);
        }
        while rooms.len() < many && !state.ready.is_empty() {
            let ready = state.ready.remove(0);
            state.core.given_up(now, ready.app);
            rooms.push(state.kill(ready));
        }
        rooms.iter().for_each(|_| self.shared.metrics.ahead_ended("given_up"));
        state.show(&self.shared.metrics);
        drop(state);
        self.shared.wake.notify_all();
        Ok(rooms)
    }

    /// What those held that have ended since this was asked last: the books do not know of it.
    pub(crate) fn loose(&self, now: MediaTime) -> Vec<Reserve> {
        let mut state = self.shared.lock();
        state.bury(now, &self.shared.metrics);
        std::mem::take(&mut state.loose)
    }

    /// There may be room again.
    pub(crate) fn room(&self) {
        self.shared.lock().core.room();
        self.shared.wake.notify_all();
    }

    /// Ends all of them and starts no more.
    pub(crate) fn tell_to_stop(&self) {
        let mut state = self.shared.lock();
        state.stop = true;
        if let Some(starting) = &state.starting {
            starting.cancel.cancel();
        }
        state.ready.iter().for_each(|ready| ready.prepared.kill());
        drop(state);
        self.shared.wake.notify_all();
    }

    /// The same; nothing is left of them when it returns.
    pub(crate) fn stop(&self) {
        self.tell_to_stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The node may go with the last of those who know it, which that thread is for moments.
        let thread = thread.filter(|thread| thread.thread().id() != std::thread::current().id());
        // A panic in the thread was told there.
        let _ = thread.map(JoinHandle::join);
        let (ready, dying) = {
            let mut state = self.shared.lock();
            (std::mem::take(&mut state.ready), std::mem::take(&mut state.dying))
        };
        drop((ready, dying));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is to stop, or there is no node any more.
    fn run(&self, node: &Weak<Node>) {
        loop {
            // Whoever is gone is waited for, which takes moments.
            drop(std::mem::take(&mut self.lock().dying));
            let Some(strong) = node.upgrade() else { return };
            let (clock, loose) = (strong.clock.clone(), std::mem::take(&mut self.lock().loose));
            strong.give_back(loose);
            let now = clock.now();
            let (age, next) = {
                let mut state = self.lock();
                if state.stop {
                    return;
                }
                state.bury(now, &self.metrics);
                state.show(&self.metrics);
                let next = state.core.next(now).filter(|_| state.loose.is_empty());
                let next =
                    next.map(|app| (app, state.apps[app].app.clone(), state.apps[app].video));
                (state.age, next)
            };
            let Some((number, app, video)) = next else {
                drop(strong);
                self.rest(now);
                continue;
            };
            let Some(room) = strong.reserve(app.needs(), app.graphics_memory()) else {
                let mut state = self.lock();
                if state.age == age {
                    state.core.no_room(now, number);
                }
                continue;
            };
            drop(strong);
            let (place, cancel) = (room.number(), CancellationToken::new());
            {
                let mut state = self.lock();
                if state.stop {
                    state.loose.push(room);
                    return;
                }
                if state.age != age {
                    state.loose.push(room);
                    continue;
                }
                state.core.begin(number);
                state.starting = Some(Starting { app: number, room, cancel: cancel.clone() });
            }
            let prepare = AssertUnwindSafe(|| app.prepare(video, &clock, &cancel));
            let prepared = catch_unwind(prepare)
                .unwrap_or_else(|panic| Err(drive::panic_message(panic.as_ref())));
            if prepared.is_ok()
                && let Some(node) = node.upgrade()
            {
                // It stands still.
                node.stands_still(place);
            }
            self.arrived(clock.now(), prepared);
        }
    }

    /// What came of the one that was starting.
    fn arrived(&self, now: MediaTime, prepared: Result<Box<dyn Prepared>, String>) {
        let mut state = self.lock();
        match (state.starting.take(), prepared) {
            (Some(Starting { app, room, .. }), Ok(prepared)) => {
                tracing::info!(app = state.apps[app].id, "started ahead");
                state.core.ready_now(app);
                state.ready.push(Ready { app, prepared, room, since: now });
            }
            (Some(Starting { app, room, .. }), Err(why)) => {
                if !state.stop {
                    tracing::warn!(app = state.apps[app].id, why, "not started ahead");
                    self.metrics.ahead_ended("failed");
                }
                state.core.failed(now, app);
                state.loose.push(room);
            }
            // It had to make room meanwhile.
            (None, Ok(prepared)) => {
                prepared.kill();
                state.dying.push(prepared);
            }
            (None, Err(_)) => {}
        }
    }

    /// Waits until there is something to do.
    fn rest(&self, now: MediaTime) {
        let state = self.lock();
        if state.stop || !(state.dying.is_empty() && state.loose.is_empty()) {
            return;
        }
        let due = state.core.poll_timeout().map(|due| due.since(now));
        let look = (!state.ready.is_empty()).then_some(LOOK);
        let limit = due.into_iter().chain(look).min().unwrap_or(IDLE);
        drop(self.wake.wait_timeout(state, limit));
    }
}

impl State {
    fn take(&mut self, app: usize, video: VideoMode) -> Result<Taken, &'static str> {
        let entry = self.apps.get_mut(app).ok_or("unknown")?;
        entry.video = Some(video);
        let mut why = "none_ready";
        if self.stop {
            return Err(why);
        }
        let mut fits =
            |ready: &Ready| ready.prepared.fits(video).map_err(|word| why = word).is_ok();
        let found = self.ready.iter().position(|ready| ready.app == app && fits(ready));
        let Some(at) = found else {
            entry.unfit += u32::from(why != "none_ready");
            return Err(why);
        };
        entry.unfit = 0;
        self.core.taken(app);
        let Ready { app, prepared, room, since } = self.ready.remove(at);
        Ok(Taken { untold: Untold { app, age: self.age, prepared, since }, room })
    }

    /// See [`Pool::replace`].
    fn replace(&mut self, apps: Vec<StartedAhead>, metrics: &Metrics) {
        let before = std::mem::take(&mut self.apps);
        let same = |entry: &Entry| before.iter().position(|known| is_same(&known.of, &entry.of));
        let mut entries: Vec<_> = apps.into_iter().map(Entry::of).collect();
        let from: Vec<_> = entries.iter().map(same).collect();
        if from.iter().copied().eq((0..before.len()).map(Some)) {
            self.apps = before;
            return;
        }
        self.age += 1;
        before.iter().for_each(|gone| metrics.ahead_ready(&gone.id, 0));
        self.core = ahead::Ahead::new(entries.iter().map(|entry| entry.app.wanted()), self.most);
        for (entry, from) in entries.iter_mut().zip(&from) {
            if let Some(known) = from.and_then(|from| before.get(from)) {
                (entry.video, entry.unfit) = (known.video, known.unfit);
            }
        }
        self.apps = entries;
        if let Some(Starting { room, cancel, .. }) = self.starting.take() {
            cancel.cancel();
            self.loose.push(room);
        }
        for mut ready in std::mem::take(&mut self.ready) {
            match from.iter().position(|from| *from == Some(ready.app)) {
                Some(app) => {
                    ready.app = app;
                    self.core.put_back(app);
                    self.ready.push(ready);
                }
                None => {
                    metrics.ahead_ended("replaced");
                    let room = self.kill(ready);
                    self.loose.push(room);
                }
            }
        }
        self.show(metrics);
    }

    /// Gives up the oldest of an app that has fitted nobody for a while.
    fn replace_unfit(&mut self, now: MediaTime, app: usize, metrics: &Metrics) {
        let Some(entry) = self.apps.get_mut(app).filter(|entry| entry.unfit >= UNFIT) else {
            return;
        };
        entry.unfit = 0;
        if let Some(at) = self.ready.iter().position(|ready| ready.app == app) {
            let ready = self.ready.remove(at);
            // Its room is for the next one of the same app.
            self.core.given_up(now, app);
            self.core.room();
            metrics.ahead_ended("unfit");
            let room = self.kill(ready);
            self.loose.push(room);
        }
    }

    /// Puts those away that have ended by themselves.
    fn bury(&mut self, now: MediaTime, metrics: &Metrics) {
        while let Some(at) = self.ready.iter().position(|ready| ready.prepared.is_over()) {
            let ready = self.ready.remove(at);
            let lasted = now.since(ready.since);
            tracing::warn!(
                app = self.apps[ready.app].id,
                ?lasted,
                "a game that was started ahead has ended"
            );
            self.core.died(now, ready.app, lasted);
            metrics.ahead_ended("died");
            let room = self.kill(ready);
            self.loose.push(room);
        }
    }

    /// Ends one that was ready; what it held.
    fn kill(&mut self, ready: Ready) -> Reserve {
        ready.prepared.kill();
        self.dying.push(ready.prepared);
        ready.room
    }

    /// Says how many are ready.
    fn show(&self, metrics: &Metrics) {
        for (number, entry) in self.apps.iter().enumerate() {
            let ready = self.ready.iter().filter(|ready| ready.app == number).count();
            metrics.ahead_ready(&entry.id, ready);
        }
    }
}
