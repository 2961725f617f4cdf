//! A confined game as everybody has it who has to do with it: its source, whoever saves it, and the thread that
//! waits for its end.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use super::gamepads::PadServer;
use crate::apps::Told;
use crate::saves::Keep;
use host::Game;
use host::confine::{End, Phase};

/// How long halting a game may take.
const HALT: Duration = Duration::from_secs(3);
/// The thread that waits for an end wakes up so often for nothing.
const LONG: Duration = Duration::from_secs(3600);

/// See the module. The last one that has it removes the game.
pub(crate) struct Hosted {
    game: Box<dyn Game>,
    /// Goes after the game: programs may be killed by gamepads that go before them.
    gamepads: OnceLock<PadServer>,
    holds: Mutex<Holds>,
    /// Taken by whoever talks with the display, which answers nothing while the game is halted.
    display: Mutex<()>,
    /// The game is over, and its last state is saved.
    over: Mutex<bool>,
    changed: Condvar,
}

/// Why a game stands still.
#[derive(Default)]
struct Holds {
    /// Nobody looks.
    held: bool,
    /// It is being read.
    read: bool,
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hosted").field(&self.game).finish()
    }
}

impl Hosted {
    pub(super) fn new(game: Box<dyn Game>) -> Arc<Self> {
        Arc::new(Self {
            game,
            gamepads: OnceLock::new(),
            holds: Mutex::default(),
            display: Mutex::new(()),
            over: Mutex::new(false),
            changed: Condvar::new(),
        })
    }

    /// The game. It is halted and let go by this alone.
    pub(super) fn game(&self) -> &dyn Game {
        &*self.game
    }

    /// Keeps the game's gamepads for as long as there is a game.
    pub(super) fn keep_gamepads(&self, gamepads: PadServer) {
        // There is one for each game.
        let _ = self.gamepads.set(gamepads);
    }

    /// The player's home, also after the end.
    pub(crate) fn home(&self) -> Option<Arc<OwnedFd>> {
        self.game.home()
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        self.game.kill();
    }

    /// Halts the game while nobody looks.
    pub(super) fn set_held(&self, held: bool) {
        self.hold(|holds| holds.held = held);
    }

    fn hold(&self, change: impl FnOnce(&mut Holds)) {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut holds);
        // Under the lock, so that the newest wish is the last that is told.
        if holds.held || holds.read { self.game.suspend() } else { self.game.resume() }
    }

    /// The right to talk with the display, unless the game is halted to be read.
    pub(super) fn display(&self) -> Option<MutexGuard<'_, ()>> {
        match self.display.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Halts the game until what is given is dropped.
    ///
    /// # Errors
    /// It goes on; or it is about to end, when its last state is saved anyway.
    pub(crate) fn halt(&self) -> io::Result<Halted<'_>> {
        let display = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        let halted = Halted { hosted: self, _display: display };
        self.hold(|holds| holds.read = true);
        // A halt before this one may still be about to end.
        let phase = self.game.wait_obeyed(HALT, &|phase| {
            matches!(phase, Phase::Suspended | Phase::Stopping | Phase::Ended(_))
        });
        match phase {
            Phase::Suspended | Phase::Ended(_) => Ok(halted),
            Phase::Stopping => Err(io::Error::other("it is about to end")),
            _ => Err(io::Error::other("its processes go on")),
        }
    }

    /// Waits until all that it was told is done and the phase is one that `is_wanted`, for as long as halting a game may
    /// take; the phase then.
    pub(super) fn obeyed(&self, is_wanted: impl Fn(&Phase) -> bool) -> Phase {
        self.game.wait_obeyed(HALT, &is_wanted)
    }

    /// How it ended, if it has within the limit.
    pub(super) fn ended(&self, limit: Duration) -> Option<End> {
        match self.game.wait_until(limit, &|phase| matches!(phase, Phase::Ended(_))) {
            Phase::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Waits until it is over and saved, at most for `limit`.
    pub(super) fn wait_over(&self, limit: Duration) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(over, limit, |over| !*over));
    }

    /// Waits for the end beside everything else, however long a game takes for it, tells it and saves the last state.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn watch(
        self: &Arc<Self>,
        keep: Option<Arc<Keep>>,
        told: Arc<Told>,
    ) -> io::Result<()> {
        let hosted = self.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name("game-end".into()).spawn(move || {
            let _span = span.entered();
            while hosted.ended(LONG).is_none() {}
            told.over.store(true, Ordering::Release);
            if let Some(keep) = keep {
                keep.end();
            }
            *hosted.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            hosted.changed.notify_all();
        });
        thread.map(drop)
    }
}

/// A game that stands still.
pub(crate) struct Halted<'a> {
    hosted: &'a Hosted,
    _display: MutexGuard<'a, ()>,
}

impl Drop for Halted<'_> {
    fn drop(&mut self) {
        self.hosted.hold(|holds| holds.read = false);
    }
}
