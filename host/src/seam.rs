//! What a node wants of whatever confines its games.
//!
//! ```text
//!  configuration ──▶ Host ── start(Spec) ──▶ Game ──┬── launch, suspend, resume, stop, kill: asked for at any time
//!                     │                             ├── phase, wait_until, events: watched
//!                     └── offers, devices           ├── home, display, folders of sound and input: reached
//!                                                   └── dropped: nothing of it is left
//! ```
//!
//! The life of a game is drawn in [`machine`](crate::confine::machine), and is the same whatever confines it. What is
//! reached of it are descriptors and folders of this machine, so this machine runs it. Nobody beyond whoever makes a host
//! of a configuration names a driver: [`Bubblewrap`](crate::confine::Bubblewrap) is the one that there is. Engines of
//! containers (podman, crun) and pods of Kubernetes would be others.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use media::GraphicsMemory;

use crate::confine::cgroup::Usage;
use crate::confine::{Attempts, Display, EventFn, Phase, Program, Refused, Spec};
use crate::devices::{DeviceFolder, DevicesFound, Kernel};

/// What confines games and starts them.
pub trait Host: fmt::Debug + Send + Sync {
    /// What games can have here.
    fn offers(&self) -> &Offers;

    /// What makes gamepads and pens for sessions, where [`Offers::devices`] says that it does.
    fn devices(&self) -> Option<&Arc<dyn Kernel>>;

    /// What the devices of [`Offers::gpu`] have of memory now: of several, what the one with the least has, since a game draws
    /// with which it likes. `None` where none of them tells. Asks drivers, which may keep it waiting.
    fn graphics_memory(&self) -> Option<GraphicsMemory>;

    /// What all games tried that is refused them.
    fn attempts(&self) -> &Arc<Attempts>;

    /// Confines a game and starts its display. The game itself is started with [`Game::launch`], at any time. `events` is
    /// told every change. Returns before the display is there.
    ///
    /// # Errors
    /// [`Refused`]; nothing is left of the attempt.
    fn start(&self, spec: &Spec, events: EventFn) -> Result<Box<dyn Game>, Refused>;
}

/// What games can have beside what all have, or why they cannot.
#[derive(Clone, Debug)]
pub struct Offers {
    /// The X server for every finger.
    pub xorg: Result<PathBuf, String>,
    /// The library that gives games gamepads.
    pub joystick: Result<PathBuf, String>,
    /// What of gamepads and pens the kernel makes for sessions.
    pub devices: Result<DevicesFound, String>,
    /// What gives games the internet.
    pub internet: Result<PathBuf, String>,
    /// Device nodes for games that ask for a graphics device; none where games have none here.
    pub gpu: Vec<PathBuf>,
}

/// A confined game with its display. Dropping it kills everything that is confined with it and waits until it is gone,
/// at most for its time limits.
pub trait Game: fmt::Debug + Send + Sync {
    /// The folder that the game sees at [`SOUND`](crate::confine::command::SOUND), read-only: a server that listens
    /// on `native` in it is the game's sound server. What is made in it must be open to everybody: the
    /// folder around it is the game's user's alone.
    fn sound_folder(&self) -> PathBuf;

    /// The folder that the game sees at [`INPUT`](crate::confine::command::INPUT), read-only, where it has gamepads. As
    /// with the one of sound.
    fn input_folder(&self) -> PathBuf;

    /// What the game sees at [`INPUT`](crate::confine::command::INPUT), where that has devices of the kernel.
    fn devices(&self) -> Option<&Arc<DeviceFolder>>;

    /// Where in its life it is.
    fn phase(&self) -> Phase;

    /// Waits until the phase is one that `is_wanted`, or until the time is over; the phase then.
    fn wait_until(&self, limit: Duration, is_wanted: &dyn Fn(&Phase) -> bool) -> Phase;

    /// As [`wait_until`](Self::wait_until), but not before all that was asked for until now is done: a phase that
    /// an earlier request led to does not count.
    fn wait_obeyed(&self, limit: Duration, is_wanted: &dyn Fn(&Phase) -> bool) -> Phase;

    /// The player's home, once there is one. It can be read after the end, as long as this is there; use `openat2` with
    /// `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS`, and make what is put in it its owner's.
    fn home(&self) -> Option<Arc<OwnedFd>>;

    /// The display, once it takes connections.
    fn display(&self) -> Option<Display>;

    /// Starts the game, as soon as there is a display. Only the first call counts.
    fn launch(&self, program: Program);

    /// Halts every process that is confined with it, now or as soon as the game runs. The X server is one of them:
    /// whoever waits for an answer of it waits.
    fn suspend(&self);

    /// Lets them run again.
    fn resume(&self);

    /// Asks the game to end, and kills what then still runs.
    fn stop(&self);

    /// Kills everything.
    fn kill(&self);

    /// What its processes have used. Nothing after the end.
    fn usage(&self) -> Usage;

    /// What was tried in it that is refused.
    fn attempts(&self) -> &Arc<Attempts>;

    /// The last lines that the game wrote.
    fn said(&self) -> Vec<String>;
}
