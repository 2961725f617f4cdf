//! The clipboard of a display (ICCCM, section 2): what a program has copied is read when it is asked for, and what a
//! player brings is owned here and served.
//!
//! ```text
//!  a program copies ─► XFixes says so ─► told                               (nothing is read yet)
//!  take()  ─► TARGETS ─► the best of them ─► a property, whole or piece by piece (INCR) ─► Clip
//!  offer() ─► this owns CLIPBOARD ─► programs ask ─► a property of theirs, whole or piece by piece
//! ```
//! Everything is done by one thread with a connection of its own. Programs are not trusted: what is read is bounded,
//! every wait for one ends, and only some are served piece by piece at once. A display that is suspended
//! answers nobody: then what is asked for fails after the same waits, and what is owned stays so.

mod clip;
mod fetch;
mod serve;
mod worker;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use thiserror::Error;

pub use clip::{BadClip, Clip, ClipKind};

use super::link::{DisplayError, Link};
use super::{Clips, Cookie};
use worker::Worker;

/// Requests that wait for the thread; one more is refused ([`ClipError::Busy`]).
const WAITING: usize = 4;
/// The whole of a transfer may take so many times the patience that each step of it has.
const STEPS: u32 = 5;

/// What bounds a clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipLimits {
    /// Bytes of text.
    pub text: usize,
    /// Bytes of an image.
    pub image: usize,
    /// How long a program may let each step of a transfer wait.
    pub patience: Duration,
}

impl ClipLimits {
    /// Bytes of this kind.
    pub fn of(&self, kind: ClipKind) -> usize {
        match kind {
            ClipKind::Text => self.text,
            ClipKind::Image => self.image,
        }
    }
}

/// Why something is not had from a clipboard, or not put into it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClipError {
    /// Nothing has been copied in the game.
    #[error("nothing has been copied")]
    Nothing,
    /// What was copied is neither text nor a PNG.
    #[error("what was copied is neither text nor an image")]
    Unknown,
    /// It is larger than is taken.
    #[error("it has more than {most} bytes")]
    TooLarge {
        /// Most bytes of its kind.
        most: usize,
    },
    /// It is not what it is said to be.
    #[error(transparent)]
    Bad(#[from] BadClip),
    /// The program that copied it does not hand it over, or the display does not answer.
    #[error("the program that it is in does not answer")]
    Silent,
    /// Something else was copied meanwhile.
    #[error("something else was copied meanwhile")]
    Changed,
    /// As much as is done at once is being done.
    #[error("the clipboard is in use")]
    Busy,
    /// The display has ended.
    #[error("the display has ended")]
    Over,
}

/// Who is told that a program has copied something.
pub type Tell = Arc<dyn Fn() + Send + Sync>;

/// Where an answer goes; whoever waits for it may be gone.
type Reply<T> = SyncSender<Result<T, ClipError>>;

enum Command {
    Take(Reply<Clip>),
    Offer(Clip, Reply<()>),
}

/// See the module. Dropping it ends its thread, which is not waited for.
pub struct Clipboard {
    commands: Option<SyncSender<Command>>,
    wake: Arc<OwnedFd>,
    limits: ClipLimits,
}

impl Clipboard {
    /// Begins to watch. `tell` is called on the clipboard's thread, some times a second at most, when a program has
    /// copied something.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub(super) fn open(
        (path, cookie): (&Path, &Cookie),
        limits: ClipLimits,
        tell: Tell,
    ) -> Result<Self, DisplayError> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| DisplayError::Memory(error.into()))?;
        let wake = Arc::new(wake);
        let (commands, mailbox) = sync_channel(WAITING);
        let worker = Worker::open(Link::open(path, cookie)?, limits, tell.clone())?;
        let (path, cookie) = (path.to_owned(), cookie.clone());
        let place = Place { path, cookie, limits, tell };
        let theirs = wake.clone();
        std::thread::Builder::new()
            .name("clipboard".into())
            .spawn(move || place.run(worker, &mailbox, &theirs))
            .map_err(DisplayError::Memory)?;
        Ok(Self { commands: Some(commands), wake, limits })
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ClipError> {
        let (reply, answer) = sync_channel(1);
        let commands = self.commands.as_ref().ok_or(ClipError::Over)?;
        commands.try_send(command(reply)).map_err(|error| match error {
            TrySendError::Full(_) => ClipError::Busy,
            TrySendError::Disconnected(_) => ClipError::Over,
        })?;
        self.ring();
        // The thread gives up by itself before that, unless its display stands still.
        answer.recv_timeout(self.limits.patience * (STEPS + 1)).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => ClipError::Silent,
                RecvTimeoutError::Disconnected => ClipError::Over,
            })
        })
    }

    fn ring(&self) {
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Clips for Clipboard {
    fn take(&self) -> Result<Clip, ClipError> {
        self.ask(Command::Take)
    }

    fn offer(&self, clip: Clip) -> Result<(), ClipError> {
        let most = self.limits.of(clip.kind());
        if clip.bytes().len() > most {
            return Err(ClipError::TooLarge { most });
        }
        self.ask(|reply| Command::Offer(clip, reply))
    }
}

impl Drop for Clipboard {
    fn drop(&mut self) {
        self.commands = None;
        self.ring();
    }
}

/// Where the display is, and what its clipboard is to do.
struct Place {
    path: PathBuf,
    cookie: Cookie,
    limits: ClipLimits,
    tell: Tell,
}

impl Place {
    /// Serves until nobody wants it, or until the display is gone. A display that stood still in the middle of something
    /// is connected anew; what the player brought goes with the connection.
    fn run(&self, mut worker: Worker, mailbox: &Receiver<Command>, wake: &OwnedFd) {
        loop {
            match worker.serve(mailbox, wake) {
                Ok(()) | Err(DisplayError::Ended) => return,
                Err(error) => tracing::debug!(%error, "the clipboard is connected anew"),
            }
            worker.give_up();
            worker = loop {
                let opened = Link::open(&self.path, &self.cookie);
                match opened.and_then(|link| Worker::open(link, self.limits, self.tell.clone())) {
                    Ok(worker) => break worker,
                    // It is suspended, perhaps for long: each try waits.
                    Err(DisplayError::Silent) if is_wanted(mailbox) => {}
                    Err(_) => return,
                }
            };
        }
    }
}

/// Whether anybody still has the other end. What was asked for meanwhile cannot be done.
fn is_wanted(mailbox: &Receiver<Command>) -> bool {
    loop {
        match mailbox.try_recv() {
            Ok(Command::Take(reply)) => drop(reply.try_send(Err(ClipError::Silent))),
            Ok(Command::Offer(_, reply)) => drop(reply.try_send(Err(ClipError::Silent))),
            Err(error) => return error == std::sync::mpsc::TryRecvError::Empty,
        }
    }
}
