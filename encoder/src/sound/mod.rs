//! The thread that a session's sound is coded on.
//!
//! ```text
//!  thread: wait for the block's time → fill ─┬▶ code stereo ───┬▶ AudioSink of one client
//!   ▲ sinks, expected loss, stop             │                 └▶ AudioSink of another
//!  driver                                    └▶ code surround ──▶ AudioSink of one that plays all channels
//! ```
//!
//! One source serves all who listen, and one encoder all who hear as many channels. While nobody does, or the session
//! is paused, nothing is made and the thread sleeps. A packet that a sink refuses is lost, and counted: sound that is late is worth nothing.
//!
//! The thread must never be given a source or a sink that blocks.

mod coder;
mod pipeline;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use media::{AudioSink, AudioSource, Bitrate, Clock, Layout, TrackId};

use self::pipeline::Pipeline;

/// How long `Drop` waits for the thread: far longer than any block takes.
const JOIN_DEADLINE: Duration = Duration::from_secs(1);

/// What a worker is made with.
#[derive(Clone, Debug)]
pub struct SoundConfig {
    /// Names the thread; at most 15 bytes.
    pub name: String,
    /// The track that packets are of.
    pub track: TrackId,
    /// Length of a block and of a packet at the least: 5, 10 or 20 ms.
    pub block: Duration,
    /// Of the sound alone, in stereo.
    pub bitrate: Bitrate,
}

impl SoundConfig {
    /// What so many channels take: as much for each of them as in stereo, but for the low frequencies, which are next to
    /// nothing.
    pub fn rate(&self, layout: Layout) -> Bitrate {
        match layout {
            Layout::Stereo => self.bitrate,
            more => Bitrate::from_bps(self.bitrate.bps() * (more.channels() as u64 - 1) / 2),
        }
    }
}

/// What was coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coded {
    /// Packets for those who listen.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// It is silent, and next to nothing is sent.
    pub silent: bool,
}

/// What a worker has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoundStats {
    /// Of two channels.
    pub stereo: Coded,
    /// Of more, for those who play them.
    pub surround: Coded,
    /// The channels that those hear now.
    pub layout: Layout,
    /// Packets that a client's queue had no room for.
    pub refused: u64,
    /// Blocks that were not made because the thread was late.
    pub skipped: u64,
    /// Percentage of loss that packets are made for.
    pub expected_loss: u32,
    /// Why there is no sound any more.
    pub failed: Option<String>,
}

/// Tells those who listen apart.
pub type Listener = u64;

/// A handle on the thread. Dropping it ends the thread.
pub struct SoundWorker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    name: String,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    ended: bool,
    paused: bool,
    sparing: bool,
    /// A change of who listens, in order.
    changes: Vec<(Listener, Option<Box<dyn AudioSink>>)>,
    /// What the source may have, and who hears all of it, where that is news.
    surround: Option<(Layout, Vec<Listener>)>,
    expected_loss: Option<f64>,
    stats: SoundStats,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment or one push.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.wake.notify_all();
    }
}

impl SoundWorker {
    /// Starts the thread, with nobody who listens.
    ///
    /// # Errors
    /// When the system gives no thread. What goes wrong on it is in [`stats`](Self::stats).
    pub fn spawn(
        config: SoundConfig,
        source: Box<dyn AudioSource>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (theirs, name) = (shared.clone(), config.name.clone());
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let _span = span.entered();
            let run = AssertUnwindSafe(|| run(&theirs, &config, source, clock.as_ref()));
            let failed = catch_unwind(run)
                .unwrap_or_else(|panic| Err(crate::panic_text(panic.as_ref())))
                .err();
            if let Some(reason) = &failed {
                tracing::warn!(reason, "the session goes on without sound");
            }
            theirs.change(|state| {
                state.ended = true;
                state.stats.failed = failed;
                state.changes.clear();
            });
        })?;
        Ok(Self { shared, thread: Some(thread), name })
    }

    /// Packets go to this sink too; it takes the place of an earlier one of this listener.
    pub fn attach(&self, listener: Listener, sink: Box<dyn AudioSink>) {
        self.change(listener, Some(sink));
    }

    /// This one listens no more.
    pub fn detach(&self, listener: Listener) {
        self.change(listener, None);
    }

    fn change(&self, listener: Listener, sink: Option<Box<dyn AudioSink>>) {
        self.shared.change(|state| {
            // Of an ended thread nothing is wanted; of others, the newest change of each counts.
            state.changes.retain(|(of, _)| *of != listener);
            if !state.ended {
                state.changes.push((listener, sink));
            }
        });
    }

    /// Makes nothing, as if nobody listened, until it is to go on.
    pub fn set_paused(&self, paused: bool) {
        self.shared.change(|state| state.paused = paused);
    }

    /// The path of those who listen has little room: blocks are longer, and of two channels, from the next one on.
    pub fn set_sparing(&self, sparing: bool) {
        self.shared.lock().sparing = sparing;
    }

    /// What is played may have these channels from now on, and these listeners play all of them. The others hear two.
    pub fn set_surround(&self, layout: Layout, wide: Vec<Listener>) {
        self.shared.change(|state| state.surround = Some((layout, wide)));
    }

    /// The path of those who listen loses so large a part of the packets, 0 to 1.
    pub fn expect_loss(&self, part: f64) {
        // It is not worth waking the thread for.
        self.shared.lock().expected_loss = Some(part);
    }

    /// What it has done.
    pub fn stats(&self) -> SoundStats {
        self.shared.lock().stats.clone()
    }
}

impl Drop for SoundWorker {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.change(|state| state.stop = true);
        let waited =
            self.shared
                .wake
                .wait_timeout_while(self.shared.lock(), JOIN_DEADLINE, |state| !state.ended);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            tracing::error!(thread = self.name, "sound thread did not end and is left behind");
        } else {
            // A panic was told already.
            let _ = thread.join();
        }
    }
}

fn run(
    shared: &Shared,
    config: &SoundConfig,
    source: Box<dyn AudioSource>,
    clock: &dyn Clock,
) -> Result<(), String> {
    let mut pipeline = Pipeline::open(config, source)?;
    loop {
        let mut state = shared.lock();
        loop {
            if state.stop {
                return Ok(());
            }
            pipeline.set_paused(state.paused, clock.now());
            pipeline.set_sparing(state.sparing);
            if let Some((layout, wide)) = state.surround.take() {
                // It takes the source a while, and whoever says more must not wait for that.
                drop(state);
                pipeline.set_surround(layout, wide);
                state = shared.lock();
                continue;
            }
            for (listener, sink) in state.changes.drain(..) {
                pipeline.listen(listener, sink, clock.now());
            }
            let wait = match pipeline.due() {
                Some(due) => due.since(clock.now()),
                None => Duration::MAX,
            };
            if wait.is_zero() {
                break;
            }
            state = if wait == Duration::MAX {
                shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = shared.wake.wait_timeout(state, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
        let expected = state.expected_loss.take();
        drop(state);
        if let Some(part) = expected {
            pipeline.expect_loss(part)?;
        }
        pipeline.step(clock.now())?;
        shared.lock().stats.clone_from(pipeline.stats());
    }
}

#[cfg(test)]
mod tests;
